//! The faults of a document or folder, as a list.

use std::fmt;
use std::path::PathBuf;

/// The most faults that are kept; further ones are only counted.
const MAX_LISTED: usize = 100;

/// One fault and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as given by the user.
    pub file: PathBuf,
    /// JSON path inside the file, `$.inputs[2].mean`; empty if the fault concerns the whole file.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All faults of one document or folder. As an error it contains at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    listed: Vec<Fault>,
    unlisted: usize,
}

impl Faults {
    /// Returns a single fault that concerns a whole file.
    #[must_use]
    pub fn one(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        let mut faults = Self::default();
        faults.add(file, "", message);
        faults
    }

    /// Adds a fault; `path` is a JSON path, or empty.
    pub fn add(
        &mut self,
        file: impl Into<PathBuf>,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.push(Fault {
            file: file.into(),
            path: path.into(),
            message: message.into(),
        });
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Self) {
        self.unlisted += other.unlisted;
        other.listed.into_iter().for_each(|fault| self.push(fault));
    }

    /// Returns `Ok` if there is no fault.
    ///
    /// # Errors
    /// Returns `self` if there is a fault.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Returns whether there is no fault.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Returns the faults that are kept, in the order found; at most 100.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.listed.iter()
    }

    fn push(&mut self, fault: Fault) {
        if self.listed.len() < MAX_LISTED {
            self.listed.push(fault);
        } else {
            self.unlisted += 1;
        }
    }
}

/// Formats one fault per line.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.listed.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            fault.fmt(f)?;
        }
        if self.unlisted > 0 {
            write!(f, "\nand {} more", self.unlisted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
