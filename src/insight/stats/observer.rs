//! Collects the inputs of one request until all of them are known to be valid and were scored.

use std::cell::RefCell;
use std::ops::Deref;

use super::layout::Layout;
use crate::model::{Observe, Observed};

/// The most cells that a thread keeps memory for between two requests, about 24 bytes each.
const MAX_KEPT_CELLS: usize = 1 << 14;

thread_local! {
    /// The memory of the last request on this thread, to be used again.
    static SPARE: RefCell<Vec<(u32, Observed)>> = const { RefCell::new(Vec::new()) };
}

/// Observes the cells of one request. Cells of inputs that the version does not count are ignored.
#[derive(Debug)]
pub struct InputObserver<'a> {
    places: &'a [Option<u32>],
    inputs: ObservedInputs,
}

/// The cells of one request that the version counts, with their places in its layout. They may be recorded on another thread
/// than the one that observed them.
#[derive(Debug)]
pub struct ObservedInputs(pub(super) Vec<(u32, Observed)>);

impl<'a> InputObserver<'a> {
    /// Creates an observer that has observed nothing. It uses the memory of the last one on this thread, so that it rarely
    /// allocates.
    pub(super) fn new(layout: &'a Layout) -> Self {
        Self {
            places: &layout.places,
            inputs: ObservedInputs(SPARE.with_borrow_mut(std::mem::take)),
        }
    }

    /// Returns what was observed.
    #[must_use]
    pub fn into_inputs(self) -> ObservedInputs {
        self.inputs
    }
}

impl Deref for InputObserver<'_> {
    type Target = ObservedInputs;

    fn deref(&self) -> &ObservedInputs {
        &self.inputs
    }
}

impl Observe for InputObserver<'_> {
    #[inline]
    fn cell(&mut self, input: usize, held: Observed) {
        if let Some(Some(place)) = self.places.get(input) {
            self.inputs.0.push((*place, held));
        }
    }
}

impl Drop for ObservedInputs {
    fn drop(&mut self) {
        let mut cells = std::mem::take(&mut self.0);
        if cells.capacity() <= MAX_KEPT_CELLS {
            cells.clear();
            // The thread-local is gone if the thread is ending.
            let _ = SPARE.try_with(|spare| spare.replace(cells));
        }
    }
}
