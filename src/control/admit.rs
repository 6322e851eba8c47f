//! Whether a policy can be honoured by what is READY. Pure.

use crate::error::{AdminError, InputFaults};
use crate::ident::{Target, VersionNumber};
use crate::serving::live::ServingModel;
use crate::serving::route::Policy;

/// Checks that everyone whom `policy` names can answer, and that all of them take and give the same tensors.
///
/// # Errors
/// [`AdminError::InvalidPolicy`] with every label that the model does not have, [`AdminError::NotReady`] with every version
/// that cannot take traffic, or [`AdminError::SignatureMismatch`] with every difference to the first version of the split.
pub fn admit(policy: &Policy, model: &ServingModel) -> Result<(), AdminError> {
    let numbers = resolve(policy, model)?;
    let mut not_ready = Vec::new();
    let mut versions = Vec::new();
    for number in numbers {
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

/// The versions that `policy` names, directly or by a label: the split in its order, then the header rules; each once.
fn resolve(policy: &Policy, model: &ServingModel) -> Result<Vec<VersionNumber>, AdminError> {
    let rows = policy.split().rows().iter().enumerate();
    let rows = rows.map(|(at, (target, _))| (format!("split[{at}].label"), target));
    let rules = policy.header_rules().iter().enumerate();
    let rules = rules.map(|(at, rule)| (format!("header_rules[{at}].label"), rule.target()));
    let mut faults = InputFaults::default();
    let mut numbers = Vec::new();
    for (field, target) in rows.chain(rules) {
        let number = match target {
            Target::Version(number) => Some(number),
            Target::Label(label) => model.labels.get(label),
        };
        match number {
            Some(number) if !numbers.contains(number) => numbers.push(*number),
            Some(_) => {}
            None => faults.add(field, format!("`{target}`"), "a label of this model"),
        }
    }
    if faults.is_empty() {
        Ok(numbers)
    } else {
        Err(AdminError::InvalidPolicy(faults))
    }
}
