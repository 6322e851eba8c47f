//! JSON as typed values, straight from its text: objects only where objects are meant, lists up to a length, and what is wrong by its path.

use std::{fmt, marker::PhantomData};

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::InputFaults;
use crate::proto::codec::MOST_FIELDS;

/// A list of objects, as long as a message of any other protocol may make it. An object of two bytes takes a hundred in memory, but not
/// for long: what is kept of it is put together before anybody waits for anything.
pub(super) struct Few<T>(pub(super) Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let items: Vec<Object<T>> = list_or_none(from, MOST_FIELDS)?;
        Ok(Self(items.into_iter().map(|item| item.0).collect()))
    }
}

/// A list of at most `most`; `null`, as clients write what they leave out, is an empty one.
pub(super) fn list_or_none<'de, T, D>(from: D, most: usize) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<T>(usize, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {}", self.0)
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
    from.deserialize_option(List(most, PhantomData))
}

/// A list of at most `most`.
pub(super) fn list<'de, T, D>(from: D, most: usize) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<T>(usize, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {}", self.0)
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
    from.deserialize_seq(List(most, PhantomData))
}

/// What came as an object; as a list, which would do for a derived form too, it is refused.
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

/// An object that may be missing.
pub(super) fn object<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let object = Option::<Object<T>>::deserialize(from)?;
    Ok(object.map(|object| object.0))
}

/// What is wrong with a body.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is no JSON, for this reason.
    Malformed(String),
    /// It is JSON of another form.
    Faulty(InputFaults),
}

/// Reads `json`, an object.
///
/// # Errors
/// Where it is wrong, and what was wanted there.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Unread> {
    any(json).map(|Object(read)| read)
}

/// Reads `json`.
///
/// # Errors
/// As [`read`].
pub(super) fn any<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Unread> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read = serde_path_to_error::deserialize(&mut reader);
    let read = read.map_err(|error| {
        let path = error.path().to_string();
        unread(&path, &error.into_inner())
    })?;
    reader.end().map_err(|error| unread("", &error))?;
    Ok(read)
}

fn unread(path: &str, error: &serde_json::Error) -> Unread {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = text.strip_suffix(&*place).unwrap_or(&text);
    if said == "number out of range" {
        // As JSON it is well-formed.
        let wanted = "a number that a 64-bit float can hold";
        return Unread::Faulty(InputFaults::one(field(path, ""), "a larger number", wanted));
    }
    if !error.is_data() {
        return Unread::Malformed(text);
    }
    let (said, expected) = said
        .rsplit_once(", expected ")
        .unwrap_or((said, "another value"));
    let (name, got, wanted) = if let Some(name) = named(said, "unknown field `") {
        (name, "an unknown name".to_owned(), expected)
    } else if let Some(name) = named(said, "duplicate field `") {
        (name, "the name again".to_owned(), "each name once")
    } else {
        ("", came(said), in_json(expected))
    };
    Unread::Faulty(InputFaults::one(field(path, name), got, wanted))
}

/// What has `name` at `path`.
fn field(path: &str, name: &str) -> String {
    match path {
        "." | "" if name.is_empty() => "body".to_owned(),
        "." | "" => name.to_owned(),
        // The path may go to the name or to what has it.
        path if name.is_empty() || path.ends_with(name) => path.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn named<'t>(text: &'t str, begin: &str) -> Option<&'t str> {
    text.strip_prefix(begin)?.strip_suffix('`')
}

/// What came, in the words of JSON. Texts are not told, which may be nobody's business.
fn came(said: &str) -> String {
    if let Some(length) = said.strip_prefix("invalid length ") {
        return format!("{length} or more");
    }
    let kinds = ["invalid type: ", "invalid value: "];
    let what = kinds.iter().find_map(|kind| said.strip_prefix(kind));
    let what = what.unwrap_or(said);
    let value = what.split('`').nth(1).unwrap_or_default();
    match what.split(' ').next() {
        Some("sequence") => "a list".to_owned(),
        Some("map") => "an object".to_owned(),
        Some("string") => "a text".to_owned(),
        Some("integer" | "floating") => format!("the number {value}"),
        Some("boolean") => value.to_owned(),
        _ => what.to_owned(),
    }
}

/// What was expected, in the words of JSON.
fn in_json(expected: &str) -> &str {
    match expected {
        "u64" | "usize" => "a whole number from 0",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "a string" | "string" => "a text",
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
        _few: Few<Form>,
    }

    impl<T> fmt::Debug for Few<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} of them", self.0.len())
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_words_of_json() {
        for (json, want) in [
            (r#"{"_text": [1]}"#, "_text: got a list, wants a text"),
            (
                r#"{"_text": {"a": 1}}"#,
                "_text: got an object, wants a text",
            ),
            (r#"{"_text": -7}"#, "_text: got the number -7, wants a text"),
            (
                r#"{"_text": 1.5}"#,
                "_text: got the number 1.5, wants a text",
            ),
            (r#"{"_text": true}"#, "_text: got true, wants a text"),
            (
                r#"{"_yes": "secret, expected"}"#,
                "_yes: got a text, wants true or false",
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
                "_few: got an object, wants a list of at most 66000",
            ),
            (r#"{"_few": [null]}"#, "_few[0]: got null, wants an object"),
            (
                r#"{"_whole": 1e999}"#,
                "_whole: got a larger number, wants a number that a 64-bit float can hold",
            ),
            ("[]", "body: got a list, wants an object"),
        ] {
            let Err(Unread::Faulty(faults)) = read::<Form>(json.as_bytes()) else {
                panic!("{json} is faulty")
            };
            assert_eq!(faults.to_string(), want, "{json}");
        }
    }

    #[test]
    fn null_is_left_out() {
        let json =
            r#"{"_text":null,"_yes":null,"_from_0":null,"_size":null,"_whole":null,"_few":null}"#;
        let read: Form = read(json.as_bytes()).unwrap();
        assert!(read._few.0.is_empty());
    }
}
