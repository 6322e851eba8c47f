//! One value of an input, as it is written to a line. Pure.
//!
//! Invariants:
//! * A value is written by the type of its input, so it is the same whether it arrived in a tensor or in a row, whose numbers are all
//!   FP64. For FP32 it is the shortest decimal that is this FP32 number. A whole number has no decimal point.
//! * If an input is marked `hash`, a keyed hash of that text takes its place, each value of a list on its own. A missing value stays
//!   `null`. For hashes a whole number has no decimal point whatever its type, and -0 is 0: they are equal numbers.

use serde_json::{Value, json};

use super::key::HashKey;
use crate::model::payload::{Cell, Datatype, Tensor, TensorData};

#[expect(clippy::cast_precision_loss, reason = "as encoding does")]
fn as_double(value: i64) -> f64 {
    value as f64
}

/// How the values of one input are written.
#[derive(Clone, Copy)]
pub(super) struct InputFormat<'a> {
    pub(super) datatype: Datatype,
    pub(super) disclosure: Disclosure<'a>,
}

/// Whether values are readable.
#[derive(Clone, Copy)]
pub(super) enum Disclosure<'a> {
    Plain,
    Hashed { key: &'a HashKey, input: &'a str },
}

impl InputFormat<'_> {
    /// Returns a value of a row.
    pub(super) fn cell(self, cell: &Cell) -> Value {
        match cell {
            Cell::Missing | Cell::Object => Value::Null,
            Cell::Bool(value) => self.write(json!(value)),
            Cell::Integer(value) if self.datatype.is_float() => {
                self.write(self.number(as_double(*value)))
            }
            Cell::Integer(value) => self.write(json!(value)),
            Cell::Unsigned(value) => self.write(json!(value)),
            Cell::Number(value) => self.write(self.number(*value)),
            Cell::Text(text) => self.write(json!(text)),
            Cell::List(cells) => cells.iter().map(|cell| self.cell(cell)).collect(),
        }
    }

    /// Returns the value of each row of a tensor, or a list if a row has several. A tensor that cannot be divided into rows becomes one
    /// row with all values.
    pub(super) fn column(self, tensor: &Tensor) -> Vec<Value> {
        let values: Vec<Value> = match &tensor.data {
            TensorData::Bool(values) => self.each(values, |value| json!(value)),
            TensorData::Int8(values) => self.each(values, |value| json!(value)),
            TensorData::Int16(values) => self.each(values, |value| json!(value)),
            TensorData::Int32(values) => self.each(values, |value| json!(value)),
            TensorData::Int64(values) => self.each(values, |value| json!(value)),
            TensorData::Uint8(values) => self.each(values, |value| json!(value)),
            TensorData::Uint16(values) => self.each(values, |value| json!(value)),
            TensorData::Uint32(values) => self.each(values, |value| json!(value)),
            TensorData::Uint64(values) => self.each(values, |value| json!(value)),
            TensorData::Fp16(values) => self.each(values, |value| shortest(value.to_f32())),
            TensorData::Bf16(values) => self.each(values, |value| shortest(value.to_f32())),
            TensorData::Fp32(values) => self.each(values, |value| shortest(*value)),
            TensorData::Fp64(values) => self.each(values, |value| self.number(*value)),
            TensorData::Bytes(values) => {
                self.each(values, |value| json!(String::from_utf8_lossy(value)))
            }
        };
        let width = match tensor.shape[..] {
            [] => 0,
            [_] => return values,
            [rows, ..] => usize::try_from(rows).map_or(0, |rows| values.len() / rows.max(1)),
        };
        let chunk = if width == 0 {
            values.len().max(1)
        } else {
            width
        };
        values.chunks(chunk).map(|row| json!(row)).collect()
    }

    fn each<T>(self, values: &[T], read: impl Fn(&T) -> Value) -> Vec<Value> {
        values.iter().map(|value| self.write(read(value))).collect()
    }

    /// Returns a number in the type of the input. A number that the type cannot represent, so that the request is refused, stays as it
    /// is.
    fn number(self, value: f64) -> Value {
        match self.datatype {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "to the nearest, as encoding does"
            )]
            Datatype::Fp32 if (value as f32).is_finite() => shortest(value as f32),
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            datatype
                if datatype.is_integer() && value.fract() == 0.0 && value.abs() < TWO_TO_63 =>
            {
                json!(value as i64)
            }
            _ => json!(value),
        }
    }

    /// Returns `value` as it is written to the line.
    fn write(self, value: Value) -> Value {
        let Disclosure::Hashed { key, input } = self.disclosure else {
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

/// The smallest whole number that is too large for `INT64`.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Returns the number with the fewest decimals that is nearest to `value` among the FP32 numbers: 0.1, where FP64 would be
/// 0.10000000149011612.
fn shortest(value: f32) -> Value {
    // Rust prints a float with the fewest decimals. None of them is lost in the conversion to FP64.
    let number = value.to_string().parse::<f64>();
    json!(number.unwrap_or(f64::from(value)))
}
