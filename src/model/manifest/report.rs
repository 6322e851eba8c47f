//! Collects the faults of a manifest while it is checked.

use std::path::Path;

use crate::faults::Faults;

/// Collects the faults of one manifest.
pub(in crate::model) struct Report<'a> {
    file: &'a Path,
    pub(in crate::model) faults: Faults,
}

impl<'a> Report<'a> {
    pub(in crate::model) fn of(file: &'a Path) -> Self {
        Self {
            file,
            faults: Faults::default(),
        }
    }

    pub(in crate::model) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.add(self.file, path, message);
    }

    /// Adds a fault unless `holds`.
    pub(in crate::model) fn require(
        &mut self,
        holds: bool,
        path: &str,
        message: impl FnOnce() -> String,
    ) {
        if !holds {
            self.add(path, message());
        }
    }

    /// Returns the value, or adds the error as a fault.
    pub(in crate::model) fn parsed<T>(
        &mut self,
        path: &str,
        parsed: Result<T, impl ToString>,
    ) -> Option<T> {
        parsed
            .map_err(|error| self.add(path, error.to_string()))
            .ok()
    }

    /// Adds a fault for every name that is repeated.
    pub(in crate::model) fn unique<'n>(
        &mut self,
        path: impl Fn(usize) -> String,
        names: impl Iterator<Item = &'n str>,
    ) {
        let mut seen = std::collections::HashSet::new();
        for (at, name) in names.enumerate() {
            if !seen.insert(name) {
                self.add(
                    path(at),
                    format!("got {name:?} again, wants each name once"),
                );
            }
        }
    }
}

/// Returns whether `name` is valid for the prefix of tensors.
pub(in crate::model) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Returns whether `name` is valid for an input or an output. Such names come from other libraries, which allow almost anything. They
/// are used in field paths, metrics and JSON.
pub(in crate::model) fn is_tensor_name(name: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !"[]`".contains(c);
    (1..=128).contains(&name.chars().count()) && name.trim() == name && name.chars().all(is_plain)
}

/// The rule of [`is_tensor_name`], as error messages state it.
pub(in crate::model) const TENSOR_NAME: &str =
    "1 to 128 characters, none of them a control character, a bracket or a backtick";

/// The rule of [`is_name`], as error messages state it.
pub(in crate::model) const NAME: &str =
    "1 to 128 of a-z A-Z 0-9 . _ - starting with a letter, a digit or _";
