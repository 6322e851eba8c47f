//! Rows in files and on the command line: JSON objects, alone, in a list, or one per line; and the cells of CSV files.

use std::{fs, io::Read, path::Path};

use prost_types::Struct;
use serde_json::{Deserializer, Value};

use super::v1::Datatype;
use super::{failure::Failure, message};
use crate::faults;
use crate::text::without_mark;

/// Reads the text of `path`; `-` is stdin.
///
/// # Errors
/// Returns an error if it cannot be read as UTF-8 text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// Reads the bytes of `path`; `-` is stdin.
///
/// # Errors
/// Returns an error if it cannot be read.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    bytes.map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// Returns the rows in `text`: any number of JSON objects and lists of objects, one after the other. A single object, a list and
/// JSON lines are such texts. `origin` names the text in errors.
///
/// # Errors
/// Returns an error if there is anything else in `text`, or no row.
pub(crate) fn rows(origin: &str, text: &str) -> Result<Vec<Struct>, Failure> {
    let mut rows = Vec::new();
    for value in Deserializer::from_str(without_mark(text)).into_iter::<Value>() {
        let value = value.map_err(|error| Failure::new(format!("{origin}: not JSON: {error}")))?;
        let items = match value {
            Value::Array(items) => items,
            other => vec![other],
        };
        for item in items {
            match item {
                Value::Object(fields) => rows.push(message::row(fields)),
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
            "{origin}: contains no rows, wants JSON objects"
        )));
    }
    Ok(rows)
}

/// Returns the value of a CSV cell for an input of this type. An empty cell is a missing value.
pub(crate) fn cell(text: &str, datatype: Datatype) -> Value {
    match datatype {
        _ if text.is_empty() => Value::Null,
        Datatype::Bytes => Value::from(text),
        // Whole numbers stay whole, so that printed rows are easy to read. The gateway refuses text that is not a number.
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
    fn anything_but_a_row_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "--row: contains no rows, wants JSON objects"),
            ("[]", "--row: contains no rows, wants JSON objects"),
            (
                "{} 3",
                "--row: row 1: got 3, wants an object such as {\"temp\": 37.9}",
            ),
            (
                "{temp: 3}",
                "--row: not JSON: key must be a string at line 1 column 2",
            ),
        ] {
            assert_eq!(rows("--row", text).unwrap_err().to_string(), expected);
        }
    }
}
