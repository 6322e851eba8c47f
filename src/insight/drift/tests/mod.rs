//! A random number generator with a fixed seed, and samples, for the tests below.

mod fixtures;
mod flights;
mod sketches;
mod verdict;

use std::f64::consts::TAU;

use super::count::as_f64;

/// SplitMix64.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number above 0 and at most 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    fn normals(&mut self, many: usize, mean: f64) -> Vec<f64> {
        (0..many).map(|_| mean + self.normal()).collect()
    }
}

/// Returns the 101 quantiles of a profile, as training writes them.
fn percentiles(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    let percent = |at: usize| {
        let place = as_f64((at * last) as u64) / 100.0;
        let before = sorted[at * last / 100];
        let after = sorted[last.min(at * last / 100 + 1)];
        before + (after - before) * place.fract()
    };
    (0..=100).map(percent).collect()
}
