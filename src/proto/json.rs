//! Messages as JSON, where they hold the number of an enum's value and JSON has its name.

use serde::Serializer;

use super::inference::{DataType, model_input::Format};

/// `TYPE_FP32` and so on.
///
/// # Errors
/// Those of `to`.
pub(super) fn data_type<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
    let known = DataType::try_from(*number).unwrap_or(DataType::TypeInvalid);
    to.serialize_str(known.as_str_name())
}

/// `FORMAT_NONE` and so on.
///
/// # Errors
/// Those of `to`.
pub(super) fn format<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
    let known = Format::try_from(*number).unwrap_or(Format::None);
    to.serialize_str(known.as_str_name())
}
