//! Errors on the wire: the one place that decides what callers see of an error, and how much of it.

use std::collections::HashMap;

use prost::Message;
use tonic::{Code as WireCode, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use super::error_mapping::{ErrorMapping, NATIVE};
use crate::error::{AdminError, Code, InputFaults, PredictError};
use crate::ident::VersionNumber;

/// `google.rpc.ErrorInfo.domain` of every error.
const DOMAIN: &str = "taper.v1";

/// Limit on the bytes of a message in its `grpc-message` encoding. Many clients refuse trailers of more than 8 KiB and then report a broken
/// stream instead of the error. These limits keep the message and the details, which repeat it in base64, below 7 KiB together, whatever
/// names and texts a caller sends.
const MAX_MESSAGE_BYTES: usize = 1024;
/// Limit on the bytes of all violations in the details.
const MAX_VIOLATIONS_BYTES: usize = 3 * 1024;
/// Limit on the bytes of the field or subject of one violation.
const MAX_SUBJECT_BYTES: usize = 160;
/// Limit on the bytes of the description of one violation.
const MAX_DESCRIPTION_BYTES: usize = 320;
/// Bytes of one violation in addition to its texts: its kind, and the tags and lengths of protobuf.
const FRAMING_BYTES: usize = 32;

/// Converts an error of a prediction for the native protocol.
pub(super) fn from_predict(error: &PredictError) -> Status {
    to_status(error, &NATIVE)
}

/// Converts an error of a prediction for the protocol of `error_mapping`.
pub(super) fn to_status(error: &PredictError, error_mapping: &ErrorMapping) -> Status {
    let mut details = error_info(error.reason());
    match error {
        PredictError::InvalidInput(faults) => {
            let faults = faults.with_tensors_as(error_mapping.tensors);
            add_bad_fields(&mut details, &faults);
            return make_status((error_mapping.code)(error), &*faults, details);
        }
        PredictError::UnknownModel(_) => add_bad_field(&mut details, error_mapping.model, error),
        PredictError::UnknownVersion { .. } => {
            add_bad_field(&mut details, error_mapping.version, error)
        }
        PredictError::UnknownLabel { .. } => {
            add_bad_field(&mut details, error_mapping.label, error)
        }
        PredictError::Overloaded { retry_after, .. }
        | PredictError::TooLate { retry_after, .. } => {
            details.set_retry_info(Some(*retry_after));
        }
        // The cause of a failed forward pass is in the log only.
        PredictError::Draining
        | PredictError::Forward { .. }
        | PredictError::NotReady { .. }
        | PredictError::DeadlineExceeded => {}
    }
    make_status((error_mapping.code)(error), error, details)
}

/// Returns the status of a call that ended at its deadline, whatever its handler had done by then.
pub(super) fn deadline_exceeded() -> Status {
    let error = &PredictError::DeadlineExceeded;
    let text = "the deadline of the call passed before it was answered";
    make_status(Code::DeadlineExceeded, &text, error_info(error.reason()))
}

/// Converts a status to a message, for streams whose items fail one by one.
pub(super) fn to_message(status: &Status) -> tonic_types::Status {
    // The details are such a message already, with code and text.
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// Converts an error of an admin call.
pub(super) fn from_admin(error: &AdminError) -> Status {
    let mut details = error_info(error.reason());
    match error {
        AdminError::InvalidPolicy(faults) | AdminError::InvalidChange(faults) => {
            add_bad_fields(&mut details, faults);
        }
        AdminError::InvalidVersion(faults) => {
            let violations = faults.iter().map(|fault| {
                let field = format!("{} {}", fault.file.display(), fault.path);
                (field.trim_end().to_owned(), fault.message.clone())
            });
            for (field, description) in fit_violations(violations, faults.iter().count()) {
                details.add_bad_request_violation(field, description);
            }
        }
        AdminError::UnknownModel(_) => add_bad_field(&mut details, "model", error),
        AdminError::UnknownVersion { .. } => add_bad_field(&mut details, "version", error),
        AdminError::UnknownLabel { .. } => add_bad_field(&mut details, "label", error),
        AdminError::UnknownRevision { .. } => add_bad_field(&mut details, "revision", error),
        AdminError::NotReady(versions) => {
            let subject = |(version, why): &(VersionNumber, String)| {
                (format!("version {version}"), why.clone())
            };
            let violations = fit_violations(versions.iter().map(subject), versions.len());
            details.set_precondition_failure(make_violations(error.reason(), violations));
        }
        AdminError::SignatureMismatch(lines) => {
            let subject = |line: &String| ("policy".to_owned(), line.clone());
            let violations = fit_violations(lines.iter().map(subject), lines.len());
            details.set_precondition_failure(make_violations(error.reason(), violations));
        }
        AdminError::Held { what, by } => {
            let subject = |who: &String| (what.clone(), format!("held by {who}"));
            let violations = fit_violations(by.iter().map(subject), by.len());
            details.set_precondition_failure(make_violations(error.reason(), violations));
        }
        AdminError::RevisionConflict { current, .. } => {
            // A program that tries again should not have to parse the message.
            let metadata = HashMap::from([("current_revision".to_owned(), current.to_string())]);
            details = ErrorDetails::with_error_info(error.reason(), DOMAIN, metadata);
        }
        AdminError::LabelNotReady { .. }
        | AdminError::Unconfirmed(_)
        | AdminError::NothingToChange(_)
        | AdminError::VersionExists { .. }
        | AdminError::UploadTooLarge { .. }
        | AdminError::DiskFull(_)
        | AdminError::Compacted(_)
        | AdminError::Storage(_)
        | AdminError::Busy { .. }
        | AdminError::Draining => {}
    }
    make_status(error.code(), error, details)
}

/// Makes a status for an error that is neither of a prediction nor of an admin call.
pub(super) fn with_reason(code: WireCode, reason: &str, message: &str) -> Status {
    Status::with_error_details(code, message, error_info(reason))
}

/// Makes the status of a call beyond a limit on calls without admission control.
pub(super) fn too_many_calls(error: &impl ToString) -> Status {
    with_reason(
        WireCode::ResourceExhausted,
        "TOO_MANY_CALLS",
        &error.to_string(),
    )
}

fn make_status(code: Code, error: &impl ToString, details: ErrorDetails) -> Status {
    let message = cut(&error.to_string(), MAX_MESSAGE_BYTES, percent_encoded_len);
    Status::with_error_details(to_wire(code), message, details)
}

fn error_info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::<String, String>::new())
}

