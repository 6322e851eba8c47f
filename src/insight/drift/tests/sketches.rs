//! The bounds for a sketch or a profile enclose the statistics of the samples.

use proptest::prelude::*;

use super::super::count::as_f64;
use super::super::statistics::{
    Bins, jensen_shannon, kolmogorov_smirnov, population_stability, wasserstein,
};
use super::super::{Distribution, Estimate};
use super::{Dice, percentiles};
use crate::insight::sketch::Sketch;

/// Returns a sample of one of nine kinds of distributions.
fn sample(kind: u8, many: usize, shift: f64, seed: u64) -> Vec<f64> {
    let mut dice = Dice(seed);
    let mut one = || match kind % 9 {
        0 => 50.0 + 10.0 * (dice.normal() + shift),
        1 => dice.normal() + shift,
        2 => (4.0 * dice.normal() + shift).round(),
        3 => (7.0 * dice.unit()).ceil(),
        4 => dice.unit().powf(1.0 + shift.abs()),
        // Heavy tails.
        5 => (dice.normal() + shift) / dice.unit().powi(8),
        6 if dice.unit() < 0.9 => 0.0,
        6 => dice.unit() * (1.0 + shift.abs()),
        7 => -(2.0 * dice.normal() + shift).exp(),
        _ => ((300.0 + 40.0 * (dice.normal() + shift)) / 5.0).round() * 5.0,
    };
    (0..many).map(|_| one()).collect()
}

#[track_caller]
fn encloses(got: Estimate, want: f64, what: &str) {
    let rounding = 1e-9 * (1.0 + want.abs());
    assert!(
        got.low - rounding <= want && want <= got.high + rounding,
        "{what}: {got:?} wants {want}"
    );
    assert!(
        (got.value - want).abs() <= got.bound() + rounding,
        "{what}: {got:?} wants {want}"
    );
}

/// Fails unless all statistics of `known` enclose those of the samples.
fn all_enclose(samples: [&Distribution; 2], known: [&Distribution; 2], bins: &Bins) {
    let [one, two] = samples;
    let [known_one, known_two] = known;
    let ks = kolmogorov_smirnov(known_one, known_two);
    encloses(ks, kolmogorov_smirnov(one, two).value, "D");
    encloses(
        wasserstein(known_one, known_two),
        wasserstein(one, two).value,
        "W",
    );
    let psi = population_stability(bins, known_one, known_two);
    encloses(psi, population_stability(bins, one, two).value, "PSI");
    let js = jensen_shannon(bins, known_one, known_two);
    encloses(js, jensen_shannon(bins, one, two).value, "JS");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn statistics_of_the_samples_lie_within_the_bounds(
        kinds in (0_u8..9, 0_u8..9, any::<bool>()),
        sizes in (1_usize..700, 1_usize..700),
        shift in -1.5..1.5_f64,
        seed in any::<u64>(),
    ) {
        let other = if kinds.2 { kinds.0 } else { kinds.1 };
        let before = sample(kinds.0, sizes.0, 0.0, seed);
        let now = sample(other, sizes.1, shift, seed ^ 1);
        let samples = [Distribution::of_samples(&before), Distribution::of_samples(&now)];
        let [one, two] = &samples;
        let sketch = |values: &[f64]| Distribution::of_sketch(&values.iter().copied().collect::<Sketch>());
        let sketches = [sketch(&before), sketch(&now)];
        // A sketch with little memory has wide buckets.
        let wide = |values: &[f64]| {
            let mut sketch = Sketch::within(0);
            sketch.extend(values.iter().copied());
            Distribution::of_sketch(&sketch)
        };
        let wide = [wide(&before), wide(&now)];
        let usual = Bins::deciles_of_samples(&before);
        let moved = Bins::deciles(&sketches[0]);
        for bins in [&usual, &moved] {
            all_enclose([one, two], [&sketches[0], &sketches[1]], bins);
            all_enclose([one, two], [&sketches[0], &wide[1]], bins);
            all_enclose([one, two], [&wide[0], &wide[1]], bins);
        }
        // A profile on one side, samples or a sketch on the other.
        let profile = Distribution::of_quantiles(&percentiles(&before), before.len() as u64).unwrap();
        let moved = Bins::deciles(&profile);
        for bins in [&usual, &moved] {
            all_enclose([one, two], [&profile, two], bins);
            all_enclose([one, two], [&profile, &sketches[1]], bins);
        }
    }

    #[test]
    fn bins_for_sketches_cut_no_bucket(kind in prop::sample::select(vec![0_u8, 1, 2, 3, 4, 6, 7, 8]), seed in any::<u64>()) {
        let sketch = |seed: u64| {
            Distribution::of_sketch(&sample(kind, 500, 0.3, seed).into_iter().collect::<Sketch>())
        };
        let (one, two) = (sketch(seed), sketch(seed ^ 1));
        let psi = population_stability(&Bins::deciles(&one), &one, &two);
        prop_assert!(psi.bound() < 1e-9, "{psi:?}");
        let mut coarse = Sketch::within(0);
        coarse.extend(sample(kind, 500, 0.3, seed ^ 1));
        let coarse = Distribution::of_sketch(&coarse);
        let psi = population_stability(&Bins::deciles_for(&one, &coarse), &one, &coarse);
        prop_assert!(psi.bound() < 1e-9, "{psi:?}");
    }
}

