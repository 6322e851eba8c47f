//! The rows in which two versions differ most. Pure.
//!
//! What always holds: at most [`MOST`] of them, each of at most [`MOST_INPUTS`] inputs, [`MOST_VALUES`] values of an output or
//! input and [`LONGEST_TEXT`] characters a text; inputs only that neither version marks sensitive, and only that both know.

use super::about::About;
use super::pair::{Pair, Side};
use crate::model::payload::{Cell, Payload, Tensor, TensorData};

/// Examples of one pair of versions.
pub const MOST: usize = 16;
/// Inputs of one example.
pub const MOST_INPUTS: usize = 32;
/// Values of an output, or of an input that has several.
pub const MOST_VALUES: usize = 16;
/// Characters of an input's value.
pub const LONGEST_TEXT: usize = 64;

/// A row that two versions answered differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Names the answer that the caller got.
    pub response_id: String,
    /// Which row of the request.
    pub row: usize,
    /// The largest difference of two values of this row; more than 0.
    pub distance: f64,
    /// The first values of what the primary answered.
    pub primary: Vec<f32>,
    /// The first values of what the shadow answered.
    pub shadow: Vec<f32>,
    /// The most probable class by each, the primary's first. `None` without classes.
    pub classes: Option<[usize; 2]>,
    /// Names of inputs with their values as text, in the request's order.
    pub inputs: Vec<(String, String)>,
    /// Inputs that are not shown, because they are sensitive or too many.
    pub left_out: usize,
}

/// Whether an example at this distance belongs among `kept`.
pub(super) fn is_wanted(kept: &[Example], distance: f64) -> bool {
    let last = kept.last().filter(|_| kept.len() >= MOST);
    distance > last.map_or(0.0, |last| last.distance)
}

/// Puts `example` in its place, the most different first, of equal ones the oldest; what is too much goes.
pub(super) fn keep(kept: &mut Vec<Example>, example: Example) {
    let place = kept.partition_point(|one| one.distance >= example.distance);
    kept.insert(place, example);
    kept.truncate(MOST);
}

impl Example {
    /// Row `row` of `pair`, as far as it may be shown.
    pub(super) fn of(pair: &Pair<'_>, shadow: &About, row: usize, distance: f64) -> Self {
        let shows = |name: &str| pair.about.shows(name) && shadow.shows(name);
        let (inputs, left_out) = shown(pair.inputs, row, shows);
        let answer = |side: &Side<'_>| {
            let values = side.scores.rows().nth(row).unwrap_or_default();
            values.iter().take(MOST_VALUES).copied().collect()
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

/// The inputs of one row that may be shown, and how many more there are.
fn shown(
    payload: &Payload,
    row: usize,
    shows: impl Fn(&str) -> bool,
) -> (Vec<(String, String)>, usize) {
    let (mut inputs, mut left_out) = (Vec::new(), 0);
    let mut add = |name: &str, text: &dyn Fn() -> String| {
        if inputs.len() < MOST_INPUTS && shows(name) {
            inputs.push((name.to_owned(), cut(&text())));
        } else {
            left_out += 1;
        }
    };
    match payload {
        Payload::Rows(rows) => {
            for (name, cell) in rows.get(row).into_iter().flatten() {
                add(name, &|| of_cell(cell));
            }
        }
        Payload::Tensors(tensors) => {
            for tensor in tensors {
                add(&tensor.name, &|| of_tensor(tensor, row));
            }
        }
    }
    (inputs, left_out)
}

fn cut(text: &str) -> String {
    crate::text::truncate(text, LONGEST_TEXT).to_owned()
}

fn of_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => cut(text),
        Cell::List(cells) => list(cells.iter().take(MOST_VALUES).map(ToString::to_string)),
        other => other.to_string(),
    }
}

fn of_tensor(tensor: &Tensor, row: usize) -> String {
    let width = match tensor.shape[..] {
        [_] => return value(&tensor.data, row).unwrap_or_default(),
        [_, width] => usize::try_from(width).unwrap_or(0),
        _ => 0,
    };
    let values = (0..width.min(MOST_VALUES)).filter_map(|at| value(&tensor.data, row * width + at));
    list(values)
}

fn list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<_> = values.collect();
    format!("[{}]", values.join(", "))
}

fn value(data: &TensorData, at: usize) -> Option<String> {
    let number = |x: f64| Cell::Number(x).to_string();
    match data {
        TensorData::Bool(values) => values.get(at).map(ToString::to_string),
        TensorData::Int32(values) => values.get(at).map(ToString::to_string),
        TensorData::Int64(values) => values.get(at).map(ToString::to_string),
        TensorData::Fp32(values) => values.get(at).map(|x| number(f64::from(*x))),
        TensorData::Fp64(values) => values.get(at).map(|x| number(*x)),
        TensorData::Bytes(values) => {
            let text = |value: &bytes::Bytes| {
                let most = value.len().min(4 * LONGEST_TEXT);
                cut(&String::from_utf8_lossy(&value[..most]))
            };
            values.get(at).map(text)
        }
    }
}
