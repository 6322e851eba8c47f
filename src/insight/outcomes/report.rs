//! What is reported, and what becomes of it.

use super::quality::LARGEST_NUMBER;
use crate::error::{InputFault, InputFaults};
use crate::ident::ResponseId;

/// The truth about one row of one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which answer.
    pub response_id: String,
    /// Which of its rows, from 0.
    pub row: u32,
    /// What came true; `None` where the message does not say.
    pub truth: Option<Truth>,
}

/// What came true.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// The class with this label.
    Class(String),
    /// This number, at most [`LARGEST_NUMBER`] from zero.
    Number(f64),
}

/// What became of one truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It was counted.
    Accepted,
    /// It says something that cannot be true of the version that answered, or cannot be read.
    Invalid,
    /// The row has been counted before.
    Duplicate,
    /// It came too late.
    Expired,
    /// The version that answered is no longer in memory.
    Gone,
    /// Nothing was answered under this id, or it is no longer remembered.
    Unmatched,
}

impl Joined {
    /// Those that are not counted with a version, with their word in the metrics.
    pub const REFUSED: [(Self, &'static str); 5] = [
        (Self::Invalid, "invalid"),
        (Self::Duplicate, "duplicate"),
        (Self::Expired, "expired"),
        (Self::Gone, "gone"),
        (Self::Unmatched, "unmatched"),
    ];
}

/// Why one truth cannot be used, without its place in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// `response_id`, `row` or `truth`.
    pub(super) field: &'static str,
    pub(super) got: String,
    pub(super) wanted: String,
    /// Whether nobody could have answered to it, whatever was asked: it is no truth at all.
    pub(super) malformed: bool,
}

/// What became of the truths of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Counted.
    pub accepted: u64,
    /// Of no answer that is remembered.
    pub unmatched: u64,
    /// Counted before.
    pub duplicate: u64,
    /// Too late.
    pub expired: u64,
    /// Of a version that is no longer in memory.
    pub gone: u64,
    /// Not usable; `faults` says why.
    pub invalid: u64,
    /// Of the invalid ones, those that could not be read as a truth at all.
    pub malformed: u64,
    /// The first few of the invalid ones.
    pub faults: InputFaults,
}

impl Report {
    pub(super) fn add(&mut self, place: usize, ended: Result<Joined, Misfit>) -> Joined {
        let joined = ended.unwrap_or_else(|misfit| {
            self.malformed += u64::from(misfit.malformed);
            self.faults.add_with(|| InputFault {
                field: format!("outcomes[{place}].{}", misfit.field),
                got: misfit.got,
                wanted: misfit.wanted,
            });
            Joined::Invalid
        });
        *match joined {
            Joined::Accepted => &mut self.accepted,
            Joined::Invalid => &mut self.invalid,
            Joined::Duplicate => &mut self.duplicate,
            Joined::Expired => &mut self.expired,
            Joined::Gone => &mut self.gone,
            Joined::Unmatched => &mut self.unmatched,
        } += 1;
        joined
    }
}

/// What to tell where one truth meets several shadows' answers: the best that came of it.
pub(super) fn rank(joined: &Result<Joined, Misfit>) -> u8 {
    match joined {
        Ok(Joined::Unmatched) => 0,
        Ok(Joined::Gone) => 1,
        Ok(Joined::Expired) => 2,
        Ok(Joined::Duplicate) => 3,
        Err(_) | Ok(Joined::Invalid) => 4,
        Ok(Joined::Accepted) => 5,
    }
}

/// What can be said without knowing what was answered.
pub(super) fn checked(outcome: &Outcome) -> Result<(&str, &Truth), Misfit> {
    let malformed = |field, got, wanted: &str| Misfit {
        field,
        got,
        wanted: wanted.into(),
        malformed: true,
    };
    let id = outcome.response_id.as_str();
    if !ResponseId::is_valid(id) {
        let got = format!("{:?}", shortened(id));
        return Err(malformed("response_id", got, ResponseId::WANTED));
    }
    match &outcome.truth {
        None => Err(malformed("truth", "nothing".into(), "`class` or `number`")),
        Some(Truth::Number(number)) if number.is_nan() || number.abs() > LARGEST_NUMBER => {
            let got = format!("{number:e}");
            Err(malformed("truth", got, "a number from -3.4e38 to 3.4e38"))
        }
        Some(truth) => Ok((id, truth)),
    }
}

/// The beginning of what a caller sent: enough to find it.
pub(super) fn shortened(text: &str) -> String {
    crate::text::truncate(text, 64).to_owned()
}
