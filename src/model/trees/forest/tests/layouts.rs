//! Which layout an ensemble gets, and ensembles of extreme shapes.

use super::*;

/// Returns a complete tree of random conditions.
fn complete(depth: u32, inputs: usize, random: &mut Random) -> Vec<Node> {
    let splits = (1 << depth) - 1;
    (0..2 * splits + 1)
        .map(|node| {
            if node < splits {
                let input = random.below(inputs) as u32;
                split(
                    input,
                    Test::Less(random.number()),
                    Missing::Yes,
                    2 * node + 1,
                    2 * node + 2,
                )
            } else {
                leaf(random.number())
            }
        })
        .collect()
}

/// Returns a tree in which each condition has a leaf on one side.
fn chain(depth: u32) -> Vec<Node> {
    let splits = (0..depth).flat_map(|at| {
        let test = Test::Less(f64::from(at));
        let node = 2 * at;
        [
            split(0, test, Missing::No, node + 1, node + 2),
            leaf(f64::from(at)),
        ]
    });
    splits.chain([leaf(-1.0)]).collect()
}

fn bytes(trees: Vec<Vec<Node>>) -> u64 {
    let forest = Forest::new(ensemble(30, trees), Arithmetic::Single).unwrap();
    forest.bytes()
}

#[test]
fn complete_trees_are_laid_out_with_a_common_depth() {
    let mut random = Random(1);
    let mut trees: Vec<_> = (0..20).map(|_| complete(6, 30, &mut random)).collect();
    // Nine blocks of a cache line, and 64 leaves.
    let per_tree = 9 * 64 + 64 * 4;
    let all = bytes(trees.clone());
    assert!(
        (20 * per_tree..20 * per_tree + 1_000).contains(&all),
        "{all}"
    );
    let forest = Forest::new(ensemble(30, trees.clone()), Arithmetic::Single).unwrap();
    assert_eq!(forest.cost_per_row(), 20 * 6);
    // A smaller tree gets the same depth, so that all trees stay in one run.
    trees.insert(3, complete(2, 30, &mut random));
    assert_eq!(bytes(trees), all + per_tree);
}

#[test]
fn a_few_deeper_trees_do_not_make_all_trees_grow() {
    let mut random = Random(1);
    let mut trees: Vec<_> = (0..20).map(|_| complete(4, 30, &mut random)).collect();
    let all = bytes(trees.clone());
    trees[10] = chain(10);
    // Three blocks and 16 leaves of each tree but one, which has 21 linked nodes and 11 leaves.
    let expected = all - (3 * 64 + 16 * 4) + (21 * 12 + 11 * 4 + 8);
    let got = bytes(trees);
    assert!(
        (expected..expected + 200).contains(&got),
        "{got}, {expected}"
    );
}

#[test]
fn lopsided_trees_do_not_grow() {
    let forest = Forest::new(ensemble(1, vec![chain(10); 20]), Arithmetic::Single).unwrap();
    let per_tree = 21 * 12 + 11 * 4 + 8;
    let got = forest.bytes();
    assert!(
        (20 * per_tree..20 * per_tree + 1_000).contains(&got),
        "{got}"
    );
    assert_eq!(forest.cost_per_row(), 20 * 6);
}

#[test]
fn a_path_may_have_any_length() {
    let depth = 50_000;
    let ensemble = ensemble(1, vec![chain(depth), chain(3)]);
    for arithmetic in ALL {
        let forest = Forest::new(ensemble.clone(), arithmetic).unwrap();
        let rows = [-1.0, 0.0, 40_000.5, 1e9, f64::NAN];
        let expected = [0.5, 2.5, 40_000.5, -1.5, -1.5];
        assert_eq!(sums(&forest, arithmetic, &rows), expected);
    }
}

#[test]
fn a_condition_may_have_thousands_of_categories() {
    let test = Test::In {
        codes: (0..3_000).map(|at| 3 * at).collect(),
        truncates_first: false,
    };
    let nodes = vec![
        split(0, test, Missing::Yes, 1, 2),
        leaf(1.0),
        split(0, Test::Equal(4.0), Missing::No, 3, 4),
        leaf(2.0),
        leaf(3.0),
    ];
    let ensemble = ensemble(1, vec![nodes; 9]);
    let rows: Vec<_> = (0..500).map(|at| f64::from(at * 31) / 1.5 - 9.0).collect();
    for arithmetic in ALL {
        assert_equal(&ensemble, arithmetic, &rows);
    }
}

#[test]
fn deep_and_shallow_trees_are_added_in_order() {
    let mut random = Random(2);
    let mut trees: Vec<_> = (0..70).map(|_| complete(4, 30, &mut random)).collect();
    for at in [11, 12, 40, 43] {
        trees[at] = chain(40);
    }
    let ensemble = ensemble(30, trees);
    let rows: Vec<_> = (0..65 * 30).map(|_| random.number()).collect();
    for arithmetic in ALL {
        assert_equal(&ensemble, arithmetic, &rows);
    }
}

#[test]
fn ensembles_without_splits_or_trees_or_inputs_have_sums() {
    let forest = Forest::new(ensemble(0, vec![vec![leaf(1.0)]]), Arithmetic::Single).unwrap();
    let mut sums = [0.0; 3];
    forest.sum(Rows::Single(&[]), &mut sums);
    assert_eq!(sums, [1.5; 3]);
    let forest = Forest::new(ensemble(0, vec![]), Arithmetic::Double).unwrap();
    forest.sum(Rows::Double(&[]), &mut sums);
    assert_eq!(sums, [0.5; 3]);
    forest.sum(Rows::Double(&[]), &mut []);
}

#[test]
fn each_column_is_read_at_the_limits_of_the_windows() {
    let mut random = Random(3);
    for columns in [255, 256, 257, 4_095, 4_096, 4_097] {
        for test in [Test::Less(0.0), Test::NotEqual(1.0)] {
            let trees = (0..columns as u32)
                .map(|input| {
                    vec![
                        split(input, test.clone(), Missing::Yes, 1, 2),
                        leaf(f64::from(input)),
                        leaf(-1.0),
                    ]
                })
                .collect();
            let ensemble = ensemble(columns, trees);
            let rows: Vec<_> = (0..2 * columns)
                .map(|_| *random.pick(&[-1.0, 1.0]))
                .collect();
            for arithmetic in ALL {
                let forest = Forest::new(ensemble.clone(), arithmetic).unwrap();
                let expected = rows.chunks(columns);
                let expected: Vec<_> = expected
                    .flat_map(|row| naive::sums(&ensemble, arithmetic, row))
                    .collect();
                assert_eq!(sums(&forest, arithmetic, &rows), expected, "{columns}");
            }
        }
    }
}

#[test]
fn rows_of_the_other_width_are_converted() {
    let nodes = vec![
        split(0, Test::LessOrEqual(0.1), Missing::No, 1, 2),
        leaf(1.0),
        leaf(2.0),
    ];
    let ensemble = ensemble(1, vec![nodes]);
    for (arithmetic, wide, narrow) in [
        (Arithmetic::Single, 1.5, 1.5),
        (Arithmetic::Double, 1.5, 2.5),
        (Arithmetic::SingleInputs, 2.5, 2.5),
    ] {
        let forest = Forest::new(ensemble.clone(), arithmetic).unwrap();
        let mut sums = [0.0];
        forest.sum(Rows::Double(&[0.1]), &mut sums);
        assert_eq!(sums, [wide], "{arithmetic:?}");
        forest.sum(Rows::Single(&[0.1]), &mut sums);
        assert_eq!(sums, [narrow], "{arithmetic:?}");
    }
}
