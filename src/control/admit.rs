//! Whether a policy can be honoured by what is READY. Pure.

use crate::error::AdminError;
use crate::serving::live::ServingModel;
use crate::serving::route::Policy;

/// Checks that every version that `policy` names can answer, and that all of them take and give the same tensors.
///
/// # Errors
/// [`AdminError::NotReady`] with every version that cannot take traffic, or [`AdminError::SignatureMismatch`] with every
/// difference to the first version of the split.
pub fn admit(policy: &Policy, model: &ServingModel) -> Result<(), AdminError> {
    let mut not_ready = Vec::new();
    let mut versions = Vec::new();
    for number in policy.versions() {
        match (model.ready.get(&number), model.failed.get(&number)) {
            (Some(version), _) => versions.push(version),
            (None, Some(faults)) => {
                let first = faults.iter().next().map(|fault| fault.message.as_str());
                not_ready.push((
                    number,
                    format!("it failed to load: {}", first.unwrap_or_default()),
                ));
            }
            (None, None) => not_ready.push((number, "it is not in the registry".to_owned())),
        }
    }
    if !not_ready.is_empty() {
        return Err(AdminError::NotReady(not_ready));
    }
    let Some((first, others)) = versions.split_first() else {
        return Ok(());
    };
    let differences: Vec<String> = others
        .iter()
        .flat_map(|other| {
            let between = format!("versions {} and {}", first.number(), other.number());
            let lines = first
                .version
                .signature()
                .differences(other.version.signature());
            lines
                .into_iter()
                .map(move |line| format!("{between}: {line}"))
        })
        .collect();
    if differences.is_empty() {
        Ok(())
    } else {
        Err(AdminError::SignatureMismatch(differences))
    }
}
