//! Counts and distributions of one stretch of time.

use super::layout::Layout;
use super::sums::Sums;
use crate::error::Code;
use crate::insight::sketch::Sketch;
use crate::model::Observed;

/// Counts and distributions of the requests of one version in one role. Merging two adds
/// their counts and loses nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Requests that ended, by `code as usize`.
    pub codes: [u64; Code::COUNT],
    /// Rows that were scored.
    pub rows: u64,
    /// Seconds from the arrival of a request to the start of its computing; of scored requests.
    pub queue: Sketch,
    /// Seconds in the forward pass; of scored requests.
    pub inference: Sketch,
    /// Seconds from the arrival of a request to its end, whatever its code.
    pub total: Sketch,
    /// Predicted values, by [`Layout::outputs`].
    pub scores: Vec<Sketch>,
    /// Rows by most probable class, by [`Layout::classes`].
    pub classes: Vec<u64>,
    /// Probability of the most probable class of each row; empty unless probabilities are predicted.
    pub confidence: Sketch,
    /// Inputs of the rows that were scored, by [`Layout::features`].
    pub features: Vec<Inputs>,
    /// Exact sums, which sketches do not contain.
    pub(super) sums: Sums,
}

/// The values of one input, as clients sent them, cut to its range. If a row has several values, all of them count.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// The values that were not missing.
    pub values: Values,
    /// Missing values, which the manifest's substitute replaced. They are not in `values`.
    pub missing: u64,
    /// Numbers outside the manifest's range, which were moved to its nearest end. They are in `values` as that end.
    pub clipped: u64,
}

/// The values of one input, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// The values of a numeric or cyclic input.
    Numbers(Sketch),
    /// The values of a categorical input.
    Categories {
        /// The count of each of [`Feature::categories`](super::Feature::categories).
        counts: Vec<u64>,
        /// Values in categories of the manifest that are not counted one by one.
        other: u64,
        /// Values in categories that the manifest does not have.
        unknown: u64,
    },
}

impl Inputs {
    /// Returns the number of values received, including missing ones.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.missing
            + match &self.values {
                Values::Numbers(sketch) => sketch.count(),
                Values::Categories {
                    counts,
                    other,
                    unknown,
                } => counts.iter().sum::<u64>() + other + unknown,
            }
    }

    #[inline]
    fn record(&mut self, held: Observed) {
        match (held, &mut self.values) {
            (Observed::Number(x), Values::Numbers(sketch)) => {
                sketch.record(x);
            }
            (Observed::Clipped(x), Values::Numbers(sketch)) => {
                sketch.record(x);
                self.clipped += 1;
            }
            (Observed::Category(at), Values::Categories { counts, other, .. }) => {
                *counts.get_mut(at).unwrap_or(other) += 1;
            }
            (Observed::Unknown, Values::Categories { unknown, .. }) => *unknown += 1,
            (Observed::Missing, _) => self.missing += 1,
            // Impossible: the layout is made from the same signature.
            _ => {}
        }
    }

    fn merge(&mut self, from: &Self) {
        self.missing += from.missing;
        self.clipped += from.clipped;
        match (&mut self.values, &from.values) {
            (Values::Numbers(to), Values::Numbers(from)) => to.merge(from),
            (
                Values::Categories {
                    counts,
                    other,
                    unknown,
                },
                Values::Categories {
                    counts: more,
                    other: others,
                    unknown: unknowns,
                },
            ) => {
                add_each(counts, more);
                *other += others;
                *unknown += unknowns;
            }
            _ => {}
        }
    }

    fn subtract(&mut self, part: &Self) {
        self.missing = self.missing.saturating_sub(part.missing);
        self.clipped = self.clipped.saturating_sub(part.clipped);
        match (&mut self.values, &part.values) {
            (Values::Numbers(from), Values::Numbers(part)) => from.subtract(part),
            (
                Values::Categories {
                    counts,
                    other,
                    unknown,
                },
                Values::Categories {
                    counts: fewer,
                    other: others,
                    unknown: unknowns,
                },
            ) => {
                subtract_each(counts, fewer);
                *other = other.saturating_sub(*others);
                *unknown = unknown.saturating_sub(*unknowns);
            }
            _ => {}
        }
    }

    fn clear(&mut self) {
        (self.missing, self.clipped) = (0, 0);
        match &mut self.values {
            Values::Numbers(sketch) => sketch.clear(),
            Values::Categories {
                counts,
                other,
                unknown,
            } => {
                counts.fill(0);
                (*other, *unknown) = (0, 0);
            }
        }
    }
}

