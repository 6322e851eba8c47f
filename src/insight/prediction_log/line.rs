//! One request as a line of JSON. Pure.
//!
//! `{"timestamp", "request_id", "model", "version", "role", "inputs": [{name: value}], "outputs": [[number]], "latency_ms",
//! "code"}`: one object and one list a row, however the request spelt its rows. An input that was left out is left out here;
//! NaN, which means missing, is `null`. How a value is written, `value.rs` says: the same, whichever way it came.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::value::{Ink, Style};
use super::{Entry, HashKey};
use crate::ident::{ModelName, VersionNumber};
use crate::model::payload::{Cell, Datatype, Payload, Tensor, TensorData};
use crate::model::{Manifest, Sensitivity};

/// An input whose values may be written.
#[derive(Debug)]
struct Told {
    name: String,
    datatype: Datatype,
    sensitive: Sensitivity,
}

/// What the log knows of a version; it holds no weights.
#[derive(Debug)]
pub struct Subject {
    model: ModelName,
    version: VersionNumber,
    /// Inputs whose values may be written, some of them hashed.
    inputs: Vec<Told>,
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
                .map(|input| Told {
                    name: input.name.clone(),
                    datatype: input.datatype,
                    sensitive: input.sensitive,
                })
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
        let told = known.find(|told| told.name == input)?;
        let style = match told.sensitive {
            Sensitivity::Open => Style::Plain,
            Sensitivity::Hashed => self.key.map(|key| Style::Hashed { key, input })?,
            Sensitivity::Hidden => return None,
        };
        Some(Ink {
            datatype: told.datatype,
            style,
        })
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
                    Some((name.clone(), ink.cell(of)))
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
                for (at, value) in ink.column(tensor).into_iter().enumerate() {
                    if rows.len() == at {
                        rows.push(Map::new());
                    }
                    rows[at].insert(tensor.name.clone(), value);
                }
            }
            rows
        }
    }
}