fn add_bad_field(details: &mut ErrorDetails, field: &str, error: &impl ToString) {
    let description = cut(&error.to_string(), MAX_DESCRIPTION_BYTES, char::len_utf8);
    details.add_bad_request_violation(field, description);
}

fn add_bad_fields(details: &mut ErrorDetails, faults: &InputFaults) {
    let violations = faults.iter().map(|fault| {
        let description = format!("got {}, wants {}", fault.got, fault.wanted);
        (fault.field.clone(), description)
    });
    for (field, description) in fit_violations(violations, faults.found()) {
        details.add_bad_request_violation(field, description);
    }
}

fn make_violations(kind: &str, violations: Vec<(String, String)>) -> Vec<PreconditionViolation> {
    let violations = violations.into_iter();
    violations
        .map(|(subject, description)| PreconditionViolation::new(kind, subject, description))
        .collect()
}

/// Returns as many subjects and descriptions as fit, each shortened. If `found` is more than that, a last one says how many are left out.
fn fit_violations(
    violations: impl Iterator<Item = (String, String)>,
    found: usize,
) -> Vec<(String, String)> {
    let mut bytes_left = MAX_VIOLATIONS_BYTES;
    let mut fitting: Vec<_> = violations
        .map(|(subject, description)| {
            (
                cut(&subject, MAX_SUBJECT_BYTES, char::len_utf8),
                cut(&description, MAX_DESCRIPTION_BYTES, char::len_utf8),
            )
        })
        .map_while(|(subject, description)| {
            bytes_left =
                bytes_left.checked_sub(FRAMING_BYTES + subject.len() + description.len())?;
            Some((subject, description))
        })
        .collect();
    let more = found.saturating_sub(fitting.len());
    if more > 0 {
        fitting.push(("...".into(), format!("and {more} more")));
    }
    fitting
}

/// Shortens `text` to a beginning whose characters `cost` at most `max` together, and marks it with `…` if that is not all.
pub(super) fn cut(text: &str, max: usize, cost: impl Fn(char) -> usize) -> String {
    const MARK: char = '…';
    let room = max.saturating_sub(cost(MARK));
    let mut spent = 0;
    // Where to cut if the rest does not fit.
    let mut end = 0;
    for (at, next) in text.char_indices() {
        spent += cost(next);
        if spent <= room {
            end = at + next.len_utf8();
        }
        if spent > max {
            return format!("{}{MARK}", &text[..end]);
        }
    }
    text.to_owned()
}

/// Returns the bytes of a character in `grpc-message`, which encodes some characters as `%XX`.
fn percent_encoded_len(c: char) -> usize {
    let is_plain = c.is_ascii_graphic() && !"\"#%<>`?{}".contains(c);
    c.len_utf8() * if is_plain { 1 } else { 3 }
}

fn to_wire(code: Code) -> WireCode {
    match code {
        Code::Ok => WireCode::Ok,
        Code::Cancelled => WireCode::Cancelled,
        Code::InvalidArgument => WireCode::InvalidArgument,
        Code::DeadlineExceeded => WireCode::DeadlineExceeded,
        Code::NotFound => WireCode::NotFound,
        Code::ResourceExhausted => WireCode::ResourceExhausted,
        Code::FailedPrecondition => WireCode::FailedPrecondition,
        Code::Aborted => WireCode::Aborted,
        Code::Internal => WireCode::Internal,
        Code::Unavailable => WireCode::Unavailable,
        Code::AlreadyExists => WireCode::AlreadyExists,
        Code::OutOfRange => WireCode::OutOfRange,
    }
}

#[cfg(test)]
mod tests;
