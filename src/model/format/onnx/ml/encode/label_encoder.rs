//! LabelEncoder: replaces each key by its value, and all else by a default.

use std::sync::Arc;

use bytes::Bytes;

use super::super::super::operator::{
    Classes, Entry, Fact, Inputs, Lowered, Meaning, Node, Operator,
};
use super::super::super::value::Value;
use super::super::attributes::check_length;
use super::keys::Keys;
use crate::model::payload::{Datatype, TensorData};

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "LabelEncoder",
    since: 1,
    attributes: &[
        "classes_strings",
        "default_float",
        "default_int64",
        "default_string",
        "default_tensor",
        "keys_floats",
        "keys_int64s",
        "keys_strings",
        "keys_tensor",
        "values_floats",
        "values_int64s",
        "values_strings",
        "values_tensor",
    ],
    lower,
};

/// The text that stands for an unknown key, unless a file names another one.
const UNUSED: &str = "_Unused";

/// Replaces keys by values.
#[derive(Debug)]
pub(super) struct Mapping {
    keys: Keys,
    /// The value of each key, and at the end the value of all else.
    values: TensorData,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let (keys, values, default) = if node.version == 1 {
        first_version(node)?
    } else {
        let keys = listed(node, "keys")?;
        let values = listed(node, "values")?;
        let default = default(node, values.datatype())?;
        (keys, values, default)
    };
    Mapping::lower(node, &keys, values, default)
}

impl Mapping {
    /// Checks keys and values, and makes an operator of them.
    pub(super) fn lower(
        node: &Node<'_>,
        keys: &TensorData,
        values: TensorData,
        default: TensorData,
    ) -> Result<Lowered, String> {
        if keys.is_empty() {
            return Err("got no keys".into());
        }
        check_length("values", values.len(), keys.len())?;
        let keys = Keys::of(keys)?;
        let input = node.input(0)?.fact;
        if !keys.accept(input.datatype) {
            let got = input.datatype;
            return Err(format!("input 0: got {got}, expected the type of the keys"));
        }
        let mut fact = Fact::new(values.datatype(), input.shape.clone(), input.rows);
        if input.meaning == Meaning::Labels {
            fact = fact
                .with_meaning(Meaning::Labels)
                .with_classes(classes(&values).map(Arc::new));
        }
        let cost = input.elements_per_row().saturating_mul(8);
        let values = joined(values, default)?;
        Ok(Lowered::new(Self { keys, values }, vec![fact], cost))
    }
}

impl Operator for Mapping {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let other = self.keys.len();
        let found = self.keys.find(input)?.into_iter();
        let positions: Vec<_> = found.map(|found| found.unwrap_or(other)).collect();
        let data = picked(&self.values, &positions)?;
        Ok(vec![Value::new(input.shape().to_vec(), data)?])
    }

    fn bytes(&self) -> usize {
        self.keys.len() * size_of::<(u64, Bytes)>()
    }
}

/// Reads the form of version 1: a list of texts. Texts become their positions, and positions become texts.
fn first_version(node: &Node<'_>) -> Result<(TensorData, TensorData, TensorData), String> {
    let texts = node.texts("classes_strings")?.unwrap_or_default();
    let texts = TensorData::Bytes(texts.into_iter().map(bytes).collect());
    let positions = TensorData::Int64((0..).take(texts.len()).collect());
    let to_text = node.input(0)?.fact.datatype == Datatype::Int64;
    let (keys, values) = if to_text {
        (positions, texts)
    } else {
        (texts, positions)
    };
    let default = default(node, values.datatype())?;
    Ok((keys, values, default))
}

/// Reads the list of keys or of values, which is in exactly one attribute.
fn listed(node: &Node<'_>, what: &str) -> Result<TensorData, String> {
    let mut found = Vec::new();
    if let Some(values) = node.ints(&format!("{what}_int64s"))? {
        found.push(TensorData::Int64(values.to_vec()));
    }
    if let Some(values) = node.floats(&format!("{what}_floats"))? {
        found.push(TensorData::Fp32(values.to_vec()));
    }
    if let Some(values) = node.texts(&format!("{what}_strings"))? {
        found.push(TensorData::Bytes(values.into_iter().map(bytes).collect()));
    }
    if let Some(tensor) = node.tensor(&format!("{what}_tensor"))? {
        if tensor.rank() != 1 {
            let got = tensor.rank();
            return Err(format!(
                "attribute {what}_tensor: got {got} axes, expected 1"
            ));
        }
        found.push(tensor.into_parts().1);
    }
    // Exporters write an empty list beside the one that counts.
    found.retain(|data| !data.is_empty());
    match found.pop() {
        Some(data) if found.is_empty() => Ok(data),
        Some(_) => Err(format!("got several lists of {what}, expected one")),
        None => Err(format!("got no {what}")),
    }
}

