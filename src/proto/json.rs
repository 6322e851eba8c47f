//! Serializes enum fields of messages as names, where the message holds numbers.

use serde::Serializer;

use super::inference::{DataType, model_input::Format};

/// Serializes a data type by its name, such as `TYPE_FP32`; unknown numbers as `TYPE_INVALID`.
///
/// # Errors
/// Returns the errors of `serializer`.
pub(super) fn data_type<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = DataType::try_from(*number).unwrap_or(DataType::TypeInvalid);
    serializer.serialize_str(known.as_str_name())
}

/// Serializes a format by its name, such as `FORMAT_NONE`; unknown numbers as `FORMAT_NONE`.
///
/// # Errors
/// Returns the errors of `serializer`.
pub(super) fn format<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = Format::try_from(*number).unwrap_or(Format::None);
    serializer.serialize_str(known.as_str_name())
}
