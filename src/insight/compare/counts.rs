//! The counts and distributions of one pair of versions.

use super::examples::{self, Example};
use super::info::VersionInfo;
use super::pair::Pair;
use crate::insight::sketch::Sketch;

/// The most classes that a confusion table distinguishes. The others share its last row and column.
pub const MAX_CLASSES: usize = 16;

/// The counts and distributions of one pair of versions, since the shadow got the first copy of a request to this primary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairCounts {
    /// Requests that both answered.
    pub requests: u64,
    /// Rows that both answered.
    pub rows: u64,
    /// Rows whose most probable classes differ. 0 for a regression.
    pub disagreed: u64,
    /// Rows in which any value differs.
    pub differed: u64,
    /// Shadow minus primary, every value of every row.
    pub difference: Sketch,
    /// Seconds in the primary's forward pass, one per request.
    pub primary_inference: Sketch,
    /// Seconds in the shadow's forward pass, one per request.
    pub shadow_inference: Sketch,
    /// Shadow minus primary in seconds, one per request.
    pub inference_difference: Sketch,
    /// Rows by the primary's class and the shadow's: `side * side` cells, with a row per class of the primary. Empty for a
    /// regression.
    pub confusion: Vec<u64>,
    /// The classes that `confusion` distinguishes, and one more for all others if there are any.
    pub side: usize,
    /// The most different rows, the most different first; at most one per request.
    pub examples: Vec<Example>,
}

/// The rows of one request that were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ComparedRows {
    /// Rows that both answered.
    pub(super) rows: u64,
    /// Rows whose most probable classes differ.
    pub(super) disagreed: u64,
}

impl PairCounts {
    /// Creates the counts of a pair of versions with this number of classes, without requests.
    pub(super) fn new(classes: usize) -> Self {
        let side = classes.min(MAX_CLASSES + 1);
        Self {
            confusion: vec![0; side * side],
            side,
            ..Self::default()
        }
    }

    /// Adds one request and returns its rows. If the two answers differ in shape, nothing is added.
    pub(super) fn add(&mut self, pair: &Pair<'_>, shadow_info: &VersionInfo) -> ComparedRows {
        let (primary, shadow) = (pair.primary.scores, pair.shadow.scores);
        let same_columns = primary.columns() == shadow.columns();
        if !same_columns || primary.rows().len() != shadow.rows().len() {
            return ComparedRows::default();
        }
        let mut farthest = (0, 0.0_f64);
        for (at, (primary, shadow)) in primary.rows().zip(shadow.rows()).enumerate() {
            let mut distance = 0.0_f64;
            for (primary, shadow) in primary.iter().zip(shadow) {
                let difference = f64::from(*shadow) - f64::from(*primary);
                self.difference.record(difference);
                distance = distance.max(difference.abs());
            }
            self.differed += u64::from(distance > 0.0);
            if distance > farthest.1 {
                farthest = (at, distance);
            }
        }
        let (row, distance) = farthest;
        if examples::is_wanted(&self.examples, distance) {
            let example = Example::new(pair, shadow_info, row, distance);
            examples::insert(&mut self.examples, example);
        }
        let mut disagreed = 0;
        for (one, other) in pair.primary.top.iter().zip(pair.shadow.top) {
            disagreed += u64::from(one.index != other.index);
            let place = |index: usize| index.min(self.side.saturating_sub(1));
            let cell = place(one.index) * self.side + place(other.index);
            if let Some(count) = self.confusion.get_mut(cell) {
                *count += 1;
            }
        }
        let rows = primary.rows().len() as u64;
        let seconds = [pair.primary, pair.shadow].map(|side| side.inference.as_secs_f64());
        self.primary_inference.record(seconds[0]);
        self.shadow_inference.record(seconds[1]);
        self.inference_difference.record(seconds[1] - seconds[0]);
        self.requests += 1;
        self.rows += rows;
        self.disagreed += disagreed;
        ComparedRows { rows, disagreed }
    }
}
