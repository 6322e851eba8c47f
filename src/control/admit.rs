//! Checks whether the READY versions can honour a desired state. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::{ModelName, Target, VersionNumber};
use crate::serving::route::Policy;
use crate::serving::version::VersionRuntime;

/// The versions of a model that can answer, and why the others cannot.
#[derive(Clone, Copy, Debug)]
pub struct Availability<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// What `latest` names unless the desired state says so itself; see [`Wanted::resolve`].
    pub highest: Option<VersionNumber>,
    /// Versions that can answer.
    pub ready: &'a BTreeMap<VersionNumber, Arc<VersionRuntime>>,
    /// Other known versions, each with the reason why it cannot answer.
    pub unavailable: &'a BTreeMap<VersionNumber, String>,
}

/// Checks that every version to which `wanted` gives traffic or a label can answer, and that all versions under its policy
/// have the same inputs and outputs.
///
/// # Errors
/// Returns [`AdminError::UnknownLabel`] for a target that names nothing, [`AdminError::NotReady`] with all versions that
/// cannot take traffic, or [`AdminError::SignatureMismatch`] with all differences to the first version of the policy.
pub fn admit(wanted: &Wanted, available: Availability<'_>) -> Result<(), AdminError> {
    let targets = targets(wanted, available)?;
    let mut referenced: Vec<_> = targets
        .iter()
        .chain(wanted.labels.values())
        .copied()
        .collect();
    referenced.sort_unstable();
    referenced.dedup();
    let not_ready: Vec<_> = referenced
        .into_iter()
        .filter(|version| !available.ready.contains_key(version))
        .map(|version| {
            let why = available.unavailable.get(&version).cloned();
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
        .filter_map(|version| available.ready.get(version))
        .collect();
    let differences = versions
        .split_first()
        .map_or_else(Vec::new, |(first, others)| {
            others
                .iter()
                .flat_map(|other| signature_differences(first, other))
                .collect()
        });
    if differences.is_empty() {
        Ok(())
    } else {
        Err(AdminError::SignatureMismatch(differences))
    }
}

/// Returns the versions that the policy of `wanted` names, by number or by label, each once.
fn targets(wanted: &Wanted, available: Availability<'_>) -> Result<Vec<VersionNumber>, AdminError> {
    let policy = wanted
        .policy(available.model)
        .map_err(AdminError::InvalidPolicy)?;
    let mut targets = Vec::new();
    for target in policy.iter().flat_map(Policy::targets) {
        targets.push(match target {
            Target::Version(version) => version,
            Target::Label(label) => wanted.resolve(&label, available.highest).ok_or_else(|| {
                AdminError::UnknownLabel {
                    model: available.model.to_string(),
                    label: label.to_string(),
                }
            })?,
        });
    }
    targets.sort_unstable();
    targets.dedup();
    Ok(targets)
}

/// Returns the differences between the signatures of two versions, one line each.
fn signature_differences(one: &VersionRuntime, other: &VersionRuntime) -> Vec<String> {
    let versions = format!("versions {} and {}", one.number(), other.number());
    let differences = one
        .version
        .signature()
        .differences(other.version.signature());
    differences
        .into_iter()
        .map(|difference| format!("{versions}: {difference}"))
        .collect()
}

#[cfg(test)]
mod tests;
