//! What an operator wants of one model: one document, changed as a whole, with one revision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::InputFaults;
use crate::ident::{Label, ModelName, Revision, Target, VersionNumber};
use crate::serving::route::{Policy, RawPolicy};

/// Everything that is wanted of one model. The default is what holds before anybody changed anything: no labels, all
/// traffic to `latest`, versions as the version policy says.
///
/// Its JSON is what the store keeps, so fields may be added and none may change its meaning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// The traffic policy, checked when it was set. `None`: everything to `latest`.
    pub policy: Option<RawPolicy>,
    /// Labels and the versions they name; never `latest`, which is built in.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// Versions that are loaded by hand, whatever the version policy says.
    pub load: BTreeSet<VersionNumber>,
    /// Versions that are not loaded, whatever the version policy says. Shares none with `load`.
    pub unload: BTreeSet<VersionNumber>,
    /// The change that waits to be confirmed, if this is one.
    pub pending: Option<Pending>,
}

/// A change that reverts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The revision whose wishes come back.
    pub restores: Revision,
    /// When, in milliseconds since 1970, so that it holds over a restart.
    pub until_ms: u64,
}

impl Pending {
    /// When it reverts.
    #[must_use]
    pub fn until(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(self.until_ms)
    }
}

impl Wanted {
    /// How many labels a model may have.
    pub const MOST_LABELS: usize = 64;

    /// The policy in force, made ready for routing.
    ///
    /// # Errors
    /// Only for a document that was written by hand: what is set through an edit has been checked.
    pub fn policy(&self, model: &ModelName) -> Result<Policy, InputFaults> {
        match &self.policy {
            Some(raw) => Policy::check(raw.clone(), model),
            None => Ok(Policy::everything_to(Target::Label(Label::latest()), model)),
        }
    }

    /// The version that `label` names; `latest` is the one given.
    #[must_use]
    pub fn resolve(&self, label: &Label, latest: Option<VersionNumber>) -> Option<VersionNumber> {
        if label.as_str() == Label::LATEST {
            latest
        } else {
            self.labels.get(label).copied()
        }
    }

    /// All labels with the built-in one, if any version is READY.
    #[must_use]
    pub fn all_labels(&self, latest: Option<VersionNumber>) -> BTreeMap<Label, VersionNumber> {
        let mut labels = self.labels.clone();
        labels.extend(latest.map(|latest| (Label::latest(), latest)));
        labels
    }

    /// Who holds which version, in words: by the policy and by the labels.
    #[must_use]
    pub fn holders(
        &self,
        model: &ModelName,
        latest: Option<VersionNumber>,
    ) -> BTreeMap<VersionNumber, Vec<String>> {
        let mut holders: BTreeMap<VersionNumber, Vec<String>> = BTreeMap::new();
        let mut hold = |version: Option<VersionNumber>, who: String| {
            if let Some(version) = version {
                holders.entry(version).or_default().push(who);
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
                let who = format!("shadow ({target}: {})", shadow.share());
                hold(version_of(target), who);
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
