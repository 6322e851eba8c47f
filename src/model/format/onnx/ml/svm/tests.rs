use super::super::super::operator::Meaning;
use super::super::super::value::Value;
use super::super::tests::{TestNode, as_texts, assert_close, matrix, node, texts};

const VECTORS: [f32; 8] = [1.0, 0.0, 0.0, 1.0, -1.0, 0.5, 0.5, 0.5];
const KERNELS: [(&str, [f32; 3]); 4] = [
    ("LINEAR", [0.0, 0.0, 0.0]),
    ("POLY", [0.5, 1.0, 3.0]),
    ("RBF", [0.7, 0.0, 0.0]),
    ("SIGMOID", [0.3, 0.1, 0.0]),
];

fn rows() -> [Value; 1] {
    [matrix(&[[1.0_f32, 2.0], [-1.0, 0.5], [0.25, -1.0]])]
}

fn machine(operator: &str, (kernel, parameters): (&str, [f32; 3])) -> TestNode {
    node(operator)
        .text("kernel_type", kernel)
        .floats("kernel_params", parameters)
        .floats("support_vectors", VECTORS)
}

fn three(kernel: (&str, [f32; 3])) -> TestNode {
    machine("SVMClassifier", kernel)
        .floats(
            "coefficients",
            [0.5, -1.0, 0.25, 0.75, 1.0, -0.5, 0.3, -0.6],
        )
        .ints("vectors_per_class", [1, 1, 2])
        .floats("rho", [0.1, -0.2, 0.3])
        .ints("classlabels_ints", [4, 5, 6])
}

fn two(kernel: (&str, [f32; 3])) -> TestNode {
    machine("SVMClassifier", kernel)
        .floats("coefficients", [0.5, -1.0, 0.25, 0.75])
        .ints("vectors_per_class", [2, 2])
        .floats("rho", [0.1])
        .texts("classlabels_strings", &["a", "b"])
}

fn regressor(kernel: (&str, [f32; 3])) -> TestNode {
    machine("SVMRegressor", kernel)
        .floats("coefficients", [0.5, -1.0, 0.25, 0.75])
        .int("n_supports", 4)
        .floats("rho", [0.1])
}

/// The classes and scores are those of ONNX Runtime 1.32.
#[test]
fn classifiers_compare_each_pair_of_classes() {
    let expected = [
        (
            [4, 5, 4],
            [
                -1.4, 1.925, -1.6, -0.9, -1.075, 0.575, 1.225, -0.418_75, 0.8,
            ],
        ),
        (
            [4, 5, 4],
            [
                -6.212_5,
                7.444_531_4,
                -6.615_624_9,
                -1.790_625,
                1.500_195_3,
                0.208_789_1,
                0.686_914_1,
                1.687_145_9,
                -0.011_084,
            ],
        ),
        (
            [5, 5, 4],
            [
                -0.116_191_9,
                -0.005_712_4,
                0.076_213_6,
                -0.291_338_3,
                0.256_303_1,
                0.267_364_5,
                0.209_272,
                0.300_902_4,
                0.172_810_4,
            ],
        ),
        (
            [4, 5, 4],
            [
                -0.314_393_3,
                0.580_256_2,
                -0.272_595_6,
                -0.243_606_3,
                -0.268_071_7,
                0.295_212_9,
                0.383_992_9,
                -0.067_227_6,
                0.368_881_4,
            ],
        ),
    ];
    for (kernel, (labels, scores)) in KERNELS.into_iter().zip(expected) {
        let outputs = three(kernel).run(&rows()).unwrap();
        assert_eq!(outputs[0].elements::<i64>().unwrap(), labels, "{kernel:?}");
        assert_eq!(outputs[1].shape(), [3, 3]);
        assert_close(&outputs[1], &scores);
    }
    let scores = [
        [0.275, 0.775, -0.756_25],
        [1.942_968_7, 0.215_429_7, -1.150_231_9],
        [-0.017_285_6, -0.113_917_4, -0.375_216_4],
        [-0.085_913_9, 0.114_302_6, -0.343_530_1],
    ];
    for (kernel, scores) in KERNELS.into_iter().zip(scores) {
        let outputs = two(kernel).run(&rows()).unwrap();
        let labels = scores.map(|score: f64| if score > 0.0 { "b" } else { "a" });
        assert_eq!(as_texts(&outputs[0]), labels, "{kernel:?}");
        assert_close(&outputs[1], &scores.map(|score| [score, -score]).concat());
    }
}

