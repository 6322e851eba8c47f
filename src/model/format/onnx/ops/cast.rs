//! Conversions between types of elements.

use std::str::FromStr;

use bytes::Bytes;
use half::{bf16, f16};

use crate::model::format::onnx::fact::Fact;
use crate::model::format::onnx::infer::like;
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::tensor;
use crate::model::format::onnx::value::Value;
use crate::model::payload::{Datatype, TensorData};

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Cast",
        since: 6,
        // `saturate` and `round_mode` are about types of 8 bits, which are not supported.
        attributes: &["to", "saturate", "round_mode"],
        lower: lower_cast,
    },
    Entry {
        name: "CastLike",
        since: 15,
        attributes: &["saturate", "round_mode"],
        lower: lower_cast_like,
    },
];

fn lower_cast(node: &Node<'_>) -> Result<Lowered, String> {
    let code = node.int("to")?.ok_or("attribute to is missing")?;
    let code = i32::try_from(code).map_err(|_| format!("unknown element type {code}"))?;
    lower(node.input(0)?.fact, tensor::datatype(code)?)
}

fn lower_cast_like(node: &Node<'_>) -> Result<Lowered, String> {
    lower(node.input(0)?.fact, node.input(1)?.fact.datatype).map(|lowered| lowered.reading([0]))
}

fn lower(input: &Fact, to: Datatype) -> Result<Lowered, String> {
    let output = like(input, tensor::computed(to));
    if input.datatype == to {
        let fact = Fact {
            meaning: input.meaning,
            classes: input.classes.clone(),
            ..output
        };
        return Ok(Lowered::same(0, fact));
    }
    let output = match (input.datatype.is_float(), to.is_float()) {
        (true, true) => output.with_meaning(input.meaning),
        // Labels that are numbers stay labels as other integers.
        _ if input.datatype.is_integer() && to.is_integer() => output.with_meaning(input.meaning),
        _ => output,
    };
    let cost = input.elements_per_row();
    let output = output.with_classes(input.classes.clone());
    Ok(Lowered::new(Cast(to), vec![output], cost))
}

/// Converts each element.
#[derive(Debug)]
struct Cast(Datatype);

impl Operator for Cast {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let shape = input.shape().to_vec();
        // Only a text that is not a number cannot be cast.
        let data = cast(input.data(), self.0).map_err(|error| inputs.refuse(error))?;
        Ok(vec![Value::new(shape, data)?])
    }
}

/// Converts numbers. Floats become the nearest integer toward zero.
macro_rules! from_numbers {
    ($values:expr, $to:expr, $wide:ty, $format:expr) => {{
        let values = $values.iter().copied();
        Ok(match $to {
            Datatype::Bool => TensorData::Bool(values.map(|x| x as f64 != 0.0).collect()),
            // In two steps, so that floats out of range lose their upper bits, as in C.
            Datatype::Int8 => TensorData::Int8(values.map(|x| x as $wide as i8).collect()),
            Datatype::Int16 => TensorData::Int16(values.map(|x| x as $wide as i16).collect()),
            Datatype::Int32 => TensorData::Int32(values.map(|x| x as i32).collect()),
            Datatype::Int64 => TensorData::Int64(values.map(|x| x as i64).collect()),
            Datatype::Uint8 => TensorData::Uint8(values.map(|x| x as $wide as u8).collect()),
            Datatype::Uint16 => TensorData::Uint16(values.map(|x| x as $wide as u16).collect()),
            Datatype::Uint32 => TensorData::Uint32(values.map(|x| x as $wide as u32).collect()),
            Datatype::Uint64 => TensorData::Uint64(values.map(|x| x as u64).collect()),
            Datatype::Fp32 => TensorData::Fp32(values.map(|x| x as f32).collect()),
            Datatype::Fp64 => TensorData::Fp64(values.map(|x| x as f64).collect()),
            // Rounded to the type of 16 bits, but computed as FP32.
            Datatype::Fp16 => {
                TensorData::Fp32(values.map(|x| f16::from_f32(x as f32).into()).collect())
            }
            Datatype::Bf16 => {
                TensorData::Fp32(values.map(|x| bf16::from_f32(x as f32).into()).collect())
            }
            Datatype::Bytes => TensorData::Bytes(values.map(|x| Bytes::from($format(x))).collect()),
        })
    }};
}

/// Converts elements to another type.
pub(in crate::model::format::onnx) fn cast(
    data: &TensorData,
    to: Datatype,
) -> Result<TensorData, String> {
    match data {
        TensorData::Bool(values) => {
            let numbers: Vec<u8> = values.iter().map(|x| u8::from(*x)).collect();
            cast(&TensorData::Uint8(numbers), to)
        }
        TensorData::Int8(values) => from_numbers!(values, to, i64, |x: i8| x.to_string()),
        TensorData::Int16(values) => from_numbers!(values, to, i64, |x: i16| x.to_string()),
        TensorData::Int32(values) => from_numbers!(values, to, i64, |x: i32| x.to_string()),
        TensorData::Int64(values) => from_numbers!(values, to, i64, |x: i64| x.to_string()),
        TensorData::Uint8(values) => from_numbers!(values, to, i64, |x: u8| x.to_string()),
        TensorData::Uint16(values) => from_numbers!(values, to, i64, |x: u16| x.to_string()),
        TensorData::Uint32(values) => from_numbers!(values, to, i64, |x: u32| x.to_string()),
        TensorData::Uint64(values) => from_numbers!(values, to, u64, |x: u64| x.to_string()),
        TensorData::Fp32(values) => from_numbers!(values, to, i64, |x: f32| shown(f64::from(x))),
        TensorData::Fp64(values) => from_numbers!(values, to, i64, shown),
        TensorData::Fp16(_) | TensorData::Bf16(_) => {
            Err("got a type of 16 bits inside a graph".into())
        }
        TensorData::Bytes(values) => from_texts(values, to),
    }
}

fn from_texts(values: &[Bytes], to: Datatype) -> Result<TensorData, String> {
    fn parsed<T: FromStr>(values: &[Bytes]) -> Result<Vec<T>, String> {
        let parse = |bytes: &Bytes| {
            let text = str::from_utf8(bytes).unwrap_or_default().trim();
            text.parse().map_err(|_| {
                let text = crate::text::truncate(text, 64);
                format!("got {text:?}, expected a number")
            })
        };
        values.iter().map(parse).collect()
    }
    match to {
        Datatype::Bytes => Ok(TensorData::Bytes(values.to_vec())),
        Datatype::Fp32 => Ok(TensorData::Fp32(parsed(values)?)),
        Datatype::Fp64 => Ok(TensorData::Fp64(parsed(values)?)),
        Datatype::Fp16 | Datatype::Bf16 => cast(&TensorData::Fp32(parsed(values)?), to),
        Datatype::Uint64 => Ok(TensorData::Uint64(parsed(values)?)),
        to => cast(&TensorData::Int64(parsed(values)?), to),
    }
}

/// Returns a number as ONNX Runtime writes it: with 8 digits, as C's `printf` does with `%.8g`.
fn shown(x: f64) -> String {
    const DIGITS: i32 = 8;
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "INF" } else { "-INF" }.into();
    }
    let rounded = format!("{x:.7e}");
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if !(-4..DIGITS).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(DIGITS - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{x:.decimals$}"))
}
