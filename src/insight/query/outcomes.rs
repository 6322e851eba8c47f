//! Outcomes: how good the answers of each version were, by the ground truth reported for them.

use std::time::Duration;

use super::observed::ObservedVersion;
use crate::ident::{Role, VersionNumber};
use crate::insight::outcomes::quality::Quality;
use crate::insight::outcomes::{HOUR, VersionQuality};

/// The quality of one version in one role.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionOutcomes {
    /// The version.
    pub version: VersionNumber,
    /// The role in which it answered.
    pub role: Role,
    /// The last hour, then everything since the version was loaded.
    pub windows: [OutcomeWindow; 2],
}

/// The quality of the answers whose outcomes were reported within a time.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeWindow {
    /// How far the window reaches back, rounded up to whole slices; `None`: since the version was loaded.
    pub length: Option<Duration>,
    /// Rows with an outcome.
    pub rows: u64,
    /// The measures; `None` without rows.
    pub quality: Option<Quality>,
}

/// Reads the quality of `versions`: one result per version and role that outcomes were reported for, in this order.
pub fn read_outcomes<'a>(
    versions: impl IntoIterator<Item = ObservedVersion<'a>>,
) -> Vec<VersionOutcomes> {
    let of_version = |version: ObservedVersion<'a>| {
        let of_role = move |role| {
            let windows = windows(version.insight.quality(), role)?;
            let version = version.number();
            Some(VersionOutcomes {
                version,
                role,
                windows,
            })
        };
        Role::ALL.into_iter().filter_map(of_role)
    };
    versions.into_iter().flat_map(of_version).collect()
}

/// Returns `None` if no outcome was reported for this role.
fn windows(quality: &VersionQuality, role: Role) -> Option<[OutcomeWindow; 2]> {
    let read = quality.read(role)?;
    let both = [(Some(HOUR), &read.hour), (None, &read.all)];
    Some(both.map(|(length, sums)| OutcomeWindow {
        length,
        rows: sums.rows(),
        quality: quality.measure(sums),
    }))
}
