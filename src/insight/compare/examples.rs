//! The rows in which two versions differ most. Pure.
//!
//! Invariants: there are at most [`MAX_EXAMPLES`], each with at most [`MAX_INPUTS`] inputs, [`MAX_VALUES`] values of an output or input and
//! [`MAX_TEXT`] characters per text. They contain only inputs that both versions have and neither marks sensitive.

use super::info::VersionInfo;
use super::pair::{Pair, Side};
use super::vectors::first_numbers;
use crate::model::PredictionKind;
use crate::model::payload::{Cell, Payload, Tensor, TensorData};

/// The most examples of one pair of versions.
pub const MAX_EXAMPLES: usize = 16;
/// The most inputs of one example.
pub const MAX_INPUTS: usize = 32;
/// The most values of an output, or of an input with several.
pub const MAX_VALUES: usize = 16;
/// The most characters of the value of an input.
pub const MAX_TEXT: usize = 64;

/// A row that two versions answered differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The id of the answer that the client got.
    pub response_id: String,
    /// The row of the request, from 0.
    pub row: usize,
    /// The largest difference between two values of this row; more than 0. Of labels 1, and of embeddings 1 minus the cosine.
    pub distance: f64,
    /// The first values of the primary's answer. None if labels are predicted.
    pub primary: Vec<f32>,
    /// The first values of the shadow's answer. None if labels are predicted.
    pub shadow: Vec<f32>,
    /// The most probable class by each, the primary's first. `None` without classes.
    pub classes: Option<[usize; 2]>,
    /// The names of inputs with their values as text, in the order of the request.
    pub inputs: Vec<(String, String)>,
    /// The number of inputs that are not shown, because they are sensitive or too many.
    pub left_out: usize,
}

/// Returns whether an example with this distance belongs to the most different ones, of which `kept` are kept.
pub(super) fn is_wanted(kept: &[Example], distance: f64) -> bool {
    let last = kept.last().filter(|_| kept.len() >= MAX_EXAMPLES);
    distance > last.map_or(0.0, |last| last.distance)
}

/// Inserts `example`: the most different first, of equal ones the oldest. Removes the last one if there are too many.
pub(super) fn insert(kept: &mut Vec<Example>, example: Example) {
    let place = kept.partition_point(|one| one.distance >= example.distance);
    kept.insert(place, example);
    kept.truncate(MAX_EXAMPLES);
}

impl Example {
    /// Creates an example of row `row` of `pair`, whose versions predict `kind`, with the inputs that may be shown.
    pub(super) fn new(
        pair: &Pair<'_>,
        shadow: &VersionInfo,
        kind: PredictionKind,
        row: usize,
        distance: f64,
    ) -> Self {
        let shows = |name: &str| pair.primary_info.shows(name) && shadow.shows(name);
        let (inputs, left_out) = shown_inputs(pair.inputs, row, shows);
        let answer = |side: &Side<'_>| match (kind, side.summarised) {
            (PredictionKind::Labels, _) => Vec::new(),
            (PredictionKind::Embedding(_), Some(vectors)) => {
                first_numbers(vectors, row, side.scores.rows().len(), MAX_VALUES)
            }
            _ => {
                let values = side.scores.rows().nth(row).unwrap_or_default();
                values.iter().take(MAX_VALUES).copied().collect()
            }
        };
        let class = |side: &Side<'_>| side.top.get(row).map(|top| top.index);
        Self {
            response_id: pair.response_id.as_str().to_owned(),
            row,
            distance,
            primary: answer(&pair.primary),
            shadow: answer(&pair.shadow),
            classes: class(&pair.primary)
                .zip(class(&pair.shadow))
                .map(|(one, other)| [one, other]),
            inputs,
            left_out,
        }
    }
}

/// Returns the inputs of one row that may be shown, and the number of the others.
fn shown_inputs(
    payload: &Payload,
    row: usize,
    shows: impl Fn(&str) -> bool,
) -> (Vec<(String, String)>, usize) {
    let (mut inputs, mut left_out) = (Vec::new(), 0);
    let mut add = |name: &str, text: &dyn Fn() -> String| {
        if inputs.len() < MAX_INPUTS && shows(name) {
            inputs.push((name.to_owned(), shorten(&text())));
        } else {
            left_out += 1;
        }
    };
    match payload {
        Payload::Rows(rows) => {
            for (name, cell) in rows.get(row).into_iter().flatten() {
                add(name, &|| format_cell(cell));
            }
        }
        Payload::Tensors(tensors) => {
            for tensor in tensors {
                add(&tensor.name, &|| format_tensor(tensor, row));
            }
        }
    }
    (inputs, left_out)
}

fn shorten(text: &str) -> String {
    crate::text::truncate(text, MAX_TEXT).to_owned()
}

fn format_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => shorten(text),
        Cell::List(cells) => format_list(cells.iter().take(MAX_VALUES).map(ToString::to_string)),
        other => other.to_string(),
    }
}

fn format_tensor(tensor: &Tensor, row: usize) -> String {
    let width = match tensor.shape[..] {
        [] => 0,
        [_] => return format_value(&tensor.data, row).unwrap_or_default(),
        [rows, ..] => usize::try_from(rows).map_or(0, |rows| tensor.data.len() / rows.max(1)),
    };
    let values =
        (0..width.min(MAX_VALUES)).filter_map(|at| format_value(&tensor.data, row * width + at));
    format_list(values)
}

fn format_list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<_> = values.collect();
    format!("[{}]", values.join(", "))
}

fn format_value(data: &TensorData, at: usize) -> Option<String> {
    if let TensorData::Bytes(values) = data {
        // Only as many bytes as are shown are converted.
        let value = values.get(at)?;
        let most = value.len().min(4 * MAX_TEXT);
        return Some(shorten(&String::from_utf8_lossy(&value[..most])));
    }
    data.text(at)
}
