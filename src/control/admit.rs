//! Whether what is wanted can be honoured by what is READY. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::{ModelName, Target, VersionNumber};
use crate::serving::version::VersionRuntime;

/// What there is to honour a wish with.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// The version that `latest` would name.
    pub latest: Option<VersionNumber>,
    /// Versions that can answer.
    pub ready: &'a BTreeMap<VersionNumber, Arc<VersionRuntime>>,
    /// Why the other known versions cannot.
    pub others: &'a BTreeMap<VersionNumber, String>,
}

/// Checks that every version that `wanted` gives traffic or a label to can answer, and that all those under its policy
/// take and give the same tensors.
///
/// # Errors
/// [`AdminError::UnknownLabel`] for a target that names nothing, [`AdminError::NotReady`] with every version that cannot
/// take traffic, or [`AdminError::SignatureMismatch`] with every difference to the first version of the policy.
pub fn admit(wanted: &Wanted, means: Means<'_>) -> Result<(), AdminError> {
    let policy = wanted
        .policy(means.model)
        .map_err(AdminError::InvalidPolicy)?;
    let mut targets = Vec::new();
    for target in policy.targets() {
        targets.push(match target {
            Target::Version(version) => version,
            Target::Label(label) => {
                wanted
                    .resolve(&label, means.latest)
                    .ok_or_else(|| AdminError::UnknownLabel {
                        model: means.model.to_string(),
                        label: label.to_string(),
                    })?
            }
        });
    }
    targets.sort_unstable();
    targets.dedup();
    let mut named: Vec<_> = targets
        .iter()
        .chain(wanted.labels.values())
        .copied()
        .collect();
    named.sort_unstable();
    named.dedup();
    let not_ready: Vec<_> = named
        .into_iter()
        .filter(|version| !means.ready.contains_key(version))
        .map(|version| {
            let why = means.others.get(&version).cloned();
            (
                version,
                why.unwrap_or_else(|| "it is not in the registry".into()),
            )
        })
        .collect();
    if !not_ready.is_empty() {
        return Err(AdminError::NotReady(not_ready));
    }
    let versions: Vec<_> = targets
        .iter()
        .filter_map(|version| means.ready.get(version))
        .collect();
    let differences = versions
        .split_first()
        .map_or_else(Vec::new, |(first, others)| {
            others
                .iter()
                .flat_map(|other| between(first, other))
                .collect()
        });
    if differences.is_empty() {
        Ok(())
    } else {
        Err(AdminError::SignatureMismatch(differences))
    }
}

/// How the signatures of two versions differ, a line each.
pub(super) fn between(one: &VersionRuntime, other: &VersionRuntime) -> Vec<String> {
    let who = format!("versions {} and {}", one.number(), other.number());
    let lines = one
        .version
        .signature()
        .differences(other.version.signature());
    lines
        .into_iter()
        .map(|line| format!("{who}: {line}"))
        .collect()
}
