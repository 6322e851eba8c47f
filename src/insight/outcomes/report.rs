//! Reported outcomes, and the result of each.

use super::quality::LARGEST_NUMBER;
use crate::error::{InputFault, InputFaults};
use crate::ident::ResponseId;

/// The characters of a client's text that a fault quotes: enough to find it.
const MAX_QUOTED: usize = 64;

/// The ground truth of one row of one answer, as a client reports it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The response id of the answer.
    pub response_id: String,
    /// The row of the answer, from 0.
    pub row: u32,
    /// The ground truth; `None` if the message contains none.
    pub ground_truth: Option<GroundTruth>,
}

/// The ground truth of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum GroundTruth {
    /// The class with this label.
    Class(String),
    /// This number, at most [`LARGEST_NUMBER`] from zero.
    Number(f64),
}

/// The result of joining one outcome to the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinStatus {
    /// The outcome was counted.
    Accepted,
    /// The outcome cannot be read, or cannot apply to the version that answered.
    Invalid,
    /// An outcome of the row was counted before.
    Duplicate,
    /// The outcome came too late.
    Expired,
    /// The version that answered is no longer in memory.
    Gone,
    /// No answer had this id, or it is no longer stored.
    Unmatched,
}

impl JoinStatus {
    /// The statuses of outcomes that are not counted with a version, each with its label value in the metrics.
    pub const REFUSED: [(Self, &'static str); 5] = [
        (Self::Invalid, "invalid"),
        (Self::Duplicate, "duplicate"),
        (Self::Expired, "expired"),
        (Self::Gone, "gone"),
        (Self::Unmatched, "unmatched"),
    ];

    /// Returns how well a status describes an outcome that was joined to several answers: the highest rank is reported.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Unmatched => 0,
            Self::Gone => 1,
            Self::Expired => 2,
            Self::Duplicate => 3,
            Self::Invalid => 4,
            Self::Accepted => 5,
        }
    }
}

/// Why one outcome cannot be used, without its place in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InvalidOutcome {
    /// `response_id`, `row` or `truth`.
    pub(super) field: &'static str,
    pub(super) got: String,
    pub(super) wanted: String,
    /// Whether the outcome could not apply to any answer of any version.
    pub(super) malformed: bool,
}

/// The results of the outcomes of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinReport {
    /// Outcomes that were counted.
    pub accepted: u64,
    /// Outcomes whose answer is not stored.
    pub unmatched: u64,
    /// Outcomes of rows that were counted before.
    pub duplicate: u64,
    /// Outcomes that came too late.
    pub expired: u64,
    /// Outcomes of versions that are no longer in memory.
    pub gone: u64,
    /// Outcomes that cannot be used; `faults` says why.
    pub invalid: u64,
    /// Of the invalid outcomes, those that could not apply to any answer.
    pub malformed: u64,
    /// The faults of the first few invalid outcomes.
    pub faults: InputFaults,
}

impl JoinReport {
    /// Counts the result of the outcome at `place` of its message and returns its status.
    pub(super) fn add(
        &mut self,
        place: usize,
        joined: Result<JoinStatus, InvalidOutcome>,
    ) -> JoinStatus {
        let status = joined.unwrap_or_else(|invalid| {
            self.malformed += u64::from(invalid.malformed);
            self.faults.add_with(|| InputFault {
                field: format!("outcomes[{place}].{}", invalid.field),
                got: invalid.got,
                wanted: invalid.wanted,
            });
            JoinStatus::Invalid
        });
        *match status {
            JoinStatus::Accepted => &mut self.accepted,
            JoinStatus::Invalid => &mut self.invalid,
            JoinStatus::Duplicate => &mut self.duplicate,
            JoinStatus::Expired => &mut self.expired,
            JoinStatus::Gone => &mut self.gone,
            JoinStatus::Unmatched => &mut self.unmatched,
        } += 1;
        status
    }
}

/// Checks an outcome as far as possible without its answer. Returns its response id and its ground truth.
///
/// # Errors
/// Returns an error if the response id is not valid, or if the ground truth is missing or not a number in range.
pub(super) fn check(outcome: &Outcome) -> Result<(&str, &GroundTruth), InvalidOutcome> {
    let malformed = |field, got, wanted: &str| InvalidOutcome {
        field,
        got,
        wanted: wanted.into(),
        malformed: true,
    };
    let id = outcome.response_id.as_str();
    if !ResponseId::is_valid(id) {
        return Err(malformed("response_id", quote(id), ResponseId::WANTED));
    }
    match &outcome.ground_truth {
        None => Err(malformed("truth", "nothing".into(), "`class` or `number`")),
        Some(GroundTruth::Number(number)) if number.is_nan() || number.abs() > LARGEST_NUMBER => {
            let got = format!("{number:e}");
            Err(malformed("truth", got, "a number from -3.4e38 to 3.4e38"))
        }
        Some(ground_truth) => Ok((id, ground_truth)),
    }
}

/// Quotes the beginning of a text that a client sent.
pub(super) fn quote(text: &str) -> String {
    format!("{:?}", crate::text::truncate(text, MAX_QUOTED))
}
