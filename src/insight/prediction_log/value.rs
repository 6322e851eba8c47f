//! One value of an input, as it stands in a line. Pure.
//!
//! What always holds: a value is written by the type of its input, so that it is the same whether it came in a tensor or in a
//! row, whose numbers are all FP64: for FP32 the shortest decimal that is this FP32 number, for whole numbers no point. Where an
//! input is marked `hash`, a keyed hash of that text stands in its place, each value of a list by itself; what is missing
//! stays `null`. For hashes a whole number has no point whatever its type, and -0 is 0: they are equal numbers.

use serde_json::{Value, json};

use super::HashKey;
use crate::model::payload::{Cell, Datatype, Tensor, TensorData};

/// How the values of one input are written.
#[derive(Clone, Copy)]
pub(super) struct Ink<'a> {
    pub(super) datatype: Datatype,
    pub(super) style: Style<'a>,
}

/// Whether they are to be read.
#[derive(Clone, Copy)]
pub(super) enum Style<'a> {
    Plain,
    Hashed { key: &'a HashKey, input: &'a str },
}

impl Ink<'_> {
    /// A value of a row.
    pub(super) fn cell(self, cell: &Cell) -> Value {
        match cell {
            Cell::Missing | Cell::Object => Value::Null,
            Cell::Bool(value) => self.write(json!(value)),
            Cell::Number(value) => self.write(self.number(*value)),
            Cell::Text(text) => self.write(json!(text)),
            Cell::List(cells) => cells.iter().map(|cell| self.cell(cell)).collect(),
        }
    }

    /// The values of each row: a list where a row has several. What has no whole rows is one row of all.
    pub(super) fn column(self, tensor: &Tensor) -> Vec<Value> {
        let values: Vec<Value> = match &tensor.data {
            TensorData::Bool(values) => self.each(values, |value| json!(value)),
            TensorData::Int32(values) => self.each(values, |value| json!(value)),
            TensorData::Int64(values) => self.each(values, |value| json!(value)),
            TensorData::Fp32(values) => self.each(values, |value| shortest(*value)),
            TensorData::Fp64(values) => self.each(values, |value| self.number(*value)),
            TensorData::Bytes(values) => {
                self.each(values, |value| json!(String::from_utf8_lossy(value)))
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

    fn each<T>(self, values: &[T], read: impl Fn(&T) -> Value) -> Vec<Value> {
        values.iter().map(|value| self.write(read(value))).collect()
    }

    /// A number, as the type of the input has it. What the type has not, and is refused, stays as it came.
    fn number(self, value: f64) -> Value {
        match self.datatype {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "to the nearest, as encoding does"
            )]
            Datatype::Fp32 if (value as f32).is_finite() => shortest(value as f32),
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            Datatype::Int32 | Datatype::Int64
                if value.fract() == 0.0 && value.abs() < TWO_TO_63 =>
            {
                json!(value as i64)
            }
            _ => json!(value),
        }
    }

    /// `value` as it stands in the line.
    fn write(self, value: Value) -> Value {
        let Style::Hashed { key, input } = self.style else {
            return value;
        };
        let text = match value {
            Value::Null => return Value::Null,
            Value::String(text) => text,
            other => match other.to_string() {
                zero if zero == "-0.0" => "0".to_owned(),
                text => text.strip_suffix(".0").map(str::to_owned).unwrap_or(text),
            },
        };
        Value::String(key.hash(input, text.as_bytes()))
    }
}

/// The first whole number that no `INT64` is.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// The number of the fewest decimals that is nearest to `value` among the FP32 numbers: 0.1, where FP64 would be
/// 0.10000000149011612.
fn shortest(value: f32) -> Value {
    // Rust prints a float in the fewest decimals; none of them is lost on the way through FP64.
    let number = value.to_string().parse::<f64>();
    json!(number.unwrap_or(f64::from(value)))
}
