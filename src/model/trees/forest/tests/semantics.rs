//! Single conditions with the answers written by hand, and the order of additions.

use super::*;

const NAN: f64 = f64::NAN;
const INFINITY: f64 = f64::INFINITY;

/// Asserts which values of a row go to `yes`, in each of the given arithmetics, and that the naive evaluation agrees.
fn assert_yes(test: &Test, missing: Missing, cases: &[(f64, bool)], arithmetics: &[Arithmetic]) {
    let nodes = vec![split(0, test.clone(), missing, 1, 2), leaf(1.0), leaf(0.0)];
    let mut ensemble = ensemble(1, vec![nodes]);
    ensemble.base = vec![0.0];
    for &arithmetic in arithmetics {
        let forest = Forest::new(ensemble.clone(), arithmetic).unwrap();
        for (x, goes_to_yes) in cases {
            let expected = f64::from(u8::from(*goes_to_yes));
            let got = sums(&forest, arithmetic, &[*x]);
            assert_eq!(
                got,
                [expected],
                "{x:e}: {test:?}, {missing:?}, {arithmetic:?}"
            );
            assert_eq!(
                naive::sums(&ensemble, arithmetic, &[*x]),
                got,
                "naive, {x:e}"
            );
        }
    }
}

#[test]
fn comparisons_hold_where_they_say() {
    let at_one = |below, at, above| {
        [
            (-INFINITY, below),
            (0.999_999, below),
            (1.0, at),
            (1.000_001, above),
            (INFINITY, above),
            (NAN, false),
        ]
    };
    for (test, cases) in [
        (Test::Less(1.0), at_one(true, false, false)),
        (Test::LessOrEqual(1.0), at_one(true, true, false)),
        (Test::Greater(1.0), at_one(false, false, true)),
        (Test::GreaterOrEqual(1.0), at_one(false, true, true)),
        (Test::Equal(1.0), at_one(false, true, false)),
        (Test::NotEqual(1.0), at_one(true, false, true)),
        (Test::Among(vec![1.0]), at_one(false, true, false)),
    ] {
        assert_yes(&test, Missing::No, &cases, &ALL);
        let mut missing_yes = cases;
        missing_yes[5].1 = true;
        assert_yes(&test, Missing::Yes, &missing_yes, &ALL);
    }
}

#[test]
fn both_zeros_are_equal_and_infinities_compare() {
    let zeros = [(0.0, true), (-0.0, true), (1e-45, false), (-1e-45, false)];
    assert_yes(&Test::Equal(-0.0), Missing::No, &zeros, &ALL);
    let below = [(-0.0, false), (0.0, false), (-1e-45, true)];
    assert_yes(&Test::Less(0.0), Missing::No, &below, &ALL);
    let all = [(INFINITY, true), (-INFINITY, true), (NAN, false)];
    assert_yes(&Test::LessOrEqual(INFINITY), Missing::No, &all, &ALL);
    assert_yes(&Test::GreaterOrEqual(-INFINITY), Missing::No, &all, &ALL);
    let none = [(INFINITY, false), (-INFINITY, false), (NAN, true)];
    assert_yes(&Test::Greater(INFINITY), Missing::Yes, &none, &ALL);
    assert_yes(&Test::Less(-INFINITY), Missing::Yes, &none, &ALL);
}

#[test]
fn missing_values_can_be_zero() {
    let least = 1.000_000_018_002_509_5e-35;
    let as_zero = [(NAN, true), (0.0, true), (least, true), (0.6, false)];
    assert_yes(&Test::LessOrEqual(0.5), Missing::AsZero, &as_zero, &ALL);
    let zero_no = [
        (NAN, false),
        (0.0, false),
        (-0.0, false),
        (least, false),
        (-least, false),
        (1.000_000_1e-35, true),
        (-1.0, true),
        (0.6, false),
    ];
    assert_yes(&Test::LessOrEqual(0.5), Missing::ZeroNo, &zero_no, &ALL);
    let zero_yes = [
        (NAN, true),
        (0.0, true),
        (-least, true),
        (-1e-34, false),
        (1.0, true),
    ];
    assert_yes(&Test::Greater(0.5), Missing::ZeroYes, &zero_yes, &ALL);
}

#[test]
fn categories_are_truncated() {
    let test = |codes: &[u32], truncates_first| Test::In {
        codes: codes.to_vec(),
        truncates_first,
    };
    let common = [
        (0.0, true),
        (-0.0, true),
        (0.9, true),
        (1.0, false),
        (2.0, true),
        (3.999, true),
        (4.0, false),
        (-1.0, false),
        (-INFINITY, false),
        (INFINITY, false),
        (16_777_215.0, true),
        (16_777_216.0, false),
        (NAN, false),
    ];
    let last = (1 << 24) - 1;
    for truncates_first in [true, false] {
        let test = test(&[0, 2, 3, last], truncates_first);
        assert_yes(&test, Missing::No, &common, &ALL);
        let half = [
            (-0.5, truncates_first),
            (-0.999, truncates_first),
            (NAN, true),
        ];
        assert_yes(&test, Missing::Yes, &half, &ALL);
    }
    let one = test(&[7], true);
    assert_yes(&one, Missing::AsZero, &[(NAN, false), (7.5, true)], &ALL);
    let none = [(0.0, false), (NAN, true)];
    assert_yes(&test(&[], true), Missing::Yes, &none, &ALL);
}

#[test]
fn thresholds_are_rounded_only_for_xgboost() {
    let near = f64::from(0.1_f32);
    assert!(near > 0.1);
    let below = |at_near| [(near, at_near), (0.099, true), (0.2, false)];
    let single = [Arithmetic::Single];
    assert_yes(&Test::LessOrEqual(0.1), Missing::No, &below(true), &single);
    let exact = [Arithmetic::SingleInputs, Arithmetic::Double];
    assert_yes(&Test::LessOrEqual(0.1), Missing::No, &below(false), &exact);
}

#[test]
fn leaves_are_added_in_the_order_of_the_trees() {
    let values = [1.0, 1e8, -1e8, 0.25, 3.0];
    let trees = values.iter().map(|x| vec![leaf(*x)]).collect();
    let mut ensemble = ensemble(1, trees);
    let sum = |ensemble: &Ensemble, arithmetic| {
        let forest = Forest::new(ensemble.clone(), arithmetic).unwrap();
        sums(&forest, arithmetic, &[0.0])[0]
    };
    let in_f32 = values.iter().fold(0.5_f32, |sum, x| sum + *x as f32);
    assert_eq!(sum(&ensemble, Arithmetic::Single), f64::from(in_f32));
    assert_eq!(in_f32, 3.25, "the first value is lost");
    assert_eq!(sum(&ensemble, Arithmetic::Double), 4.75);
    assert_eq!(sum(&ensemble, Arithmetic::SingleInputs), 4.75);
    ensemble.divisor = 2.0;
    assert_eq!(sum(&ensemble, Arithmetic::Double), 0.5 + 4.25 / 2.0);
}

#[test]
fn linear_leaves_use_the_row() {
    let linear = Node::Leaf(Leaf::Linear {
        output: 0,
        constant: 1.0,
        terms: vec![(0, 2.0), (2, -1.0)],
        if_missing: 9.0,
    });
    let ensemble = ensemble(3, vec![vec![linear]]);
    let forest = Forest::new(ensemble, Arithmetic::Double).unwrap();
    let rows = [3.0, NAN, 4.0, NAN, 0.0, 4.0];
    assert_eq!(sums(&forest, Arithmetic::Double, &rows), [3.5, 9.5]);
}
