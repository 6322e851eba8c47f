//! What a shadow answered beside what the primary answered, on the same requests.
//!
//! Every version that is a shadow has one [`Comparisons`], which goes with it. The threads of shadows write to it, never one
//! that answers a caller; each pair of versions has a lock of its own.
//! Not here: which requests are copied ([`serving`](crate::serving)), and what to conclude.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::metrics::{ComparedMeters, VersionMeters};
use super::sketch::Sketch;
use crate::ident::VersionNumber;
use crate::model::{Scores, TopClass};

/// Primaries that one shadow is compared with; past it, the one with the lowest number is forgotten.
const MOST_PRIMARIES: usize = 64;

/// What one version answered to a request.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Who.
    pub version: VersionNumber,
    /// One row per row of the request.
    pub scores: &'a Scores,
    /// The most probable class of each row; empty without classes.
    pub top: &'a [TopClass],
}

/// What both answered to one request.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Whose answer the caller got.
    pub primary: Side<'a>,
    /// Who got a copy.
    pub shadow: Side<'a>,
}

/// What was seen of one pair of versions since the shadow was loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Rows that both answered.
    pub rows: u64,
    /// Rows whose most probable classes differ. 0 without classes.
    pub disagreed: u64,
    /// Shadow minus primary, every value of every row.
    pub difference: Sketch,
}

impl Seen {
    /// Adds one request. Nothing is added where the two answers are not of one shape. Gives rows and disagreements.
    fn add(&mut self, pair: &Pair<'_>) -> (u64, u64) {
        let (primary, shadow) = (pair.primary.scores, pair.shadow.scores);
        let same = primary.columns() == shadow.columns();
        if !same || primary.rows().len() != shadow.rows().len() {
            return (0, 0);
        }
        let values = primary.rows().flatten().zip(shadow.rows().flatten());
        for (primary, shadow) in values {
            self.difference
                .record(f64::from(*shadow) - f64::from(*primary));
        }
        let tops = pair.primary.top.iter().zip(pair.shadow.top);
        let disagreed = tops.filter(|(one, other)| one.index != other.index).count() as u64;
        let rows = primary.rows().len() as u64;
        self.rows += rows;
        self.disagreed += disagreed;
        (rows, disagreed)
    }
}

/// One shadow beside every primary whose requests it got.
#[derive(Debug, Default)]
pub struct Comparisons {
    /// Locked to find the pair; what is counted is behind a lock of the pair's own.
    by_primary: Mutex<BTreeMap<VersionNumber, Arc<One>>>,
}

#[derive(Debug)]
struct One {
    meters: ComparedMeters,
    seen: Mutex<Seen>,
}

impl Comparisons {
    /// Both have answered one request. `meters` are those of the shadow.
    pub fn paired(&self, pair: &Pair<'_>, meters: &VersionMeters) {
        let one = {
            let mut all = lock(&self.by_primary);
            let primary = pair.primary.version;
            let one = all.entry(primary).or_insert_with(|| {
                Arc::new(One {
                    meters: meters.compared(primary),
                    seen: Mutex::default(),
                })
            });
            let one = Arc::clone(one);
            if all.len() > MOST_PRIMARIES {
                all.pop_first();
            }
            one
        };
        let (rows, disagreed) = lock(&one.seen).add(pair);
        one.meters.compared(rows, disagreed);
    }

    /// What was seen beside each primary, ascending.
    #[must_use]
    pub fn seen(&self) -> Vec<(VersionNumber, Seen)> {
        let all: Vec<_> = lock(&self.by_primary)
            .iter()
            .map(|(primary, one)| (*primary, Arc::clone(one)))
            .collect();
        all.into_iter()
            .map(|(primary, one)| (primary, lock(&one.seen).clone()))
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_classes_and_differences_are_counted() {
        let scores = |values: &[f32]| Scores::new(values.to_vec(), 1).unwrap();
        let top = |index: usize| TopClass {
            index,
            probability: 0.5,
        };
        let (one, other) = (scores(&[0.25, 0.5]), scores(&[0.75, 0.5]));
        let (tops, others) = ([top(0), top(1)], [top(1), top(1)]);
        let side = |number: u64| number.try_into().unwrap();
        let pair = Pair {
            primary: Side {
                version: side(1),
                scores: &one,
                top: &tops,
            },
            shadow: Side {
                version: side(2),
                scores: &other,
                top: &others,
            },
        };
        let mut seen = Seen::default();
        assert_eq!(seen.add(&pair), (2, 1));
        assert_eq!((seen.rows, seen.disagreed), (2, 1));
        assert_eq!(
            (seen.difference.min(), seen.difference.max()),
            (Some(0.0), Some(0.5))
        );
        let short = scores(&[0.25]);
        let torn = Pair {
            shadow: Side {
                scores: &short,
                ..pair.shadow
            },
            ..pair
        };
        assert_eq!(seen.add(&torn), (0, 0), "not of one shape");
    }
}
