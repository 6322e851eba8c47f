//! The first faults of a file with many lines or rows.

use std::path::Path;

use crate::faults::Faults;

/// Faults that are listed; further ones are only counted.
const MOST: usize = 5;

/// The first faults of one file. A file that is not what it should be has a fault in every line.
pub(super) struct FewFaults<'a> {
    file: &'a Path,
    listed: Faults,
    count: usize,
}

impl<'a> FewFaults<'a> {
    pub(super) fn of(file: &'a Path) -> Self {
        Self {
            file,
            listed: Faults::default(),
            count: 0,
        }
    }

    /// Adds a fault. `place` is a line, a row or an answer of the file.
    pub(super) fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        if self.count < MOST {
            self.listed.add(self.file, place, message);
        }
        self.count += 1;
    }

    /// Returns `Ok` if there is no fault.
    pub(super) fn into_result(self) -> Result<(), Faults> {
        let mut faults = self.listed;
        if self.count > MOST {
            let more = self.count - MOST;
            let plural = if more == 1 { "fault" } else { "faults" };
            faults.add(
                self.file,
                "",
                format!("and {more} more {plural} of this kind"),
            );
        }
        faults.into_result()
    }
}
