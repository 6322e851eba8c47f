//! One request as a line of JSON. Pure.
//!
//! `{"timestamp", "request_id", "model", "version", "role", "inputs": [{name: value}], "outputs": [[number]], "latency_ms",
//! "code"}`: one object and one list a row, however the request spelt its rows. An input that was left out is left out here;
//! NaN, which means missing, is `null`. An input that is marked `hash` stands here as hashes, each value of a list by
//! itself, and what is missing stays `null`.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::{Entry, HashKey};
use crate::ident::{ModelName, VersionNumber};
use crate::model::payload::{Cell, Payload, Tensor, TensorData};
use crate::model::{Manifest, Sensitivity};

/// What the log knows of a version; it holds no weights.
#[derive(Debug)]
pub struct Subject {
    model: ModelName,
    version: VersionNumber,
    /// Inputs whose values may be written, some of them hashed.
    inputs: Vec<(String, Sensitivity)>,
}

impl Subject {
    /// Of the version with this manifest.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        let inputs = manifest.signature.inputs().iter();
        let told = inputs.filter(|input| input.sensitive != Sensitivity::Hidden);
        Self {
            model: manifest.model.clone(),
            version: manifest.version,
            inputs: told
                .map(|input| (input.name.clone(), input.sensitive))
                .collect(),
        }
    }
}

/// What may be written of the inputs of one line.
#[derive(Clone, Copy)]
struct Pen<'a> {
    subject: &'a Subject,
    key: Option<&'a HashKey>,
}

impl<'a> Pen<'a> {
    /// How a value of `input` is written. `None`: not at all.
    fn of(self, input: &'a str) -> Option<Ink<'a>> {
        let mut known = self.subject.inputs.iter();
        match known.find(|(name, _)| name == input)?.1 {
            Sensitivity::Open => Some(Ink::Plain),
            Sensitivity::Hashed => self.key.map(|key| Ink::Hashed { key, input }),
            Sensitivity::Hidden => None,
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Ink<'a> {
    Plain,
    Hashed { key: &'a HashKey, input: &'a str },
}

impl Ink<'_> {
    /// `value` as it stands in the line. What is hashed is what would have stood there: a text without its quotes, a whole
    /// number without a point, so that 3 and 3.0 are the same.
    fn write(self, value: Value) -> Value {
        let Self::Hashed { key, input } = self else {
            return value;
        };
        let text = match value {
            Value::Null => return Value::Null,
            Value::Array(values) => {
                return values.into_iter().map(|value| self.write(value)).collect();
            }
            Value::String(text) => text,
            other => {
                let text = other.to_string();
                text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
            }
        };
        Value::String(key.hash(input, text.as_bytes()))
    }
}

/// Bytes that an entry takes in memory, about.
pub(super) fn weight(entry: &Entry) -> usize {
    let inputs = match &entry.inputs {
        Payload::Rows(rows) => {
            let cells = rows.iter().flatten();
            cells.map(|(name, cell)| name.len() + of_cell(cell)).sum()
        }
        Payload::Tensors(tensors) => tensors.iter().map(of_tensor).sum::<usize>(),
    };
    let outputs = entry.outputs.as_ref();
    let outputs = outputs.map_or(0, |scores| scores.rows().len() * scores.columns() * 4);
    256 + inputs + outputs
}

fn of_cell(cell: &Cell) -> usize {
    64 + match cell {
        Cell::Text(text) => text.len(),
        Cell::List(cells) => cells.iter().map(of_cell).sum(),
        Cell::Missing | Cell::Bool(_) | Cell::Number(_) | Cell::Object => 0,
    }
}

fn of_tensor(tensor: &Tensor) -> usize {
    let texts = match &tensor.data {
        TensorData::Bytes(texts) => texts.iter().map(|text| 32 + text.len()).sum(),
        _ => 0,
    };
    128 + tensor.data.len() * 8 + texts
}

/// Adds the line of `entry`, which ended `at` this time, to `text`. Without a key what would be hashed is left out.
pub(super) fn write(entry: &Entry, at: SystemTime, key: Option<&HashKey>, text: &mut Vec<u8>) {
    let subject = &*entry.subject;
    let outputs = entry.outputs.as_ref();
    let timestamp = jiff::Timestamp::try_from(at).map(|at| at.to_string());
    let line = json!({
        "timestamp": timestamp.unwrap_or_default(),
        "request_id": entry.request_id.as_str(),
        "model": subject.model.as_str(),
        "version": subject.version.get(),
        "role": entry.role.as_str(),
        "inputs": inputs(Pen { subject, key }, &entry.inputs),
        "outputs": outputs.map(|scores| scores.rows().map(<[f32]>::to_vec).collect::<Vec<_>>()),
        "latency_ms": entry.latency.as_secs_f64() * 1_000.0,
        "code": entry.code.as_str(),
    });
    text.extend(line.to_string().bytes());
    text.push(b'\n');
}

fn inputs(pen: Pen<'_>, payload: &Payload) -> Vec<Map<String, Value>> {
    match payload {
        Payload::Rows(rows) => {
            let row = |row: &Vec<(String, Cell)>| {
                let shown = row.iter().filter_map(|(name, of)| {
                    let ink = pen.of(name)?;
                    Some((name.clone(), ink.write(cell(of))))
                });
                shown.collect()
            };
            rows.iter().map(row).collect()
        }
        Payload::Tensors(tensors) => {
            let mut rows: Vec<Map<String, Value>> = Vec::new();
            for tensor in tensors {
                let Some(ink) = pen.of(&tensor.name) else {
                    continue;
                };
                for (at, value) in column(tensor).into_iter().enumerate() {
                    if rows.len() == at {
                        rows.push(Map::new());
                    }
                    rows[at].insert(tensor.name.clone(), ink.write(value));
                }
            }
            rows
        }
    }
}

fn cell(cell: &Cell) -> Value {
    match cell {
        Cell::Missing | Cell::Object => Value::Null,
        Cell::Bool(value) => json!(value),
        Cell::Number(value) => json!(value),
        Cell::Text(text) => json!(text),
        Cell::List(cells) => cells.iter().map(self::cell).collect(),
    }
}

/// The values of each row: a list where a row has several. What has no whole rows is one row of all.
fn column(tensor: &Tensor) -> Vec<Value> {
    let values: Vec<Value> = match &tensor.data {
        TensorData::Bool(values) => values.iter().map(|value| json!(value)).collect(),
        TensorData::Int32(values) => values.iter().map(|value| json!(value)).collect(),
        TensorData::Int64(values) => values.iter().map(|value| json!(value)).collect(),
        TensorData::Fp32(values) => values.iter().map(|value| json!(value)).collect(),
        TensorData::Fp64(values) => values.iter().map(|value| json!(value)).collect(),
        TensorData::Bytes(values) => {
            let text = |value: &bytes::Bytes| json!(String::from_utf8_lossy(value));
            values.iter().map(text).collect()
        }
    };
    let width = match tensor.shape[..] {
        [_] => return values,
        [_, width] => usize::try_from(width).unwrap_or(0),
        _ => 0,
    };
    let width = if width == 0 {
        values.len().max(1)
    } else {
        width
    };
    values.chunks(width).map(|row| json!(row)).collect()
}
