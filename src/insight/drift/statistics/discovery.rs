//! Correction for testing many features at once.

/// The probabilities `p`, each raised so that taking all below alpha for real keeps the share of false ones among them below alpha
/// (Benjamini and Hochberg 1995). In the order given; at most 1.
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, two| p[*one].total_cmp(&p[*two]));
    let mut corrected = vec![1.0; p.len()];
    let mut least: f64 = 1.0;
    for (rank, at) in order.iter().enumerate().rev() {
        let raised =
            p[*at] * super::super::as_f64(p.len() as u64) / super::super::as_f64(rank as u64 + 1);
        least = least.min(raised);
        corrected[*at] = least;
    }
    corrected
}
