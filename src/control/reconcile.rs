//! Decides what to do next about the versions of one model. Pure: the same steps for the same facts.
//!
//! It decides from the current state, not from events, so a lost or repeated event changes nothing.
//!
//! Invariants: a held version is never retired; the [`latest()`] version stays until another version can take its place, so
//! that label always names a version; only versions in the registry are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use super::state::State;
use crate::ident::VersionNumber;

/// The version policy: which versions of a model are loaded unless an operator loads or unloads them by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionChoice {
    /// All versions in the registry.
    #[default]
    All,
    /// The highest versions, up to this number. A version that failed to load does not count, and is retried.
    Latest(NonZeroUsize),
    /// These versions.
    List(BTreeSet<VersionNumber>),
}

/// The facts about one version that decide what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionFacts {
    /// Its state.
    pub state: State,
    /// Whether its folder is in the registry.
    pub listed: bool,
    /// Whether its folder is complete, or has been incomplete for so long that loading it should report why.
    pub complete: bool,
    /// Whether a version that failed may be retried now.
    pub may_retry: bool,
}

/// The versions of one model and what is wanted of them.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// All known versions.
    pub versions: &'a BTreeMap<VersionNumber, VersionFacts>,
    /// The version policy.
    pub choice: &'a VersionChoice,
    /// Versions that a policy or a label refers to, in force or to be restored when an unconfirmed change reverts.
    pub held: &'a BTreeSet<VersionNumber>,
    /// Versions that an operator loaded.
    pub load: &'a BTreeSet<VersionNumber>,
    /// Versions that an operator unloaded.
    pub unload: &'a BTreeSet<VersionNumber>,
}

/// What to do about one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Load it.
    Load(VersionNumber),
    /// Send it no new request, then free its memory.
    Retire(VersionNumber),
    /// Remove its entry: it is neither in the registry nor in memory.
    Forget(VersionNumber),
}

/// Returns the steps to take now. Loads are sorted by urgency: held versions first, then higher versions first.
#[must_use]
pub fn reconcile(situation: &Situation<'_>) -> Vec<Step> {
    let requested = requested(situation);
    let is_held = |version: &VersionNumber| situation.held.contains(version);
    let is_wanted = |version: &VersionNumber| is_held(version) || requested.contains(version);
    let latest = latest(situation);
    let kept_until_replaced = kept_until_replaced(situation);
    let mut loads = Vec::new();
    let mut steps = Vec::new();
    for (version, facts) in situation.versions.iter().rev() {
        match facts.state {
            State::Discovered | State::Retired | State::Failed if !facts.listed => {
                steps.push(Step::Forget(*version));
            }
            State::Discovered | State::Retired if facts.complete && is_wanted(version) => {
                loads.push(*version);
            }
            State::Failed if facts.complete && facts.may_retry && is_wanted(version) => {
                loads.push(*version);
            }
            State::Ready if !is_held(version) => {
                let is_latest = latest == Some(*version);
                let stays = facts.listed
                    && !situation.unload.contains(version)
                    && (is_latest || is_wanted(version) || kept_until_replaced.contains(version));
                if !stays {
                    steps.push(Step::Retire(*version));
                }
            }
            _ => {}
        }
    }
    loads.sort_by_key(|version| !is_held(version));
    steps.extend(loads.into_iter().map(Step::Load));
    steps
}

/// Returns the READY versions that stay until enough higher versions are READY: of the latest n, a new version may still fail.
fn kept_until_replaced(situation: &Situation<'_>) -> BTreeSet<VersionNumber> {
    let VersionChoice::Latest(most) = situation.choice else {
        return BTreeSet::new();
    };
    let ready = situation.versions.iter().rev().filter(|(version, facts)| {
        facts.listed && facts.state == State::Ready && !situation.unload.contains(version)
    });
    ready
        .take(most.get())
        .map(|(version, _)| *version)
        .collect()
}

/// Returns the version that `latest` names: the highest READY version that is requested. If there is none, for example while
/// the only requested version still loads: the highest READY version that is not unloaded. If there is none either: the
/// highest READY version.
#[must_use]
pub fn latest(situation: &Situation<'_>) -> Option<VersionNumber> {
    let requested = requested(situation);
    let ready = situation.versions.iter().rev();
    let ready = ready
        .filter(|(_, facts)| facts.state == State::Ready)
        .map(|(version, _)| *version);
    let mut ready_and_requested = ready.clone().filter(|version| requested.contains(version));
    let mut ready_and_not_unloaded = ready
        .clone()
        .filter(|version| !situation.unload.contains(version));
    ready_and_requested
        .next()
        .or_else(|| ready_and_not_unloaded.next())
        .or_else(|| ready.clone().next())
}

/// Returns the versions that an operator or the version policy wants loaded, whether they are held or not.
fn requested(situation: &Situation<'_>) -> BTreeSet<VersionNumber> {
    let mut requested = chosen(situation);
    requested.retain(|version| !situation.unload.contains(version));
    requested.extend(situation.load);
    requested
}

/// Returns the versions that the version policy chooses. A version that failed does not count towards the latest n, but is
/// chosen if it is above them, so that it is retried.
fn chosen(situation: &Situation<'_>) -> BTreeSet<VersionNumber> {
    let listed = situation.versions.iter().filter(|(_, facts)| facts.listed);
    match situation.choice {
        VersionChoice::All => listed.map(|(version, _)| *version).collect(),
        VersionChoice::List(list) => list.clone(),
        VersionChoice::Latest(most) => {
            let mut left = most.get();
            listed
                .rev()
                .filter(|(version, _)| !situation.unload.contains(version))
                .take_while(|(_, facts)| {
                    let takes = left > 0;
                    if facts.state != State::Failed && facts.complete {
                        left = left.saturating_sub(1);
                    }
                    takes
                })
                .map(|(version, _)| *version)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests;
