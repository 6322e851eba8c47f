//! Why a verb failed, as text for people.

use std::{fmt, io};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::faults::Faults;

/// Why a verb failed: a message of one line or more, and the exit code of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
    usage: bool,
}

impl Failure {
    /// A failure with this message, which says what is wrong, what was found, what was expected, and what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            usage: false,
        }
    }

    /// A failure because of wrong arguments, before anything was done.
    #[must_use]
    pub fn usage(faults: &Faults) -> Self {
        Self {
            message: faults.to_string(),
            usage: true,
        }
    }

    /// Returns the exit code: 2 for wrong arguments, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::new(faults.to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::new(describe(&status))
    }
}

/// For the errors of `terminal`, which already say what could not be done.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Returns a refusal by the gateway as text: code, reason and message, then a line for each detail.
fn describe(status: &Status) -> String {
    let details = status.get_error_details();
    let mut text = code_name(status.code()).to_owned();
    if let Some(info) = details.error_info() {
        text.push_str(&format!(" ({})", info.reason));
    }
    let fields = details
        .bad_request()
        .map_or(&[][..], |request| &request.field_violations);
    let fields = fields.iter().map(|one| (&one.field, &one.description));
    let states = details
        .precondition_failure()
        .map_or(&[][..], |failure| &failure.violations);
    let states = states.iter().map(|one| (&one.subject, &one.description));
    let violations: Vec<_> = fields.chain(states).collect();
    // The message often repeats the first violations in one line. It is left out then: each violation gets its own line below.
    let repeated = |(_, description): &(_, &String)| status.message().contains(*description);
    if !status.message().is_empty() && !violations.iter().any(repeated) {
        text.push_str(&format!(": {}", status.message()));
    }
    for (subject, description) in violations {
        text.push_str(&format!("\n  {subject}: {description}"));
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        text.push_str(&format!("\n  try again after {delay:?}"));
    }
    if let Some(help) = details.error_info().and_then(|info| help(&info.reason)) {
        text.push_str(&format!("\n  {help}"));
    }
    if status.code() == Code::Unimplemented {
        text.push_str(
            "\n  predictions and administration have separate ports (8001 and 8002 by default); check that --address names the \
             right one",
        );
    }
    text
}

/// Returns what a person can do about a refusal with this reason.
fn help(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "REVISION_CONFLICT" => {
            "check what is in force now (`taper versions`, `taper label list`, `taper split get`), then try again with \
             --expect and its revision"
        }
        "VERSION_HELD" => {
            "remove these references first, with `taper split set` or `taper label set`"
        }
        "UNCONFIRMED_CHANGE" => {
            "keep that change with `taper confirm`, or revert it with `taper undo`"
        }
        _ => return None,
    })
}

/// Returns the name of a code in the gRPC documentation.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use tonic_types::ErrorDetails;

    use super::*;

    fn refused(
        code: Code,
        reason: &str,
        message: &str,
        fill: impl Fn(&mut ErrorDetails),
    ) -> String {
        let none = HashMap::<String, String>::new();
        let mut details = ErrorDetails::with_error_info(reason, "taper.v1", none);
        fill(&mut details);
        Failure::from(Status::with_error_details(code, message, details)).to_string()
    }

    #[test]
    fn every_refused_field_has_one_line() {
        let text = refused(
            Code::InvalidArgument,
            "INVALID_INPUT",
            "rows[0].temp: got \"hot\", wants a number; rows[0].wind: got 3, wants no such input",
            |details| {
                details.add_bad_request_violation("rows[0].temp", "got \"hot\", wants a number");
                details.add_bad_request_violation("rows[0].wind", "got 3, wants no such input");
            },
        );
        insta::assert_snapshot!(text, @r#"
        INVALID_ARGUMENT (INVALID_INPUT)
          rows[0].temp: got "hot", wants a number
          rows[0].wind: got 3, wants no such input
        "#);
    }

    #[test]
    fn preconditions_and_retries_follow_the_message() {
        let text = refused(
            Code::FailedPrecondition,
            "VERSION_NOT_READY",
            "versions cannot take traffic",
            |details| {
                details.add_precondition_failure_violation(
                    "STATE",
                    "version 3",
                    "weights: missing",
                );
            },
        );
        insta::assert_snapshot!(text, @r"
        FAILED_PRECONDITION (VERSION_NOT_READY): versions cannot take traffic
          version 3: weights: missing
        ");
        let text = refused(
            Code::ResourceExhausted,
            "OVERLOADED",
            "compute is at its limit",
            |d| {
                d.set_retry_info(Some(Duration::from_millis(250)));
            },
        );
        insta::assert_snapshot!(text, @r"
        RESOURCE_EXHAUSTED (OVERLOADED): compute is at its limit
          try again after 250ms
        ");
    }
}
