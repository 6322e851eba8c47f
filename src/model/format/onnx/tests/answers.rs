//! Compares graphs with the answers of another library.

use serde_json::Value as Json;

use crate::model::format::onnx::graph::{Graph, TensorInfo};
use crate::model::format::onnx::value::{Element, Value};
use crate::model::payload::{Datatype, TensorData};

/// Returns the elements and the shape of nested lists. Strings stand for numbers that JSON does not have.
fn flatten(json: &Json, depth: usize, shape: &mut Vec<usize>, elements: &mut Vec<Json>) {
    if let Json::Array(list) = json {
        if shape.len() == depth {
            shape.push(list.len());
        }
        for item in list {
            flatten(item, depth + 1, shape, elements);
        }
    } else {
        elements.push(json.clone());
    }
}

fn number(json: &Json) -> f64 {
    match json {
        Json::Null => f64::NAN,
        Json::String(text) => text.parse().unwrap(),
        Json::Bool(flag) => f64::from(u8::from(*flag)),
        number => number.as_f64().unwrap(),
    }
}

fn integer(json: &Json) -> i128 {
    match json {
        Json::Bool(flag) => i128::from(*flag),
        Json::Number(number) if number.is_u64() => number.as_u64().unwrap().into(),
        number => number.as_i64().unwrap().into(),
    }
}

/// Returns a tensor of `datatype` from nested lists.
pub(super) fn tensor(datatype: Datatype, json: &Json) -> Value {
    let (mut shape, mut elements) = (Vec::new(), Vec::new());
    flatten(json, 0, &mut shape, &mut elements);
    shaped(datatype, shape, &elements)
}

/// Returns a tensor of the given elements.
pub(super) fn shaped(datatype: Datatype, shape: Vec<usize>, elements: &[Json]) -> Value {
    fn integers<T: TryFrom<i128> + Element>(shape: Vec<usize>, elements: &[Json]) -> Value {
        let elements = elements
            .iter()
            .map(|x| T::try_from(integer(x)).ok().unwrap());
        Value::of(shape, elements.collect()).unwrap()
    }
    let numbers = || elements.iter().map(number);
    match datatype {
        Datatype::Bool => {
            let flags = elements.iter().map(|x| integer(x) != 0).collect();
            Value::of::<bool>(shape, flags).unwrap()
        }
        Datatype::Int8 => integers::<i8>(shape, elements),
        Datatype::Int16 => integers::<i16>(shape, elements),
        Datatype::Int32 => integers::<i32>(shape, elements),
        Datatype::Int64 => integers::<i64>(shape, elements),
        Datatype::Uint8 => integers::<u8>(shape, elements),
        Datatype::Uint16 => integers::<u16>(shape, elements),
        Datatype::Uint32 => integers::<u32>(shape, elements),
        Datatype::Uint64 => integers::<u64>(shape, elements),
        Datatype::Fp16 => Value::of(shape, numbers().map(half::f16::from_f64).collect()).unwrap(),
        Datatype::Bf16 => Value::of(shape, numbers().map(half::bf16::from_f64).collect()).unwrap(),
        Datatype::Fp32 => Value::of(shape, numbers().map(|x| x as f32).collect()).unwrap(),
        Datatype::Fp64 => Value::of(shape, numbers().collect()).unwrap(),
        Datatype::Bytes => {
            let texts = elements.iter().map(|x| match x {
                Json::String(text) => bytes::Bytes::from(text.clone()),
                other => bytes::Bytes::from(other.to_string()),
            });
            Value::of(shape, texts.collect()).unwrap()
        }
    }
}

/// Returns the elements of a tensor of numbers.
pub(super) fn numbers(value: &Value) -> Option<Vec<f64>> {
    Some(match value.data() {
        TensorData::Fp16(x) => x.iter().map(|x| x.to_f64()).collect(),
        TensorData::Bf16(x) => x.iter().map(|x| x.to_f64()).collect(),
        TensorData::Fp32(x) => x.iter().map(|x| f64::from(*x)).collect(),
        TensorData::Fp64(x) => x.clone(),
        _ => return None,
    })
}

/// Returns the largest difference of two tensors, relative to the largest finite number of `expected`; or what differs otherwise.
pub(super) fn difference(got: &Value, expected: &Value) -> Result<f64, String> {
    if got.shape() != expected.shape() || got.datatype() != expected.datatype() {
        return Err(format!(
            "got {} {:?}, expected {} {:?}",
            got.datatype(),
            got.shape(),
            expected.datatype(),
            expected.shape()
        ));
    }
    let (Some(xs), Some(ys)) = (numbers(got), numbers(expected)) else {
        return if got == expected {
            Ok(0.0)
        } else {
            Err(format!(
                "got {:?}, expected {:?}",
                got.data(),
                expected.data()
            ))
        };
    };
    let finite = ys.iter().copied().filter(|y| y.is_finite());
    let largest = finite.map(f64::abs).fold(0.0, f64::max).max(1e-30);
    let mut worst = 0.0_f64;
    for (x, y) in xs.iter().zip(&ys) {
        if x == y || (x.is_nan() && y.is_nan()) {
            continue;
        }
        if !x.is_finite() || !y.is_finite() {
            return Err(format!("got {x}, expected {y}: {xs:?} {ys:?}"));
        }
        worst = worst.max((x - y).abs() / largest);
    }
    Ok(worst)
}

/// Runs a graph on inputs by name, and returns its outputs by name.
pub(super) fn run(
    graph: &Graph,
    input: impl Fn(&TensorInfo) -> Value,
) -> Result<Vec<(String, Value)>, String> {
    let inputs = graph.inputs().iter().map(input).collect();
    let outputs = graph.run(inputs).map_err(|error| error.to_string())?;
    let names = graph.outputs().iter().map(|info| info.name.clone());
    Ok(names.zip(outputs).collect())
}
