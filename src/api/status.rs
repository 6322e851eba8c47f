//! Errors on the wire: the one place that chooses what a caller is told, and how much of it.

use std::collections::HashMap;

use prost::Message;
use tonic::{Code as WireCode, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use super::error_mapping::{ErrorMapping, NATIVE};
use crate::error::{AdminError, Code, InputFaults, PredictError};
use crate::ident::VersionNumber;

/// `google.rpc.ErrorInfo.domain` of every error.
const DOMAIN: &str = "taper.v1";

/// Bytes that a message may take as `grpc-message` carries it. Many clients refuse a call whose trailers pass 8 KiB, and
/// see no error then but a broken stream. These limits keep the message and the details, which repeat it and travel as
/// base64, below 7 KiB together, whatever names and texts a caller sends.
const MESSAGE: usize = 1024;
/// Bytes of all violations in the details.
const VIOLATIONS: usize = 3 * 1024;
/// Bytes of the field or subject of one violation.
const SUBJECT: usize = 160;
/// Bytes of the description of one violation.
const DESCRIPTION: usize = 320;
/// Bytes of one violation beside its texts: its kind, and the tags and lengths of protobuf.
const FRAMING: usize = 32;

pub(super) fn from_predict(error: &PredictError) -> Status {
    to_status(error, &NATIVE)
}

/// An error in the words of a protocol.
pub(super) fn to_status(error: &PredictError, error_mapping: &ErrorMapping) -> Status {
    let mut details = info(error.reason());
    match error {
        PredictError::InvalidInput(faults) => {
            let faults = faults.with_tensors_as(error_mapping.tensors);
            bad_fields(&mut details, &faults);
            return status((error_mapping.code)(error), &*faults, details);
        }
        PredictError::UnknownModel(_) => bad_field(&mut details, error_mapping.model, error),
        PredictError::UnknownVersion { .. } => {
            bad_field(&mut details, error_mapping.version, error)
        }
        PredictError::UnknownLabel { .. } => bad_field(&mut details, error_mapping.label, error),
        PredictError::Overloaded { retry_after, .. }
        | PredictError::TooLate { retry_after, .. } => {
            details.set_retry_info(Some(*retry_after));
        }
        // Why a forward pass failed is in the log, not here.
        PredictError::Draining
        | PredictError::Forward { .. }
        | PredictError::NotReady { .. }
        | PredictError::DeadlineExceeded => {}
    }
    status((error_mapping.code)(error), error, details)
}

/// A call that ended at its deadline, whatever had become of it by then.
pub(super) fn late() -> Status {
    let late = &PredictError::DeadlineExceeded;
    let text = "the deadline of the call passed before it was answered";
    status(Code::DeadlineExceeded, &text, info(late.reason()))
}

/// A status as a message, for streams whose items fail one by one.
pub(super) fn as_message(status: &Status) -> tonic_types::Status {
    // The details are such a message, with code and text.
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

pub(super) fn from_admin(error: &AdminError) -> Status {
    let mut details = info(error.reason());
    match error {
        AdminError::InvalidPolicy(faults) | AdminError::InvalidChange(faults) => {
            bad_fields(&mut details, faults);
        }
        AdminError::InvalidVersion(faults) => {
            let told = faults.iter().map(|fault| {
                let field = format!("{} {}", fault.file.display(), fault.path);
                (field.trim_end().to_owned(), fault.message.clone())
            });
            for (field, description) in fitting(told, faults.iter().count()) {
                details.add_bad_request_violation(field, description);
            }
        }
        AdminError::UnknownModel(_) => bad_field(&mut details, "model", error),
        AdminError::UnknownVersion { .. } => bad_field(&mut details, "version", error),
        AdminError::UnknownLabel { .. } => bad_field(&mut details, "label", error),
        AdminError::UnknownRevision { .. } => bad_field(&mut details, "revision", error),
        AdminError::NotReady(versions) => {
            let subject = |(version, why): &(VersionNumber, String)| {
                (format!("version {version}"), why.clone())
            };
            let told = fitting(versions.iter().map(subject), versions.len());
            details.set_precondition_failure(precondition(error.reason(), told));
        }
        AdminError::SignatureMismatch(lines) => {
            let subject = |line: &String| ("policy".to_owned(), line.clone());
            let told = fitting(lines.iter().map(subject), lines.len());
            details.set_precondition_failure(precondition(error.reason(), told));
        }
        AdminError::Held { what, by } => {
            let subject = |who: &String| (what.clone(), format!("held by {who}"));
            let told = fitting(by.iter().map(subject), by.len());
            details.set_precondition_failure(precondition(error.reason(), told));
        }
        AdminError::RevisionConflict { current, .. } => {
            // A program that tries again should not have to read the sentence.
            let told = HashMap::from([("current_revision".to_owned(), current.to_string())]);
            details = ErrorDetails::with_error_info(error.reason(), DOMAIN, told);
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
    status(error.code(), error, details)
}

/// A refusal that is no matter of predicting or of changing anything.
pub(super) fn plain(code: WireCode, reason: &str, told: &str) -> Status {
    Status::with_error_details(code, told, info(reason))
}

fn status(code: Code, error: &impl ToString, details: ErrorDetails) -> Status {
    let message = cut(&error.to_string(), MESSAGE, percent_encoded);
    Status::with_error_details(wire(code), message, details)
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::<String, String>::new())
}

fn bad_field(details: &mut ErrorDetails, field: &str, error: &impl ToString) {
    let description = cut(&error.to_string(), DESCRIPTION, char::len_utf8);
    details.add_bad_request_violation(field, description);
}

fn bad_fields(details: &mut ErrorDetails, faults: &InputFaults) {
    let told = faults.iter().map(|fault| {
        let description = format!("got {}, wants {}", fault.got, fault.wanted);
        (fault.field.clone(), description)
    });
    for (field, description) in fitting(told, faults.found()) {
        details.add_bad_request_violation(field, description);
    }
}

fn precondition(kind: &str, told: Vec<(String, String)>) -> Vec<PreconditionViolation> {
    told.into_iter()
        .map(|(subject, why)| PreconditionViolation::new(kind, subject, why))
        .collect()
}

/// As many subjects and descriptions as fit, each cut. Where `found` is more than that, a last one says how many are left
/// out.
fn fitting(
    violations: impl Iterator<Item = (String, String)>,
    found: usize,
) -> Vec<(String, String)> {
    let mut left = VIOLATIONS;
    let mut told: Vec<_> = violations
        .map(|(subject, description)| {
            (
                cut(&subject, SUBJECT, char::len_utf8),
                cut(&description, DESCRIPTION, char::len_utf8),
            )
        })
        .map_while(|(subject, description)| {
            left = left.checked_sub(FRAMING + subject.len() + description.len())?;
            Some((subject, description))
        })
        .collect();
    let more = found.saturating_sub(told.len());
    if more > 0 {
        told.push(("...".into(), format!("and {more} more")));
    }
    told
}

/// The beginning of `text` whose characters `cost` at most `most` together, with `…` where that is not all of it.
pub(super) fn cut(text: &str, most: usize, cost: impl Fn(char) -> usize) -> String {
    const MARK: char = '…';
    let room = most.saturating_sub(cost(MARK));
    let mut spent = 0;
    // Where to cut, should the rest not fit.
    let mut end = 0;
    for (at, next) in text.char_indices() {
        spent += cost(next);
        if spent <= room {
            end = at + next.len_utf8();
        }
        if spent > most {
            return format!("{}{MARK}", &text[..end]);
        }
    }
    text.to_owned()
}

/// Bytes of a character in `grpc-message`, where most but letters and digits become `%XX`.
fn percent_encoded(c: char) -> usize {
    let plain = c.is_ascii_graphic() && !"\"#%<>`?{}".contains(c);
    c.len_utf8() * if plain { 1 } else { 3 }
}

fn wire(code: Code) -> WireCode {
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
