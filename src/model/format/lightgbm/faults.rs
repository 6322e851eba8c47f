//! Collects the faults of one file.

use crate::model::format::fault::FormatFault;
use crate::text::ellipsize;

/// Faults that are listed one by one. A file of random bytes would otherwise produce one per value.
const MAX_FAULTS: usize = 64;

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<FormatFault>,
    is_cut: bool,
}

impl Faults {
    /// Adds a fault, unless there are already [`MAX_FAULTS`].
    pub(super) fn add(&mut self, at: impl Into<String>, message: impl Into<String>) {
        if self.list.len() < MAX_FAULTS {
            self.list.push(FormatFault::new(at, message));
        } else {
            self.is_cut = true;
        }
    }

    /// Returns whether no further fault would be listed, so that the search for more can end. The list then says so.
    pub(super) fn is_full(&mut self) -> bool {
        self.is_cut |= self.list.len() >= MAX_FAULTS;
        self.is_cut
    }

    /// Returns whether no fault was found.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the faults in the order in which they were found.
    pub(super) fn into_vec(mut self) -> Vec<FormatFault> {
        if self.is_cut {
            self.list.push(FormatFault::new(
                "",
                format!("there can be more faults than these {MAX_FAULTS}"),
            ));
        }
        self.list
    }
}

/// Returns `text` in quotation marks, cut to a length that suits a message.
pub(super) fn quote(text: &str) -> String {
    format!("{:?}", ellipsize(text, 48))
}
