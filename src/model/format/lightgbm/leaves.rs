//! The leaves of one tree: values, or linear functions of the row.

use crate::model::trees::Leaf;

use super::faults::Faults;
use super::lines::Fields;
use super::tree::{Frame, flag};

/// Reads the leaves of a tree, in the order of the file.
pub(super) fn read(
    fields: &Fields<'_>,
    count: usize,
    frame: Frame,
    faults: &mut Faults,
) -> Option<Vec<Leaf>> {
    let values = finite(fields, "leaf_value", count, faults);
    if flag(fields, "is_linear", faults)? {
        return read_linear(fields, values?, frame, faults);
    }
    let output = frame.output;
    let leaf = |value| Leaf::One { output, value };
    Some(values?.into_iter().map(leaf).collect())
}

/// Reads linear leaves. `values` are added instead where a value of the row is missing.
fn read_linear(
    fields: &Fields<'_>,
    values: Vec<f64>,
    frame: Frame,
    faults: &mut Faults,
) -> Option<Vec<Leaf>> {
    let constants = finite(fields, "leaf_const", values.len(), faults);
    let counts: Vec<usize> =
        fields.numbers("num_features", values.len(), "a whole number", faults)?;
    let total = counts
        .iter()
        .fold(0_usize, |sum, &count| sum.saturating_add(count));
    let inputs: Option<Vec<u32>> = fields.numbers("leaf_features", total, "an index", faults);
    let coefficients = finite(fields, "leaf_coeff", total, faults);
    let (constants, inputs, coefficients) = (constants?, inputs?, coefficients?);
    if let Some(index) = inputs
        .iter()
        .position(|&input| input as usize >= frame.inputs)
    {
        faults.add(
            fields.at_value("leaf_features", index),
            format!(
                "got {}, expected an index below {}",
                inputs[index], frame.inputs
            ),
        );
        return None;
    }
    let mut terms = inputs.into_iter().zip(coefficients);
    let output = frame.output;
    let leaves = constants.into_iter().zip(values).zip(counts);
    let leaf = |((constant, if_missing), count): ((f64, f64), usize)| match count {
        // Without a term no value can be missing.
        0 => Leaf::One {
            output,
            value: constant,
        },
        _ => Leaf::Linear {
            output,
            constant,
            terms: terms.by_ref().take(count).collect(),
            if_missing,
        },
    };
    Some(leaves.map(leaf).collect())
}

/// Reads finite numbers: any other one would make every prediction of its leaf useless.
fn finite(fields: &Fields<'_>, key: &str, count: usize, faults: &mut Faults) -> Option<Vec<f64>> {
    let numbers: Vec<f64> = fields.numbers(key, count, "a number", faults)?;
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(index) => {
            let number = numbers[index];
            faults.add(
                fields.at_value(key, index),
                format!("got {number}, expected a finite number"),
            );
            None
        }
        None => Some(numbers),
    }
}
