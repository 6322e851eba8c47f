use super::*;

/// Applies a link to one row.
fn row(link: Link, sums: &[f64]) -> Vec<f32> {
    let mut predictions = vec![f32::NAN; link.columns(sums.len())];
    link.apply(sums, sums.len(), &mut predictions);
    predictions
}

fn one(link: Link, sum: f64) -> f32 {
    row(link, &[sum])[0]
}

const SINGLE: Link = Link::Sigmoid {
    slope: 1.0,
    precision: Precision::Single,
};
const DOUBLE: Link = Link::Sigmoid {
    slope: 1.0,
    precision: Precision::Double,
};

#[test]
fn links_of_one_sum_give_the_values_of_the_libraries() {
    let steep = Link::Sigmoid {
        slope: 2.5,
        precision: Precision::Double,
    };
    let exp_single = Link::Exp(Precision::Single);
    let exp_double = Link::Exp(Precision::Double);
    for (link, sum, expected, why) in [
        (Link::Identity, -1.5, -1.5, "as it is"),
        (Link::Identity, 1e300, f32::INFINITY, "beyond f32"),
        (SINGLE, 0.0, 0.5, "middle"),
        (SINGLE, 2.0, 0.880_797, "1 / (1 + e^-2)"),
        (SINGLE, 20.0, 1.0, "rounds to 1"),
        (SINGLE, f64::INFINITY, 1.0, "e^-inf is 0"),
        (DOUBLE, 0.0, 0.5, "middle"),
        (DOUBLE, -2.0, 0.119_202_92, "1 / (1 + e^2)"),
        (DOUBLE, f64::NEG_INFINITY, 0.0, "not limited"),
        (steep, 1.0, 0.924_141_8, "1 / (1 + e^-2.5)"),
        (exp_single, 0.0, 1.0, "e^0"),
        (exp_single, 1.0, std::f32::consts::E, "e"),
        (exp_single, 89.0, f32::INFINITY, "beyond f32"),
        (exp_double, 1.0, std::f32::consts::E, "e"),
        (exp_double, -1000.0, 0.0, "below f64"),
        (Link::SignedSquare, -3.0, -9.0, "keeps the sign"),
        (Link::SignedSquare, 3.0, 9.0, "keeps the sign"),
        (Link::SignedSquare, 0.0, 0.0, "no sign"),
        (Link::Log1pExp, 0.0, std::f32::consts::LN_2, "ln 2"),
        (
            Link::Log1pExp,
            -40.0,
            4.248_354e-18,
            "e^-40: 1 + e^-40 is 1",
        ),
        (
            Link::Log1pExp,
            710.0,
            f32::INFINITY,
            "e^710 is beyond f64, as in LightGBM",
        ),
        (Link::Step, 1e-30, 1.0, "positive"),
        (Link::Step, 0.0, 0.0, "zero is not positive"),
        (Link::Step, -1.0, 0.0, "negative"),
        (Link::Step, f64::NAN, 0.0, "NaN is not positive"),
    ] {
        let got = one(link, sum);
        let close = (got - expected).abs() <= expected.abs() * 1e-7;
        assert!(
            got == expected || close,
            "{link:?} of {sum}: {got:?}, {why}"
        );
    }
}

#[test]
fn the_sigmoid_of_xgboost_never_reaches_zero() {
    let smallest = one(SINGLE, -88.7);
    assert!(smallest > 2.9e-39 && smallest < 3.1e-39, "{smallest:e}");
    for sum in [-89.0, -1e30, f64::NEG_INFINITY] {
        assert_eq!(one(SINGLE, sum), smallest, "{sum}");
    }
    assert!(one(SINGLE, -88.6) > smallest);
}

#[test]
fn nan_stays_nan_where_the_library_computes_with_it() {
    for link in [
        Link::Identity,
        SINGLE,
        DOUBLE,
        Link::Exp(Precision::Single),
        Link::Exp(Precision::Double),
        Link::Log1pExp,
    ] {
        assert!(one(link, f64::NAN).is_nan(), "{link:?}");
    }
}

#[test]
fn softmax_adds_up_to_one_and_survives_large_sums() {
    for precision in [Precision::Single, Precision::Double] {
        let link = Link::Softmax(precision);
        assert_eq!(row(link, &[7.0]), [1.0], "one class");
        assert_eq!(row(link, &[3.0, 3.0]), [0.5, 0.5], "equal sums");
        assert_eq!(row(link, &[1e4, -1e4]), [1.0, 0.0], "far apart");
        let got = row(link, &[1.0, 2.0, 3.0]);
        for (got, expected) in got
            .iter()
            .zip([0.090_030_57, 0.244_728_47, 0.665_240_94_f32])
        {
            assert!((got - expected).abs() < 1e-7, "{precision:?}: {got}");
        }
        assert!((got.iter().sum::<f32>() - 1.0).abs() < 2e-7);
    }
}

#[test]
fn arg_max_is_the_first_of_equal_sums() {
    for (sums, expected) in [
        (vec![1.0], 0.0),
        (vec![1.0, 2.0, 2.0], 1.0),
        (vec![5.0, 5.0, 5.0], 0.0),
        (vec![-3.0, -2.0, -1.0], 2.0),
        (vec![f64::NEG_INFINITY, f64::NEG_INFINITY], 0.0),
    ] {
        assert_eq!(row(Link::ArgMax, &sums), [expected], "{sums:?}");
    }
}

#[test]
fn rows_are_independent_and_only_arg_max_changes_the_number_of_columns() {
    let sums = [0.0, 1.0, 2.0, 9.0, 8.0, 7.0];
    for link in [
        Link::Identity,
        SINGLE,
        Link::Softmax(Precision::Single),
        Link::Softmax(Precision::Double),
        Link::Step,
        Link::ArgMax,
    ] {
        let columns = link.columns(3);
        assert_eq!(
            columns,
            if link == Link::ArgMax { 1 } else { 3 },
            "{link:?}"
        );
        let mut both = vec![f32::NAN; 2 * columns];
        link.apply(&sums, 3, &mut both);
        let alone = [row(link, &sums[..3]), row(link, &sums[3..])].concat();
        assert_eq!(both, alone, "{link:?}");
    }
}
