//! Faulty ensembles are refused with every fault.

use super::*;

/// Returns the faults of an ensemble, one per line.
fn faults(ensemble: Ensemble, arithmetic: Arithmetic) -> Vec<String> {
    let faults = Forest::new(ensemble, arithmetic).unwrap_err();
    faults
        .into_iter()
        .map(|fault| format!("{}: {}", fault.at, fault.message))
        .collect()
}

fn less(x: f64, yes: u32, no: u32) -> Node {
    split(0, Test::Less(x), Missing::Yes, yes, no)
}

#[test]
fn each_fault_is_reported_with_its_place() {
    let infinity = f64::INFINITY;
    let codes = |codes: &[u32]| Test::In {
        codes: codes.to_vec(),
        truncates_first: true,
    };
    let many = |values: &[(u32, f64)]| Node::Leaf(Leaf::Many(values.to_vec()));
    let linear = |constant, terms: &[(u32, f64)], if_missing| {
        Node::Leaf(Leaf::Linear {
            output: 0,
            constant,
            terms: terms.to_vec(),
            if_missing,
        })
    };
    let on = |test| vec![split(0, test, Missing::No, 1, 2), leaf(0.0), leaf(0.0)];
    for (nodes, expected) in [
        (vec![], "trees[0]: got no nodes, expected at least 1"),
        (
            vec![less(0.0, 1, 3), leaf(0.0)],
            "trees[0].nodes[0]: got child 3, expected an index below 2",
        ),
        (
            vec![less(0.0, 1, 1), leaf(0.0)],
            "trees[0].nodes[0]: got child 1, which has another parent; expected a node without a parent",
        ),
        (
            vec![less(0.0, 1, 0), leaf(0.0)],
            "trees[0].nodes[0]: got child 0, which is the root; expected a node without a parent",
        ),
        (
            vec![leaf(0.0), leaf(0.0)],
            "trees[0].nodes[1]: got a node that cannot be reached from node 0",
        ),
        (
            vec![
                split(1, Test::Less(0.0), Missing::No, 1, 2),
                leaf(0.0),
                leaf(0.0),
            ],
            "trees[0].nodes[0]: got input 1, expected an index below 1",
        ),
        (
            vec![Node::Leaf(Leaf::One {
                output: 1,
                value: 0.0,
            })],
            "trees[0].nodes[0]: got output 1, expected an index below 1",
        ),
        (
            vec![leaf(infinity)],
            "trees[0].nodes[0]: got inf, expected a finite number",
        ),
        (
            vec![many(&[(0, 1.0), (2, 0.0)])],
            "trees[0].nodes[0]: got output 2, expected an index below 1",
        ),
        (
            vec![many(&[(0, f64::NAN)])],
            "trees[0].nodes[0]: got NaN, expected a finite number",
        ),
        (
            vec![linear(0.0, &[(5, 1.0)], 0.0)],
            "trees[0].nodes[0]: got input 5, expected an index below 1",
        ),
        (
            vec![linear(0.0, &[(0, infinity)], 0.0)],
            "trees[0].nodes[0]: got inf, expected a finite number",
        ),
        (
            vec![linear(infinity, &[], 0.0)],
            "trees[0].nodes[0]: got inf, expected a finite number",
        ),
        (
            vec![linear(0.0, &[], f64::NAN)],
            "trees[0].nodes[0]: got NaN, expected a finite number",
        ),
        (
            on(Test::GreaterOrEqual(f64::NAN)),
            "trees[0].nodes[0]: got the threshold NaN, expected a number",
        ),
        (
            on(Test::Among(vec![1.0, f64::NAN])),
            "trees[0].nodes[0]: got the threshold NaN, expected a number",
        ),
        (
            on(codes(&[3, 3])),
            "trees[0].nodes[0]: got category 3 after 3, expected ascending categories",
        ),
        (
            on(codes(&[1 << 24])),
            "trees[0].nodes[0]: got category 16777216, expected a code below 16777216",
        ),
    ] {
        let ensemble = ensemble(1, vec![nodes]);
        assert_eq!(faults(ensemble, Arithmetic::Double), [expected]);
    }
}

#[test]
fn nodes_in_a_cycle_of_their_own_cannot_be_reached() {
    let nodes = vec![
        leaf(0.0),
        less(0.0, 2, 3),
        less(0.0, 1, 4),
        leaf(0.0),
        leaf(0.0),
    ];
    assert_eq!(
        faults(ensemble(1, vec![nodes]), Arithmetic::Single).len(),
        4
    );
}

#[test]
fn faults_of_the_whole_ensemble_are_reported_together() {
    let ensemble = Ensemble {
        inputs: 1 << 21,
        outputs: 0,
        base: vec![f64::NAN],
        divisor: 0.0,
        trees: vec![],
    };
    assert_eq!(
        faults(ensemble, Arithmetic::Double),
        [
            "inputs: got 2097152, expected 0 to 1048576",
            "outputs: got 0, expected 1 to 65536",
            "base: got 1 values, expected 0",
            "base[0]: got NaN, expected a finite number",
            "divisor: got 0, expected a finite number above 0",
        ]
    );
}

#[test]
fn numbers_must_fit_the_arithmetic() {
    let mut large = ensemble(1, vec![vec![leaf(1e39)]]);
    assert!(Forest::new(large.clone(), Arithmetic::Double).is_ok());
    assert!(Forest::new(large.clone(), Arithmetic::SingleInputs).is_ok());
    large.base = vec![-1e39];
    large.divisor = 1e-60;
    assert_eq!(
        faults(large, Arithmetic::Single),
        [
            format!(
                "base[0]: got {}, expected a finite number of 32 bits",
                -1e39
            ),
            format!("divisor: got {}, expected a finite number above 0", 1e-60),
            format!(
                "trees[0].nodes[0]: got {}, expected a finite number of 32 bits",
                1e39
            ),
        ]
    );
    for divisor in [-1.0, f64::NAN, f64::INFINITY] {
        let mut ensemble = ensemble(1, vec![]);
        ensemble.divisor = divisor;
        assert_eq!(faults(ensemble, Arithmetic::Double).len(), 1);
    }
}

#[test]
fn many_faults_are_counted() {
    let nodes = vec![leaf(f64::NAN)];
    let faults = faults(ensemble(1, vec![nodes; 250]), Arithmetic::Double);
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[100], ": 150 more faults are not listed");
}
