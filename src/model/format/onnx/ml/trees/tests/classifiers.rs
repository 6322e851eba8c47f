use super::super::super::super::operator::{Classes, Meaning};
use super::super::super::tests::{as_texts, assert_close, matrix};
use super::*;
use crate::model::payload::Datatype;

/// One class with votes: its index, the weights of both leaves, base values, function; then the classes and outputs of ONNX Runtime
/// 1.32.
type Measured = (
    i64,
    [f32; 2],
    &'static [f32],
    &'static str,
    [i64; 2],
    [f64; 4],
);

const MEASURED: &[Measured] = &[
    (0, [0.3, 0.7], &[], "NONE", [10, 11], [0.7, 0.3, 0.3, 0.7]),
    (
        0,
        [0.3, 0.7],
        &[],
        "LOGISTIC",
        [10, 11],
        [0.425_557_5, 0.574_442_5, 0.331_812_3, 0.668_187_7],
    ),
    (
        0,
        [0.3, 0.7],
        &[0.1],
        "NONE",
        [10, 11],
        [0.6, 0.4, 0.2, 0.8],
    ),
    (
        0,
        [0.3, 0.7],
        &[0.1],
        "LOGISTIC",
        [10, 11],
        [0.401_312_4, 0.598_687_6, 0.310_025_5, 0.689_974_5],
    ),
    (
        0,
        [-0.3, 0.3],
        &[],
        "NONE",
        [10, 11],
        [0.3, -0.3, -0.3, 0.3],
    ),
    (
        0,
        [-0.3, 0.3],
        &[],
        "LOGISTIC",
        [10, 11],
        [0.574_442_5, 0.425_557_5, 0.425_557_5, 0.574_442_5],
    ),
    (
        0,
        [-0.3, 0.3],
        &[0.1],
        "NONE",
        [10, 11],
        [0.2, -0.2, -0.4, 0.4],
    ),
    (
        0,
        [-0.3, 0.3],
        &[0.1],
        "LOGISTIC",
        [10, 11],
        [0.549_834, 0.450_166, 0.401_312_4, 0.598_687_6],
    ),
    (0, [0.6, 0.2], &[], "NONE", [11, 10], [0.4, 0.6, 0.8, 0.2]),
    (
        0,
        [-0.2, -0.4],
        &[],
        "NONE",
        [10, 10],
        [0.2, -0.2, 0.4, -0.4],
    ),
    (0, [0.0, 0.0], &[], "NONE", [10, 10], [1.0, 0.0, 1.0, 0.0]),
    (
        0,
        [0.0, 0.0],
        &[],
        "LOGISTIC",
        [10, 10],
        [0.5, 0.5, 0.5, 0.5],
    ),
    (1, [0.3, 0.7], &[], "NONE", [10, 11], [0.0, 0.3, 0.0, 0.7]),
    (
        1,
        [0.3, 0.7],
        &[],
        "LOGISTIC",
        [10, 11],
        [0.5, 0.574_442_5, 0.5, 0.668_187_7],
    ),
    (1, [-0.3, 0.3], &[], "NONE", [10, 11], [0.0, -0.3, 0.0, 0.3]),
    (
        1,
        [-0.3, 0.3],
        &[],
        "LOGISTIC",
        [10, 11],
        [0.5, 0.425_557_5, 0.5, 0.574_442_5],
    ),
];

fn rows() -> [crate::model::format::onnx::value::Value; 1] {
    [matrix(&[[0.0_f32], [1.0]])]
}

fn one_class(class: i64, weights: [f32; 2], base: &[f32], post: &str) -> TestNode {
    let node = stumps(2, &[(vec![(class, weights[0])], vec![(class, weights[1])])]);
    node.text("post_transform", post)
        .floats("base_values", base)
}

