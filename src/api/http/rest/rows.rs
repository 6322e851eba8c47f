//! Named rows from JSON, straight into cells.
//!
//! Memory: a value of two bytes in a list (`0,`) takes 24 bytes, a row of seven (`{"":0},`) some 72, a nested list of three (`[],`) 24, and
//! a growing list three times its content: in all at most some 30 times the bytes of the body. Lists are nested as deep as a shape has
//! axes. Of an object in a cell only its kind is kept. Of a large body, `footprint` has checked that it stays far below that.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, Expected, IgnoredAny, MapAccess, SeqAccess,
    Unexpected, Visitor,
};

use super::form::list_or_none;
use crate::api::elements;
use crate::model::Shape;
use crate::model::payload::{Cell, Row};
use crate::proto::codec::MOST_FIELDS;

/// Rows of a request, with the limit that messages of the other protocols have.
#[derive(Default)]
pub(super) struct Rows(pub(super) Vec<Row>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rows: Vec<OneRow> = list_or_none(from, MOST_FIELDS)?;
        Ok(Self(rows.into_iter().map(|row| row.0).collect()))
    }
}

/// A cell, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum AnyCell {
    /// A number, for numeric inputs. Integers of 64 bits are exact.
    Number(f64),
    /// A string.
    Text(String),
    /// For inputs of datatype BOOL.
    Bool(bool),
    /// For inputs of several values per row: nested as their shapes say.
    List(Vec<AnyItem>),
    /// A missing value, the same as leaving the name out.
    Missing(()),
}

/// An item of a list in a cell, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum AnyItem {
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A missing value.
    Missing(()),
}

struct OneRow(Row);

impl<'de> Deserialize<'de> for OneRow {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Cells;
        impl<'de> Visitor<'de> for Cells {
            type Value = OneRow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a value for each input")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneRow, A::Error> {
                read_row(map, Value::CELL, &self).map(OneRow)
            }
        }
        from.deserialize_map(Cells)
    }
}

/// Reads the fields of an object as the cells of a row, each as `value` says. `expected` describes the object, for faults.
pub(super) fn read_row<'de, A: MapAccess<'de>>(
    mut map: A,
    value: Value,
    expected: &dyn Expected,
) -> Result<Row, A::Error> {
    let mut row = Row::new();
    while let Some(name) = map.next_key()? {
        if row.len() == MOST_FIELDS {
            return Err(de::Error::invalid_length(MOST_FIELDS + 1, expected));
        }
        let cell = map.next_value_seed(value)?;
        row.push((name, cell));
    }
    row.shrink_to_fit();
    Ok(row)
}

/// The name in an object that stands for bytes: `{"b64": "..."}`.
pub(super) const BASE64_KEY: &str = "b64";

/// Returns the text whose bytes `base64` contains; what it contains instead if there is no such text.
pub(super) fn text_of_base64(base64: &str) -> Result<String, &'static str> {
    let bytes = elements::from_base64(base64.as_bytes());
    let bytes = bytes.ok_or("text that is not base64")?;
    String::from_utf8(bytes).map_err(|_| "bytes that are not UTF-8")
}

/// Reads a value, with lists in it up to a depth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    /// How deep lists may be nested here.
    lists: usize,
    /// Whether `{"b64": "..."}` stands for bytes.
    base64: bool,
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Cell;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cell, D::Error> {
        from.deserialize_any(self)
    }
}

impl Value {
    /// The value of one row. The first axis of a shape is the rows.
    pub(super) const CELL: Self = Self {
        lists: Shape::MOST_AXES - 1,
        base64: false,
    };
    /// The value of all rows.
    pub(super) const COLUMN: Self = Self {
        lists: Shape::MOST_AXES,
        base64: false,
    };

    /// Returns the same value, in which `{"b64": "..."}` stands for bytes.
    pub(super) const fn or_base64(self) -> Self {
        Self {
            base64: true,
            ..self
        }
    }

