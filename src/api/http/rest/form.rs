//! Typed values straight from JSON text: objects only where an object is expected, lists up to a length, and faults with their paths.

use std::{fmt, marker::PhantomData};

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::InputFaults;
use crate::proto::codec::MOST_FIELDS;
use crate::text::without_bom;

/// A list of objects, with the limit that messages of the other protocols have. An object of two bytes takes a hundred bytes in memory, but
/// only until the request is converted to a query, which happens before anything waits.
pub(super) struct BoundedList<T>(pub(super) Vec<T>);

impl<T> Default for BoundedList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for BoundedList<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let items: Vec<Object<T>> = list_or_none(from, MOST_FIELDS)?;
        Ok(Self(items.into_iter().map(|item| item.0).collect()))
    }
}

/// Reads a list of at most `max_items`; `null`, which clients write for fields that they leave out, is an empty list.
pub(super) fn list_or_none<'de, T, D>(from: D, max_items: usize) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<T>(usize, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {} items", self.0)
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_none<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
            list(from, self.0)
        }
    }
    from.deserialize_option(List(max_items, PhantomData))
}

/// Reads a list of at most `max_items`.
pub(super) fn list<'de, T, D>(from: D, max_items: usize) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<T>(usize, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {} items", self.0)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                if items.len() == self.0 {
                    return Err(de::Error::invalid_length(self.0 + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    from.deserialize_seq(List(max_items, PhantomData))
}

/// A value that must be written as an object. Derived deserializers would accept a list too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// Reads an object that may be missing.
pub(super) fn object<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let object = Option::<Object<T>>::deserialize(from)?;
    Ok(object.map(|object| object.0))
}

/// Why a body could not be parsed.
#[derive(Debug)]
pub(super) enum ParseError {
    /// It is not JSON, for this reason.
    Malformed(String),
    /// It is JSON with faults.
    Invalid(InputFaults),
}

/// Parses `json`, an object.
///
/// # Errors
/// Returns an error with the path of the fault and what was expected there.
pub(super) fn parse_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ParseError> {
    parse(json).map(|Object(value)| value)
}

/// Like [`parse_object`], and reads `NaN` as `null`.
///
/// # Errors
/// As [`parse_object`].
pub(super) fn parse_object_with_words<T: DeserializeOwned>(json: &[u8]) -> Result<T, ParseError> {
    match parse_object(json) {
        Err(ParseError::Malformed(why)) => match without_words(json) {
            Some(json) => parse_object(&json),
            None => Err(ParseError::Malformed(why)),
        },
        read => read,
    }
}

/// Replaces `NaN` outside of strings by `null`, and `Infinity` by a number that no type can hold, so that its fault names its place.
/// Returns `None` if there is neither. Python and the reference servers write them so.
pub(super) fn without_words(body: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [(&[u8], &[u8]); 2] = [(b"NaN", b"null"), (b"Infinity", b"1e999")];
    let mut json = Vec::new();
    let (mut rest, mut in_text, mut has_words) = (body, false, false);
    while let [first, after @ ..] = rest {
        let word = WORDS.iter().find(|(word, _)| rest.starts_with(word));
        if let (false, Some((word, number))) = (in_text, word) {
            json.extend_from_slice(number);
            rest = &rest[word.len()..];
            has_words = true;
            continue;
        }
        json.push(*first);
        rest = after;
        match (first, after) {
            (b'"', _) => in_text = !in_text,
            (b'\\', [escaped, after @ ..]) => {
                json.push(*escaped);
                rest = after;
            }
            _ => {}
        }
    }
    has_words.then_some(json)
}

/// Parses `json`, of any form.
///
/// # Errors
/// As [`parse_object`].
pub(super) fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ParseError> {
    let json = without_bom(json);
    if json.trim_ascii().is_empty() {
        return Err(ParseError::Malformed("it is empty".into()));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let parsed = serde_path_to_error::deserialize(&mut reader);
    let value = parsed.map_err(|error| {
        let path = error.path().to_string();
        parse_error(&path, &error.into_inner())
    })?;
    reader.end().map_err(|error| parse_error("", &error))?;
    Ok(value)
}

fn parse_error(path: &str, error: &serde_json::Error) -> ParseError {
    let text = error.to_string();
    let location = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&*location).unwrap_or(&text);
    if message == "number out of range" {
        // Well-formed, as JSON has no limit on numbers.
        let got = "a number beyond the range of a 64-bit float";
        return ParseError::Invalid(InputFaults::one(field(path, ""), got, "a finite number"));
    }
    if !error.is_data() {
        return ParseError::Malformed(text);
    }
    let (found, expected) = message
        .rsplit_once(", expected ")
        .unwrap_or((message, "another value"));
    let (name, got, wanted) = if let Some(name) = quoted_name(found, "unknown field `") {
        (name, "an unknown name".to_owned(), expected)
    } else if let Some(name) = quoted_name(found, "duplicate field `") {
        (name, "a repeated name".to_owned(), "each name once")
    } else {
        ("", json_found(found), json_expected(expected))
    };
    ParseError::Invalid(InputFaults::one(field(path, name), got, wanted))
}