#[test]
fn two_classes_with_votes_for_one_answer_as_onnx_runtime() {
    for (class, weights, base, post, labels, scores) in MEASURED {
        let outputs = one_class(*class, *weights, base, post)
            .run(&rows())
            .unwrap();
        let case = format!("{class} {weights:?} {base:?} {post}");
        assert_eq!(outputs[0].elements::<i64>().unwrap(), labels, "{case}");
        assert_close(&outputs[1], scores);
    }
}

/// Of two base values, the second one is added, and the other class has the negated score.
#[test]
fn the_second_of_two_base_values_counts() {
    for class in [0, 1] {
        let outputs = one_class(class, [0.3, -0.7], &[9.0, 0.2], "NONE")
            .run(&rows())
            .unwrap();
        assert_eq!(outputs[0].elements::<i64>().unwrap(), [11, 10]);
        assert_close(&outputs[1], &[-0.5, 0.5, 0.5, -0.5]);
        let outputs = one_class(class, [0.3, -0.7], &[9.0, 0.2], "LOGISTIC")
            .run(&rows())
            .unwrap();
        assert_close(
            &outputs[1],
            &[0.377_540_7, 0.622_459_3, 0.622_459_3, 0.377_540_7],
        );
    }
}

/// A score of 0.3 is a probability of 0.574, which is the second class for the libraries that train such models.
#[test]
fn models_of_converters_have_the_class_with_the_larger_probability() {
    let node = one_class(0, [0.3, 0.7], &[], "LOGISTIC");
    for (producer, expected) in [
        ("", [10, 11]),
        ("onnx-example", [10, 11]),
        ("skl2onnx 1.20.0", [11, 11]),
        ("OnnxMLTools", [11, 11]),
    ] {
        let outputs = node.clone().producer(producer).run(&rows()).unwrap();
        assert_eq!(
            outputs[0].elements::<i64>().unwrap(),
            expected,
            "{producer}"
        );
    }
    // Probabilities are compared with one half by all.
    let node = one_class(0, [0.3, 0.7], &[], "NONE").producer("skl2onnx");
    assert_eq!(
        node.run(&rows()).unwrap()[0].elements::<i64>().unwrap(),
        [10, 11]
    );
}

/// The outputs, and the classes of more than two, are those of ONNX Runtime 1.32.
#[test]
fn several_classes_have_the_class_with_the_largest_score() {
    let dense = stumps(
        3,
        &[(
            vec![(0, 0.2), (1, 0.5), (2, 0.5)],
            vec![(2, 0.4), (0, 0.9), (1, -0.3)],
        )],
    );
    let outputs = dense.run(&rows()).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [11, 10]);
    assert_close(&outputs[1], &[0.2, 0.5, 0.5, 0.9, -0.3, 0.4]);
    let softmax = dense
        .clone()
        .text("post_transform", "SOFTMAX")
        .floats("base_values", [1.0, 0.0, 0.0]);
    let outputs = softmax.run(&rows()).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [10, 10]);
    let sums = [
        3.320_116_9,
        1.648_721_3,
        1.648_721_3,
        6.685_894_4,
        0.740_818_2,
        1.491_824_7,
    ];
    let total = [sums[..3].iter().sum::<f64>(), sums[3..].iter().sum::<f64>()];
    let expected: Vec<_> = sums
        .iter()
        .enumerate()
        .map(|(at, sum)| sum / total[at / 3])
        .collect();
    assert_close(&outputs[1], &expected);
    let two = stumps(2, &[(vec![(0, 0.2), (1, 0.5)], vec![(0, 0.9), (1, 0.1)])])
        .floats("base_values", [0.4, 0.0]);
    let outputs = two.run(&rows()).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [10, 10]);
    assert_close(&outputs[1], &[0.6, 0.5, 1.3, 0.1]);
}

/// skl2onnx writes it for boosted trees that start from zero.
#[test]
fn a_single_base_value_of_zero_changes_nothing() {
    for node in [
        stumps(
            3,
            &[(
                vec![(0, 0.2), (1, 0.5), (2, 0.5)],
                vec![(2, 0.4), (0, 0.9), (1, -0.3)],
            )],
        ),
        one_class(0, [0.3, 0.7], &[], "LOGISTIC"),
        one_class(1, [0.3, 0.7], &[], "LOGISTIC"),
    ] {
        let with = node.clone().floats("base_values", [0.0]);
        assert_eq!(with.run(&rows()).unwrap(), node.run(&rows()).unwrap());
    }
}

