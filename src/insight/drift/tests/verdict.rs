//! The verdicts.

use super::super::*;
use super::{Dice, percentiles};

fn numbers(name: &str, before: &[f64], now: &[f64]) -> ColumnPair {
    ColumnPair {
        name: name.into(),
        pair: Pair::Numbers {
            reference: Distribution::of_quantiles(&percentiles(before), before.len() as u64)
                .unwrap(),
            current: Distribution::of_sketch(&now.iter().copied().collect()),
        },
    }
}

fn texts(name: &str, before: &[u64], now: &[u64]) -> ColumnPair {
    let of = |counts: &[u64]| Categories {
        counts: counts
            .iter()
            .enumerate()
            .map(|(at, count)| (at.to_string(), *count))
            .collect(),
        other: 0,
        missing: 0,
    };
    ColumnPair {
        name: name.into(),
        pair: Pair::Categories {
            reference: of(before),
            current: of(now),
        },
    }
}

/// Returns how often each of 8 texts occurs in `rows`, the first most often.
fn draw(dice: &mut Dice, rows: usize) -> Vec<u64> {
    let mut counts = vec![0; 8];
    for _ in 0..rows {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 7"
        )]
        let text = (8.0 * dice.unit().powi(2)) as usize;
        counts[text.min(7)] += 1;
    }
    counts
}

/// Draws one value of a kind.
type Draw = fn(&mut Dice) -> f64;

/// Returns numbers of five kinds and two columns of texts, without drift: `rows` rows now, 5000 before.
fn without_drift(dice: &mut Dice, rows: usize) -> Vec<ColumnPair> {
    let kinds: [(&str, Draw); 5] = [
        ("normal", Dice::normal),
        ("skewed", |dice| dice.normal().exp()),
        ("weekday", |dice| (7.0 * dice.unit()).ceil()),
        (
            "rain",
            |dice| if dice.unit() < 0.9 { 0.0 } else { dice.unit() },
        ),
        ("rounded", |dice| (20.0 * dice.normal()).round() / 2.0),
    ];
    let mut pairs: Vec<ColumnPair> = kinds
        .into_iter()
        .map(|(name, one)| {
            let before: Vec<f64> = (0..5000).map(|_| one(dice)).collect();
            let now: Vec<f64> = (0..rows).map(|_| one(dice)).collect();
            numbers(name, &before, &now)
        })
        .collect();
    for name in ["carrier", "origin"] {
        pairs.push(texts(name, &draw(dice, 5000), &draw(dice, rows)));
    }
    pairs
}

#[test]
fn drift_must_be_significant_and_large() {
    let dice = &mut Dice(7);
    let before = dice.normals(5000, 0.0);
    let mut many = |mean: f64| dice.normals(5000, mean);
    for (name, pair, want, why) in [
        (
            "alike",
            numbers("x", &before, &many(0.0)),
            Severity::None,
            "chance",
        ),
        (
            "small",
            numbers("x", &before, &many(0.12)),
            Severity::None,
            "significant but small",
        ),
        (
            "half",
            numbers("x", &before, &many(0.4)),
            Severity::Moderate,
            "significant and large",
        ),
        (
            "far",
            numbers("x", &before, &many(1.5)),
            Severity::Severe,
            "far above the thresholds",
        ),
        (
            "constant",
            numbers("x", &[3.0; 500], &[3.0; 500]),
            Severity::None,
            "no change",
        ),
        (
            "jump",
            numbers("x", &[3.0; 500], &[4.0; 500]),
            Severity::Severe,
            "every value changed",
        ),
        (
            "texts alike",
            texts("t", &[500, 300, 200], &[251, 149, 100]),
            Severity::None,
            "chance",
        ),
        (
            "texts",
            texts("t", &[500, 300, 200], &[150, 150, 200]),
            Severity::Moderate,
            "a PSI of 0.24 is below 0.25",
        ),
        (
            "texts gone",
            texts("t", &[500, 500], &[0, 500]),
            Severity::Severe,
            "one text is missing now",
        ),
    ] {
        let report = assess(&[pair], &[], Rule::default());
        assert_eq!(
            report.features[0].severity(),
            want,
            "{name}: {why}: {report:?}"
        );
        assert_eq!(
            report.drifted().count(),
            usize::from(want != Severity::None)
        );
    }
}

fn with_missing(pair: ColumnPair, before: u64, now: u64) -> ColumnPair {
    let Pair::Numbers { reference, current } = pair.pair else {
        panic!("numbers")
    };
    let (reference, current) = (reference.with_missing(before), current.with_missing(now));
    ColumnPair {
        pair: Pair::Numbers { reference, current },
        ..pair
    }
}