#[test]
fn between_two_sketches_only_shared_buckets_make_d_uncertain() {
    let one: Sketch = [1.0, 100.1, 100.2, 300.0].into_iter().collect();
    let two: Sketch = [2.0, 100.3, 100.4, 300.0].into_iter().collect();
    let (one, two) = (Distribution::of_sketch(&one), Distribution::of_sketch(&two));
    let ks = kolmogorov_smirnov(&one, &two);
    assert_eq!((ks.value, ks.low, ks.high), (0.25, 0.25, 0.5));
}

#[test]
fn a_feature_with_few_values_is_not_treated_as_continuous() {
    let weekdays = |seed| sample(3, 5000, 0.0, seed);
    let before = weekdays(1);
    let profile = Distribution::of_quantiles(&percentiles(&before), 5000).unwrap();
    let now = Distribution::of_sketch(&weekdays(2).into_iter().collect());
    let ks = kolmogorov_smirnov(&profile, &now);
    assert!(ks.value < 0.03 && ks.low < 0.02, "{ks:?}");
    let bins = Bins::deciles(&profile);
    assert_eq!(bins.edges().len(), 6, "one bin for each day: {bins:?}");
    let psi = population_stability(&bins, &profile, &now);
    assert!(psi.value < 0.01, "{psi:?}");
}

#[test]
fn a_value_that_most_rows_have_gets_a_bin_of_its_own() {
    // Rain: nine hours of ten are dry.
    let rain = |wet: u64| {
        (0..1000).map(move |at| {
            if at < 1000 - wet {
                0.0
            } else {
                0.01 * as_f64(at)
            }
        })
    };
    let before: Vec<f64> = rain(100).collect();
    let profile = Distribution::of_quantiles(&percentiles(&before), 1000).unwrap();
    let bins = Bins::deciles(&profile);
    let psi = |wet| {
        let now = Distribution::of_sketch(&rain(wet).collect());
        population_stability(&bins, &profile, &now).value
    };
    assert!(psi(100) < 0.01, "{}", psi(100));
    assert!(psi(400) > 0.4, "{}", psi(400));
}

#[test]
fn without_values_nothing_differs() {
    let none = Distribution::of_sketch(&Sketch::default());
    let some = Distribution::of_samples(&[1.0, 2.0]);
    for (one, two) in [(&none, &some), (&some, &none), (&none, &none)] {
        let bins = Bins::deciles(one);
        for got in [
            kolmogorov_smirnov(one, two),
            wasserstein(one, two),
            population_stability(&bins, one, two),
            jensen_shannon(&bins, one, two),
        ] {
            assert_eq!((got.low, got.value, got.high), (0.0, 0.0, 0.0));
        }
    }
    assert_eq!(Distribution::of_quantiles(&[1.0; 101], 0), None);
    assert_eq!(Distribution::of_quantiles(&[1.0], 5), None);
}
