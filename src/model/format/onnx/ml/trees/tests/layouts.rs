use super::super::super::super::proto::tensor_proto::DataType;
use super::super::super::super::value::Value;
use super::super::super::tests::{assert_close, matrix};
use super::*;

const NAN: f32 = f32::NAN;

/// A tree of one split, by the number of its mode, in version 5.
fn linked(mode: i32) -> TestNode {
    node("TreeEnsemble")
        .version(5)
        .int("n_targets", 1)
        .ints("tree_roots", [0])
        .ints("nodes_featureids", [0])
        .small("nodes_modes", DataType::Uint8, [mode])
        .singles("nodes_splits", [0.5])
        .ints("nodes_truenodeids", [0])
        .ints("nodes_falsenodeids", [1])
        .ints("nodes_trueleafs", [1])
        .ints("nodes_falseleafs", [1])
        .ints("leaf_targetids", [0, 0])
        .singles("leaf_weights", [0.1, 0.7])
}

/// 0, 0.5, 1 and NaN, for each condition: whether they satisfy it. As ONNX Runtime 1.32.
const SATISFIED: [(&str, [bool; 4]); 6] = [
    ("BRANCH_LEQ", [true, true, false, false]),
    ("BRANCH_LT", [true, false, false, false]),
    ("BRANCH_GTE", [false, true, true, false]),
    ("BRANCH_GT", [false, false, true, false]),
    ("BRANCH_EQ", [false, true, false, false]),
    ("BRANCH_NEQ", [true, false, true, true]),
];

#[test]
fn each_condition_compares_and_nan_follows_its_flag() {
    let rows = matrix(&[[0.0_f32], [0.5], [1.0], [NAN]]);
    let expected = |satisfied: [bool; 4]| satisfied.map(|yes| if yes { 0.1 } else { 0.7 });
    for ((mode, satisfied), number) in SATISFIED.into_iter().zip(0..) {
        let leaves = [leaf(0, 1, [(0, 0.1)]), leaf(0, 2, [(0, 0.7)])];
        for tracks_true in [0, 1] {
            let root = Row {
                tracks_true,
                ..split(0, 0, mode, 0.5, 1, 2)
            };
            let mut satisfied = satisfied;
            satisfied[3] |= tracks_true == 1;
            let all = [&[root][..], &leaves].concat();
            let outputs = regressor(1, &all).run(std::slice::from_ref(&rows)).unwrap();
            assert_close(&outputs[0], &expected(satisfied));
            let linked = linked(number).ints("nodes_missing_value_tracks_true", [tracks_true]);
            let outputs = linked.run(std::slice::from_ref(&rows)).unwrap();
            assert_close(&outputs[0], &expected(satisfied));
        }
    }
}

#[test]
fn sets_are_listed_one_after_another() {
    let two = linked(6)
        .ints("nodes_featureids", [0, 0])
        .small("nodes_modes", DataType::Uint8, [6, 6])
        .singles("nodes_splits", [0.0, 0.0])
        .ints("nodes_truenodeids", [0, 1])
        .ints("nodes_falsenodeids", [1, 2])
        .ints("nodes_trueleafs", [1, 1])
        .ints("nodes_falseleafs", [0, 1])
        .ints("leaf_targetids", [0; 3])
        .singles("leaf_weights", [0.1, 0.7, 0.9]);
    let rows = matrix(&[[1.0_f32], [2.0], [3.0], [4.0], [5.0], [NAN]]);
    for sets in [
        &[3.0, 1.0, NAN, 2.0, 5.0, NAN][..],
        &[1.0, 3.0, 3.0, NAN, 5.0, 2.0],
    ] {
        let outputs = two
            .clone()
            .singles("membership_values", sets)
            .run(std::slice::from_ref(&rows))
            .unwrap();
        assert_close(&outputs[0], &[0.1, 0.7, 0.1, 0.9, 0.7, 0.9]);
    }
    for (sets, reason) in [
        (&[][..], "got fewer lists"),
        (&[1.0, NAN], "got fewer lists"),
        (&[1.0, NAN, NAN], "got fewer lists"),
        (&[1.0, NAN, 2.0, NAN, 3.0], "got more lists"),
        (&[1.0, NAN, 2.0, NAN, NAN], "got more lists"),
    ] {
        let got = two
            .clone()
            .singles("membership_values", sets)
            .refusal(std::slice::from_ref(&rows));
        assert!(got.contains(reason), "{got} / {reason}");
    }
}

