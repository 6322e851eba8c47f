//! Statistics of samples agree with those of scipy.

use std::{fs, path::Path};

use serde::Deserialize;

use super::super::statistics::{
    Bins, benjamini_hochberg, chi_squared, jensen_shannon, kolmogorov_smirnov, kolmogorov_survival,
    pooled, population_stability, two_sample_p, wasserstein,
};
use super::super::{Distribution, Estimate};

/// The precision of the fixtures.
const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Cases<C> {
    cases: Vec<C>,
}

#[derive(Deserialize)]
struct TwoSample {
    name: String,
    reference: Vec<f64>,
    current: Vec<f64>,
    ks: f64,
    ks_p_asymptotic: f64,
    wasserstein: f64,
    psi_bins_inner_edges: Vec<f64>,
    psi: f64,
    js_distance_base2: f64,
}

#[derive(Deserialize)]
struct Contingency {
    reference: Vec<u64>,
    current: Vec<u64>,
    chi2: f64,
    dof: u64,
    p: f64,
}

fn read<C: serde::de::DeserializeOwned>(name: &str) -> Vec<C> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/drift");
    let text = fs::read(folder.join(name)).unwrap();
    serde_json::from_slice::<Cases<C>>(&text).unwrap().cases
}

#[track_caller]
fn agrees(got: f64, want: f64, what: &str) {
    assert!(
        (got - want).abs() <= TOLERANCE,
        "{what}: got {got}, want {want}"
    );
}

#[test]
fn statistics_of_two_samples_agree_with_scipy() {
    let cases: Vec<TwoSample> = read("two_sample.json");
    assert_eq!(cases.len(), 6);
    for case in cases {
        let of = |what: &str| format!("{what} of `{}`", case.name);
        let reference = Distribution::of_samples(&case.reference);
        let current = Distribution::of_samples(&case.current);
        let exact = |got: Estimate, want: f64, what: &str| {
            agrees(got.value, want, &of(what));
            assert!(got.bound() <= 1e-12, "{}: {got:?}", of(what));
        };
        let ks = kolmogorov_smirnov(&reference, &current);
        exact(ks, case.ks, "D");
        let p = two_sample_p(ks.value, reference.count(), current.count());
        agrees(p, case.ks_p_asymptotic, &of("p"));
        exact(wasserstein(&reference, &current), case.wasserstein, "W");
        let bins = Bins::at(case.psi_bins_inner_edges.clone());
        let own = Bins::deciles_of_samples(&case.reference);
        assert_eq!(own.edges().len(), bins.edges().len(), "{}", of("edges"));
        for (got, want) in own.edges().iter().zip(bins.edges()) {
            agrees(*got, *want, &of("an edge"));
        }
        exact(
            population_stability(&bins, &reference, &current),
            case.psi,
            "PSI",
        );
        exact(
            jensen_shannon(&bins, &reference, &current),
            case.js_distance_base2,
            "JS",
        );
    }
}

#[test]
fn chi_squared_agrees_with_scipy() {
    let cases: Vec<Contingency> = read("categorical.json");
    assert_eq!(cases.len(), 3);
    for case in cases {
        let pairs = case.reference.iter().zip(&case.current);
        let cells: Vec<[u64; 2]> = pairs.map(|(one, two)| [*one, *two]).collect();
        let got = chi_squared(&cells);
        agrees(got.statistic, case.chi2, "the statistic");
        agrees(got.p, case.p, "p");
        assert_eq!(got.dof, case.dof);
    }
}

#[test]
fn small_cells_are_pooled_until_the_expected_count_suffices() {
    for (cells, want, why) in [
        (
            vec![[50, 50], [40, 60]],
            vec![[40, 60], [50, 50]],
            "large cells stay",
        ),
        (
            vec![[50, 50], [40, 60], [2, 1], [5, 4]],
            vec![[40, 60], [50, 50], [7, 5]],
            "small cells are pooled",
        ),
        (
            vec![[50, 50], [20, 20], [1, 0]],
            vec![[50, 50], [21, 20]],
            "the pool takes in the smallest cell",
        ),
        (vec![[3, 1], [2, 2]], vec![[5, 3]], "or all cells"),
        (vec![], vec![], "no cells"),
    ] {
        let mut got = pooled(&cells);
        got.sort_by_key(|cell| std::cmp::Reverse((cell[0] + cell[1], cell[1])));
        assert_eq!(got, want, "{why}");
    }
}

