//! The inputs of one request, kept until it is known that all of them are good and were scored.

use std::cell::RefCell;
use std::ops::Deref;

use super::layout::Layout;
use crate::model::{Observe, Observed};

/// Cells that a thread keeps room for between two requests, some 24 bytes each.
const KEPT: usize = 1 << 14;

thread_local! {
    /// Room that the last request on this thread left.
    static ROOM: RefCell<Vec<(u32, Observed)>> = const { RefCell::new(Vec::new()) };
}

/// Watches the cells of one request. Those that the version does not count do not even come in.
#[derive(Debug)]
pub struct Seen<'a> {
    places: &'a [Option<u32>],
    cells: Cells,
}

/// The cells that a version counts, by their place in its layout. May be recorded on another thread than the one that saw them.
#[derive(Debug)]
pub struct Cells(pub(super) Vec<(u32, Observed)>);

impl<'a> Seen<'a> {
    /// Nothing yet. Takes the room that the last one on this thread left, so that it allocates nothing most of the time.
    pub(super) fn of(layout: &'a Layout) -> Self {
        let places = &layout.places;
        let cells = Cells(ROOM.with_borrow_mut(std::mem::take));
        Self { places, cells }
    }

    /// What was seen.
    #[must_use]
    pub fn cells(self) -> Cells {
        self.cells
    }
}

impl Deref for Seen<'_> {
    type Target = Cells;

    fn deref(&self) -> &Cells {
        &self.cells
    }
}

impl Observe for Seen<'_> {
    #[inline]
    fn cell(&mut self, input: usize, held: Observed) {
        if let Some(Some(place)) = self.places.get(input) {
            self.cells.0.push((*place, held));
        }
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        let mut cells = std::mem::take(&mut self.0);
        if cells.capacity() <= KEPT {
            cells.clear();
            // A thread that ends has no room any more.
            let _ = ROOM.try_with(|room| room.replace(cells));
        }
    }
}
