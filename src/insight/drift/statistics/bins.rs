//! The population stability index and the Jensen-Shannon distance: how the shares of bins differ.

use super::super::count::as_f64;
use super::super::distribution::{Distribution, Share, cell};
use super::super::estimate::Estimate;

/// The least share in the population stability index. Without it, an empty bin would make the index infinite.
pub const SHARE_FLOOR: f64 = 1e-4;
/// The least share of the reference in a bin. A smaller bin is merged with a neighbour. The target is a tenth.
const THINNEST: f64 = 0.05;

/// The bins of a column of numbers. Each includes its lower edge but not its upper one. The outermost are open-ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// Ascending, without repetition.
    edges: Vec<f64>,
}

impl Bins {
    /// Creates the bins between `edges`.
    #[must_use]
    pub fn at(mut edges: Vec<f64>) -> Self {
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        Self { edges }
    }

    /// Creates bins between the deciles of `values` (linear interpolation, Hyndman and Fan type 7), the usual choice if the values are
    /// known.
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

    /// Creates bins near the deciles of `reference`, with edges where a sketch distinguishes values: at the lower edge of a decile's
    /// bucket, so that no bucket is cut in two. A value that makes up two deciles or more gets a bin of its own, with a second edge
    /// above it. Bins with a very small share of the reference are merged.
    #[must_use]
    pub fn deciles(reference: &Distribution) -> Self {
        Self::deciles_of_bits(reference, reference.bits())
    }

    /// Like [`deciles`](Self::deciles), with edges at buckets of the coarser side, so that no bucket of either side is cut.
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
            let below = reference.below(edge).estimate;
            if below - before >= THINNEST && 1.0 - below >= THINNEST {
                edges.push(edge);
                before = below;
            }
        }
        Self { edges }
    }

    /// Returns the edges, ascending.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Returns the share of each bin and, last, that of the rows without a value.
    fn shares(&self, of: &Distribution) -> Vec<Share> {
        let part = |count: u64| as_f64(count) / as_f64(of.total());
        let (present, missing) = (part(of.count()), part(of.missing()));
        let zero = Share {
            low: 0.0,
            estimate: 0.0,
            high: 0.0,
        };
        let one = Share {
            low: 1.0,
            estimate: 1.0,
            high: 1.0,
        };
        let mut before = zero;
        let ends = self.edges.iter().map(|edge| of.below(*edge)).chain([one]);
        let bins = ends.map(|end| {
            let slack = 2.0 * of.slack();
            let share = Share {
                low: (end.low - before.high - slack).max(0.0) * present,
                estimate: (end.estimate - before.estimate) * present,
                high: (end.high - before.low + slack).min(1.0) * present,
            };
            before = end;
            share
        });
        let without = Share {
            low: missing,
            estimate: missing,
            high: missing,
        };
        bins.chain([without]).collect()
    }
}

/// Returns the population stability index over `bins` and one more bin of the rows without a value: the sum of `(p - q) ln(p / q)`
/// over the shares, each at least [`SHARE_FLOOR`]. Without rows it is 0. Usual reading (Siddiqi 2006, *Credit Risk Scorecards*): below
/// 0.1 stable, above 0.25 shifted.
///
/// A term grows with the distance of its shares, so the bounds follow from the smallest and the largest distance that each bin
/// allows. They coincide if no edge cuts an interval, as for sketches over [`Bins::deciles`] of a sketch.
#[must_use]
pub fn population_stability(
    bins: &Bins,
    reference: &Distribution,
    current: &Distribution,
) -> Estimate {
    over_bins(bins, reference, current, |p, q| {
        let (p, q) = (p.max(SHARE_FLOOR), q.max(SHARE_FLOOR));
        (p - q) * libm::log(p / q)
    })
}

/// Returns the Jensen-Shannon distance, to base 2, over `bins` and one more bin of the rows without a value: the square root of the
/// divergence. It is 0 for equal shares and 1 if no bin has rows of both sides. Without rows it is 0. The bounds are those of
/// [`population_stability`].
#[must_use]
pub fn jensen_shannon(bins: &Bins, reference: &Distribution, current: &Distribution) -> Estimate {
    let sum = over_bins(bins, reference, current, divergence);
    let root = |sum: f64| sum.clamp(0.0, 1.0).sqrt();
    Estimate::new(root(sum.value), root(sum.low), root(sum.high))
}

/// Returns the [`population_stability`] of cells with a count for each side.
pub(in super::super) fn population_stability_of_counts(cells: &[[u64; 2]]) -> f64 {
    let terms = shares_of_counts(cells).map(|[p, q]| {
        let (p, q) = (p.max(SHARE_FLOOR), q.max(SHARE_FLOOR));
        (p - q) * libm::log(p / q)
    });
    terms.sum()
}

/// Returns the [`jensen_shannon`] distance of cells with a count for each side.
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

/// Returns the contribution of a bin to the divergence. It is at least 0 and grows with the distance of the shares.
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

/// Returns the sum of `term` over all bins. `term` must be 0 for equal shares and grow with their distance.
fn over_bins(
    bins: &Bins,
    reference: &Distribution,
    current: &Distribution,
    term: impl Fn(f64, f64) -> f64,
) -> Estimate {
    let (mut value, mut low, mut high) = (0.0, 0.0, 0.0);
    if reference.total() == 0 || current.total() == 0 {
        return Estimate::new(value, low, high);
    }
    let pairs = bins.shares(reference).into_iter().zip(bins.shares(current));
    for (p, q) in pairs {
        value += term(p.estimate, q.estimate);
        if p.low > q.high {
            low += term(p.low, q.high);
        } else if q.low > p.high {
            low += term(p.high, q.low);
        }
        high += term(p.low, q.high).max(term(p.high, q.low));
    }
    Estimate::new(value, low, high)
}
