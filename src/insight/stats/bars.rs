//! A distribution as a few bars of equal width.

use crate::insight::sketch::{Bucket, LARGEST, Sketch};

/// Returns at most `max_bars` bars of equal width between the smallest and the largest value, both cut to [`LARGEST`]: ascending,
/// without empty ones. The values of a bucket of the sketch count where its middle is, so the edges have the error of the sketch.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the place of a value between 0 and the number of bars, which is small"
)]
pub fn bars(sketch: &Sketch, max_bars: usize) -> Vec<Bucket> {
    let (Some(min), Some(max)) = (sketch.min(), sketch.max()) else {
        return Vec::new();
    };
    let [min, max] = [min, max].map(|end| end.clamp(-LARGEST, LARGEST));
    let width = (max - min) / max_bars.max(1) as f64;
    let mut bars: Vec<Bucket> = Vec::new();
    let mut last = None;
    for bucket in sketch.buckets() {
        let middle = bucket.middle().clamp(min, max);
        let at = if width > 0.0 {
            (((middle - min) / width) as usize).min(max_bars.saturating_sub(1))
        } else {
            0
        };
        match bars.last_mut().filter(|_| last == Some(at)) {
            Some(bar) => bar.count += bucket.count,
            None => bars.push(Bucket {
                low: min + at as f64 * width,
                high: (min + (at + 1) as f64 * width).min(max),
                count: bucket.count,
            }),
        }
        last = Some(at);
    }
    bars
}
