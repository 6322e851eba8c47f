//! Whether two columns of numbers have the same distribution, as far as their sketches show. Pure.

use crate::insight::drift::statistics::{kolmogorov_smirnov, two_sample_p};
use crate::insight::drift::{Distribution, Estimate, TooFewRows};
use crate::insight::sketch::Sketch;

/// The fewest values on either side of a test. With fewer, only a very large difference could be detected.
pub const MIN_VALUES: u64 = 30;

/// The result of the test of Kolmogorov and Smirnov for two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoSampleTest {
    /// The largest difference between the two distribution functions, as a range, because sketches are approximate.
    pub statistic: Estimate,
    /// The probability of such a difference or a larger one if both have the same continuous distribution, for the statistic and for
    /// both ends of its range. With ties the exact probability is lower.
    pub p: Estimate,
}

/// Tests whether `one` and `two` have the same distribution.
///
/// # Errors
/// Returns an error if either has fewer than [`MIN_VALUES`] values.
pub fn test_two_samples(one: &Sketch, two: &Sketch) -> Result<TwoSampleTest, TooFewRows> {
    let have = one.count().min(two.count());
    if have < MIN_VALUES {
        return Err(TooFewRows {
            have,
            want: MIN_VALUES,
        });
    }
    let [first, second] = [one, two].map(Distribution::of_sketch);
    let statistic = kolmogorov_smirnov(&first, &second);
    let p = |d: f64| two_sample_p(d, one.count(), two.count());
    Ok(TwoSampleTest {
        statistic,
        p: Estimate {
            value: p(statistic.value),
            low: p(statistic.high),
            high: p(statistic.low),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values come from `scipy.stats.ks_2samp(range(100), range(20, 120), method="asymp")`. Whole numbers up to 256 are exact in a sketch.
    #[test]
    fn the_test_of_whole_numbers_agrees_with_scipy() {
        let run = |from: u32| (from..from + 100).map(f64::from).collect::<Sketch>();
        let got = test_two_samples(&run(0), &run(20)).unwrap();
        let (statistic, p) = (got.statistic, got.p);
        let near = |got: f64, want: f64| (got - want).abs() < 1e-9;
        assert!(
            near(statistic.value, 0.2) && near(statistic.low, 0.2),
            "{got:?}"
        );
        assert!(near(p.value, 0.031_438_777_769_534_3), "{got:?}");
        assert!(p.low <= p.value && p.value <= p.high, "{got:?}");
        let same = test_two_samples(&run(0), &run(0)).unwrap();
        assert!(same.statistic.value.abs() < 1e-12 && same.p.value > 0.999);
        let few: Sketch = [1.0; 29].into_iter().collect();
        assert_eq!(
            test_two_samples(&few, &run(0)),
            Err(TooFewRows { have: 29, want: 30 }),
            "too few values"
        );
    }
}
