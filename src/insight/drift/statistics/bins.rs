//! Population stability index and Jensen-Shannon distance: how shares differ over bins.

use super::super::distribution::{Share, cell};
use super::super::{Distribution, Measured, as_f64};

/// The population stability index takes no share for less than this, so that an empty bin does not make it infinite.
pub const SHARE_FLOOR: f64 = 1e-4;
/// Bins that hold less than this of the reference are joined with the one before: a tenth is what a bin is to hold.
const THINNEST: f64 = 0.05;

/// Where a column of numbers is cut: bins are closed on the left and open on the right, the outer ones open-ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// Ascending, each once.
    edges: Vec<f64>,
}

impl Bins {
    /// Cut at `edges`.
    #[must_use]
    pub fn at(mut edges: Vec<f64>) -> Self {
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        Self { edges }
    }

    /// Cut at the deciles of `values` (linear interpolation, Hyndman and Fan type 7), as is usual for values known one by one.
    #[must_use]
    pub fn deciles_of_samples(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return Self::at(Vec::new());
        };
        let decile = |tenth: u32| {
            let place = f64::from(tenth) / 10.0 * as_f64(last as u64);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in the values"
            )]
            let before = place.floor() as usize;
            let after = sorted[last.min(before + 1)];
            sorted[before] + (after - sorted[before]) * place.fract()
        };
        Self::at((1..10).map(decile).collect())
    }

    /// Cut near the deciles of `reference`, where a sketch tells values apart: at the lower edge of a decile's bucket, so that no
    /// bucket is cut in two. A value that makes up two deciles or more has the bin for itself that it deserves: it is cut off from what lies
    /// above, too. Bins that hold next to nothing of the reference are joined.
    #[must_use]
    pub fn deciles(reference: &Distribution) -> Self {
        Self::deciles_of_bits(reference, reference.bits())
    }

    /// As [`deciles`](Self::deciles), where neither `reference` nor `current` is cut: at buckets of the coarser.
    #[must_use]
    pub fn deciles_for(reference: &Distribution, current: &Distribution) -> Self {
        Self::deciles_of_bits(reference, reference.bits().min(current.bits()))
    }

    fn deciles_of_bits(reference: &Distribution, bits: u32) -> Self {
        let deciles = (1..10).filter_map(|tenth| reference.quantile(f64::from(tenth) / 10.0));
        let cells: Vec<(f64, f64)> = deciles.map(|x| cell(x, bits)).collect();
        let mut candidates: Vec<f64> = cells.iter().map(|cell| cell.0).collect();
        let repeated = cells.windows(2).filter(|pair| pair[0] == pair[1]);
        candidates.extend(repeated.map(|pair| pair[0].1.next_up()));
        candidates.sort_by(f64::total_cmp);
        let (mut edges, mut before) = (Vec::new(), 0.0);
        for edge in candidates {
            let below = reference.below(edge).guess;
            if below - before >= THINNEST && 1.0 - below >= THINNEST {
                edges.push(edge);
                before = below;
            }
        }
        Self { edges }
    }

    /// The edges, ascending.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// The share of each bin and, last, of the rows without a value.
    fn shares(&self, of: &Distribution) -> Vec<Share> {
        let part = |count: u64| as_f64(count) / as_f64(of.total());
        let (present, missing) = (part(of.count()), part(of.missing()));
        let zero = Share {
            low: 0.0,
            guess: 0.0,
            high: 0.0,
        };
        let one = Share {
            low: 1.0,
            guess: 1.0,
            high: 1.0,
        };
        let mut before = zero;
        let ends = self.edges.iter().map(|edge| of.below(*edge)).chain([one]);
        let bins = ends.map(|end| {
            let slack = 2.0 * of.slack();
            let share = Share {
                low: (end.low - before.high - slack).max(0.0) * present,
                guess: (end.guess - before.guess) * present,
                high: (end.high - before.low + slack).min(1.0) * present,
            };
            before = end;
            share
        });
        let without = Share {
            low: missing,
            guess: missing,
            high: missing,
        };
        bins.chain([without]).collect()
    }
}