#[test]
fn classes_without_a_vote_do_not_win() {
    let sparse = stumps(
        4,
        &[
            (vec![(1, -0.5)], vec![(2, -0.2), (1, -0.2)]),
            (vec![(3, -2.0)], vec![(1, -0.5)]),
        ],
    );
    let rows = [matrix(&[[0.0_f32, 0.0], [1.0, 1.0], [1.0, 0.0]])];
    let outputs = sparse.run(&rows).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [11, 12, 11]);
    let expected = [
        0.0, -0.5, 0.0, -2.0, 0.0, -0.7, -0.2, 0.0, 0.0, -0.2, -0.2, -2.0,
    ];
    assert_close(&outputs[1], &expected);
    // With base values, every class has a score.
    let outputs = sparse.floats("base_values", [0.0; 4]).run(&rows).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [10, 10, 10]);
}

/// scikit-learn gives the first class to two halves of a forest. The weights of a file are rounded, so that their sums in f64 are
/// 0.5000000149 or 0.4999999851.
#[test]
fn halves_of_a_forest_are_the_first_class() {
    for trees in [2, 6, 12, 14, 22, 46, 94] {
        let weight = 1.0 / trees as f32;
        let all: Vec<_> = (0..trees)
            .map(|_| (vec![(0, weight)], vec![(0, 0.0)]))
            .collect();
        let rows: Vec<f32> = (0..trees).map(|tree| (tree % 2) as f32).collect();
        let rows = crate::model::format::onnx::value::Value::of(vec![1, trees], rows).unwrap();
        let outputs = stumps(2, &all).run(&[rows]).unwrap();
        assert_eq!(outputs[0].elements::<i64>().unwrap(), [10], "{trees}");
        assert_close(&outputs[1], &[0.5, 0.5]);
    }
}

/// A tree that did not learn anything.
#[test]
fn a_tree_may_be_a_single_leaf() {
    let root = [leaf(0, 0, [(0, 0.75)])];
    let node = listed("TreeEnsembleClassifier", "class", &root).ints("classlabels_int64s", [0, 1]);
    let outputs = node.run(&rows()).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [1, 1]);
    assert_close(&outputs[1], &[0.25, 0.75, 0.25, 0.75]);
}

#[test]
fn a_single_class_is_always_the_answer() {
    let outputs = stumps(1, &[(vec![(0, 1.0)], vec![(0, 0.0)])])
        .run(&rows())
        .unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [10, 10]);
    assert_close(&outputs[1], &[1.0, 0.0]);
}

#[test]
fn classes_may_be_texts_and_need_not_be_computed() {
    let node = one_class(0, [0.3, 0.7], &[], "NONE")
        .without("classlabels_int64s")
        .texts("classlabels_strings", &["no", "yes"]);
    let outputs = node.run(&rows()).unwrap();
    assert_eq!(as_texts(&outputs[0]), ["no", "yes"]);
    let lowered = node.lower(&rows()).unwrap();
    let classes = Classes::Texts(vec!["no".to_owned(), "yes".to_owned()]);
    assert_eq!(lowered.outputs[0].classes.as_deref(), Some(&classes));
    assert_eq!(lowered.outputs[1].classes.as_deref(), Some(&classes));
    assert_eq!(lowered.outputs[0].datatype, Datatype::Bytes);
    let outputs = node.unused(0).run(&rows()).unwrap();
    assert_eq!((outputs[0].len(), outputs[1].len()), (0, 4));
}

