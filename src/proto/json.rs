//! How single fields of messages become JSON, for the `serialize_with` attributes that `build.rs` sets.
//!
//! Numbers of enums become names, times become texts in RFC 3339, and lengths of time become seconds. Each function returns the
//! errors of its serializer.

use prost_types::{Duration, Timestamp};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::inference::{DataType, model_input::Format};
use super::names;
use super::v1::{self, two_distributions::Test};
use crate::ident::RawTarget;

/// Serializes a data type by its name, such as `TYPE_FP32`; unknown numbers as `TYPE_INVALID`.
pub(super) fn data_type<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = DataType::try_from(*number).unwrap_or(DataType::TypeInvalid);
    serializer.serialize_str(known.as_str_name())
}

/// Serializes a format by its name, such as `FORMAT_NONE`; unknown numbers as `FORMAT_NONE`.
pub(super) fn format<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let known = Format::try_from(*number).unwrap_or(Format::None);
    serializer.serialize_str(known.as_str_name())
}

/// Serializes a role by its name, such as `primary`.
pub(super) fn role<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(v1::Role::try_from(*number).unwrap_or_default().name())
}

/// Serializes a window by its name, such as `5m`.
pub(super) fn window<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let window = v1::StatsWindow::try_from(*number).unwrap_or_default();
    serializer.serialize_str(window.name())
}

/// Serializes the state of a version, such as `READY`.
pub(super) fn version_state<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let state = v1::VersionState::try_from(*number).unwrap_or_default();
    serializer.serialize_str(state.name())
}

/// Serializes a data type of `taper.v1`, such as `FP32`.
pub(super) fn datatype<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let datatype = v1::Datatype::try_from(*number).unwrap_or_default();
    serializer.serialize_str(datatype.name())
}

/// Serializes what a prediction is, such as `probabilities`.
pub(super) fn prediction_kind<S: Serializer>(
    number: &i32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let kind = v1::PredictionKind::try_from(*number).unwrap_or_default();
    serializer.serialize_str(kind.name())
}

/// Serializes the kind of a column: `numbers` or `categories`.
pub(super) fn column_kind<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let kind = v1::ColumnKind::try_from(*number).unwrap_or_default();
    serializer.serialize_str(kind.name())
}

/// Serializes a verdict, such as `severe`.
pub(super) fn drift_verdict<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let verdict = v1::DriftVerdict::try_from(*number).unwrap_or_default();
    serializer.serialize_str(verdict.name())
}

/// Serializes a time with its fraction of a second, or null.
pub(super) fn time<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.as_ref().map(ToString::to_string).serialize(serializer)
}

/// Serializes a time with its fraction of a second; an empty text without one.
pub(super) fn time_or_empty<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = time.as_ref().map(ToString::to_string);
    serializer.serialize_str(&text.unwrap_or_default())
}

/// Serializes a time truncated to the second, or null.
pub(super) fn time_to_second<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.as_ref().map(names::to_second).serialize(serializer)
}

/// Serializes a length of time in seconds; 0 without one.
pub(super) fn seconds<S: Serializer>(
    length: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(names::seconds(length.as_ref()))
}

/// Serializes the name of a window of outcomes: `60m` or `all`.
pub(super) fn outcome_window<S: Serializer>(
    length: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&names::outcome_window(length.as_ref()))
}

/// Serializes a number as the shortest decimal that is this f32: 0.9, where f64 would be 0.8999999761581421.
pub(super) fn shortest<S: Serializer>(
    number: &Option<f32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shortest = |x: f32| x.to_string().parse().unwrap_or(f64::from(x));
    number.map(shortest).serialize(serializer)
}

/// Serializes a text, or null where it is empty.
pub(super) fn null_if_empty<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    Some(text)
        .filter(|text| !text.is_empty())
        .serialize(serializer)
}

/// Serializes a number; 0 without one.
pub(super) fn zero_if_none<S: Serializer>(
    number: &Option<u32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(number.unwrap_or_default())
}

/// Serializes the target of a share as text: the number of a version or the name of a label.
pub(super) fn share_target<S: Serializer>(
    target: &Option<v1::share::Target>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&RawTarget::from(target.clone()))
}

/// Serializes the target of a header rule as [`share_target`] does.
pub(super) fn rule_target<S: Serializer>(
    target: &Option<v1::header_rule::Target>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&RawTarget::from(target.clone()))
}

/// Serializes both results of a test, of which at most one is not null.
pub(super) fn test<S: Serializer>(test: &Option<Test>, serializer: S) -> Result<S::Ok, S::Error> {
    let (result, too_few) = match test {
        Some(Test::KolmogorovSmirnov(result)) => (Some(result), None),
        Some(Test::TooFew(few)) => (None, Some(few)),
        None => (None, None),
    };
    let mut both = serializer.serialize_struct("Test", 2)?;
    both.serialize_field("kolmogorov_smirnov", &result)?;
    both.serialize_field("too_few", &too_few)?;
    both.end()
}

/// Serializes a distribution of a comparison, which has no fields for the error of its sketch.
pub(super) fn compared<S: Serializer>(
    one: &Option<v1::Distribution>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(one) = one else {
        return serializer.serialize_none();
    };
    let mut json = serde_json::to_value(one).map_err(serde::ser::Error::custom)?;
    if let Some(fields) = json.as_object_mut() {
        fields.remove("relative_error");
        fields.remove("beyond");
    }
    json.serialize(serializer)
}

/// `auc_bound` is null where there is no AUC, so this is no derived implementation.
impl Serialize for v1::ClassQuality {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("ClassQuality", 7)?;
        json.serialize_field("accuracy", &self.accuracy)?;
        json.serialize_field("log_loss", &self.log_loss)?;
        json.serialize_field("brier", &self.brier)?;
        json.serialize_field("auc", &self.auc)?;
        json.serialize_field("auc_bound", &self.auc.map(|_| self.auc_bound))?;
        json.serialize_field("calibration_error", &self.calibration_error)?;
        json.serialize_field("calibration", &self.calibration)?;
        json.end()
    }
}
