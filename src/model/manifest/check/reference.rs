//! Checks the reference profile: it describes existing inputs and outputs, and no sensitive ones.

use crate::model::manifest::raw::{Profile, RawManifest};
use crate::model::manifest::report::Report;
use crate::model::signature::{PredictionKind, Signature};

/// Quantiles of a profile: one for each per cent, both ends included.
const QUANTILES: usize = 101;

pub(super) fn check(raw: &RawManifest, signature: &Signature, report: &mut Report<'_>) {
    let Some(reference) = &raw.reference else {
        return;
    };
    for (name, profile) in &reference.features {
        let path = format!("$.reference.features.{name}");
        match raw.inputs.iter().find(|input| input.name == *name) {
            None => report.add(path, "no input has this name"),
            Some(input) if input.sensitive.is_sensitive() => {
                report.add(path, "the input is sensitive and must not be profiled");
            }
            Some(_) => one(profile, &path, report),
        }
    }
    for (name, profile) in &reference.predictions {
        let path = format!("$.reference.predictions.{name}");
        if is_prediction(signature, name) {
            one(profile, &path, report);
        } else {
            report.add(path, "no prediction has this name");
        }
    }
}

/// Returns whether `name` is the name of a prediction.
fn is_prediction(signature: &Signature, name: &str) -> bool {
    let output = signature.judged().name.as_str();
    let columns = signature.prediction.columns;
    match signature.prediction.kind {
        PredictionKind::Probabilities if columns == 1 => name == output,
        kind if kind.has_classes() => signature.classes.iter().any(|class| class == name),
        _ if columns == 1 => name == output,
        _ => name
            .strip_prefix(output)
            .and_then(|rest| rest.strip_prefix('['))
            .and_then(|rest| rest.strip_suffix(']'))
            .and_then(|at| at.parse::<usize>().ok())
            .is_some_and(|at| at < columns),
    }
}

fn one(profile: &Profile, path: &str, report: &mut Report<'_>) {
    if let Some(quantiles) = &profile.quantiles {
        let ascending = quantiles.windows(2).all(|pair| pair[0] <= pair[1]);
        let finite = quantiles.iter().all(|x| x.is_finite());
        let holds = quantiles.len() == QUANTILES && ascending && finite;
        report.require(holds, &format!("{path}.quantiles"), || {
            format!(
                "got {} numbers, wants {QUANTILES} finite ones in ascending order",
                quantiles.len()
            )
        });
    }
    for (field, value) in [("mean", profile.mean), ("std", profile.std)] {
        if let Some(value) = value.filter(|value| !value.is_finite()) {
            report.add(
                format!("{path}.{field}"),
                format!("got {value}, wants a finite number"),
            );
        }
    }
}