#[test]
fn converters_write_sets_as_chains_of_splits() {
    // Each split of the chain has the same first child. Node 3 is the rest of the tree.
    let chain = |tracks_true: [i64; 3]| {
        let link = |number: usize, value, no| Row {
            tracks_true: tracks_true[number],
            ..split(0, number as i64, "BRANCH_EQ", value, 9, no)
        };
        regressor(
            1,
            &[
                link(0, 7.0, 1),
                link(1, 2.0, 2),
                link(2, 4.0, 3),
                leaf(0, 9, [(0, 0.1)]),
                split(0, 3, "BRANCH_LT", 5.0, 5, 6),
                leaf(0, 5, [(0, 0.7)]),
                leaf(0, 6, [(0, 0.9)]),
            ],
        )
    };
    let rows = matrix(&[[7.0_f32], [2.0], [4.0], [3.0], [8.0], [NAN]]);
    for (tracks_true, missing) in [([0, 0, 0], 0.9), ([1, 1, 1], 0.1), ([0, 1, 0], 0.1)] {
        let outputs = chain(tracks_true).run(std::slice::from_ref(&rows)).unwrap();
        assert_close(&outputs[0], &[0.1, 0.1, 0.1, 0.7, 0.9, missing]);
    }
}

#[test]
fn single_numbers_are_compared_as_f32_and_others_as_f64() {
    // As f32, 0.1 is more than 0.1.
    let single = [
        split(0, 0, "BRANCH_LEQ", 0.1, 1, 2),
        leaf(0, 1, [(0, 1.0)]),
        leaf(0, 2, [(0, 2.0)]),
    ];
    let node = regressor(1, &single);
    assert_close(&node.run(&[matrix(&[[0.1_f32]])]).unwrap()[0], &[1.0]);
    assert_close(&node.run(&[matrix(&[[0.1_f64]])]).unwrap()[0], &[1.0]);
    assert_close(
        &node.run(&[matrix(&[[0.100_000_002_f64]])]).unwrap()[0],
        &[2.0],
    );
    let double = node
        .without("nodes_values")
        .doubles("nodes_values_as_tensor", [0.1, 0.0, 0.0]);
    assert_close(&double.run(&[matrix(&[[0.1_f32]])]).unwrap()[0], &[2.0]);
    assert_close(&double.run(&[matrix(&[[0.1_f64]])]).unwrap()[0], &[1.0]);
    // scikit-learn rounds integers to f32: 16777217 is 16777216.
    let large = [
        split(0, 0, "BRANCH_LEQ", 16_777_216.0, 1, 2),
        leaf(0, 1, [(0, 1.0)]),
        leaf(0, 2, [(0, 2.0)]),
    ];
    let node = regressor(1, &large);
    assert_close(
        &node.run(&[matrix(&[[16_777_217_i64]])]).unwrap()[0],
        &[1.0],
    );
    assert_close(
        &node.run(&[matrix(&[[16_777_217_i32]])]).unwrap()[0],
        &[1.0],
    );
    assert_close(
        &node.run(&[matrix(&[[16_777_217.0_f64]])]).unwrap()[0],
        &[2.0],
    );
}

#[test]
fn doubles_of_version_3_replace_lists() {
    let votes = [leaf(0, 1, [(0, 1.0)]), leaf(0, 2, [(0, 2.0)])];
    let all = [&[split(0, 0, "BRANCH_LEQ", 0.1, 1, 2)][..], &votes].concat();
    let node = regressor(1, &all)
        .version(3)
        .without("target_weights")
        .doubles("target_weights_as_tensor", [0.1, 0.3])
        .doubles("base_values_as_tensor", [1e-9]);
    let outputs = node.run(&[matrix(&[[0.0_f32], [1.0]])]).unwrap();
    assert_close(&outputs[0], &[0.100_000_001, 0.300_000_001]);
    let both = node.floats("target_weights", [0.1, 0.3]);
    let got = both.refusal(&[matrix(&[[0.0_f32]])]);
    assert!(
        got.contains("got target_weights_as_tensor as well"),
        "{got}"
    );
}

