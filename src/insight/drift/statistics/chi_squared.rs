//! Pearson's chi-squared test on two rows of counts.

use super::super::count::as_f64;
use super::gamma::upper;

/// Cells with a lower expected count are pooled, because the statistic does not follow its distribution there (Cochran 1954).
pub const EXPECTED_FLOOR: f64 = 5.0;

/// The result of the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquared {
    /// The chi-squared statistic.
    pub statistic: f64,
    /// Degrees of freedom: one less than the number of cells.
    pub dof: u64,
    /// The probability of a statistic at least as large if both sides come from the same distribution.
    pub p: f64,
}

/// Tests whether both sides of `cells` come from the same distribution, without continuity correction. Cells that are empty on both
/// sides are ignored. With fewer than two cells, or an empty side, nothing can differ, so p is 1.
#[must_use]
pub fn chi_squared(cells: &[[u64; 2]]) -> ChiSquared {
    let filled: Vec<[u64; 2]> = cells
        .iter()
        .copied()
        .filter(|cell| *cell != [0, 0])
        .collect();
    let totals = totals(&filled);
    if filled.len() < 2 || totals.contains(&0.0) {
        return ChiSquared {
            statistic: 0.0,
            dof: 0,
            p: 1.0,
        };
    }
    let terms = filled.iter().flat_map(|cell| {
        [0, 1].map(|side| {
            let expected = expected(cell, totals, side);
            let off = as_f64(cell[side]) - expected;
            off * off / expected
        })
    });
    let statistic: f64 = terms.sum();
    let dof = filled.len() as u64 - 1;
    ChiSquared {
        statistic,
        dof,
        p: upper(as_f64(dof) / 2.0, statistic / 2.0),
    }
}

/// Returns `cells` with those pooled into one whose expected count on either side is below [`EXPECTED_FLOOR`]. A pool that is still
/// too small takes in the smallest of the other cells.
#[must_use]
pub fn pooled(cells: &[[u64; 2]]) -> Vec<[u64; 2]> {
    let totals = totals(cells);
    let enough =
        |cell: &[u64; 2]| (0..2).all(|side| expected(cell, totals, side) >= EXPECTED_FLOOR);
    let (mut kept, small): (Vec<_>, Vec<_>) = cells.iter().copied().partition(enough);
    kept.sort_by_key(|cell| std::cmp::Reverse(cell[0] + cell[1]));
    let mut pool = small
        .iter()
        .fold([0, 0], |sum, cell| [sum[0] + cell[0], sum[1] + cell[1]]);
    while pool != [0, 0] && !enough(&pool) {
        let Some(smallest) = kept.pop() else { break };
        pool = [pool[0] + smallest[0], pool[1] + smallest[1]];
    }
    if pool != [0, 0] {
        kept.push(pool);
    }
    kept
}

fn totals(cells: &[[u64; 2]]) -> [f64; 2] {
    [0, 1].map(|side| as_f64(cells.iter().map(|cell| cell[side]).sum()))
}

/// Returns the expected count of `cell` on `side`, if both sides have the same distribution.
fn expected(cell: &[u64; 2], totals: [f64; 2], side: usize) -> f64 {
    as_f64(cell[0] + cell[1]) * (totals[side] / (totals[0] + totals[1]))
}