/// The probabilities are those of ONNX Runtime 1.32.
#[test]
fn scores_become_probabilities() {
    let functions =
        |node: TestNode, a: &[f32], b: &[f32]| node.floats("prob_a", a).floats("prob_b", b);
    let linear = functions(three(KERNELS[0]), &[-1.0, -2.0, -0.5], &[0.1, 0.0, -0.1]);
    let outputs = linear.run(&rows()).unwrap();
    assert_eq!(outputs[0].elements::<i64>().unwrap(), [4, 5, 4]);
    let expected = [
        0.305_370_4,
        0.469_834_3,
        0.224_795_2,
        0.107_15,
        0.510_157_5,
        0.382_692_4,
        0.332_245_7,
        0.281_77,
        0.385_984_2,
    ];
    assert_close(&outputs[1], &expected);
    assert_eq!(
        linear.lower(&rows()).unwrap().outputs[1].meaning,
        Meaning::Probabilities
    );
    let radial = functions(two(KERNELS[2]), &[-1.5], &[0.2]);
    let outputs = radial.run(&rows()).unwrap();
    let expected = [
        0.456_561_1,
        0.543_438_8,
        0.492_719_5,
        0.507_280_5,
        0.589_327_7,
        0.410_672_4,
    ];
    assert_close(&outputs[1], &expected);
    assert_eq!(as_texts(&outputs[0]), ["a", "a", "a"]);
}

#[test]
fn regressors_and_single_classes_add_similarities() {
    let sums = [
        [-0.275, -0.775, 0.756_25],
        [-1.942_968_7, -0.215_429_7, 1.150_231_9],
        [0.017_285_5, 0.113_917_4, 0.375_216_4],
        [0.085_913_9, -0.114_302_6, 0.343_530_1],
    ];
    for (kernel, sums) in KERNELS.into_iter().zip(sums) {
        assert_close(&regressor(kernel).run(&rows()).unwrap()[0], &sums);
        let outputs = regressor(kernel).int("one_class", 1).run(&rows()).unwrap();
        assert_close(&outputs[0], &sums.map(f64::signum));
    }
}

#[test]
fn malformed_models_are_refused() {
    for (broken, reason) in [
        (
            three(KERNELS[0]).floats("rho", [0.1]),
            "attribute rho: got 1 values, expected 3",
        ),
        (
            three(KERNELS[0]).floats("coefficients", [0.1; 4]),
            "attribute coefficients: got 4 values, expected 8",
        ),
        (
            three(KERNELS[0]).ints("vectors_per_class", [1, 1]),
            "attribute vectors_per_class: got 2 values, expected 3",
        ),
        (
            three(KERNELS[0]).ints("vectors_per_class", [1, -1, 2]),
            "attribute vectors_per_class: got -1",
        ),
        (
            three(KERNELS[0]).ints("vectors_per_class", [i64::MAX, i64::MAX, i64::MAX]),
            "attribute vectors_per_class: got",
        ),
        (
            three(KERNELS[0]).ints("vectors_per_class", [0, 0, 0]),
            "attribute support_vectors: got 8 values for 0 vectors",
        ),
        (
            three(KERNELS[0]).ints("vectors_per_class", [1, 1, 1]),
            "attribute support_vectors: got 8 values for 3 vectors",
        ),
        (
            three(KERNELS[0]).floats("support_vectors", [0.0; 4]),
            "got 2 columns, expected 1",
        ),
        (
            three(KERNELS[0]).floats("support_vectors", [f32::NAN; 8]),
            "attribute support_vectors: got NaN at index 0",
        ),
        (
            three(KERNELS[0]).ints("classlabels_ints", [4]),
            "got 1 classes, expected 2 to 1024",
        ),
        (
            three(KERNELS[0]).floats("prob_a", [0.1; 3]),
            "attribute prob_b: got 0 values, expected 3",
        ),
        (
            three(KERNELS[0]).text("post_transform", "LOGISTIC"),
            "LOGISTIC is not supported, expected NONE",
        ),
        (
            three(KERNELS[1]).floats("kernel_params", [0.1]),
            "attribute kernel_params: got 1 values, expected 3",
        ),
        (
            three(KERNELS[1]).without("kernel_params"),
            "attribute kernel_params: got 0 values, expected 3",
        ),
        (
            three(KERNELS[1]).text("kernel_type", "CUBIC"),
            "attribute kernel_type: got \"CUBIC\"",
        ),
        (
            regressor(KERNELS[0]).int("n_supports", 0),
            "attribute n_supports: expected support vectors",
        ),
        (
            regressor(KERNELS[0]).int("n_supports", -4),
            "attribute n_supports: expected support vectors",
        ),
        (
            regressor(KERNELS[0]).int("n_supports", 1 << 60),
            "attribute support_vectors: got 8 values for",
        ),
        (
            regressor(KERNELS[0]).floats("coefficients", [0.1; 3]),
            "attribute coefficients: got 3 values, expected 4",
        ),
        (
            regressor(KERNELS[0]).floats("rho", [0.1; 2]),
            "attribute rho: got 2 values, expected 1",
        ),
        (
            regressor(KERNELS[0]).int("one_class", 5),
            "attribute one_class: got 5, expected 0 or 1",
        ),
        (
            regressor(KERNELS[0]).text("post_transform", "LOGISTIC"),
            "LOGISTIC of a single score",
        ),
    ] {
        let got = broken.refusal(&rows());
        assert!(got.contains(reason), "{got} / {reason}");
    }
    let got = two(KERNELS[0]).refusal(&[texts(&["a"])]);
    assert!(got.contains("got elements of type BYTES"), "{got}");
}