/// Returns the value of unknown keys, as a list of one value.
fn default(node: &Node<'_>, datatype: Datatype) -> Result<TensorData, String> {
    if let Some(tensor) = node.tensor("default_tensor")? {
        let data = tensor.into_parts().1;
        if data.datatype() != datatype || data.len() != 1 {
            let (len, got) = (data.len(), data.datatype());
            return Err(format!(
                "attribute default_tensor: got {len} values of type {got}, expected one of type {datatype}"
            ));
        }
        return Ok(data);
    }
    Ok(match datatype {
        Datatype::Bytes => {
            let text = node.text("default_string")?.unwrap_or(UNUSED);
            TensorData::Bytes(vec![bytes(text)])
        }
        Datatype::Int64 => TensorData::Int64(vec![node.int("default_int64")?.unwrap_or(-1)]),
        Datatype::Int32 => TensorData::Int32(vec![-1]),
        Datatype::Int16 => TensorData::Int16(vec![-1]),
        Datatype::Fp32 => TensorData::Fp32(vec![node.float("default_float")?.unwrap_or(-0.0)]),
        Datatype::Fp64 => TensorData::Fp64(vec![-0.0]),
        other => return Err(format!("values of type {other} are not supported")),
    })
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Returns the values as classes, each once, in their order.
fn classes(values: &TensorData) -> Option<Classes> {
    fn once<T: Ord + Clone>(values: impl Iterator<Item = T>) -> Vec<T> {
        let mut seen = std::collections::BTreeSet::new();
        values.filter(|value| seen.insert(value.clone())).collect()
    }
    match values {
        TensorData::Bytes(texts) => {
            let texts = texts
                .iter()
                .map(|text| str::from_utf8(text).map(str::to_owned));
            let texts = texts.collect::<Result<Vec<_>, _>>().ok()?;
            Some(Classes::Texts(once(texts.into_iter())))
        }
        TensorData::Int64(values) => Some(Classes::Integers(once(values.iter().copied()))),
        TensorData::Int32(values) => {
            let values = values.iter().copied().map(i64::from);
            Some(Classes::Integers(once(values)))
        }
        _ => None,
    }
}

/// Applies an expression to the vector of each type of values.
macro_rules! each_type {
    ($data:expr, $values:ident => $result:expr, $other:ident => $error:expr) => {
        match $data {
            TensorData::Bytes($values) => TensorData::Bytes($result),
            TensorData::Int64($values) => TensorData::Int64($result),
            TensorData::Int32($values) => TensorData::Int32($result),
            TensorData::Int16($values) => TensorData::Int16($result),
            TensorData::Fp32($values) => TensorData::Fp32($result),
            TensorData::Fp64($values) => TensorData::Fp64($result),
            $other => $error,
        }
    };
}

/// Returns the values at these positions.
fn picked(values: &TensorData, positions: &[usize]) -> Result<TensorData, String> {
    Ok(each_type!(
        values,
        values => positions
            .iter()
            .map(|at| values.get(*at).cloned().unwrap_or_default())
            .collect(),
        other => return Err(format!("values of type {} are not supported", other.datatype()))
    ))
}

/// Returns `values` with `default` at the end. Both have the same type.
fn joined(values: TensorData, default: TensorData) -> Result<TensorData, String> {
    macro_rules! push {
        ($($variant:ident),*) => {
            match (values, default) {
                $((TensorData::$variant(mut values), TensorData::$variant(default)) => {
                    values.extend(default);
                    Ok(TensorData::$variant(values))
                })*
                (values, _) => Err(format!("values of type {} are not supported", values.datatype())),
            }
        };
    }
    push!(Bytes, Int64, Int32, Int16, Fp32, Fp64)
}
