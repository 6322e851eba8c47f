//! The JSON of an inference request, as far as it is the same whatever its tensors hold.
//!
//! Everything may be missing or of a kind that is not known, so that what is wrong can be named in one way. What is not known is
//! ignored, as the protocol wants it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use super::form::{Few, list, object};
use crate::proto::inference::InferParameter;
use crate::proto::inference::infer_parameter::ParameterChoice;

/// Axes that are read of a shape, which are more than any input has, so that who sends too many is told of which input.
const MOST_AXES: usize = 16;

/// A request to infer.
// What is missing has a default so that it is refused by name. That it must be there is said here, beside the default.
#[derive(serde::Deserialize, JsonSchema)]
#[schemars(extend("required" = ["inputs"]))]
pub(in crate::api::http) struct InferRequest<'a> {
    /// Echoed in the answer.
    pub(super) id: Option<String>,
    /// About the request as a whole.
    #[serde(default, deserialize_with = "object")]
    pub(super) parameters: Option<Parameters>,
    /// One for each input of the model.
    #[serde(borrow, default)]
    #[schemars(with = "Vec<Input<'a>>", length(min = 1))]
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
    pub(super) routing_key: Option<Given>,
    /// The caller's own id for the answer: 1 to 128 visible ASCII characters. The header `taper-response-id` says the same.
    #[schemars(with = "Option<String>")]
    pub(super) response_id: Option<Given>,
    /// Microseconds that the caller waits; 0: for ever.
    #[schemars(with = "Option<u64>")]
    pub(super) timeout: Option<Given>,
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
    #[serde(default, deserialize_with = "object")]
    pub(super) parameters: Option<InputParameters>,
    /// The elements, row-major, flat or nested as the shape says. `null` is missing, for FP32 and FP64. Left out where the tensor comes
    /// as a block of bytes.
    #[serde(borrow)]
    #[schemars(with = "Option<Vec<AnyElement>>")]
    pub(super) data: Option<&'a RawValue>,
}

/// What the elements of a tensor may be, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only described")]
pub(super) enum AnyElement {
    /// A number, for INT32, INT64, FP32 and FP64.
    Number(f64),
    /// A text, for BYTES.
    Text(String),
    /// True or false, for BOOL.
    Bool(bool),
    /// Missing, for FP32 and FP64.
    Missing(()),
    /// Those along the next axis.
    Nested(#[schemars(schema_with = "nested")] ()),
}

/// A list of elements, or of lists of them: a form that holds itself is more than generators of clients read.
fn nested(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"description": "An element, or those along the next axis."}})
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
    #[serde(default, deserialize_with = "object")]
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
    pub(super) classification: Option<Given>,
}

/// The value of a parameter, whatever it is there for.
#[derive(Debug)]
pub(super) struct Given(pub(super) InferParameter);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = ParameterChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<ParameterChoice, E> {
                Ok(ParameterChoice::BoolParam(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<ParameterChoice, E> {
                Ok(ParameterChoice::Int64Param(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<ParameterChoice, E> {
                Ok(ParameterChoice::Uint64Param(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<ParameterChoice, E> {
                Ok(ParameterChoice::DoubleParam(value))
            }

            fn visit_str<E>(self, text: &str) -> Result<ParameterChoice, E> {
                Ok(ParameterChoice::StringParam(text.to_owned()))
            }
        }
        let parameter_choice = Some(from.deserialize_any(Value)?);
        Ok(Self(InferParameter { parameter_choice }))
    }
}

/// The length of each axis.
pub(super) struct Axes(pub(super) Vec<i64>);

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        list(from, MOST_AXES).map(Self)
    }
}