impl Summary {
    /// Creates a summary without any counts.
    pub(super) fn empty(layout: &Layout) -> Self {
        let features = layout.features.iter().map(|feature| Inputs {
            values: match &feature.categories {
                None => Values::Numbers(Sketch::within(layout.budget.input)),
                Some(categories) => Values::Categories {
                    counts: vec![0; categories.len()],
                    other: 0,
                    unknown: 0,
                },
            },
            missing: 0,
            clipped: 0,
        });
        let sketch = || Sketch::within(layout.budget.other);
        Self {
            codes: [0; Code::COUNT],
            rows: 0,
            queue: sketch(),
            inference: sketch(),
            total: sketch(),
            scores: vec![sketch(); layout.outputs.len()],
            classes: vec![0; layout.classes.len()],
            confidence: sketch(),
            features: features.collect(),
            sums: Sums::default(),
        }
    }

    /// Returns the number of requests that ended.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.codes.iter().sum()
    }

    #[inline]
    pub(super) fn input(&mut self, place: u32, held: Observed) {
        if let Some(inputs) = self.features.get_mut(place as usize) {
            inputs.record(held);
        }
    }

    /// Adds the counts of `from`, which has the same layout.
    pub(super) fn merge(&mut self, from: &Self) {
        add_each(&mut self.codes, &from.codes);
        self.rows += from.rows;
        add_each(&mut self.classes, &from.classes);
        self.sums.merge(from.sums);
        let theirs = from.sketches();
        for (to, from) in self.sketches_mut().zip(theirs) {
            to.merge(from);
        }
        for (to, from) in self.features.iter_mut().zip(&from.features) {
            to.merge(from);
        }
    }

    /// Subtracts the counts of `part`, which was merged into this one.
    pub(super) fn subtract(&mut self, part: &Self) {
        subtract_each(&mut self.codes, &part.codes);
        self.rows = self.rows.saturating_sub(part.rows);
        subtract_each(&mut self.classes, &part.classes);
        self.sums.subtract(part.sums);
        let theirs = part.sketches();
        for (from, part) in self.sketches_mut().zip(theirs) {
            from.subtract(part);
        }
        for (from, part) in self.features.iter_mut().zip(&part.features) {
            from.subtract(part);
        }
    }

    /// Resets all counts and keeps the memory for later ones.
    pub(super) fn clear(&mut self) {
        self.codes.fill(0);
        self.rows = 0;
        self.classes.fill(0);
        self.sums = Sums::default();
        self.sketches_mut().for_each(Sketch::clear);
        self.features.iter_mut().for_each(Inputs::clear);
    }

    fn sketches(&self) -> impl Iterator<Item = &Sketch> {
        let times = [&self.queue, &self.inference, &self.total, &self.confidence];
        times.into_iter().chain(&self.scores)
    }

    fn sketches_mut(&mut self) -> impl Iterator<Item = &mut Sketch> {
        let times = [
            &mut self.queue,
            &mut self.inference,
            &mut self.total,
            &mut self.confidence,
        ];
        times.into_iter().chain(&mut self.scores)
    }

    /// Returns its bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let features = self.features.iter().map(|inputs| match &inputs.values {
            Values::Numbers(sketch) => sketch.heap_bytes(),
            Values::Categories { counts, .. } => counts.capacity() * size_of::<u64>(),
        });
        features.sum::<usize>()
            + self.sketches().map(Sketch::heap_bytes).sum::<usize>()
            + self.scores.capacity() * size_of::<Sketch>()
            + self.features.capacity() * size_of::<Inputs>()
            + self.classes.capacity() * size_of::<u64>()
    }
}

fn add_each(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

fn subtract_each(from: &mut [u64], part: &[u64]) {
    for (from, part) in from.iter_mut().zip(part) {
        *from = from.saturating_sub(*part);
    }
}
