//! The subject of a question: a version, and a sample of its requests.

use crate::ident::{Role, VersionNumber};
use crate::insight::stats::Window;
use crate::insight::version::VersionInsight;
use crate::model::Manifest;

/// A loaded version.
#[derive(Clone, Copy, Debug)]
pub struct ObservedVersion<'a> {
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// The observations of it.
    pub insight: &'a VersionInsight,
}

impl ObservedVersion<'_> {
    /// Returns its number.
    #[must_use]
    pub fn number(&self) -> VersionNumber {
        self.manifest.version
    }
}

/// The requests of one version in one role and one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The role of the version in them.
    pub role: Role,
    /// The window in which they ended.
    pub window: Window,
}

/// Returns the versions of `ready` that `chosen` names, or all of them if it names none: ascending by number, each once.
pub fn select<'a>(
    ready: impl IntoIterator<Item = ObservedVersion<'a>>,
    chosen: &[VersionNumber],
) -> Vec<ObservedVersion<'a>> {
    let is_chosen = |one: &ObservedVersion<'_>| chosen.is_empty() || chosen.contains(&one.number());
    let mut versions: Vec<_> = ready.into_iter().filter(is_chosen).collect();
    versions.sort_by_key(ObservedVersion::number);
    versions.dedup_by_key(|one| one.number());
    versions
}
