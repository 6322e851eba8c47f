//! OneHotEncoder: a column per category, 1 in the column of the value and 0 in the others.

use bytes::Bytes;

use super::super::super::operator::{Dim, Entry, Fact, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::keys::{Keys, shown_text};
use super::label_encoder::bytes;
use crate::model::payload::{Datatype, TensorData};

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "OneHotEncoder",
    since: 1,
    attributes: &["cats_int64s", "cats_strings", "zeros"],
    lower,
};

#[derive(Debug)]
struct OneHotEncoder {
    keys: Keys,
    /// Whether an unknown value becomes zeros. Otherwise it is an error.
    accepts_unknown: bool,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let integers = node.ints("cats_int64s")?.unwrap_or_default();
    let texts = node.texts("cats_strings")?.unwrap_or_default();
    let data = match (integers.is_empty(), texts.is_empty()) {
        (false, true) => TensorData::Int64(integers.to_vec()),
        (true, false) => TensorData::Bytes(texts.into_iter().map(bytes).collect()),
        _ => return Err("expected categories either in cats_int64s or in cats_strings".into()),
    };
    let keys = Keys::of(&data).map_err(|error| format!("categories: {error}"))?;
    let fact = node.input(0)?.fact;
    let is_number = matches!(
        fact.datatype,
        Datatype::Int64 | Datatype::Int32 | Datatype::Fp32 | Datatype::Fp64
    );
    let fits = match &keys {
        Keys::Texts(_) => fact.datatype == Datatype::Bytes,
        _ => is_number,
    };
    if !fits {
        let (got, expected) = (fact.datatype, data.datatype());
        return Err(format!(
            "input 0: got elements of type {got} for categories of type {expected}"
        ));
    }
    let shape = fact.shape.as_ref().map(|shape| {
        let last = [Dim::Fixed(keys.len())];
        shape.iter().copied().chain(last).collect::<Vec<_>>()
    });
    // The new axis is the last one, so that rows stay where they are.
    let output = Fact::new(Datatype::Fp32, shape, fact.rows);
    let cost = fact.elements_per_row().saturating_mul(keys.len());
    let operator = OneHotEncoder {
        keys,
        accepts_unknown: node.flag("zeros")?.unwrap_or(true),
    };
    Ok(Lowered::new(operator, vec![output], cost))
}

impl OneHotEncoder {
    /// Returns the integers that numbers are cut to, as ONNX says, or `None` if there is none.
    fn find(&self, value: &Value) -> Result<Vec<Option<usize>>, String> {
        let Keys::Integers(keys) = &self.keys else {
            return self.keys.find(value);
        };
        let cut = |x: f64| {
            let cut = x.trunc();
            // Both bounds are exact in f64; the upper one is the first number that does not fit.
            let fits = (i64::MIN as f64..-(i64::MIN as f64)).contains(&cut);
            fits.then_some(cut as i64)
        };
        let find = |x: f64| cut(x).and_then(|key| keys.get(&key).copied());
        Ok(match value.data() {
            TensorData::Fp32(values) => values.iter().map(|x| find(f64::from(*x))).collect(),
            TensorData::Fp64(values) => values.iter().map(|x| find(*x)).collect(),
            _ => self.keys.find(value)?,
        })
    }

    fn refusal(&self, value: &Value, at: usize) -> String {
        let shown = match value.data() {
            TensorData::Bytes(texts) => texts.get(at).map(|text: &Bytes| shown_text(text)),
            TensorData::Int64(values) => values.get(at).map(ToString::to_string),
            TensorData::Int32(values) => values.get(at).map(ToString::to_string),
            TensorData::Fp32(values) => values.get(at).map(ToString::to_string),
            TensorData::Fp64(values) => values.get(at).map(ToString::to_string),
            _ => None,
        };
        let shown = shown.unwrap_or_default();
        let categories = self.keys.len();
        format!(
            "unknown category {shown}, expected one of the {categories} categories of the model"
        )
    }
}

impl Operator for OneHotEncoder {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let found = self.find(input)?;
        if !self.accepts_unknown
            && let Some(at) = found.iter().position(Option::is_none)
        {
            let refusal = self.refusal(input, at);
            return Err(inputs.refuse(refusal));
        }
        let width = self.keys.len();
        let elements = found
            .len()
            .checked_mul(width)
            .ok_or("the output is too large")?;
        let mut results = vec![0.0_f32; elements];
        for (row, found) in results.chunks_exact_mut(width).zip(found) {
            if let Some(target) = found.and_then(|at| row.get_mut(at)) {
                *target = 1.0;
            }
        }
        let mut shape = input.shape().to_vec();
        shape.push(width);
        Ok(vec![Value::of(shape, results)?])
    }

    fn bytes(&self) -> usize {
        self.keys.len() * size_of::<(u64, Bytes)>()
    }
}