#[test]
fn outputs_that_are_probabilities_are_known() {
    let binary = |weights, post| one_class(0, weights, &[], post);
    let three = |weight| {
        let votes = vec![(0, 0.25), (1, 0.5), (2, weight)];
        stumps(3, &[(votes.clone(), votes)])
    };
    for (node, expected) in [
        (binary([0.3, 0.7], "NONE"), Meaning::Probabilities),
        (binary([0.3, 1.7], "NONE"), Meaning::Unknown),
        (binary([-0.3, 0.7], "NONE"), Meaning::Unknown),
        (binary([-3.0, 7.0], "LOGISTIC"), Meaning::Probabilities),
        (one_class(1, [0.3, 0.7], &[], "NONE"), Meaning::Unknown),
        (one_class(1, [0.3, 0.7], &[], "LOGISTIC"), Meaning::Unknown),
        (three(0.25), Meaning::Probabilities),
        (three(0.35), Meaning::Unknown),
        (
            three(0.25).floats("base_values", [1.0, 0.0, 0.0]),
            Meaning::Unknown,
        ),
        (
            three(9.0).text("post_transform", "SOFTMAX"),
            Meaning::Probabilities,
        ),
        (
            three(9.0).text("post_transform", "LOGISTIC"),
            Meaning::Logistic,
        ),
    ] {
        assert_eq!(
            node.lower(&rows()).unwrap().outputs[1].meaning,
            expected,
            "{node:?}"
        );
    }
}

/// Two classes as CatBoost writes them.
#[test]
fn opposite_votes_are_probabilities() {
    let votes = |x: f32| vec![(0, -x), (1, x)];
    let node = stumps(2, &[(votes(0.3), votes(-0.7))]).text("post_transform", "LOGISTIC");
    let outputs = node.run(&rows()).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [11, 10]);
    assert_close(
        &outputs[1],
        &[0.425_557_5, 0.574_442_5, 0.668_187_8, 0.331_812_2],
    );
    let meaning = |node: &TestNode| node.lower(&rows()).unwrap().outputs[1].meaning;
    assert_eq!(meaning(&node), Meaning::Probabilities);
    assert_eq!(
        meaning(&node.clone().floats("base_values", [0.1, 0.1])),
        Meaning::Logistic
    );
    let other =
        stumps(2, &[(votes(0.3), vec![(0, 0.5), (1, 0.5)])]).text("post_transform", "LOGISTIC");
    assert_eq!(meaning(&other), Meaning::Logistic);
}

#[test]
fn models_about_which_libraries_disagree_are_refused() {
    let vote = |class| vec![(class, 0.5)];
    for (node, reason) in [
        (
            one_class(0, [0.3, 0.7], &[], "SOFTMAX"),
            "SOFTMAX is not supported with votes for one of two classes",
        ),
        (
            one_class(0, [0.3, 0.7], &[], "SOFTMAX_ZERO"),
            "SOFTMAX_ZERO is not supported",
        ),
        (
            one_class(0, [0.3, 0.7], &[], "PROBIT"),
            "PROBIT is not supported",
        ),
        (
            one_class(1, [0.3, 0.7], &[], "SOFTMAX"),
            "SOFTMAX is not supported",
        ),
        (
            one_class(1, [0.3, 0.7], &[0.1], "NONE"),
            "got one value where only the second class has votes",
        ),
        (
            one_class(0, [0.3, 0.7], &[0.1; 3], "NONE"),
            "base_values: got 3 values, expected 2",
        ),
        (
            stumps(2, &[(vote(0), Vec::new())]),
            "got leaves without a vote",
        ),
        (
            stumps(1, &[(vote(0), vote(0))]).text("post_transform", "LOGISTIC"),
            "LOGISTIC is not supported with a single class",
        ),
        (
            stumps(3, &[(vote(0), vote(1))]).floats("base_values", [0.1]),
            "got one value for 3 classes",
        ),
        (
            stumps(2, &[(vote(0), vote(1))]).floats("base_values", [0.1]),
            "got one value for 2 classes",
        ),
    ] {
        let got = node.refusal(&rows());
        assert!(got.contains(reason), "{got} / {reason}");
    }
}
