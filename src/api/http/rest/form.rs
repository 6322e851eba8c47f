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
        let items: Vec<Object<T>> = list(from, MOST_FIELDS)?;
        Ok(Self(items.into_iter().map(|item| item.0).collect()))
    }
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
    if !error.is_data() {
        return Unread::Malformed(text);
    }
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&*place).unwrap_or(&text);
    let (got, wanted) = text
        .split_once(", expected ")
        .unwrap_or((text, "another value"));
    let (name, got, wanted) = if let Some(name) = named(got, "unknown field `") {
        (name, "an unknown name", wanted)
    } else if let Some(name) = named(got, "duplicate field `") {
        (name, "the name again", "each name once")
    } else {
        let kinds = ["invalid type: ", "invalid value: ", "invalid length "];
        let got_is = kinds.iter().find_map(|kind| got.strip_prefix(kind));
        ("", got_is.unwrap_or(got), wanted)
    };
    let field = match path {
        "." | "" if name.is_empty() => "body".to_owned(),
        "." | "" => name.to_owned(),
        // The path may go to the name or to what has it.
        path if name.is_empty() || path.ends_with(name) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    Unread::Faulty(InputFaults::one(field, got, wanted))
}

fn named<'t>(text: &'t str, begin: &str) -> Option<&'t str> {
    text.strip_prefix(begin)?.strip_suffix('`')
}
