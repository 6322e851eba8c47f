//! The changes that taper makes itself: a model's first version gets its traffic, and the label `latest` of a policy moves. Pure.
//!
//! Both are changes like those of operators: they have a revision, are stored, audited and can be undone. Nothing else moves
//! traffic without a request.

use super::store::Origin;
use super::wanted::{LatestLabel, Wanted};
use crate::ident::{RawTarget, VersionNumber};
use crate::serving::route::RawPolicy;

/// A change that is due.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AutomaticChange {
    /// The desired state after it.
    pub(super) wanted: Wanted,
    /// What decides it.
    pub(super) origin: Origin,
    /// Kind of change, in words, for the history.
    pub(super) action: String,
    /// Why it is made, for the history.
    pub(super) reason: String,
}

/// The facts that decide whether a change is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The desired state in force.
    pub(super) wanted: &'a Wanted,
    /// The version to which `wanted` gives all traffic although that change is not stored yet.
    pub(super) unstored_first_version: Option<VersionNumber>,
    /// The highest version that can answer; see [`latest()`](super::latest).
    pub(super) highest: VersionNumber,
    /// Whether the version that `latest` names now can answer, or will soon.
    pub(super) latest_answers: bool,
}

/// Returns the change that is due, if any.
///
/// Without a policy, the highest version gets all traffic. If the policy names `latest`, that label moves to a version above all
/// that it has seen, and away from a version that cannot answer. It stays while a change waits to be confirmed, because the
/// revert of that change must lead back to what the operator saw.
pub(super) fn automatic_change(facts: Facts<'_>) -> Option<AutomaticChange> {
    let Facts {
        wanted,
        unstored_first_version,
        highest,
        latest_answers,
    } = facts;
    let without_policy = wanted.policy.is_none().then_some(highest);
    if let Some(first) = unstored_first_version.or(without_policy) {
        return Some(AutomaticChange {
            wanted: with_first_version(wanted, first),
            origin: Origin::FirstVersion,
            action: format!("first version {first}"),
            reason: "the model had no traffic policy".to_owned(),
        });
    }
    if !wanted.follows_latest() || wanted.pending.is_some() {
        return None;
    }
    let moves = match wanted.latest {
        Some(latest) => highest > latest.seen || !latest_answers && highest != latest.version,
        None => true,
    };
    moves.then(|| AutomaticChange {
        wanted: Wanted {
            latest: Some(LatestLabel::at(highest)),
            ..wanted.clone()
        },
        origin: Origin::Latest,
        action: format!("move label latest to {highest}"),
        reason: format!("version {highest} is READY, and the policy follows `latest`"),
    })
}

/// Returns `wanted` with all traffic on `version` if it has no policy.
pub(super) fn with_first_version(wanted: &Wanted, version: VersionNumber) -> Wanted {
    let mut wanted = Wanted {
        forgotten: false,
        ..wanted.clone()
    };
    let everything = || RawPolicy::everything_to(RawTarget::Version(version.get()));
    wanted.policy.get_or_insert_with(everything);
    wanted
}

#[cfg(test)]
mod tests;
