//! What to do next about the versions of one model. Pure: facts in, steps out, the same steps for the same facts.
//!
//! It looks at how things stand, not at what happened, so an event that was lost or came twice changes nothing. What
//! always holds: a version that anybody holds is never retired; the [`latest()`] version stays until another one can
//! take its place, so that label never points at nothing; nothing is loaded that is not in the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use super::state::State;
use crate::ident::VersionNumber;

/// Which versions of a model are loaded without being asked for by number: the version policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionChoice {
    /// Every version in the registry.
    #[default]
    All,
    /// The highest so many. One that failed does not count, and is tried again.
    Latest(NonZeroUsize),
    /// These.
    List(BTreeSet<VersionNumber>),
}

/// How one version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionFacts {
    /// Its state.
    pub state: State,
    /// Whether its folder is in the registry.
    pub listed: bool,
    /// Whether its folder is complete, or has been left incomplete for so long that loading it shall say why.
    pub complete: bool,
    /// Whether a version that failed may be tried again now.
    pub may_retry: bool,
}

/// How the versions of one model stand, and what is wanted of them.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// Every version that is known.
    pub versions: &'a BTreeMap<VersionNumber, VersionFacts>,
    /// The version policy.
    pub choice: &'a VersionChoice,
    /// Versions that a policy or a label names, in force or to come back when an unconfirmed change reverts.
    pub held: &'a BTreeSet<VersionNumber>,
    /// Versions that are loaded by hand.
    pub load: &'a BTreeSet<VersionNumber>,
    /// Versions that are unloaded by hand.
    pub unload: &'a BTreeSet<VersionNumber>,
}

/// What to do about one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Load it.
    Load(VersionNumber),
    /// Let no new request reach it, then give its memory back.
    Retire(VersionNumber),
    /// Forget it: it is neither in the registry nor in memory.
    Forget(VersionNumber),
}

/// The steps to take now. Loads come in the order of their urgency: those that are held, then the higher ones.
#[must_use]
pub fn reconcile(situation: &Situation<'_>) -> Vec<Step> {
    let asked_for = asked_for(situation);
    let is_held = |version: &VersionNumber| situation.held.contains(version);
    let is_wanted = |version: &VersionNumber| is_held(version) || asked_for.contains(version);
    let latest = latest(situation);
    // Of the latest n, one stays until as many above it can really answer: a new one may still fail.
    let mut standing_in: Vec<_> = match situation.choice {
        VersionChoice::Latest(_) => situation
            .versions
            .iter()
            .filter(|(version, standing)| {
                let wanted = standing.listed && !situation.unload.contains(version);
                wanted && standing.state == State::Ready
            })
            .map(|(version, _)| *version)
            .collect(),
        VersionChoice::All | VersionChoice::List(_) => Vec::new(),
    };
    if let VersionChoice::Latest(most) = situation.choice {
        let surplus = standing_in.len().saturating_sub(most.get());
        standing_in.drain(..surplus);
    }
    let stands_in = |version: &VersionNumber| standing_in.contains(version);
    let mut loads = Vec::new();
    let mut steps = Vec::new();
    for (version, standing) in situation.versions.iter().rev() {
        match standing.state {
            State::Discovered | State::Retired | State::Failed if !standing.listed => {
                steps.push(Step::Forget(*version));
            }
            State::Discovered | State::Retired if standing.complete && is_wanted(version) => {
                loads.push(*version);
            }
            State::Failed if standing.complete && standing.may_retry && is_wanted(version) => {
                loads.push(*version);
            }
            State::Ready if !is_held(version) => {
                let is_latest = latest == Some(*version);
                let stays = standing.listed
                    && !situation.unload.contains(version)
                    && (is_latest || is_wanted(version) || stands_in(version));
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

/// The version that `latest` names: the highest that is READY and asked for. Where none is, as while the only one that is
/// asked for still loads: the highest READY one that nobody has unloaded, and at last the highest READY one.
#[must_use]
pub fn latest(situation: &Situation<'_>) -> Option<VersionNumber> {
    let asked_for = asked_for(situation);
    let ready = situation.versions.iter().rev();
    let ready = ready.filter(|(_, standing)| standing.state == State::Ready);
    let ready = ready.map(|(version, _)| *version);
    let mut first = ready.clone().filter(|version| asked_for.contains(version));
    let mut second = ready
        .clone()
        .filter(|version| !situation.unload.contains(version));
    first
        .next()
        .or_else(|| second.next())
        .or_else(|| ready.clone().next())
}

/// What is to be loaded whoever holds it: by hand or by the version policy.
fn asked_for(situation: &Situation<'_>) -> BTreeSet<VersionNumber> {
    let mut asked_for = chosen(situation);
    asked_for.retain(|version| !situation.unload.contains(version));
    asked_for.extend(situation.load);
    asked_for
}

/// What the version policy chooses. Versions that failed do not count towards the latest, but are chosen where they are
/// above them, so that they are tried again.
fn chosen(situation: &Situation<'_>) -> BTreeSet<VersionNumber> {
    let listed = situation
        .versions
        .iter()
        .filter(|(_, standing)| standing.listed);
    match situation.choice {
        VersionChoice::All => listed.map(|(version, _)| *version).collect(),
        VersionChoice::List(list) => list.clone(),
        VersionChoice::Latest(most) => {
            let mut left = most.get();
            listed
                .rev()
                .filter(|(version, _)| !situation.unload.contains(version))
                .take_while(|(_, standing)| {
                    let takes = left > 0;
                    if standing.state != State::Failed && standing.complete {
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
