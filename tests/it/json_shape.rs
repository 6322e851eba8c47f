//! The stable part of a JSON document: its keys, the kinds of its values, and the values that depend only on the input.
//!
//! In a kept document, the texts below replace values that depend on time, speed or chance.

use serde_json::Value;

const NUMBER: &str = "<number>";
const TEXT: &str = "<text>";
const BOOLEAN: &str = "<boolean>";
/// Marks a value that may be absent.
const ANY: &str = "<any>";
/// First element of a list of variable length. The second element describes all of its elements.
const EACH: &str = "<each>";

/// Integers with these names depend on time or speed, even if several documents agree.
const VARYING: [&str; 6] = [
    "failures",
    "sent",
    "not_sent",
    "answered",
    "unanswered",
    "requests",
];
/// Values below these names are messages for people. Their wording may change.
const MESSAGES: [&str; 6] = [
    "message",
    "faults",
    "problem",
    "waits_for",
    "not_compared",
    "wanted",
];
/// The length of lists with these names depends on the rounding of the processor.
const LISTS: [&str; 4] = ["bars", "calibration", "examples", "rows"];

/// Returns the common part of `documents`, of which there is at least one. Floats are never compared: they may differ between
/// processors.
pub fn common_part(documents: &[Value]) -> Value {
    let first = masked(&documents[0]);
    documents[1..]
        .iter()
        .fold(first, |kept, next| common(&kept, &masked(next)))
}

/// Returns a document without the values that are never compared.
fn masked(document: &Value) -> Value {
    match document {
        Value::Number(number) if number.is_f64() => NUMBER.into(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let is = |names: &[&str]| names.contains(&&**name);
                let value = match value {
                    Value::Number(_) if is(&VARYING) => NUMBER.into(),
                    Value::Array(items) if is(&LISTS) => describe(items.iter().map(masked)),
                    value if is(&MESSAGES) => without_texts(value),
                    value => masked(value),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn without_texts(value: &Value) -> Value {
    match value {
        Value::String(_) => TEXT.into(),
        Value::Array(items) => items.iter().map(without_texts).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (name.clone(), without_texts(value)));
            Value::Object(fields.collect())
        }
        other => masked(other),
    }
}

/// Returns a list of variable length that is described by the common part of its elements.
fn describe(mut elements: impl Iterator<Item = Value>) -> Value {
    let Some(first) = elements.next() else {
        return Value::Array(Vec::new());
    };
    let element = elements.fold(first, |kept, next| common(&kept, &next));
    Value::Array(vec![EACH.into(), element])
}

fn common(kept: &Value, next: &Value) -> Value {
    match (kept, next) {
        (kept, next) if kept == next => kept.clone(),
        (Value::Object(kept), Value::Object(next)) => {
            let both = kept
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), common(value, next.get(name)?))));
            Value::Object(both.collect())
        }
        (Value::Array(kept), Value::Array(next)) => match each(kept) {
            None if kept.len() == next.len() => {
                let pairs = kept.iter().zip(next);
                pairs.map(|(kept, next)| common(kept, next)).collect()
            }
            described => {
                let all = described.map_or(&kept[..], std::slice::from_ref);
                let next = each(next).map_or(&next[..], std::slice::from_ref);
                describe(all.iter().chain(next).cloned())
            }
        },
        (kept, next) if kind(kept) == kind(next) => kind(kept).into(),
        _ => ANY.into(),
    }
}

/// Returns the description of every element if `kept` describes a list of variable length.
fn each(kept: &[Value]) -> Option<&Value> {
    match kept {
        [first, element] if first == EACH => Some(element),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(_) => NUMBER,
        Value::Bool(_) => BOOLEAN,
        Value::String(text) => [NUMBER, TEXT, BOOLEAN, ANY]
            .into_iter()
            .find(|mask| text == mask)
            .unwrap_or(TEXT),
        Value::Null | Value::Array(_) | Value::Object(_) => ANY,
    }
}

/// Returns `value` without what depends on the changes that a gateway makes itself: numbers of revisions and lines, lengths of the
/// lists that count them, and whether there is a policy.
pub fn without_revisions(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("revision ") => TEXT.into(),
        Value::Array(items) => items.iter().map(without_revisions).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let is_counted = name.ends_with("revision")
                    || ["undoes_to", "last_sequence", "lines"].contains(&&**name);
                let value = match value {
                    Value::Number(_) if is_counted => NUMBER.into(),
                    Value::Null if name == "policy" => ANY.into(),
                    Value::Array(items)
                        if ["differences", "last"].contains(&&**name) && each(items).is_none() =>
                    {
                        describe(items.iter().map(without_revisions))
                    }
                    other => without_revisions(other),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// Returns one line for each part of `kept` that `got` lacks. `got` may have more names.
pub fn lacks(kept: &Value, got: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("$", kept, got, &mut lines);
    lines
}

fn compare(path: &str, kept: &Value, got: &Value, lines: &mut Vec<String>) {
    match (kept, got) {
        (Value::String(mask), _) if mask == ANY => {}
        (Value::String(mask), got) if [NUMBER, TEXT, BOOLEAN].contains(&&**mask) => {
            if kind(got) != mask {
                lines.push(format!("{path}: {got} where there was a {mask}"));
            }
        }
        (Value::Object(kept), Value::Object(got)) => {
            for (name, kept) in kept {
                let path = format!("{path}.{name}");
                match got.get(name) {
                    Some(got) => compare(&path, kept, got, lines),
                    None => lines.push(format!("{path} is gone")),
                }
            }
        }
        (Value::Array(kept), Value::Array(got)) => match each(kept) {
            Some(element) => {
                for (at, got) in got.iter().enumerate() {
                    compare(&format!("{path}[{at}]"), element, got, lines);
                }
            }
            // An empty list does not describe its elements.
            None if kept.is_empty() => {}
            None if kept.len() == got.len() => {
                for (at, (kept, got)) in kept.iter().zip(got).enumerate() {
                    compare(&format!("{path}[{at}]"), kept, got, lines);
                }
            }
            None => lines.push(format!(
                "{path}: {} elements where there were {}",
                got.len(),
                kept.len()
            )),
        },
        (kept, got) if kept == got => {}
        (kept, got) => lines.push(format!("{path}: {got} where there was {kept}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_equal_in_several_documents_are_kept() {
        let one = json!({"a": 1, "b": 2, "c": "x", "d": [1, 2], "e": [{"f": 1}], "g": 0.5, "h": null, "only": 1});
        let two = json!({"a": 1, "b": 3, "c": "y", "d": [1, 3], "e": [], "g": 0.5, "h": 4});
        let want = json!({"a": 1, "b": "<number>", "c": "<text>", "d": [1, "<number>"], "e": ["<each>", {"f": 1}],
            "g": "<number>", "h": "<any>"});
        let kept = common_part(&[one.clone(), two.clone(), one.clone()]);
        assert_eq!(kept, want);
        for document in [one, two] {
            assert_eq!(lacks(&kept, &document), [""; 0]);
        }
        let other =
            json!({"a": 2, "b": "x", "d": [1], "e": [{"f": 1}, {}], "g": 1, "h": 1, "more": 1});
        assert_eq!(
            lacks(&kept, &other),
            [
                "$.a: 2 where there was 1",
                "$.b: \"x\" where there was a <number>",
                "$.c is gone",
                "$.d: 1 elements where there were 2",
                "$.e[1].f is gone",
            ]
        );
    }
}