#[test]
fn ensembles_of_version_5_have_the_type_of_their_input() {
    let rows = matrix(&[[0.1_f64], [0.3]]);
    let double = linked(0)
        .doubles("nodes_splits", [0.1])
        .doubles("leaf_weights", [0.1, 0.7]);
    let outputs = double.run(std::slice::from_ref(&rows)).unwrap();
    assert_eq!(outputs[0].elements::<f64>().unwrap(), [0.1, 0.7]);
    let got = linked(0).refusal(&[rows]);
    assert!(
        got.contains("got FP64, expected the type of nodes_splits"),
        "{got}"
    );
    let got = linked(0).refusal(&[matrix(&[[1_i64]])]);
    assert!(got.contains("got INT64, expected FP32 or FP64"), "{got}");
}

#[test]
fn leaves_may_be_shared_and_be_whole_trees() {
    let whole = linked(0)
        .ints("nodes_falsenodeids", [0])
        .ints("leaf_targetids", [0])
        .singles("leaf_weights", [0.3]);
    let rows = matrix(&[[0.0_f32], [1.0], [NAN]]);
    assert_close(
        &whole.run(std::slice::from_ref(&rows)).unwrap()[0],
        &[0.3; 3],
    );
    let twice = linked(0)
        .ints("tree_roots", [0, 1])
        .ints("nodes_featureids", [0, 0])
        .small("nodes_modes", DataType::Uint8, [0, 0])
        .singles("nodes_splits", [0.5, 0.5])
        .ints("nodes_truenodeids", [0, 0])
        .ints("nodes_falsenodeids", [1, 1])
        .ints("nodes_trueleafs", [1, 1])
        .ints("nodes_falseleafs", [1, 1]);
    for (aggregate, expected) in [
        (0, [0.1, 0.7]),
        (1, [0.2, 1.4]),
        (2, [0.1, 0.7]),
        (3, [0.1, 0.7]),
    ] {
        let outputs = twice
            .clone()
            .int("aggregate_function", aggregate)
            .run(&[matrix(&[[0.0_f32], [1.0]])])
            .unwrap();
        assert_close(&outputs[0], &expected);
    }
    let leaf_only = regressor(1, &[leaf(4, 17, [(0, 0.5)])]);
    assert_close(&leaf_only.run(&[rows]).unwrap()[0], &[0.5; 3]);
}

#[test]
fn functions_of_several_targets_are_applied() {
    let two = linked(0).int("n_targets", 2).ints("leaf_targetids", [0, 1]);
    let rows = [matrix(&[[0.0_f32], [1.0]])];
    for (post, expected) in [
        (0, [0.1, 0.0, 0.0, 0.7]),
        (1, [0.524_979_2, 0.475_020_8, 0.331_812_2, 0.668_187_8]),
        (2, [0.524_979_2, 0.5, 0.5, 0.668_187_8]),
        (3, [1.0, 0.0, 0.0, 1.0]),
        (
            4,
            [
                -1.281_712_9,
                f64::NEG_INFINITY,
                f64::NEG_INFINITY,
                0.524_445_9,
            ],
        ),
    ] {
        let outputs = two.clone().int("post_transform", post).run(&rows).unwrap();
        assert_close(&outputs[0], &expected);
    }
}

#[test]
fn further_columns_are_not_read() {
    let rows = Value::of(vec![2, 3], vec![0.0_f32, NAN, 1.0, 1.0, 0.0, 0.0]).unwrap();
    assert_close(&linked(0).run(&[rows]).unwrap()[0], &[0.1, 0.7]);
    let empty = Value::of(vec![0, 3], Vec::<f32>::new()).unwrap();
    assert_eq!(linked(0).run(&[empty]).unwrap()[0].shape(), [0, 1]);
}
