//! Collects the faults of a spec file.

use std::fmt::Display;
use std::path::Path;

use crate::faults::Faults;

/// Collects the faults of one file.
pub(super) struct Check<'a> {
    file: &'a Path,
    pub(super) faults: Faults,
}

impl<'a> Check<'a> {
    pub(super) fn of(file: &'a Path) -> Self {
        let faults = Faults::default();
        Self { file, faults }
    }

    /// Adds a fault.
    pub(super) fn fault(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.add(self.file, path, message);
    }

    /// Returns the value, or adds the error as a fault.
    pub(super) fn ok<T>(&mut self, path: &str, result: Result<T, impl ToString>) -> Option<T> {
        result
            .map_err(|error| self.fault(path, error.to_string()))
            .ok()
    }

    /// Adds a fault unless `holds`.
    pub(super) fn require(&mut self, path: &str, got: impl Display, holds: bool, wanted: &str) {
        if !holds {
            self.fault(path, format!("got {got}, wants {wanted}"));
        }
    }
}
