//! Values on their way to and from the messages of the protocol.

use prost_types::{ListValue, Struct, value::Kind};
use serde_json::{Map, Value};

use crate::ident::{Label, Target, VersionNumber};
use crate::proto::v1::{
    Fallback, HeaderRule, Role, Shadow, Share, Tensor, fallback, header_rule, shadow, share,
};

/// A JSON object as the message that carries a row.
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
pub(crate) fn fp32(tensor: &Tensor) -> Vec<f32> {
    if tensor.raw.is_empty() {
        return tensor.fp32_values.clone();
    }
    let (words, _) = tensor.raw.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// The word for a role; `unknown` for one that this program does not know.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "unknown",
        Role::Primary => "primary",
        Role::Shadow => "shadow",
        Role::Fallback => "fallback",
    }
}

/// A row of a split.
pub(crate) fn share(target: &Target, basis_points: u32) -> Share {
    let target = Some(match target {
        Target::Version(version) => share::Target::Version(version.get()),
        Target::Label(label) => share::Target::Label(label.to_string()),
    });
    Share {
        target,
        basis_points,
    }
}

/// A header rule.
pub(crate) fn header_rule(header: String, value: String, target: &Target) -> HeaderRule {
    let target = Some(match target {
        Target::Version(version) => header_rule::Target::Version(version.get()),
        Target::Label(label) => header_rule::Target::Label(label.to_string()),
    });
    HeaderRule {
        header,
        value,
        target,
    }
}

/// A shadow; what it does not say is as the gateway has it by default.
pub(crate) fn shadow(target: &Target, basis_points: u32) -> Shadow {
    let target = Some(match target {
        Target::Version(version) => shadow::Target::Version(version.get()),
        Target::Label(label) => shadow::Target::Label(label.to_string()),
    });
    Shadow {
        target,
        basis_points,
        ..Shadow::default()
    }
}

/// A fallback.
pub(crate) fn fallback(target: &Target, within_ms: Option<u32>) -> Fallback {
    let target = Some(match target {
        Target::Version(version) => fallback::Target::Version(version.get()),
        Target::Label(label) => fallback::Target::Label(label.to_string()),
    });
    Fallback { target, within_ms }
}

/// Who gets copies; `None` only from a gateway that breaks its own rules.
pub(crate) fn target_of_shadow(shadow: &Shadow) -> Option<Target> {
    match shadow.target.as_ref()? {
        shadow::Target::Version(version) => version_target(*version),
        shadow::Target::Label(label) => label_target(label),
    }
}

/// Who answers in another's place; `None` only from a gateway that breaks its own rules.
pub(crate) fn target_of_fallback(fallback: &Fallback) -> Option<Target> {
    match fallback.target.as_ref()? {
        fallback::Target::Version(version) => version_target(*version),
        fallback::Target::Label(label) => label_target(label),
    }
}

/// Who gets a share; `None` only from a gateway that breaks its own rules.
pub(crate) fn target_of_share(share: &Share) -> Option<Target> {
    match share.target.as_ref()? {
        share::Target::Version(version) => version_target(*version),
        share::Target::Label(label) => label_target(label),
    }
}

/// Who answers by a header rule; `None` only from a gateway that breaks its own rules.
pub(crate) fn target_of_rule(rule: &HeaderRule) -> Option<Target> {
    match rule.target.as_ref()? {
        header_rule::Target::Version(version) => version_target(*version),
        header_rule::Target::Label(label) => label_target(label),
    }
}

fn version_target(version: u64) -> Option<Target> {
    VersionNumber::try_from(version).ok().map(Target::Version)
}

fn label_target(label: &str) -> Option<Target> {
    label.parse::<Label>().ok().map(Target::Label)
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
