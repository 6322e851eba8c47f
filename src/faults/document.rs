//! Turns the text of a document into a JSON value and reports what a plain conversion would lose: a name that is given twice, and a
//! number that JSON cannot represent.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::list::Faults;
use crate::text::{without_bom, without_mark};

/// Reads JSON.
///
/// # Errors
/// Returns an error if the text is not valid JSON, and every name that is repeated within an object.
pub fn from_json(file: &Path, text: &[u8]) -> Result<Value, Faults> {
    let mut walk = Walk::of(file);
    let mut reader = serde_json::Deserializer::from_slice(without_bom(text));
    let read = Node(&mut walk).deserialize(&mut reader);
    let value = read.and_then(|value| reader.end().map(|()| value));
    let value = value.map_err(|error| Faults::one(file, format!("invalid JSON: {error}")))?;
    walk.faults.into_result()?;
    Ok(value)
}

/// Reads TOML as JSON. Dates and times, which need no quotes in TOML and do not exist in JSON, become strings.
///
/// # Errors
/// Returns an error if the text is not valid TOML, and every number that is not finite.
pub fn from_toml(file: &Path, text: &str) -> Result<Value, Faults> {
    let table: toml::Table = without_mark(text)
        .parse()
        .map_err(|error: toml::de::Error| Faults::one(file, error.to_string()))?;
    let mut walk = Walk::of(file);
    let value = walk.json(toml::Value::Table(table));
    walk.faults.into_result()?;
    Ok(value)
}

/// A walk through a document, with the faults found so far.
struct Walk<'a> {
    file: &'a Path,
    /// JSON path of the current value.
    path: String,
    faults: Faults,
}

impl<'a> Walk<'a> {
    fn of(file: &'a Path) -> Self {
        Self {
            file,
            path: "$".into(),
            faults: Faults::default(),
        }
    }

    /// Calls `visit` one step below the current value; `step` is `.name` or `[3]`.
    fn below<T>(&mut self, step: &str, visit: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.path.len();
        self.path.push_str(step);
        let result = visit(self);
        self.path.truncate(here);
        result
    }

    fn fault(&mut self, message: impl Into<String>) {
        self.faults.add(self.file, &self.path, message);
    }

    fn json(&mut self, value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => {
                if !number.is_finite() {
                    self.fault(format!("got {number}, wants a finite number"));
                }
                number.into()
            }
            toml::Value::Boolean(value) => value.into(),
            toml::Value::Datetime(time) => time.to_string().into(),
            toml::Value::Array(values) => values
                .into_iter()
                .enumerate()
                .map(|(at, value)| self.below(&format!("[{at}]"), |walk| walk.json(value)))
                .collect(),
            toml::Value::Table(table) => Value::Object(
                table
                    .into_iter()
                    .map(|(name, value)| {
                        let value = self.below(&format!(".{name}"), |walk| walk.json(value));
                        (name, value)
                    })
                    .collect(),
            ),
        }
    }
}

/// Deserializes the current value of a walk.
struct Node<'w, 'a>(&'w mut Walk<'a>);

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let step = format!("[{}]", values.len());
            let next = self
                .0
                .below(&step, |walk| items.next_element_seed(Node(walk)))?;
            match next {
                Some(value) => values.push(value),
                None => return Ok(values.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = self.0.below(&format!(".{name}"), |walk| {
                if object.contains_key(&name) {
                    walk.fault("is repeated");
                }
                fields.next_value_seed(Node(walk))
            })?;
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_unchanged() {
        let text = r#" {"a": [1, -2, 2.5, 1e300, true, null, "x\n"], "b": {"c": {}}, "d": 18446744073709551615} "#;
        let value = from_json(Path::new("d.json"), text.as_bytes()).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn every_repeated_name_is_reported() {
        let text =
            br#"{"a": 1, "rows": [{"x": 1}, {"x": 1, "y": {"z": 1, "z": 1}, "x": 2}], "a": 1}"#;
        let faults = from_json(Path::new("d.json"), text).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "d.json: $.rows[1].y.z: is repeated\n\
             d.json: $.rows[1].x: is repeated\n\
             d.json: $.a: is repeated"
        );
    }

    #[test]
    fn invalid_json_is_reported_with_the_parser_error() {
        for (text, want) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("[1e999]", "number out of range at line 1 column 6"),
        ] {
            let faults = from_json(Path::new("d.json"), text.as_bytes()).unwrap_err();
            assert_eq!(faults.to_string(), format!("d.json: invalid JSON: {want}"));
        }
    }

    #[test]
    fn toml_becomes_json_with_times_as_strings() {
        let text = "a = 1\nb = [2.5, true]\nday = 2013-01-31\n[c.d]\nat = 2013-01-31T14:05:00Z";
        assert_eq!(
            from_toml(Path::new("c.toml"), text).unwrap(),
            json!({"a": 1, "b": [2.5, true], "day": "2013-01-31", "c": {"d": {"at": "2013-01-31T14:05:00Z"}}})
        );
    }

    #[test]
    fn every_number_that_is_not_finite_is_reported() {
        let text = "[a]\nx = nan\n[[b]]\n[[b]]\ny = { z = [1.0, -inf] }";
        let faults = from_toml(Path::new("c.toml"), text).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "c.toml: $.a.x: got NaN, wants a finite number\n\
             c.toml: $.b[1].y.z[1]: got -inf, wants a finite number"
        );
    }
}
