//! The JSON of an inference request, as far as it is the same whatever its tensors hold.
//!
//! Everything may be missing or of a kind that is not known, so that what is wrong can be named in one way. What is not known is
//! ignored, as the protocol wants it.

use std::{fmt, marker::PhantomData};

use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::InputFaults;
use crate::proto::codec::MOST_FIELDS;
use crate::proto::inference::InferParameter;

/// Axes that a shape may have: more than any input has.
const MOST_AXES: usize = 16;

/// A request to infer.
#[derive(serde::Deserialize, JsonSchema)]
pub(in crate::api::http) struct InferRequest<'a> {
    /// Echoed in the answer.
    pub(super) id: Option<String>,
    /// About the request as a whole.
    #[serde(default)]
    pub(super) parameters: Option<Parameters>,
    /// One for each input of the model.
    #[serde(borrow, default)]
    #[schemars(with = "Vec<Input<'a>>")]
    pub(super) inputs: Few<Input<'a>>,
    /// Which outputs are wanted; all where there is none.
    #[serde(default)]
    #[schemars(with = "Vec<Wanted>")]
    pub(super) outputs: Few<Wanted>,
}

/// Parameters of a request; others are ignored.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[schemars(rename = "InferParameters")]
pub(super) struct Parameters {
    /// Equal keys get the same version for as long as the shares stay. At most 1024 bytes. The header `taper-routing-key` says the
    /// same.
    #[schemars(with = "Option<String>")]
    pub(super) routing_key: Option<InferParameter>,
    /// The caller's own id for the answer: 1 to 128 visible ASCII characters. The header `taper-response-id` says the same.
    #[schemars(with = "Option<String>")]
    pub(super) response_id: Option<InferParameter>,
    /// Microseconds that the caller waits; 0: for ever.
    #[schemars(with = "Option<u64>")]
    pub(super) timeout: Option<InferParameter>,
    /// Whether outputs come as blocks of bytes after the JSON.
    pub(super) binary_data_output: Option<bool>,
}

/// A tensor.
#[derive(serde::Deserialize, JsonSchema)]
pub(super) struct Input<'a> {
    /// Name of the input.
    #[schemars(required)]
    pub(super) name: Option<String>,
    /// Length of each axis; the first is the number of rows.
    #[schemars(required, with = "Vec<i64>")]
    pub(super) shape: Option<Axes>,
    /// `BOOL`, `INT32`, `INT64`, `FP32`, `FP64` or `BYTES`.
    #[schemars(required)]
    pub(super) datatype: Option<String>,
    /// About the tensor; others are ignored.
    #[serde(default)]
    pub(super) parameters: Option<InputParameters>,
    /// The elements, row-major, flat or nested as the shape says. `null` is missing, for FP32 and FP64. Left out where the tensor comes
    /// as a block of bytes.
    #[serde(borrow)]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    pub(super) data: Option<&'a RawValue>,
}

/// Parameters of an input; others are ignored.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
pub(super) struct InputParameters {
    /// Bytes of the tensor among the blocks after the JSON.
    pub(super) binary_data_size: Option<usize>,
    /// Refused: no memory is shared.
    #[schemars(skip)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

/// An output that is wanted.
#[derive(Debug, serde::Deserialize, JsonSchema)]
pub(super) struct Wanted {
    /// Name of the output.
    #[schemars(required)]
    pub(super) name: Option<String>,
    /// How it is wanted; others are ignored.
    #[serde(default)]
    pub(super) parameters: Option<WantedParameters>,
}

/// Parameters of an output that is wanted; others are ignored.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
pub(super) struct WantedParameters {
    /// Whether it comes as a block of bytes after the JSON.
    pub(super) binary_data: Option<bool>,
    /// Refused: no memory is shared.
    #[schemars(skip)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
    /// Instead of the numbers, so many classes with the highest, each as `score:index:label`.
    #[schemars(with = "Option<u64>")]
    pub(super) classification: Option<InferParameter>,
}

/// A list that is as long as a message of any other protocol may make it. An object of two bytes takes a hundred in memory.
pub(super) struct Few<T>(pub(super) Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        list(from, MOST_FIELDS).map(Self)
    }
}

/// The length of each axis.
pub(super) struct Axes(pub(super) Vec<i64>);

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        list(from, MOST_AXES).map(Self)
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

/// What is wrong with a body.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is no JSON, for this reason.
    Malformed(String),
    /// It is JSON of another form.
    Faulty(InputFaults),
}

/// Reads `json`.
///
/// # Errors
/// Where it is wrong, and what was wanted there.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Unread> {
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