#[test]
fn values_that_are_missing_now_are_drift() {
    let dice = &mut Dice(11);
    let before = dice.normals(5000, 0.0);
    let mut some = |many: usize| numbers("x", &before, &dice.normals(many, 0.0));
    let (stable, moderate, severe) = (Severity::None, Severity::Moderate, Severity::Severe);
    for (pair, before, now, want, why) in [
        (some(0), 0, 600, severe, "all missing"),
        (some(3), 0, 597, severe, "nearly all missing"),
        (some(500), 0, 100, severe, "one in six missing"),
        (some(1470), 0, 30, moderate, "one in fifty missing"),
        (some(598), 0, 2, stable, "chance"),
        (some(600), 5000, 600, stable, "half missing, as before"),
        (some(600), 5000, 0, severe, "no longer missing"),
        (some(190), 500, 20, stable, "few numbers, but enough rows"),
    ] {
        let report = assess(&[with_missing(pair, before, now)], &[], Rule::default());
        let found = &report.features[0];
        assert_eq!(found.severity(), want, "{why}: {report:?}");
        assert_eq!(found.missing, [before, now]);
        let ColumnResult::Compared(statistics) = &found.result else {
            panic!("{why}: {found:?}");
        };
        assert!(statistics.chi_squared.is_some(), "{why}");
        assert_eq!(statistics.ks.is_some(), found.rows[1] >= 200, "{why}");
    }
    let few = with_missing(some(0), 0, 199);
    let report = assess(&[few], &[], Rule::default());
    let want = TooFewRows {
        have: 199,
        want: 200,
    };
    assert_eq!(report.features[0].result, ColumnResult::TooFew(want));
}

#[test]
fn an_extreme_value_changes_no_verdict() {
    let dice = &mut Dice(13);
    let before = dice.normals(5000, 50.0);
    for (mean, want) in [(50.0, Severity::None), (52.0, Severity::Severe)] {
        let mut now = dice.normals(600, mean);
        let usual = assess(&[numbers("x", &before, &now)], &[], Rule::default());
        now.extend([1e13, -f64::MAX, f64::MAX]);
        let odd = assess(&[numbers("x", &before, &now)], &[], Rule::default());
        for report in [&usual, &odd] {
            assert_eq!(report.features[0].severity(), want, "{report:?}");
        }
        let ColumnResult::Compared(statistics) = &odd.features[0].result else {
            panic!("{odd:?}");
        };
        let distance = statistics.wasserstein.unwrap();
        let ends = [distance.value, distance.low, distance.high];
        assert!(ends.iter().all(|end| end.is_finite()), "{distance:?}");
    }
}

#[test]
fn an_uncertain_difference_is_not_drift() {
    // Only two quantiles of the profile are known, so all values may lie at either end.
    let now = Distribution::of_samples(&[0.5; 500]);
    let reference = Distribution::of_quantiles(&[0.0, 1.0], 500).unwrap();
    let pair = Pair::Numbers {
        reference,
        current: now,
    };
    let name = "x".into();
    let report = assess(&[ColumnPair { name, pair }], &[], Rule::default());
    let ColumnResult::Compared(statistics) = &report.features[0].result else {
        panic!("{report:?}");
    };
    assert!(statistics.ks.unwrap().value > 0.4, "{statistics:?}");
    assert_eq!(
        report.features[0].severity(),
        Severity::None,
        "{statistics:?}"
    );
    let mut certain = *statistics;
    certain.p_corrected = 1e-6;
    certain.psi = Estimate {
        value: 0.2,
        low: 0.04,
        high: 0.3,
    };
    certain.ks = Some(Estimate {
        value: 0.3,
        low: 0.04,
        high: 0.5,
    });
    assert_eq!(report::judge(&certain, Rule::default()), Severity::None);
    certain.psi.low = 0.05;
    assert_eq!(report::judge(&certain, Rule::default()), Severity::Moderate);
}

#[test]
fn columns_with_too_few_rows_have_no_statistics_and_do_not_count_as_tested() {
    let dice = &mut Dice(3);
    let before = dice.normals(1000, 0.0);
    let few = numbers("few", &before, &dice.normals(199, 2.0));
    let fewest = texts("few texts", &[500, 500], &[100, 99]);
    let enough = numbers("enough", &before, &dice.normals(200, 0.5));
    let report = assess(&[few, enough], &[fewest], Rule::default());
    let want = ColumnResult::TooFew(TooFewRows {
        have: 199,
        want: 200,
    });
    assert_eq!(report.features[0].result, want);
    assert_eq!(report.predictions[0].result, want);
    let ColumnResult::Compared(statistics) = &report.features[1].result else {
        panic!("{report:?}");
    };
    assert_eq!(statistics.p, statistics.p_corrected, "the only one tested");
}

#[test]
fn without_drift_false_alarms_stay_within_the_false_discovery_rate() {
    let dice = &mut Dice(20_130_101);
    let (mut significant, mut flagged) = (0, 0);
    for _ in 0..200 {
        let report = assess(&without_drift(dice, 500), &[], Rule::default());
        let any = report.features.iter().any(|finding| match &finding.result {
            ColumnResult::Compared(statistics) => statistics.p_corrected < report.rule.alpha,
            ColumnResult::TooFew(_) => false,
        });
        significant += u32::from(any);
        flagged += u32::from(report.drifted().count() > 0);
    }
    // 5 % of 200 is 10. Chance exceeds 18 in one run of a hundred.
    assert!(
        significant <= 18,
        "{significant} of 200 by probability alone"
    );
    assert!(flagged <= 10, "{flagged} of 200 flagged");
}

#[test]
fn a_shift_of_half_a_standard_deviation_is_found_in_a_thousand_rows() {
    for seed in 0..20 {
        let dice = &mut Dice(seed);
        let mut pairs = without_drift(dice, 1000);
        let before = dice.normals(5000, 0.0);
        pairs.push(numbers("shifted", &before, &dice.normals(1000, 0.5)));
        let report = assess(&pairs, &[], Rule::default());
        let names: Vec<&str> = report
            .drifted()
            .map(|finding| finding.name.as_str())
            .collect();
        assert_eq!(names, ["shifted"], "seed {seed}");
    }
}
