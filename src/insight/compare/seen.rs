//! All that is counted of one pair of versions.

use super::about::About;
use super::examples::{self, Example};
use super::pair::Pair;
use crate::insight::sketch::Sketch;

/// Classes that a confusion table tells apart; the others share its last row and column.
pub const MOST_CLASSES: usize = 16;

/// What was seen of one pair of versions since the shadow got its first copy beside this primary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Requests that both answered.
    pub requests: u64,
    /// Rows that both answered.
    pub rows: u64,
    /// Rows whose most probable classes differ. 0 without classes.
    pub disagreed: u64,
    /// Rows in which any value differs, however little.
    pub differed: u64,
    /// Shadow minus primary, every value of every row.
    pub difference: Sketch,
    /// Seconds in the primary's forward pass, one a request.
    pub primary_inference: Sketch,
    /// Seconds in the shadow's forward pass, one a request.
    pub shadow_inference: Sketch,
    /// Shadow minus primary, one a request.
    pub slower: Sketch,
    /// Rows by the primary's class and the shadow's: `side * side` cells, the primary's class is the row. Empty without classes.
    pub confusion: Vec<u64>,
    /// Classes that are told apart, and one for the others where there are more.
    pub side: usize,
    /// The most different rows, the most different first; of one request at most one.
    pub examples: Vec<Example>,
}

impl Seen {
    /// Nothing yet, of versions with so many classes.
    pub(super) fn of(classes: usize) -> Self {
        let side = classes.min(MOST_CLASSES + 1);
        Self {
            confusion: vec![0; side * side],
            side,
            ..Self::default()
        }
    }

    /// Adds one request. Nothing is added where the two answers are not of one shape. Gives rows and disagreements.
    pub(super) fn add(&mut self, pair: &Pair<'_>, shadow_about: &About) -> (u64, u64) {
        let (primary, shadow) = (pair.primary.scores, pair.shadow.scores);
        let same = primary.columns() == shadow.columns();
        if !same || primary.rows().len() != shadow.rows().len() {
            return (0, 0);
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
            let example = Example::of(pair, shadow_about, row, distance);
            examples::keep(&mut self.examples, example);
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
        let times = [pair.primary, pair.shadow].map(|side| side.inference.as_secs_f64());
        self.primary_inference.record(times[0]);
        self.shadow_inference.record(times[1]);
        self.slower.record(times[1] - times[0]);
        self.requests += 1;
        self.rows += rows;
        self.disagreed += disagreed;
        (rows, disagreed)
    }
}