/// Returns the path of the field `name` at `path`.
fn field(path: &str, name: &str) -> String {
    match path {
        "." | "" if name.is_empty() => "body".to_owned(),
        "." | "" => name.to_owned(),
        // The path may end with the field or with the object that contains it.
        path if name.is_empty() || path.ends_with(name) => path.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// Returns the name that follows `begin`.
fn quoted_name<'t>(text: &'t str, begin: &str) -> Option<&'t str> {
    text.strip_prefix(begin)?.strip_suffix('`')
}

/// Describes the value that was found, in terms of JSON. Strings are not repeated, since they may be personal data.
fn json_found(found: &str) -> String {
    if let Some(length) = found.strip_prefix("invalid length ") {
        return format!("{length} or more");
    }
    let kinds = ["invalid type: ", "invalid value: "];
    let described = kinds.iter().find_map(|kind| found.strip_prefix(kind));
    let described = described.unwrap_or(found);
    let value = described.split('`').nth(1).unwrap_or_default();
    match described.split(' ').next() {
        Some("sequence") => "a list".to_owned(),
        Some("map") => "an object".to_owned(),
        Some("string") => "a string".to_owned(),
        Some("integer" | "floating") => format!("the number {value}"),
        Some("boolean") => value.to_owned(),
        _ => described.to_owned(),
    }
}

/// Describes the value that was expected, in terms of JSON.
fn json_expected(expected: &str) -> &str {
    match expected {
        "u64" | "usize" => "a whole number from 0",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "string" => "a string",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Form {
        _text: Option<String>,
        _yes: Option<bool>,
        _from_0: Option<u64>,
        _size: Option<usize>,
        _whole: Option<i64>,
        #[serde(default)]
        _few: BoundedList<Form>,
    }

    impl<T> fmt::Debug for BoundedList<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} items", self.0.len())
        }
    }

    #[test]
    fn faults_are_described_in_terms_of_json() {
        for (json, want) in [
            (r#"{"_text": [1]}"#, "_text: got a list, wants a string"),
            (
                r#"{"_text": {"a": 1}}"#,
                "_text: got an object, wants a string",
            ),
            (
                r#"{"_text": -7}"#,
                "_text: got the number -7, wants a string",
            ),
            (
                r#"{"_text": 1.5}"#,
                "_text: got the number 1.5, wants a string",
            ),
            (r#"{"_text": true}"#, "_text: got true, wants a string"),
            (
                r#"{"_yes": "secret, expected"}"#,
                "_yes: got a string, wants true or false",
            ),
            (
                r#"{"_from_0": -1}"#,
                "_from_0: got the number -1, wants a whole number from 0",
            ),
            (
                r#"{"_size": 1.5}"#,
                "_size: got the number 1.5, wants a whole number from 0",
            ),
            (
                r#"{"_whole": []}"#,
                "_whole: got a list, wants a whole number",
            ),
            (
                r#"{"_few": {}}"#,
                "_few: got an object, wants a list of at most 66000 items",
            ),
            (r#"{"_few": [null]}"#, "_few[0]: got null, wants an object"),
            (
                r#"{"_whole": 1e999}"#,
                "_whole: got a number beyond the range of a 64-bit float, wants a finite number",
            ),
            ("[]", "body: got a list, wants an object"),
        ] {
            let Err(ParseError::Invalid(faults)) = parse_object::<Form>(json.as_bytes()) else {
                panic!("{json} has a fault")
            };
            assert_eq!(faults.to_string(), want, "{json}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_body() {
        let read: Form = parse_object(b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(
            format!("{read:?}"),
            format!("{:?}", parse_object::<Form>(b"{}").unwrap())
        );
        assert!(parse_object::<Form>(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err());
    }

    #[test]
    fn null_means_left_out() {
        let json =
            r#"{"_text":null,"_yes":null,"_from_0":null,"_size":null,"_whole":null,"_few":null}"#;
        let read: Form = parse_object(json.as_bytes()).unwrap();
        assert!(read._few.0.is_empty());
    }
}
