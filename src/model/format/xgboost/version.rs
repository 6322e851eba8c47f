//! The version of XGBoost that wrote a file, and what is particular to some versions.

use std::fmt;

use super::document::{Object, Value};
use super::faults::Faults;

/// The version of XGBoost that wrote a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Reads the version.
    pub(super) fn read(root: &Object<'_, '_>, faults: &mut Faults) -> Option<Self> {
        let parts = root.integers("version", faults)?;
        let as_u32 = |part: &i64| u32::try_from(*part).ok();
        let parts: Option<Vec<u32>> = parts.iter().map(as_u32).collect();
        if let Some(&[major @ 1..=3, minor, patch]) = parts.as_deref() {
            return Some(Self {
                major,
                minor,
                patch,
            });
        }
        let got = root
            .find("version")
            .map_or_else(String::new, Value::describe);
        let message =
            format!("got {got}, expected a version of three numbers, [1, 0, 0] to [3, ...]");
        faults.add("version", message);
        None
    }

    /// Returns whether the release writes texts of categories incompletely unless all are ASCII
    /// (<https://github.com/dmlc/xgboost/pull/12371>).
    ///
    /// It counts the characters of a pandas category where bytes are meant, so that all texts are cut in wrong places, and the last ones
    /// are missing. The codes are right.
    pub(super) fn damages_texts(self) -> bool {
        self.major == 3 && (1..=3).contains(&self.minor)
    }

    /// Returns whether the release sends a category beyond the bits of a set in the default direction (`Decision` in
    /// `src/common/categorical.h`).
    pub(super) fn has_other_rule_for_categories(self) -> bool {
        self.major == 1 && (6..=7).contains(&self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
