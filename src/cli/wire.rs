//! Values on their way to and from the messages of the protocol.

use prost_types::{ListValue, Struct, value::Kind};
use serde_json::{Map, Value};

use crate::proto::v1::Tensor;

/// A JSON object as the message that carries a row.
pub(super) fn row(fields: Map<String, Value>) -> Struct {
    Struct {
        fields: fields
            .into_iter()
            .map(|(name, value)| (name, cell(value)))
            .collect(),
    }
}

fn cell(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        // Always a number here: serde_json keeps what fits 64 bits, and every such number has a nearest double.
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(cell).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(row(fields)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// The values of an output, row-major. Outputs are FP32 by contract; the gateway may pack them.
pub(super) fn fp32(tensor: &Tensor) -> Vec<f32> {
    if tensor.raw.is_empty() {
        return tensor.fp32_values.clone();
    }
    let (words, _) = tensor.raw.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_their_kind() {
        let Value::Object(fields) = json!({"t": "x", "n": 2.5, "m": null, "l": [1]}) else {
            panic!("an object");
        };
        let row = row(fields);
        let kind = |name: &str| row.fields[name].kind.clone().unwrap();
        assert_eq!(kind("t"), Kind::StringValue("x".into()));
        assert_eq!(kind("n"), Kind::NumberValue(2.5));
        assert_eq!(kind("m"), Kind::NullValue(0));
        assert!(matches!(kind("l"), Kind::ListValue(list) if list.values.len() == 1));
    }
}