/// The population stability index over `bins` and one more of the rows without a value: the sum of `(p - q) ln(p / q)` over the shares, none taken for less than
/// [`SHARE_FLOOR`]. Usual reading (Siddiqi 2006, *Credit Risk Scorecards*): below 0.1 stable, above 0.25 shifted. Without values: 0.
///
/// A term grows with the distance of its shares, so the ends come from the nearest and the farthest that each bin allows; they are 0
/// apart where no interval is cut by an edge, as for sketches over [`Bins::deciles`] of a sketch.
#[must_use]
pub fn population_stability(
    bins: &Bins,
    reference: &Distribution,
    current: &Distribution,
) -> Measured {
    over_bins(bins, reference, current, |p, q| {
        let (p, q) = (p.max(SHARE_FLOOR), q.max(SHARE_FLOOR));
        (p - q) * libm::log(p / q)
    })
}

/// The Jensen-Shannon distance over `bins` and one more of the rows without a value, to base 2: the root of the divergence, 0 for equal shares and 1 for shares without a bin in
/// common. Without values: 0. Ends as for [`population_stability`].
#[must_use]
pub fn jensen_shannon(bins: &Bins, reference: &Distribution, current: &Distribution) -> Measured {
    let sum = over_bins(bins, reference, current, divergence);
    let root = |sum: f64| sum.clamp(0.0, 1.0).sqrt();
    Measured::new(root(sum.value), root(sum.low), root(sum.high))
}

/// [`population_stability`] of two counts per cell.
pub(in super::super) fn population_stability_of_counts(cells: &[[u64; 2]]) -> f64 {
    let terms = shares_of_counts(cells).map(|[p, q]| {
        let (p, q) = (p.max(SHARE_FLOOR), q.max(SHARE_FLOOR));
        (p - q) * libm::log(p / q)
    });
    terms.sum()
}

/// [`jensen_shannon`] of two counts per cell.
pub(in super::super) fn jensen_shannon_of_counts(cells: &[[u64; 2]]) -> f64 {
    let sum: f64 = shares_of_counts(cells).map(|[p, q]| divergence(p, q)).sum();
    sum.clamp(0.0, 1.0).sqrt()
}

fn shares_of_counts(cells: &[[u64; 2]]) -> impl Iterator<Item = [f64; 2]> + '_ {
    let totals =
        [0, 1].map(|side| as_f64(cells.iter().map(|cell| cell[side]).sum::<u64>()).max(1.0));
    let shares = cells.iter();
    shares.map(move |cell| [as_f64(cell[0]) / totals[0], as_f64(cell[1]) / totals[1]])
}

/// What a bin adds to the divergence. At least 0, and growing with the distance of the two.
fn divergence(p: f64, q: f64) -> f64 {
    let towards_middle = |x: f64| {
        if x > 0.0 {
            x * libm::log2(2.0 * x / (p + q))
        } else {
            0.0
        }
    };
    (towards_middle(p) + towards_middle(q)) / 2.0
}

/// The sum of `term` over all bins; `term` is 0 for equal shares and grows with their distance.
fn over_bins(
    bins: &Bins,
    reference: &Distribution,
    current: &Distribution,
    term: impl Fn(f64, f64) -> f64,
) -> Measured {
    let (mut value, mut low, mut high) = (0.0, 0.0, 0.0);
    if reference.total() == 0 || current.total() == 0 {
        return Measured::new(value, low, high);
    }
    let pairs = bins.shares(reference).into_iter().zip(bins.shares(current));
    for (p, q) in pairs {
        value += term(p.guess, q.guess);
        if p.low > q.high {
            low += term(p.low, q.high);
        } else if q.low > p.high {
            low += term(p.high, q.low);
        }
        high += term(p.low, q.high).max(term(p.high, q.low));
    }
    Measured::new(value, low, high)
}
