//! Errors on the wire: the one place that chooses what a caller is told.

use std::collections::HashMap;

use tonic::{Code as WireCode, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use crate::error::{AdminError, Code, InputFaults, PredictError};

/// `google.rpc.ErrorInfo.domain` of every error.
const DOMAIN: &str = "taper.v1";

pub(super) fn from_predict(error: &PredictError) -> Status {
    let mut details = info(error.reason());
    match error {
        PredictError::InvalidInput(faults) => violations(&mut details, faults),
        PredictError::UnknownModel(_) => {
            details.add_bad_request_violation("model", error.to_string());
        }
        PredictError::UnknownVersion { .. } => {
            details.add_bad_request_violation("version", error.to_string());
        }
        PredictError::UnknownLabel { .. } => {
            details.add_bad_request_violation("label", error.to_string());
        }
        PredictError::Overloaded { retry_after, .. } => {
            details.set_retry_info(Some(*retry_after));
        }
        // Why a forward pass failed is in the log, not here.
        PredictError::Forward { .. }
        | PredictError::NotReady { .. }
        | PredictError::DeadlineExceeded => {}
    }
    Status::with_error_details(wire(error.code()), error.to_string(), details)
}

pub(super) fn from_admin(error: &AdminError) -> Status {
    let mut details = info(error.reason());
    match error {
        AdminError::InvalidPolicy(faults) => violations(&mut details, faults),
        AdminError::UnknownModel(_) => {
            details.add_bad_request_violation("model", error.to_string());
        }
        AdminError::NotReady(versions) => {
            details.set_precondition_failure(precondition(versions.iter().map(
                |(version, why)| {
                    (
                        "VERSION_NOT_READY",
                        format!("version {version}"),
                        why.clone(),
                    )
                },
            )));
        }
        AdminError::SignatureMismatch(lines) => {
            details.set_precondition_failure(precondition(
                lines
                    .iter()
                    .map(|line| ("SIGNATURE_MISMATCH", "policy".to_owned(), line.clone())),
            ));
        }
        AdminError::LabelNotReady { .. }
        | AdminError::RevisionConflict { .. }
        | AdminError::Busy { .. }
        | AdminError::Draining => {}
    }
    Status::with_error_details(wire(error.code()), error.to_string(), details)
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::<String, String>::new())
}

fn violations(details: &mut ErrorDetails, faults: &InputFaults) {
    for fault in faults.iter() {
        let description = format!("got {}, wants {}", fault.got, fault.wanted);
        details.add_bad_request_violation(fault.field.clone(), description);
    }
}

fn precondition(
    violations: impl Iterator<Item = (&'static str, String, String)>,
) -> Vec<PreconditionViolation> {
    violations
        .map(|(kind, subject, why)| PreconditionViolation::new(kind, subject, why))
        .collect()
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
    }
}