#[test]
fn p_is_1_if_nothing_can_differ() {
    for cells in [
        vec![],
        vec![[7, 9]],
        vec![[7, 0], [3, 0]],
        vec![[0, 0], [1, 2]],
    ] {
        assert_eq!(chi_squared(&cells).p, 1.0, "{cells:?}");
    }
}

#[test]
fn probabilities_are_corrected_for_the_number_of_tests() {
    // From scipy.stats.false_discovery_control.
    let p = [0.01, 0.04, 0.03, 0.005, 0.8];
    let want = [0.025, 0.05, 0.05, 0.025, 0.8];
    for (got, want) in benjamini_hochberg(&p).into_iter().zip(want) {
        agrees(got, want, "corrected");
    }
    assert_eq!(benjamini_hochberg(&[]), Vec::<f64>::new());
}

#[test]
fn the_distribution_of_kolmogorovs_statistic_agrees_with_scipy_in_every_region() {
    for (n, d, want) in KSTWO {
        // Above this size, the tail of scipy is no more accurate than this.
        let tolerance = if *n > 100_000 { 1e-7 } else { TOLERANCE };
        let got = kolmogorov_survival(*n, *d);
        assert!(
            (got - want).abs() <= tolerance,
            "n {n}, d {d}: got {got}, want {want}"
        );
    }
}

/// `n`, `d` and `scipy.stats.kstwo.sf(d, n)`.
const KSTWO: &[(u64, f64, f64)] = &[
    (1, 0.4, 1.0),
    (1, 0.7, 0.6000000000000001),
    (1, 0.99, 0.020000000000000018),
    (8, 0.05, 1.0),
    (8, 0.1, 0.9999596344726562),
    (8, 0.3, 0.39011434020996105),
    (8, 0.5, 0.02259063720703125),
    (8, 0.6, 0.002778486523437502),
    (8, 0.9, 1.9999999999999964e-08),
    (100, 0.004, 1.0),
    (100, 0.008, 1.0),
    (100, 0.05, 0.9532159710635725),
    (100, 0.09, 0.3706320255863282),
    (100, 0.15, 0.019839242125641813),
    (100, 0.21, 0.00023947345214651332),
    (100, 0.45, 5.324995419657099e-19),
    (140, 0.07, 0.4776228287946577),
    (140, 0.12, 0.03252638258561632),
    (140, 0.18, 0.0001932001834783552),
    (141, 0.03, 0.9992107601012719),
    (141, 0.06, 0.6677160791348915),
    (141, 0.1, 0.11128445516467933),
    (141, 0.13, 0.015449346308454497),
    (141, 0.2, 2.0276784223976912e-05),
    (343, 0.02, 0.9987741875195987),
    (343, 0.05166666666666664, 0.30847128579721517),
    (343, 0.07, 0.06610602715364167),
    (343, 0.12, 9.22513190220842e-05),
    (5000, 0.003, 0.9999999999740126),
    (5000, 0.008, 0.9035907876780276),
    (5000, 0.015, 0.20846142096186204),
    (5000, 0.03, 0.00024159234422666817),
    (9999, 0.0045, 0.9868933309237256),
    (9999, 0.007, 0.7085309280668304),
    (9999, 0.0135, 0.051789249953323235),
    (9999, 0.02, 0.0006622144707379106),
    (20000, 0.002, 0.9999979895410975),
    (20000, 0.005, 0.6974088406327612),
    (20000, 0.0098, 0.04263689593272413),
    (20000, 0.0105, 0.024139348011328634),
    (20000, 0.02, 2.2181270070049744e-07),
    (90000, 0.001, 0.9999902311742531),
    (90000, 0.003, 0.39196472196743837),
    (90000, 0.0045, 0.0520850198949071),
    (90000, 0.006, 0.003055265751615658),
    (1000000, 0.0005, 0.9638386310076212),
    (1000000, 0.0008, 0.5438713666611479),
    (1000000, 0.0012, 0.11215991901443556),
    (1000000, 0.0014, 0.039644828095589335),
    (1000000, 0.0015, 0.022195758430640866),
    (1000000, 0.002, 0.0006700277103670718),
];
