//! Builds messages of `taper.v1` from domain values, and reads values out of them.

use prost_types::{ListValue, Struct, value::Kind};
use serde_json::{Map, Value};

use super::v1::{Fallback, HeaderRule, Shadow, Share, Tensor};
use crate::ident::Target;

/// Returns the row message of a JSON object.
pub(crate) fn row(fields: Map<String, Value>) -> Struct {
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
        // A whole number that no double equals travels as its digits, which gateways accept for inputs of an integer type.
        Value::Number(number) if !is_exact(&number) => Kind::StringValue(number.to_string()),
        // `as_f64` is never `None`: serde_json keeps numbers of at most 64 bits, and each has a nearest double.
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(cell).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(row(fields)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// Returns whether a double equals the number, if it is whole.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whether digits are lost is the question"
)]
fn is_exact(number: &serde_json::Number) -> bool {
    match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => whole as f64 as i128 == i128::from(whole),
        (None, Some(whole)) => whole as f64 as u128 == u128::from(whole),
        (None, None) => true,
    }
}

/// Returns the values of an output of FP32, row-major. A gateway may send them as raw bytes.
pub(crate) fn fp32(tensor: &Tensor) -> Vec<f32> {
    if tensor.raw.is_empty() {
        return tensor.fp32_values.clone();
    }
    let (words, _) = tensor.raw.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Returns one row of a split.
pub(crate) fn share(target: &Target, basis_points: u32) -> Share {
    Share {
        target: Some(target.into()),
        basis_points,
    }
}

/// Returns a header rule.
pub(crate) fn header_rule(header: String, value: String, target: &Target) -> HeaderRule {
    HeaderRule {
        header,
        value,
        target: Some(target.into()),
    }
}

/// Returns a shadow with the gateway's default limits.
pub(crate) fn shadow(target: &Target, basis_points: u32) -> Shadow {
    Shadow {
        target: Some(target.into()),
        basis_points,
        ..Shadow::default()
    }
}

/// Returns a fallback.
pub(crate) fn fallback(target: &Target, within_ms: Option<u32>) -> Fallback {
    Fallback {
        target: Some(target.into()),
        within_ms,
    }
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
        let Kind::StringValue(digits) = cell(json!(9_007_199_254_740_993_i64)).kind.unwrap() else {
            panic!("digits, because no double equals the number");
        };
        assert_eq!(digits, "9007199254740993");
    }
}
