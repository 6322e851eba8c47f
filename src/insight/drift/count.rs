//! Counts as numbers.

/// Converts a count. Counts stay far below 2^53, up to which every whole number is exact.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}
