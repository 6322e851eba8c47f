//! Checks the shapes of inputs and outputs.

use crate::model::manifest::report::Report;
use crate::model::signature::Shape;

/// The longest axis.
const MAX_AXIS: usize = 1 << 26;

/// Returns the shape, if it is valid. `batch` says whether the first axis is the number of rows; by default it is if it is -1.
pub(super) fn parse(
    shape: &[i64],
    batch: Option<bool>,
    path: &str,
    report: &mut Report<'_>,
) -> Option<Shape> {
    let batched = batch.unwrap_or(shape.first() == Some(&-1));
    let wrong = |wanted: &str| format!("got {shape:?}, wants {wanted}");
    if batched && shape.first() != Some(&-1) {
        report.add(path, wrong("-1 first, the number of rows"));
        return None;
    }
    let axes = &shape[usize::from(batched)..];
    if shape.len() > Shape::MOST_AXES {
        report.add(path, wrong("at most 8 axes"));
        return None;
    }
    let length = |axis: &i64| match *axis {
        -1 => Some(None),
        axis => usize::try_from(axis)
            .ok()
            .filter(|axis| (1..=MAX_AXIS).contains(axis))
            .map(Some),
    };
    let axes: Option<Vec<_>> = axes.iter().map(length).collect();
    if axes.is_none() {
        report.add(path, wrong("axes of 1 or more, or -1 for any length"));
    }
    Some(Shape {
        batched,
        axes: axes?,
    })
}
