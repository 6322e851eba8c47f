//! Checks the inputs of a manifest: names, shapes, and that `features` lists the inputs that the network uses.

use super::encoding::{EncodingCheck, MAX_COLUMNS};
use super::shape;
use crate::model::format::Format;
use crate::model::manifest::raw::{EncodingKind, RawInput, RawManifest};
use crate::model::manifest::report::{Report, TENSOR_NAME, is_tensor_name};
use crate::model::signature::{Encoding, Input, Shape, Target};

/// Returns the inputs, if all of them are valid.
pub(super) fn check(
    raw: &RawManifest,
    format: &dyn Format,
    report: &mut Report<'_>,
) -> Option<Vec<Input>> {
    let before = report.faults.iter().count();
    let inputs: Vec<_> = raw
        .inputs
        .iter()
        .enumerate()
        .map(|(at, input)| one(input, format, &format!("$.inputs[{at}]"), report))
        .collect();
    let names = raw.inputs.iter().map(|input| input.name.as_str());
    report.unique(|at| format!("$.inputs[{at}].name"), names);
    let used: Vec<_> = raw
        .inputs
        .iter()
        .filter(|input| input.encoding.kind.reaches_model())
        .map(|input| input.name.as_str())
        .collect();
    let omitted = raw.manifest_version > 1 && raw.features.is_empty();
    report.require(omitted || raw.features == used, "$.features", || {
        format!(
            "got {:?}, wants the inputs whose encoding is neither `ignore` nor `mask`, in order: {used:?}",
            raw.features
        )
    });
    report.require(!used.is_empty(), "$.inputs", || {
        "the network gets no columns; at least one input must have an encoding other than `ignore` and `mask`".into()
    });
    // Golden rows are not checked against faulty inputs, which would only cause further faults.
    let valid = report.faults.iter().count() == before;
    let inputs = inputs.into_iter().collect::<Option<Vec<_>>>();
    let inputs = inputs.filter(|_| valid)?;
    matrix(raw, &inputs, report);
    masks(&inputs, report);
    Some(inputs)
}

/// Checks that each mask has the shape of an input whose values may be missing, and that no input has two.
fn masks(inputs: &[Input], report: &mut Report<'_>) {
    let mut masked = Vec::new();
    for (at, mask) in inputs.iter().enumerate() {
        let Encoding::Mask { of } = &mask.encoding else {
            continue;
        };
        let mut fault = |field: &str, message: String| {
            report.add(format!("$.inputs[{at}].{field}"), message);
        };
        let named = inputs.iter().find(|input| input.name == *of);
        let Some(input) = named.filter(|input| input.may_lack_values()) else {
            let wanted = "an input with missing `accept` or `impute`";
            fault("encoding.of", format!("got {of:?}, expected {wanted}"));
            continue;
        };
        if mask.shape != input.shape {
            let (got, wanted) = (mask.shape.to_wire(), input.shape.to_wire());
            fault(
                "shape",
                format!("got {got:?}, expected {wanted:?}, the shape of `{of}`"),
            );
        }
        if masked.contains(&of) {
            fault("encoding.of", format!("`{of}` has a mask already"));
        }
        masked.push(of);
    }
}

/// Checks that every input is one number per row if a request may have one matrix instead.
fn matrix(raw: &RawManifest, inputs: &[Input], report: &mut Report<'_>) {
    let Some(name) = &raw.matrix else { return };
    report.require(is_tensor_name(name), "$.matrix", || {
        format!("got {name:?}, expected {TENSOR_NAME}")
    });
    let taken = inputs.iter().any(|input| input.name == *name);
    report.require(!taken, "$.matrix", || {
        format!("got {name:?}, wants a name that no input has")
    });
    let is_number = |input: &Input| {
        let text = matches!(&input.encoding,
            Encoding::Ordinal { categories, .. } | Encoding::Categorical { categories, .. }
            if !categories.are_numbers());
        input.shape == Shape::scalars() && !text && input.is_used()
    };
    if let Some(other) = inputs.iter().find(|input| !is_number(input)) {
        report.add(
            "$.matrix",
            format!("input `{}` is not one number per row", other.name),
        );
    }
}

fn one(raw: &RawInput, format: &dyn Format, path: &str, report: &mut Report<'_>) -> Option<Input> {
    report.require(is_tensor_name(&raw.name), &format!("{path}.name"), || {
        format!("got {:?}, expected {TENSOR_NAME}", raw.name)
    });
    let shape = match format.target() {
        Target::Tensors => shape::parse(&raw.shape, raw.batch, &format!("{path}.shape"), report),
        Target::Single | Target::Double => width(raw, path, report),
    };
    let encoding = EncodingCheck {
        raw: &raw.encoding,
        datatype: raw.datatype,
        values: shape.as_ref().and_then(Shape::fixed_values),
        format,
        path: format!("{path}.encoding"),
        report,
    };
    let encoding = encoding.run(&format!("{path}.datatype"));
    Some(Input {
        name: raw.name.clone(),
        datatype: raw.datatype,
        shape: shape?,
        encoding: encoding?,
        sensitive: raw.sensitive,
    })
}

/// Returns the shape of an input that is encoded as columns, or `None` if it is invalid.
fn width(raw: &RawInput, path: &str, report: &mut Report<'_>) -> Option<Shape> {
    use EncodingKind::{Ignore, Mask, Numeric};
    let wide = matches!(raw.encoding.kind, Numeric | Ignore | Mask);
    let columns = |n: i64| {
        usize::try_from(n)
            .ok()
            .filter(|n| (1..=MAX_COLUMNS).contains(n))
    };
    let width = match raw.shape.as_slice() {
        [-1] => Some(Shape::scalars()),
        [-1, n] if wide => columns(*n).map(Shape::vectors),
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