    /// Reads an object: bytes in base64, or one of which only the kind is kept.
    fn read_object<'de, A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let (mut fields, mut found) = (0_usize, None);
        while let Some(name) = map.next_key::<String>()? {
            fields += 1;
            if fields == 1 && name == BASE64_KEY {
                found = Some(map.next_value_seed(Self { lists: 0, ..self })?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let (1, Some(Cell::Text(base64))) = (fields, found) else {
            return Ok(Cell::Object);
        };
        let text = text_of_base64(&base64).map_err(|found| {
            let found = Unexpected::Other(found);
            de::Error::invalid_value(found, &"base64 of a text in UTF-8")
        })?;
        Ok(Cell::Text(text))
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a string, true, false or null")?;
        if self.lists > 0 {
            f.write_str(", or a list of them")
        } else {
            Ok(())
        }
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
        Ok(Cell::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(i64::try_from(value).map_or(Cell::Unsigned(value), Cell::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell, A::Error> {
        if self.lists == 0 {
            return Err(de::Error::invalid_type(
                Unexpected::Other("a list in too many lists"),
                &self,
            ));
        }
        let inner = Self {
            lists: self.lists - 1,
            ..self
        };
        let mut cells = Vec::new();
        while let Some(cell) = seq.next_element_seed(inner)? {
            cells.push(cell);
        }
        cells.shrink_to_fit();
        Ok(Cell::List(cells))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        if self.base64 {
            return self.read_object(map);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::{ParseError, parse};
    use super::*;

    fn rows(json: &str) -> Vec<Row> {
        parse::<Rows>(json.as_bytes()).map(|rows| rows.0).unwrap()
    }

    #[test]
    fn rows_are_cells_by_name() {
        let read =
            rows(r#"[{"b": 1, "a": "t\n", "b": null}, {}, {"l": [true, -0.5], "o": {"p": [[]]}}]"#);
        let cell = |name: &str, cell| (name.to_owned(), cell);
        let list = Cell::List(vec![Cell::Bool(true), Cell::Number(-0.5)]);
        assert_eq!(
            read,
            [
                vec![
                    cell("b", Cell::Integer(1)),
                    cell("a", Cell::Text("t\n".into())),
                    cell("b", Cell::Missing),
                ],
                vec![],
                vec![cell("l", list), cell("o", Cell::Object)],
            ]
        );
    }

    #[test]
    fn doubles_are_the_nearest_to_their_digits() {
        let digits = [
            "1.7976931348623157e308",
            "2.2250738585072011e-308",
            "0.1",
            "123456789012345678901234567890",
        ];
        for digits in digits {
            let read = rows(&format!(r#"[{{"x":{digits}}}]"#));
            assert_eq!(
                read,
                [[("x".to_owned(), Cell::Number(digits.parse().unwrap()))]]
            );
        }
    }

    #[test]
    fn faults_name_the_row() {
        for (json, want) in [
            (
                "7",
                "body: got the number 7, wants a list of at most 66000 items",
            ),
            (
                "[{}, 7]",
                "[1]: got the number 7, wants an object with a value for each input",
            ),
            (
                r#"[{"x": [1, [[[[[[[2]]]]]]]]}]"#,
                "[0].x[1][0][0][0][0][0][0]: got a list in too many lists, wants a number, a string, true, false or null",
            ),
        ] {
            let Err(ParseError::Invalid(faults)) = parse::<Rows>(json.as_bytes()) else {
                panic!("{json} has a fault")
            };
            assert_eq!(faults.to_string(), want);
        }
        let many = format!("[{}{{}}]", "{},".repeat(MOST_FIELDS));
        assert!(matches!(
            parse::<Rows>(many.as_bytes()),
            Err(ParseError::Invalid(_))
        ));
        let deep = "[".repeat(100_000);
        assert!(matches!(
            parse::<Rows>(deep.as_bytes()),
            Err(ParseError::Invalid(_) | ParseError::Malformed(_))
        ));
    }

    /// Returns the bytes that the rows take on the heap.
    fn held(rows: &Vec<Row>) -> usize {
        fn of(cell: &Cell) -> usize {
            match cell {
                Cell::Text(text) => text.capacity(),
                Cell::List(cells) => {
                    cells.capacity() * size_of::<Cell>() + cells.iter().map(of).sum::<usize>()
                }
                _ => 0,
            }
        }
        let row = |row: &Row| {
            let cells = row.iter().map(|(name, cell)| name.capacity() + of(cell));
            row.capacity() * size_of::<(String, Cell)>() + cells.sum::<usize>()
        };
        rows.capacity() * size_of::<Row>() + rows.iter().map(row).sum::<usize>()
    }

    #[test]
    fn memory_is_bounded_by_a_multiple_of_the_json() {
        for (one, many) in [
            ("{}", 60_000),
            (r#"{"":0}"#, 60_000),
            (r#"{"":[0]}"#, 60_000),
            (r#"{"":[]}"#, 60_000),
            (r#"{"a":"b"}"#, 60_000),
        ] {
            let json = format!("[{}{one}]", format!("{one},").repeat(many));
            let held = held(&rows(&json));
            assert!(held < 25 * json.len(), "{one}: {held} of {}", json.len());
        }
        for one in ["0", "\"\"", "{}", "\"a\""] {
            let json = format!(r#"[{{"":[{}{one}]}}]"#, format!("{one},").repeat(500_000));
            let held = held(&rows(&json));
            assert!(held < 25 * json.len(), "{one}: {held} of {}", json.len());
        }
    }
}
