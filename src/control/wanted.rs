//! The desired state of one model: one document, changed as a whole, with one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::clock::from_unix_ms;
use crate::error::InputFaults;
use crate::ident::{Label, ModelName, Revision, Target, VersionNumber};
use crate::serving::route::{Policy, RawPolicy};

/// The desired state of one model. The default holds before the first change: no labels, all traffic to `latest`, versions
/// as the version policy says.
///
/// Its JSON is stored, so fields may be added, and existing fields keep their names and meaning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Traffic policy, checked when it was set. `None`: everything to `latest`.
    pub policy: Option<RawPolicy>,
    /// Labels and the versions that they name; never `latest`, which is built in.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// Versions that an operator loaded, whatever the version policy says.
    pub load: BTreeSet<VersionNumber>,
    /// Versions that an operator unloaded, whatever the version policy says. Disjoint from `load`.
    pub unload: BTreeSet<VersionNumber>,
    /// Set while this change waits to be confirmed.
    pub pending: Option<Pending>,
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

    /// Returns the traffic policy in force, checked for routing.
    ///
    /// # Errors
    /// Returns an error only for a document that was written by hand: an edit is checked before it is stored.
    pub fn policy(&self, model: &ModelName) -> Result<Policy, InputFaults> {
        match &self.policy {
            Some(raw) => Policy::check(raw.clone(), model),
            None => Ok(Policy::everything_to(Target::Label(Label::latest()), model)),
        }
    }

    /// Returns the version that `label` names. `latest` is the version of the built-in label.
    #[must_use]
    pub fn resolve(&self, label: &Label, latest: Option<VersionNumber>) -> Option<VersionNumber> {
        if label.as_str() == Label::LATEST {
            latest
        } else {
            self.labels.get(label).copied()
        }
    }

    /// Returns all labels, including the built-in one if `latest` is a version.
    #[must_use]
    pub fn all_labels(&self, latest: Option<VersionNumber>) -> BTreeMap<Label, VersionNumber> {
        let mut labels = self.labels.clone();
        labels.extend(latest.map(|latest| (Label::latest(), latest)));
        labels
    }

    /// Returns the versions that the policy and the labels refer to, each with descriptions of these references.
    #[must_use]
    pub fn holders(
        &self,
        model: &ModelName,
        latest: Option<VersionNumber>,
    ) -> BTreeMap<VersionNumber, Vec<String>> {
        let mut holders: BTreeMap<VersionNumber, Vec<String>> = BTreeMap::new();
        let mut hold = |version: Option<VersionNumber>, reference: String| {
            if let Some(version) = version {
                holders.entry(version).or_default().push(reference);
            }
        };
        let version_of = |target: &Target| match target {
            Target::Version(version) => Some(*version),
            Target::Label(label) => self.resolve(label, latest),
        };
        if let Ok(policy) = self.policy(model) {
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
