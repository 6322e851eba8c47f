//! One request as a line of JSON. Pure.
//!
//! `{"timestamp", "request_id", "model", "version", "role", "inputs": [{name: value}], "outputs": [[value]], "latency_ms",
//! "code"}`: `inputs` has one object and `outputs` one list for each row, whichever way the request encodes its rows. Outputs are those
//! of the output that is judged: numbers, or the label of the class. An input that
//! the request leaves out is left out of the line. NaN, which means missing, is `null`. `value.rs` describes how values are written.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::entry::{Entry, LoggedOutput};
use super::key::HashKey;
use super::subject::Subject;
use super::value::{Disclosure, InputFormat};
use crate::model::payload::{Cell, Payload, Tensor};

/// Appends the line of `entry`, which ended `at` this time, to `text`. Inputs marked `hash` are left out if there is no `key`.
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
        "inputs": inputs(subject, key, &entry.inputs),
        "outputs": outputs.map(output_rows),
        "latency_ms": entry.latency.as_secs_f64() * 1_000.0,
        "code": entry.code.as_str(),
    });
    text.extend(line.to_string().bytes());
    text.push(b'\n');
}

/// Returns a list for each row.
fn output_rows(output: &LoggedOutput) -> Vec<Value> {
    let tensor = match output {
        LoggedOutput::Scores(scores) => return scores.rows().map(|row| json!(row)).collect(),
        LoggedOutput::Tensor(tensor) => tensor,
    };
    let format = InputFormat {
        datatype: tensor.data.datatype(),
        disclosure: Disclosure::Plain,
    };
    let axis = |length: &usize| i64::try_from(*length).unwrap_or(i64::MAX);
    let rows = format.column(&Tensor {
        name: String::new(),
        shape: tensor.shape.iter().map(axis).collect(),
        data: tensor.data.clone(),
    });
    rows.into_iter()
        .map(|row| match row {
            Value::Array(_) => row,
            value => json!([value]),
        })
        .collect()
}

fn inputs(subject: &Subject, key: Option<&HashKey>, payload: &Payload) -> Vec<Map<String, Value>> {
    match payload {
        Payload::Rows(rows) => {
            let row = |row: &Vec<(String, Cell)>| {
                let shown = row.iter().filter_map(|(name, cell)| {
                    let format = subject.format(name, key)?;
                    Some((name.clone(), format.cell(cell)))
                });
                shown.collect()
            };
            rows.iter().map(row).collect()
        }
        Payload::Tensors(tensors) => {
            let mut rows: Vec<Map<String, Value>> = Vec::new();
            for tensor in tensors {
                let Some(format) = subject.format(&tensor.name, key) else {
                    continue;
                };
                for (at, value) in format.column(tensor).into_iter().enumerate() {
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
