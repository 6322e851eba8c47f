//! The JSON of a request, to named and bare cells. Memory is bounded as in `rows`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::footprint::{self, Costs};
use super::super::form::{self, ParseError, list};
use super::super::rows::{Value, read_row};
use crate::model::payload::{Cell, Row};
use crate::proto::codec::MOST_FIELDS;

/// Rows or tensors to predict: either `instances` or `inputs`. Other fields are ignored.
#[derive(serde::Deserialize)]
pub(in crate::api::http) struct PredictRequest {
    /// `serving_default`, or empty.
    pub(super) signature_name: Option<String>,
    /// One for each row.
    pub(super) instances: Option<Instances>,
    /// All rows of each input.
    pub(super) inputs: Option<Inputs>,
}

// Written by hand: values are nested as deep as a shape, and generators of clients do not support recursive schemas.
impl JsonSchema for PredictRequest {
    fn schema_name() -> Cow<'static, str> {
        "V1PredictRequest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Rows or tensors to predict: either `instances` or `inputs`. Other fields are ignored.",
            "type": "object",
            "properties": {
                "signature_name": {
                    "description": "`serving_default`, or empty.",
                    "type": ["string", "null"],
                },
                "instances": {
                    "description": "One for each row: an object with a value for each input, or the value of the only input. A list \
                        is also a row of the matrix, if the model accepts one. `null` is a missing value, and `{\"b64\": \"...\"}` \
                        stands for bytes.",
                    "type": ["array", "null"],
                    "items": {"description": "A row."},
                },
                "inputs": {
                    "description": "All rows: an object with a tensor for each input, or the tensor of the only input, nested as its \
                        shape says.",
                },
            },
        })
    }
}

/// The rows of a request.
pub(super) struct Instances(pub(super) Vec<Part>);

/// The tensors of a request.
pub(super) struct Inputs(pub(super) Part);

/// A row or all tensors.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Values by the names of inputs.
    Named(Row),
    /// A value without a name.
    Bare(Cell),
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rows: Vec<Instance> = list(from, MOST_FIELDS)?;
        Ok(Self(rows.into_iter().map(|row| row.0).collect()))
    }
}

struct Instance(Part);

impl<'de> Deserialize<'de> for Instance {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        PartOf(Value::CELL.or_base64()).deserialize(from).map(Self)
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::COLUMN.or_base64();
        PartOf(value).deserialize(from).map(Self)
    }
}

/// Reads a part whose values are read as given.
#[derive(Clone, Copy)]
struct PartOf(Value);

impl<'de> DeserializeSeed<'de> for PartOf {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Part, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PartOf {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a value for each input, or the value of the only input")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Part, E> {
        self.0.visit_unit().map(Part::Bare)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Part, E> {
        self.0.visit_bool(value).map(Part::Bare)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Part, E> {
        self.0.visit_i64(value).map(Part::Bare)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Part, E> {
        self.0.visit_u64(value).map(Part::Bare)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Part, E> {
        self.0.visit_f64(value).map(Part::Bare)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Part, E> {
        self.0.visit_str(text).map(Part::Bare)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Part, A::Error> {
        self.0.visit_seq(seq).map(Part::Bare)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
        read_row(map, self.0, &self).map(Part::Named)
    }
}

/// Reads a request.
///
/// # Errors
/// Returns an error with the path of the first fault.
pub(super) fn read(body: &[u8]) -> Result<PredictRequest, ParseError> {
    footprint::check(body, Costs::CELLS).map_err(ParseError::Invalid)?;
    form::parse_object_with_words(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instances(json: &str) -> Vec<Part> {
        let Ok(request) = read(json.as_bytes()) else {
            panic!("{json} can be read")
        };
        request.instances.unwrap().0
    }

    fn fault(json: &str) -> String {
        match read(json.as_bytes()) {
            Ok(_) => panic!("{json} has a fault"),
            Err(ParseError::Invalid(faults)) => faults.to_string(),
            Err(ParseError::Malformed(why)) => format!("malformed: {why}"),
        }
    }

    proptest! {
        #[test]
        fn no_body_panics_the_reader(body in r#"\{"(instances|inputs)":[\[\]{}:,"\\NaInfinity0-9eb. -]{0,48}"#) {
            let _ = read(body.as_bytes());
        }
    }

    #[test]
    fn words_for_numbers_are_read_outside_of_strings() {
        let read = instances(r#"{"instances": [NaN, "NaN \" NaN", [NaN, null]]}"#);
        let list = Cell::List(vec![Cell::Missing, Cell::Missing]);
        let cells = [Cell::Missing, Cell::Text("NaN \" NaN".into()), list];
        assert_eq!(read, cells.map(Part::Bare));
        let infinite = fault(r#"{"instances": [{"x": [1, -Infinity]}]}"#);
        assert_eq!(
            infinite,
            "instances[0].x[1]: got a number beyond the range of a 64-bit float, wants a finite number"
        );
        assert!(fault(r#"{"instances": [nan]}"#).starts_with("malformed"));
    }

    #[test]
    fn bytes_come_as_base64() {
        let read = instances(
            r#"{"instances": [{"t": {"b64": "w6k="}}, [{"b64": "YQ=="}], {"t": {"b64": 1}}]}"#,
        );
        let named = |cell| Part::Named(vec![("t".to_owned(), cell)]);
        let list = Cell::List(vec![Cell::Text("a".into())]);
        let parts = [
            named(Cell::Text("é".into())),
            Part::Bare(list),
            named(Cell::Object),
        ];
        assert_eq!(read, parts);
        for (base64, found) in [
            ("/w==", "bytes that are not UTF-8"),
            ("?", "text that is not base64"),
        ] {
            let json = format!(r#"{{"instances": [{{"t": {{"b64": "{base64}"}}}}]}}"#);
            let wanted = format!("instances[0].t: got {found}, wants base64 of a text in UTF-8");
            assert_eq!(fault(&json), wanted);
        }
    }

    #[test]
    fn lists_are_nested_as_deep_as_a_shape_has_axes() {
        let nested = |lists: usize| format!("{}1{}", "[".repeat(lists), "]".repeat(lists));
        let body = |key: &str, lists| format!(r#"{{"{key}": {}}}"#, nested(lists));
        assert!(read(body("instances", 8).as_bytes()).is_ok());
        assert!(read(body("inputs", 8).as_bytes()).is_ok());
        for key in ["instances", "inputs"] {
            let fault = fault(&body(key, 9));
            assert!(fault.contains("got a list in too many lists"), "{fault}");
        }
    }

    #[test]
    fn faults_name_the_field() {
        for (json, want) in [
            ("[]", "body: got a list, wants an object"),
            (
                r#"{"instances": {}}"#,
                "instances: got an object, wants a list of at most 66000 items",
            ),
            (
                r#"{"signature_name": 1}"#,
                "signature_name: got the number 1, wants a string",
            ),
            (
                r#"{"inputs": 1, "inputs": 2}"#,
                "inputs: got a repeated name, wants each name once",
            ),
        ] {
            assert_eq!(fault(json), want);
        }
    }
}
