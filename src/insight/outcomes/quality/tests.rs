use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Returns inputs and measures computed by scikit-learn; the file contains its version.
fn reference(case: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("sklearn.json")).unwrap();
    all[case].clone()
}

fn near(got: f64, want: &Value, why: &str) {
    let want = want.as_f64().unwrap();
    assert!((got - want).abs() < 1e-9, "{why}: got {got}, wants {want}");
}

fn floats(list: &Value) -> Vec<f64> {
    let list = list.as_array().unwrap().iter();
    list.map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn two_classes_agree_with_scikit_learn() {
    let case = reference("two");
    let (p, y) = (floats(&case["p"]), floats(&case["y"]));
    let sums_of = |from: usize| {
        let mut sums = Sums::default();
        let rows = p.iter().zip(&y).skip(from);
        rows.for_each(|(p, y)| sums.add_two(*p, *y == 1.0));
        sums
    };
    let Some(Quality::Classes {
        accuracy,
        log_loss,
        brier,
        auc: Some(auc),
        ece,
        calibration,
    }) = sums_of(0).of_classes()
    else {
        panic!("two classes");
    };
    near(accuracy, &case["accuracy"], "accuracy");
    near(
        log_loss,
        &case["log_loss"],
        "log loss, with two wrong predictions of probability 1",
    );
    near(brier, &case["brier"], "Brier");
    near(ece, &case["ece"], "calibration error");
    assert_eq!(calibration.iter().map(|bin| bin.rows).sum::<u64>(), 60);
    let exact = case["auc"].as_f64().unwrap();
    assert!(
        (auc.value - exact).abs() <= auc.bound + 1e-12,
        "{auc:?}, exactly {exact}"
    );
    assert!(auc.bound < 0.01, "{auc:?}");
    let Some(Quality::Classes { log_loss, .. }) = sums_of(3).of_classes() else {
        panic!("two classes");
    };
    near(
        log_loss,
        &case["log_loss_sklearn_of_inner"],
        "log loss without probabilities of 0 or 1",
    );
}

#[test]
fn two_columns_give_the_same_measures_as_one() {
    let case = reference("two");
    let (p, y) = (floats(&case["p"]), floats(&case["y"]));
    let (mut one, mut two) = (Sums::default(), Sums::default());
    for (p, y) in p.iter().zip(&y).skip(3) {
        one.add_two(*p, *y == 1.0);
        let second = *p as f32;
        two.add_many(&[1.0 - second, second], usize::from(*y == 1.0));
    }
    let (one, two) = (one.of_classes().unwrap(), two.of_classes().unwrap());
    for ((name, one), (_, two)) in one.by_name().zip(two.by_name()) {
        assert!((one - two).abs() < 1e-6, "{name}: {one} and {two}");
    }
    assert_eq!(two.by_name().count(), 5, "including an AUC");
}

#[test]
fn three_classes_agree_with_scikit_learn() {
    let case = reference("three");
    let mut sums = Sums::default();
    for (row, y) in case["p"].as_array().unwrap().iter().zip(floats(&case["y"])) {
        let row: Vec<f32> = floats(row).into_iter().map(|p| p as f32).collect();
        sums.add_many(&row, y as usize);
    }
    let Some(Quality::Classes {
        accuracy,
        log_loss,
        brier,
        auc,
        ece,
        ..
    }) = sums.of_classes()
    else {
        panic!("classes");
    };
    near(accuracy, &case["accuracy"], "accuracy");
    near(log_loss, &case["log_loss"], "log loss");
    near(brier, &case["brier"], "Brier");
    near(ece, &case["ece"], "calibration error of the most probable");
    assert_eq!(auc, None, "of two classes only");
}

#[test]
fn numbers_agree_with_scikit_learn() {
    let case = reference("value");
    let mut sums = Sums::default();
    for (p, y) in floats(&case["p"]).into_iter().zip(floats(&case["y"])) {
        sums.add_value(p, y);
    }
    let quality = sums.of_values().unwrap();
    for (name, value) in quality.by_name() {
        near(value, &case[name], name);
    }
    assert_eq!(quality.by_name().count(), 3);
}

#[test]
fn without_rows_there_are_no_measures() {
    let mut sums = Sums::default();
    assert_eq!((sums.of_classes(), sums.of_values()), (None, None));
    sums.add_two(0.75, true);
    let Some(Quality::Classes { auc, .. }) = sums.of_classes() else {
        panic!("one row is enough");
    };
    assert_eq!(auc, None, "no row of the other class");
    sums.clear();
    assert_eq!(sums, Sums::default());
}

#[test]
fn pairs_that_share_a_bucket_count_half_and_half_their_share_is_the_bound() {
    for (positive, negative, value, bound, why) in [
        (
            &[0.9, 0.8][..],
            &[0.1, 0.2][..],
            1.0,
            0.0,
            "no pair shares a bucket",
        ),
        (&[0.1], &[0.9], 0.0, 0.0, "reversed"),
        (&[0.5], &[0.5], 0.5, 0.5, "equal"),
        (&[0.0], &[0.0], 0.5, 0.5, "zero is a bucket too"),
        (&[0.5, 0.9], &[0.5, 0.1], 0.875, 0.125, "one of four pairs"),
        (&[1.0], &[0.0], 1.0, 0.0, "both limits"),
    ] {
        let of = |values: &[f64]| values.iter().copied().collect::<Sketch>();
        let got = auc(&of(positive), &of(negative)).unwrap();
        assert_eq!(got, Auc { value, bound }, "{why}");
    }
}

/// Computes the AUC by counting pairs.
fn exactly(positive: &[f32], negative: &[f32]) -> f64 {
    let mut won = 0.0;
    for p in positive {
        for n in negative {
            won += match p.total_cmp(n) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    won / (positive.len() * negative.len()) as f64
}

proptest! {
    /// Also if the scores span more magnitudes than a sketch has, so that the smallest share a bucket.
    #[test]
    fn the_exact_auc_is_within_the_bound(
        positive in prop::collection::vec(prop_oneof![0f32..=1.0, (0f32..60.0).prop_map(|x| (-x).exp2()), Just(0.0)], 1..80),
        negative in prop::collection::vec(prop_oneof![0f32..=1.0, (0f32..60.0).prop_map(|x| (-x).exp2()), Just(0.0)], 1..80),
    ) {
        let of = |values: &[f32]| values.iter().map(|p| f64::from(*p)).collect::<Sketch>();
        let got = auc(&of(&positive), &of(&negative)).unwrap();
        let exact = exactly(&positive, &negative);
        prop_assert!((got.value - exact).abs() <= got.bound + 1e-9, "{:?}, exactly {}", got, exact);
    }

    #[test]
    fn merged_sums_of_parts_equal_the_sums_of_the_whole(
        rows in prop::collection::vec((0f32..=1.0, any::<bool>()), 1..100), cut in 0usize..100,
    ) {
        let of = |rows: &[(f32, bool)]| {
            let mut sums = Sums::default();
            rows.iter().for_each(|(p, y)| sums.add_two(f64::from(*p), *y));
            sums
        };
        let cut = cut.min(rows.len());
        let (mut left, right) = (of(&rows[..cut]), of(&rows[cut..]));
        left.merge(&right);
        let (parts, whole) = (left.of_classes().unwrap(), of(&rows).of_classes().unwrap());
        for ((name, parts), (_, whole)) in parts.by_name().zip(whole.by_name()) {
            prop_assert!((parts - whole).abs() < 1e-9, "{}: {} and {}", name, parts, whole);
        }
    }
}

#[test]
fn extreme_numbers_do_not_make_a_measure_infinite() {
    for (predicted, actual) in [
        (f64::from(f32::MAX), -LARGEST_NUMBER),
        (0.0, 1.7e308),
        (-1.7e308, 1.7e308),
    ] {
        let mut sums = Sums::default();
        for _ in 0..1_000 {
            sums.add_value(predicted, actual);
        }
        let quality = sums.of_values().unwrap();
        for (measure, value) in quality.by_name() {
            assert!(value.is_finite(), "{measure} of {predicted} and {actual}");
        }
    }
}
