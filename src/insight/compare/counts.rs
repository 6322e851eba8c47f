//! The counts and distributions of one pair of versions.

use super::examples::{self, Example};
use super::info::VersionInfo;
use super::pair::Pair;
use super::vectors::{VectorDifference, VectorPairs};
use crate::insight::sketch::Sketch;
use crate::model::PredictionKind;

/// The most classes that a confusion table distinguishes. The others share its last row and column.
pub const MAX_CLASSES: usize = 16;

/// The counts and distributions of one pair of versions, since the shadow got the first copy of a request to this primary.
#[derive(Clone, Debug, PartialEq)]
pub struct PairCounts {
    /// What both versions predict.
    pub kind: PredictionKind,
    /// Requests that both answered.
    pub requests: u64,
    /// Rows that both answered.
    pub rows: u64,
    /// Rows whose most probable classes differ, or whose vectors have too low a cosine. 0 if numbers are predicted.
    pub disagreed: u64,
    /// Rows in which any value of the prediction differs.
    pub differed: u64,
    /// Shadow minus primary, every value of every row; of embeddings, the norm. Empty if labels are predicted.
    pub difference: Sketch,
    /// The cosine of the vectors of each row; empty unless embeddings are predicted.
    pub cosine: Sketch,
    /// Seconds in the primary's forward pass, one per request.
    pub primary_inference: Sketch,
    /// Seconds in the shadow's forward pass, one per request.
    pub shadow_inference: Sketch,
    /// Shadow minus primary in seconds, one per request.
    pub inference_difference: Sketch,
    /// Rows by the primary's class and the shadow's: `side * side` cells, with a row per class of the primary. Empty without classes.
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
    /// Rows whose most probable classes differ, or whose vectors have too low a cosine.
    pub(super) disagreed: u64,
}

/// The row of a request in which two answers differ most, and its distance. The distance is 0 if no row differs.
#[derive(Clone, Copy, Debug, Default)]
struct Farthest {
    row: usize,
    distance: f64,
}

impl Farthest {
    fn add(&mut self, row: usize, distance: f64) {
        if distance > self.distance {
            *self = Self { row, distance };
        }
    }
}

impl PairCounts {
    /// Creates the counts of a pair of versions that predict this, with this number of classes, without requests.
    pub(super) fn new(kind: PredictionKind, classes: usize) -> Self {
        let side = classes.min(MAX_CLASSES + 1);
        Self {
            kind,
            requests: 0,
            rows: 0,
            disagreed: 0,
            differed: 0,
            difference: Sketch::default(),
            cosine: Sketch::default(),
            primary_inference: Sketch::default(),
            shadow_inference: Sketch::default(),
            inference_difference: Sketch::default(),
            confusion: vec![0; side * side],
            side,
            examples: Vec::new(),
        }
    }

    /// Adds one request and returns its rows. If the two answers differ in shape, nothing is added.
    pub(super) fn add(&mut self, pair: &Pair<'_>, shadow_info: &VersionInfo) -> ComparedRows {
        let (primary, shadow) = (pair.primary.scores, pair.shadow.scores);
        let same_columns = primary.columns() == shadow.columns();
        if !same_columns || primary.rows().len() != shadow.rows().len() {
            return ComparedRows::default();
        }
        let before = self.disagreed;
        let farthest = match self.kind {
            PredictionKind::Labels => self.add_labels(pair),
            PredictionKind::Embedding(threshold) => match self.add_vectors(pair, threshold) {
                Some(farthest) => farthest,
                None => return ComparedRows::default(),
            },
            _ => self.add_scores(pair),
        };
        if examples::is_wanted(&self.examples, farthest.distance) {
            let Farthest { row, distance } = farthest;
            let example = Example::new(pair, shadow_info, self.kind, row, distance);
            examples::insert(&mut self.examples, example);
        }
        self.add_classes(pair);
        let rows = primary.rows().len() as u64;
        let seconds = [pair.primary, pair.shadow].map(|side| side.inference.as_secs_f64());
        self.primary_inference.record(seconds[0]);
        self.shadow_inference.record(seconds[1]);
        self.inference_difference.record(seconds[1] - seconds[0]);
        self.requests += 1;
        self.rows += rows;
        let disagreed = self.disagreed - before;
        ComparedRows { rows, disagreed }
    }

    /// Adds the differences of all scores.
    fn add_scores(&mut self, pair: &Pair<'_>) -> Farthest {
        let mut farthest = Farthest::default();
        let rows = pair.primary.scores.rows().zip(pair.shadow.scores.rows());
        for (at, (primary, shadow)) in rows.enumerate() {
            let mut distance = 0.0_f64;
            for (primary, shadow) in primary.iter().zip(shadow) {
                let difference = f64::from(*shadow) - f64::from(*primary);
                self.difference.record(difference);
                distance = distance.max(difference.abs());
            }
            self.differed += u64::from(distance > 0.0);
            farthest.add(at, distance);
        }
        farthest
    }

    /// Adds the rows whose labels differ. A label has no number, so all of these are equally far apart.
    fn add_labels(&mut self, pair: &Pair<'_>) -> Farthest {
        let mut farthest = Farthest::default();
        let rows = pair.primary.top.iter().zip(pair.shadow.top);
        for (at, (primary, shadow)) in rows.enumerate() {
            if primary.index != shadow.index {
                self.differed += 1;
                farthest.add(at, 1.0);
            }
        }
        farthest
    }

    /// Adds the cosines of all rows, and the differences of the norms. Two vectors are as far apart as their cosine is below 1. `None`,
    /// and nothing is added, if there are no vectors of one length.
    fn add_vectors(&mut self, pair: &Pair<'_>, threshold: f32) -> Option<Farthest> {
        let norms = pair.primary.scores.rows().zip(pair.shadow.scores.rows());
        let (primary, shadow) = (pair.primary.summarised?, pair.shadow.summarised?);
        let mut vectors = VectorPairs::new(primary, shadow, norms.len())?;
        let mut farthest = Farthest::default();
        for (at, (primary, shadow)) in norms.enumerate() {
            if let (Some(primary), Some(shadow)) = (primary.first(), shadow.first()) {
                let difference = f64::from(*shadow) - f64::from(*primary);
                self.difference.record(difference);
            }
            let VectorDifference { cosine, differs } = vectors.difference(at);
            self.cosine.record(cosine);
            self.disagreed += u64::from(cosine < f64::from(threshold));
            self.differed += u64::from(differs);
            if differs {
                farthest.add(at, 1.0 - cosine);
            }
        }
        Some(farthest)
    }

    /// Adds the most probable classes of all rows.
    fn add_classes(&mut self, pair: &Pair<'_>) {
        for (one, other) in pair.primary.top.iter().zip(pair.shadow.top) {
            self.disagreed += u64::from(one.index != other.index);
            let place = |index: usize| index.min(self.side.saturating_sub(1));
            let cell = place(one.index) * self.side + place(other.index);
            if let Some(count) = self.confusion.get_mut(cell) {
                *count += 1;
            }
        }
    }
}
