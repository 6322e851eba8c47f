//! Whether two columns of numbers come from one distribution, as far as their sketches tell. Pure.

use crate::insight::drift::statistics::{kolmogorov_smirnov, two_sample_p};
use crate::insight::drift::{Distribution, Estimate, TooFewRows};
use crate::insight::sketch::Sketch;

/// The fewest values on a side that a test is made of: below, only a gross difference could be seen.
pub const FEWEST: u64 = 30;

/// The test of Kolmogorov and Smirnov for two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// The largest difference of the two distribution functions, with the ends that the sketches leave open.
    pub statistic: Estimate,
    /// How likely such a difference or a larger one is where both come from one continuous distribution; at each end of the
    /// statistic too. With ties the true probability is lower.
    pub p: Estimate,
}

/// Tests `one` against `two`.
///
/// # Errors
/// Either has less than [`FEWEST`] values.
pub fn tested(one: &Sketch, two: &Sketch) -> Result<Tested, TooFewRows> {
    let have = one.count().min(two.count());
    if have < FEWEST {
        return Err(TooFewRows { have, want: FEWEST });
    }
    let [first, second] = [one, two].map(Distribution::of_sketch);
    let statistic = kolmogorov_smirnov(&first, &second);
    let p = |d: f64| two_sample_p(d, one.count(), two.count());
    Ok(Tested {
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

    /// Wanted: `scipy.stats.ks_2samp(range(100), range(20, 120), method="asymp")`. Whole numbers up to 256 are exact in a sketch.
    #[test]
    fn whole_numbers_are_tested_as_scipy_tests_them() {
        let run = |from: u32| (from..from + 100).map(f64::from).collect::<Sketch>();
        let got = tested(&run(0), &run(20)).unwrap();
        let (statistic, p) = (got.statistic, got.p);
        let near = |got: f64, want: f64| (got - want).abs() < 1e-9;
        assert!(
            near(statistic.value, 0.2) && near(statistic.low, 0.2),
            "{got:?}"
        );
        assert!(near(p.value, 0.031_438_777_769_534_3), "{got:?}");
        assert!(p.low <= p.value && p.value <= p.high, "{got:?}");
        let same = tested(&run(0), &run(0)).unwrap();
        assert!(same.statistic.value.abs() < 1e-12 && same.p.value > 0.999);
        let few: Sketch = [1.0; 29].into_iter().collect();
        assert_eq!(
            tested(&few, &run(0)),
            Err(TooFewRows { have: 29, want: 30 }),
            "too few are told as such"
        );
    }
}
