//! Correction of probabilities for many tests at once.

use super::super::count::as_f64;

/// Returns the probabilities `p`, in the order given, corrected for their number (Benjamini and Hochberg 1995), each at most 1. Among
/// those below alpha after the correction, the expected share of false discoveries is below alpha.
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, two| p[*one].total_cmp(&p[*two]));
    let mut corrected = vec![1.0; p.len()];
    let mut least: f64 = 1.0;
    for (rank, at) in order.iter().enumerate().rev() {
        let raised = p[*at] * as_f64(p.len() as u64) / as_f64(rank as u64 + 1);
        least = least.min(raised);
        corrected[*at] = least;
    }
    corrected
}
