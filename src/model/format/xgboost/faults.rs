//! Collects the faults of a document.

use crate::model::format::fault::FormatFault;

/// The most faults that are listed; further ones are counted. A broken file can have one per node.
const MOST_LISTED: usize = 64;

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    listed: Vec<FormatFault>,
    unlisted: usize,
}

impl Faults {
    /// Adds a fault at the place `at`.
    pub(super) fn add(&mut self, at: impl Into<String>, message: impl Into<String>) {
        if self.listed.len() < MOST_LISTED {
            self.listed.push(FormatFault::new(at, message));
        } else {
            self.unlisted += 1;
        }
    }

    /// Returns the number of faults, which only grows.
    pub(super) fn count(&self) -> usize {
        self.listed.len() + self.unlisted
    }

    /// Returns the faults; the last one says how many are not listed.
    pub(super) fn into_vec(mut self) -> Vec<FormatFault> {
        if self.unlisted > 0 {
            let message = format!("{} more faults are not listed", self.unlisted);
            self.listed.push(FormatFault::new("", message));
        }
        self.listed
    }
}
