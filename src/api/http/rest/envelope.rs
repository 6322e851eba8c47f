//! The JSON of an inference request, apart from the elements of its tensors.
//!
//! Every field may be missing or of an unexpected kind, so that all faults are reported in one form. Unknown fields are ignored, as the
//! protocol demands.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use super::form::{BoundedList, list, object};
use crate::proto::inference::InferParameter;
use crate::proto::inference::infer_parameter::ParameterChoice;

/// Axes of a shape that are read: more than any input has, so that a fault about too many axes can name the input.
const MAX_READ_AXES: usize = 16;

/// An inference request.
// `inputs` has a default, so that a request without it gets an error that names the field. The schema says that it is required.
#[derive(serde::Deserialize, JsonSchema)]
#[schemars(extend("required" = ["inputs"]))]
pub(in crate::api::http) struct InferRequest<'a> {
    /// Repeated in the response.
    pub(super) id: Option<String>,
    /// Parameters of the request.
    #[serde(default, deserialize_with = "object")]
    pub(super) parameters: Option<Parameters>,
    /// One for each input of the model.
    #[serde(borrow, default)]
    #[schemars(with = "Vec<Input<'a>>", length(min = 1))]
    pub(super) inputs: BoundedList<Input<'a>>,
    /// The outputs to return; all if empty.
    #[serde(default)]
    #[schemars(with = "Vec<WantedOutput>")]
    pub(super) outputs: BoundedList<WantedOutput>,
}

/// Parameters of a request; others are ignored.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[schemars(rename = "InferParameters")]
pub(super) struct Parameters {
    /// Requests with equal keys get the same version as long as the shares do not change. At most 1024 bytes. Alternatively, the header
    /// `taper-routing-key`.
    #[schemars(with = "Option<String>")]
    pub(super) routing_key: Option<ParameterValue>,
    /// The caller's own id for the answer: 1 to 128 visible ASCII characters. Alternatively, the header `taper-response-id`.
    #[schemars(with = "Option<String>")]
    pub(super) response_id: Option<ParameterValue>,
    /// How long the caller waits, in microseconds; no limit if 0.
    #[schemars(with = "Option<u64>")]
    pub(super) timeout: Option<ParameterValue>,
    /// Whether to send outputs as blocks of bytes after the JSON.
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
    /// `BOOL`, `INT8` to `INT64`, `UINT8` to `UINT64`, `FP16`, `BF16`, `FP32`, `FP64` or `BYTES`.
    #[schemars(required)]
    pub(super) datatype: Option<String>,
    /// Parameters of the tensor; others are ignored.
    #[serde(default, deserialize_with = "object")]
    pub(super) parameters: Option<InputParameters>,
    /// The elements, row-major, flat or nested as the shape says. `null` is a missing value of a float type. Left out if the tensor comes
    /// as a block of bytes.
    #[serde(borrow)]
    #[schemars(with = "Option<Vec<AnyElement>>")]
    pub(super) data: Option<&'a RawValue>,
}

/// An element of a tensor, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum AnyElement {
    /// A number, for integer and float types.
    Number(f64),
    /// A string, for BYTES.
    Text(String),
    /// True or false, for BOOL.
    Bool(bool),
    /// A missing value, for float types.
    Missing(()),
    /// The elements along the next axis.
    Nested(#[schemars(schema_with = "nested")] ()),
}

/// Makes the schema of a list of elements or of nested lists. It is not recursive, since generators of clients do not support that.
fn nested(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"description": "An element, or the elements along the next axis."}})
}

/// Parameters of an input; others are ignored.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
pub(super) struct InputParameters {
    /// Length of the tensor's block after the JSON, in bytes.
    pub(super) binary_data_size: Option<usize>,
    /// `base64` if each element of BYTES is written in base64, as MLServer's `Base64Codec` writes it; others are ignored.
    #[schemars(with = "Option<String>")]
    pub(super) content_type: Option<Box<RawValue>>,
    /// Refused: no memory is shared.
    #[schemars(skip)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
}

/// A requested output.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[schemars(rename = "Wanted")]
pub(super) struct WantedOutput {
    /// Name of the output.
    #[schemars(required)]
    pub(super) name: Option<String>,
    /// Parameters of the output; others are ignored.
    #[serde(default, deserialize_with = "object")]
    pub(super) parameters: Option<WantedParameters>,
}

/// Parameters of a requested output; others are ignored.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
pub(super) struct WantedParameters {
    /// Whether to send it as a block of bytes after the JSON.
    pub(super) binary_data: Option<bool>,
    /// Refused: no memory is shared.
    #[schemars(skip)]
    pub(super) shared_memory_region: Option<IgnoredAny>,
    /// Instead of numbers, return this many classes with the highest scores, each as `score:index:label`.
    #[schemars(with = "Option<u64>")]
    pub(super) classification: Option<ParameterValue>,
}

/// The value of any parameter.
#[derive(Debug)]
pub(super) struct ParameterValue(pub(super) InferParameter);

impl<'de> Deserialize<'de> for ParameterValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = ParameterChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, true or false")
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
        list(from, MAX_READ_AXES).map(Self)
    }
}
