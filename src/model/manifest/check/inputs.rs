//! Checks the inputs of a manifest: names, shapes, and that `features` lists the inputs that the network uses.

use super::encoding::{EncodingCheck, MAX_COLUMNS};
use super::{NAME, Report, is_name};
use crate::model::manifest::raw::{EncodingKind, RawInput, RawManifest};
use crate::model::signature::Input;

/// Returns the inputs, if all of them are valid.
pub(super) fn check(raw: &RawManifest, report: &mut Report<'_>) -> Option<Vec<Input>> {
    let before = report.faults.iter().count();
    let inputs: Vec<_> = raw
        .inputs
        .iter()
        .enumerate()
        .map(|(at, input)| one(input, &format!("$.inputs[{at}]"), report))
        .collect();
    let names = raw.inputs.iter().map(|input| input.name.as_str());
    report.unique(|at| format!("$.inputs[{at}].name"), names);
    let used: Vec<_> = raw
        .inputs
        .iter()
        .filter(|input| input.encoding.kind != EncodingKind::Ignore)
        .map(|input| input.name.as_str())
        .collect();
    report.require(raw.features == used, "$.features", || {
        format!(
            "got {:?}, wants the inputs whose encoding is not `ignore`, in order: {used:?}",
            raw.features
        )
    });
    report.require(!used.is_empty(), "$.inputs", || {
        "the network gets no columns; at least one input must have an encoding other than `ignore`".into()
    });
    // Golden rows are not checked against faulty inputs, which would only cause further faults.
    let valid = report.faults.iter().count() == before;
    inputs.into_iter().collect::<Option<_>>().filter(|_| valid)
}

fn one(raw: &RawInput, path: &str, report: &mut Report<'_>) -> Option<Input> {
    report.require(is_name(&raw.name), &format!("{path}.name"), || {
        format!("got {:?}, wants {NAME}", raw.name)
    });
    let width = width(raw, path, report);
    let encoding = EncodingCheck {
        raw: &raw.encoding,
        datatype: raw.datatype,
        values: width.map(|width| width.unwrap_or(1)),
        path: format!("{path}.encoding"),
        report,
    };
    let encoding = encoding.run(&format!("{path}.datatype"));
    Some(Input {
        name: raw.name.clone(),
        datatype: raw.datatype,
        width: width?,
        encoding: encoding?,
        sensitive: raw.sensitive,
    })
}

/// Returns the width as in [`Input::width`], or `None` if the shape is invalid.
fn width(raw: &RawInput, path: &str, report: &mut Report<'_>) -> Option<Option<usize>> {
    use EncodingKind::{Ignore, Numeric};
    let wide = matches!(raw.encoding.kind, Numeric | Ignore);
    let columns = |n: i64| {
        usize::try_from(n)
            .ok()
            .filter(|n| (1..=MAX_COLUMNS).contains(n))
    };
    let width = match raw.shape.as_slice() {
        [-1] => Some(None),
        [-1, n] if wide => columns(*n).map(Some),
        _ => None,
    };
    report.require(width.is_some(), &format!("{path}.shape"), || {
        let wanted = if wide {
            format!("[-1], or [-1, n] with n from 1 to {MAX_COLUMNS}")
        } else {
            "[-1]".into()
        };
        format!("got {:?}, wants {wanted}", raw.shape)
    });
    width
}
