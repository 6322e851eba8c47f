//! The desired state of one model: one document, changed as a whole, with one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::clock::from_unix_ms;
use crate::error::InputFaults;
use crate::ident::{Label, ModelName, RawTarget, Revision, Target, VersionNumber};
use crate::model::VersionDigest;
use crate::serving::route::{Policy, RawPolicy};

/// The desired state of one model. The default holds before the first change: no labels, no traffic policy, versions as the
/// version policy says.
///
/// Its JSON is stored, so fields may be added, and existing fields keep their names and meaning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Traffic policy, checked when it was set. `None`: no version has become READY yet. In records of releases before 0.2:
    /// everything to `latest`.
    pub policy: Option<RawPolicy>,
    /// The version that `latest` names, if the policy names that label; `None` in records of releases before 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<LatestLabel>,
    /// Labels and the versions that they name; never `latest`, which is built in.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// Versions that an operator loaded, whatever the version policy says.
    pub load: BTreeSet<VersionNumber>,
    /// Versions that an operator unloaded, whatever the version policy says. Disjoint from `load`.
    pub unload: BTreeSet<VersionNumber>,
    /// Versions whose files an operator accepted after they were replaced.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<VersionNumber, AcceptedDigest>,
    /// Set while this change waits to be confirmed.
    pub pending: Option<Pending>,
    /// Whether an operator forgot the model, whose folder is gone. It ends when the model is in the registry again.
    #[serde(skip_serializing_if = "is_false")]
    pub forgotten: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The built-in label `latest` of a policy that names it. A policy that follows the highest version moves traffic, so each move
/// is a change, and the version is part of the desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestLabel {
    /// The version that it names.
    pub version: VersionNumber,
    /// It moves when a version above this one is READY. Above `version` after an undo or a rollback: the versions that were
    /// there then are not followed again.
    pub seen: VersionNumber,
}

impl LatestLabel {
    /// `latest` names `version`, and moves to any higher one.
    #[must_use]
    pub fn at(version: VersionNumber) -> Self {
        Self {
            version,
            seen: version,
        }
    }
}

/// Another content of a version that an operator accepted in place of the one that was READY first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedDigest {
    /// What was READY first.
    pub was: VersionDigest,
    /// What is loaded instead.
    pub is: VersionDigest,
}

/// A change that reverts automatically unless it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Revision whose desired state is restored.
    pub restores: Revision,
    /// Time of the revert, in milliseconds since 1970, so that it holds across a restart.
    pub until_ms: u64,
}

impl Pending {
    /// Returns the time of the revert.
    #[must_use]
    pub fn until(self) -> SystemTime {
        from_unix_ms(self.until_ms)
    }
}

impl Wanted {
    /// Maximum number of labels of a model.
    pub const MOST_LABELS: usize = 64;

    /// Returns the traffic policy, checked for routing; `None` if there is none yet.
    ///
    /// # Errors
    /// Returns an error only for a document that was written by hand: an edit is checked before it is stored.
    pub fn policy(&self, model: &ModelName) -> Result<Option<Policy>, InputFaults> {
        let policy = self.policy.clone();
        policy.map(|raw| Policy::check(raw, model)).transpose()
    }

    /// Whether the policy names the label `latest`.
    #[must_use]
    pub fn follows_latest(&self) -> bool {
        let Some(policy) = &self.policy else {
            return false;
        };
        let split = policy.split.iter().map(|(target, _)| target);
        let rules = policy.header_rules.iter().map(|rule| &rule.target);
        let shadows = policy.shadows.iter().map(|shadow| &shadow.target);
        let fallback = policy.fallback.iter().map(|fallback| &fallback.target);
        split
            .chain(rules)
            .chain(shadows)
            .chain(fallback)
            .any(|target| matches!(target, RawTarget::Label(label) if label == Label::LATEST))
    }

    /// Records which version `latest` names if the policy names that label, and otherwise none. What is recorded already stays;
    /// otherwise it is `highest`.
    pub fn record_latest(&mut self, highest: Option<VersionNumber>) {
        let latest = self.latest.or(highest.map(LatestLabel::at));
        self.latest = latest.filter(|_| self.follows_latest());
    }

    /// Returns this desired state as releases before 0.2 meant it, in which no policy was everything to `latest`.
    #[must_use]
    pub fn with_explicit_policy(mut self) -> Self {
        let everything = || RawPolicy::everything_to(RawTarget::Label(Label::LATEST.to_owned()));
        self.policy.get_or_insert_with(everything);
        self
    }

    /// Returns the version that `label` names. `highest` is what the built-in label names while the policy does not name it.
    #[must_use]
    pub fn resolve(&self, label: &Label, highest: Option<VersionNumber>) -> Option<VersionNumber> {
        if label.as_str() == Label::LATEST {
            self.latest.map(|latest| latest.version).or(highest)
        } else {
            self.labels.get(label).copied()
        }
    }

    /// Returns all labels, including the built-in one if it names a version; see [`resolve`](Self::resolve).
    #[must_use]
    pub fn all_labels(&self, highest: Option<VersionNumber>) -> BTreeMap<Label, VersionNumber> {
        let mut labels = self.labels.clone();
        let latest = self.resolve(&Label::latest(), highest);
        labels.extend(latest.map(|latest| (Label::latest(), latest)));
        labels
    }

    /// Returns the versions that the policy and the labels refer to, each with descriptions of these references. `highest`: see
    /// [`resolve`](Self::resolve).
    #[must_use]
    pub fn holders(
        &self,
        model: &ModelName,
        highest: Option<VersionNumber>,
    ) -> BTreeMap<VersionNumber, Vec<String>> {
        let mut holders: BTreeMap<VersionNumber, Vec<String>> = BTreeMap::new();
        let mut hold = |version: Option<VersionNumber>, reference: String| {
            if let Some(version) = version {
                holders.entry(version).or_default().push(reference);
            }
        };
        let version_of = |target: &Target| match target {
            Target::Version(version) => Some(*version),
            Target::Label(label) => self.resolve(label, highest),
        };
        if let Ok(Some(policy)) = self.policy(model) {
            for (target, share) in policy.split().rows() {
                hold(version_of(target), format!("split ({target}: {share})"));
            }
            for rule in policy.header_rules() {
                hold(
                    version_of(rule.target()),
                    format!("header rule ({})", rule.target()),
                );
            }
            for shadow in policy.shadows() {
                let target = shadow.target();
                let reference = format!("shadow ({target}: {})", shadow.share());
                hold(version_of(target), reference);
            }
            if let Some(fallback) = policy.fallback() {
                let target = fallback.target();
                hold(version_of(target), format!("fallback ({target})"));
            }
        }
        for (label, version) in &self.labels {
            hold(Some(*version), format!("label {label}"));
        }
        holders
    }
}
