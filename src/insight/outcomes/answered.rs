//! One answer to remember, and the rows that remembering it cost.

use std::sync::Arc;
use std::time::Duration;

use super::version::VersionQuality;
use crate::ident::Role;

/// Who answered, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered<'a> {
    pub(super) by: &'a Arc<VersionQuality>,
    pub(super) role: Role,
    /// Since the buffer was made.
    pub(super) at: Duration,
}

/// Rows that went without having had a truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Overwritten before they expired.
    pub(super) evicted: u64,
    /// Answered again under the same id.
    pub(super) replaced: u64,
    /// Answered by a shadow after the truth about the row had come.
    pub(super) after_truth: u64,
    /// Never remembered: more than a shard holds.
    pub(super) too_large: u64,
}

impl Lost {
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}
