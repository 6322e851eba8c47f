//! An answer to remember, and the rows that were lost to remember it.

use std::sync::Arc;
use std::time::Duration;

use super::version::VersionQuality;
use crate::ident::Role;

/// Which version answered a request, in which role and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) by: &'a Arc<VersionQuality>,
    pub(super) role: Role,
    /// The time since the buffer was created.
    pub(super) at: Duration,
}

/// Rows that were removed, or never stored, without an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LostRows {
    /// Overwritten before they expired.
    pub(super) evicted: u64,
    /// Replaced by a later answer with the same response id.
    pub(super) replaced: u64,
    /// Answered by a shadow after the outcome of the row was reported.
    pub(super) after_truth: u64,
    /// Never stored, because the answer is larger than a shard.
    pub(super) too_large: u64,
}

impl LostRows {
    /// Returns whether any row was lost.
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}
