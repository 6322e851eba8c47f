//! The document of a file: nested objects, lists, texts and numbers, whichever of the two encodings the file has.
//!
//! XGBoost writes the same document as JSON and as UBJ (Universal Binary JSON). Lists of numbers, which are nearly the whole file, stay
//! where they are in the file and are decoded when they are read.
//!
//! Memory: a value takes 32 bytes and at least 2 bytes of the file, and a growing list up to 3 times its length, so that a hostile file
//! needs at most 48 times its length. The documents that XGBoost writes need less than their length.
//!
//! Sources: `src/common/json.cc` and `include/xgboost/json_io.h` of XGBoost.

mod json;
mod numbers;
mod object;
mod ubj;
mod value;

#[cfg(test)]
pub(super) use numbers::Number;
pub(super) use object::Object;
pub(super) use value::Value;

use crate::model::format::fault::FormatFault;

/// The two encodings of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Json,
    Ubj,
}

/// Returns the encoding of an object by its first bytes.
fn encoding(bytes: &[u8]) -> Option<Encoding> {
    let start = bytes.trim_ascii_start().strip_prefix(b"{")?;
    // The first key of a UBJ object begins with the type of its length, and XGBoost knows no other type than `L`.
    if start.first() == Some(&b'L') {
        return bytes.starts_with(b"{").then_some(Encoding::Ubj);
    }
    matches!(start.trim_ascii_start().first(), Some(b'"' | b'}')).then_some(Encoding::Json)
}

/// Parses the document of a file.
///
/// # Errors
/// Returns the first violation of the encoding, or that the file has neither encoding.
pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, FormatFault> {
    match encoding(bytes) {
        Some(Encoding::Json) => json::parse(bytes),
        Some(Encoding::Ubj) => ubj::parse(bytes),
        None => Err(FormatFault::new(
            "",
            "got neither a JSON nor a UBJ object; a file of the older binary format of XGBoost must be saved again: \
             `booster.save_model(\"model.ubj\")`",
        )),
    }
}

/// Returns whether the file begins as the models of XGBoost do: an object whose first key is `learner`, or `version` as other tools
/// may order it. Looks at the first bytes only, and after `version` at the whole file.
pub(super) fn is_xgboost(bytes: &[u8]) -> bool {
    let contains = |key: &[u8]| bytes.windows(key.len()).any(|window| window == key);
    let keys = match encoding(bytes) {
        Some(Encoding::Json) => json::first_keys(bytes),
        Some(Encoding::Ubj) => ubj::first_keys(bytes),
        None => return false,
    };
    match keys {
        (Some(b"learner"), Some(inner)) => LEARNER_KEYS.iter().any(|key| key.as_bytes() == inner),
        (Some(b"version"), None) => {
            contains(b"\"gradient_booster\"") && contains(b"\"learner_model_param\"")
        }
        _ => false,
    }
}

/// The keys of the object `learner`.
const LEARNER_KEYS: [&str; 6] = [
    "attributes",
    "feature_names",
    "feature_types",
    "gradient_booster",
    "learner_model_param",
    "objective",
];
