//! Rows as people write them: JSON objects, alone, in a list, or one a line.

use std::{fs, io::Read, path::Path};

use prost_types::Struct;
use serde_json::{Deserializer, Value};

use super::{failure::Failure, wire};
use crate::faults;
use crate::proto::v1::Datatype;

/// Reads `path`; `-` is stdin.
///
/// # Errors
/// Where it cannot be read as UTF-8 text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// The rows in `text`: any number of JSON objects and lists of objects, one after the other. That takes in a single
/// object, a list, and JSON lines. `origin` is told where something is wrong.
///
/// # Errors
/// Where something else is there, or nothing.
pub(crate) fn rows(origin: &str, text: &str) -> Result<Vec<Struct>, Failure> {
    let mut rows = Vec::new();
    // Some editors begin a file with a byte order mark, which is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for value in Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| Failure::new(format!("{origin}: not JSON: {error}")))?;
        let items = match value {
            Value::Array(items) => items,
            other => vec![other],
        };
        for item in items {
            match item {
                Value::Object(fields) => rows.push(wire::row(fields)),
                other => {
                    return Err(Failure::new(format!(
                        "{origin}: row {}: {}, wants an object such as {{\"temp\": 37.9}}",
                        rows.len(),
                        faults::got(&other)
                    )));
                }
            }
        }
    }
    if rows.is_empty() {
        return Err(Failure::new(format!(
            "{origin}: there is no row in it, wants JSON objects"
        )));
    }
    Ok(rows)
}

/// A cell of a table, for an input of this type; an empty one is a missing value.
pub(crate) fn cell(text: &str, datatype: Datatype) -> Value {
    match datatype {
        _ if text.is_empty() => Value::Null,
        Datatype::Bytes => Value::from(text),
        // Whole numbers stay whole, which is how they read best; what is no number is left to the gateway.
        _ => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<f64>().map(Value::from))
            .or_else(|_| text.parse::<bool>().map(Value::from))
            .unwrap_or_else(|_| Value::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_a_list_and_lines_are_rows() {
        for (text, count) in [
            (r#"{"a": 1}"#, 1),
            ("[{\"a\": 1}, {\"a\": null}]", 2),
            ("{\"a\": 1}\n{\"a\": 2}\n{\"a\": [1, 2]}\n", 3),
            ("{\n  \"a\": 1\n}\n[{\"b\": true}]", 2),
            ("\u{feff}{\"a\": 1}", 1),
        ] {
            assert_eq!(rows("--row", text).unwrap().len(), count, "{text}");
        }
    }

    #[test]
    fn what_is_no_row_is_named_by_place() {
        for (text, told) in [
            ("", "--row: there is no row in it, wants JSON objects"),
            ("[]", "--row: there is no row in it, wants JSON objects"),
            (
                "{} 3",
                "--row: row 1: got 3, wants an object such as {\"temp\": 37.9}",
            ),
            (
                "{temp: 3}",
                "--row: not JSON: key must be a string at line 1 column 2",
            ),
        ] {
            assert_eq!(rows("--row", text).unwrap_err().to_string(), told);
        }
    }
}
