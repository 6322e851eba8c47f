use std::time::Duration;

use super::counts::ComparedRows;
use super::*;
use crate::ident::ResponseId;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::payload::{Cell, Payload, Tensor, TensorData};
use crate::model::{PredictionKind, Scores, TopClass, Value, samples};

const MS: Duration = Duration::from_millis(1);

fn info(sensitive: &[usize]) -> Arc<VersionInfo> {
    let mut document = samples::document("m", 1);
    for at in sensitive {
        document["inputs"][*at]["sensitive"] = true.into();
    }
    Arc::new(VersionInfo::new(&samples::manifest(document).signature))
}

fn scores(values: &[f32]) -> Scores {
    Scores::new(values.to_vec(), 1).unwrap()
}

fn top(index: usize) -> TopClass {
    let probability = 0.5;
    TopClass { index, probability }
}

fn side<'a>(version: u64, scores: &'a Scores, top: &'a [TopClass], took: u32) -> Side<'a> {
    Side {
        version: version.try_into().unwrap(),
        summarised: None,
        scores,
        top,
        inference: MS * took,
    }
}

fn compared(rows: u64, disagreed: u64) -> ComparedRows {
    ComparedRows { rows, disagreed }
}

fn row(a: &str) -> Vec<(String, Cell)> {
    let cell = |name: &str, cell| (name.to_owned(), cell);
    vec![
        cell("a", Cell::Text(a.into())),
        cell("b", Cell::Number(2.0)),
    ]
}

#[test]
fn rows_classes_differences_and_times_are_counted() {
    let (one, other) = (scores(&[0.25, 0.5]), scores(&[0.75, 0.5]));
    let (tops, others) = ([top(0), top(1)], [top(1), top(1)]);
    let (open, response_id) = (info(&[]), ResponseId::from_random(1));
    let inputs = Payload::Rows(vec![row("x"), row("y")]);
    let pair = Pair {
        primary: side(1, &one, &tops, 2),
        primary_info: &open,
        shadow: side(2, &other, &others, 5),
        response_id: &response_id,
        inputs: &inputs,
    };
    let mut counts = PairCounts::new(PredictionKind::Probabilities, 2);
    assert_eq!(counts.add(&pair, &open), compared(2, 1));
    assert_eq!((counts.requests, counts.rows, counts.disagreed), (1, 2, 1));
    assert_eq!(counts.differed, 1);
    assert_eq!(
        counts.confusion,
        [0, 1, 0, 1],
        "the primary's class is the row"
    );
    assert_eq!(
        (counts.difference.min(), counts.difference.max()),
        (Some(0.0), Some(0.5))
    );
    let slower = counts.inference_difference.max().unwrap();
    assert!((slower - 0.003).abs() < 1e-12, "{slower}");
    let [example] = &counts.examples[..] else {
        panic!("one row differs: {:?}", counts.examples)
    };
    assert_eq!((example.row, example.classes), (0, Some([0, 1])));
    assert_eq!(example.inputs[0], ("a".to_owned(), "x".to_owned()));

    let short = scores(&[0.25]);
    let mismatched = Pair {
        shadow: side(2, &short, &others, 5),
        ..pair
    };
    assert_eq!(
        counts.add(&mismatched, &open),
        compared(0, 0),
        "different shapes"
    );
    let same = Pair {
        shadow: side(1, &one, &tops, 2),
        ..pair
    };
    let mut control = PairCounts::new(PredictionKind::Probabilities, 2);
    control.add(&same, &open);
    assert_eq!((control.disagreed, control.differed), (0, 0));
    assert!(control.examples.is_empty(), "nothing differs");
}

#[test]
fn classes_past_the_limit_share_a_row() {
    let (one, response_id) = (scores(&[0.5]), ResponseId::from_random(1));
    let (open, inputs) = (info(&[]), Payload::Rows(Vec::new()));
    let mut counts = PairCounts::new(PredictionKind::Probabilities, 1_000);
    let (last, past) = ([top(999)], [top(16)]);
    assert_eq!(
        counts.confusion.len(),
        (MAX_CLASSES + 1) * (MAX_CLASSES + 1)
    );
    let pair = Pair {
        primary: side(1, &one, &last, 1),
        primary_info: &open,
        shadow: side(2, &one, &past, 1),
        response_id: &response_id,
        inputs: &inputs,
    };
    assert_eq!(counts.add(&pair, &open), compared(1, 1));
    assert_eq!(counts.confusion.last(), Some(&1));
}

#[test]
fn the_most_different_rows_are_kept_without_inputs_that_are_sensitive_in_either_version() {
    let (primary, shadow) = (info(&[]), info(&[1]));
    let response_id = ResponseId::from_random(1);
    let long = "é".repeat(1_000);
    let bytes = bytes::Bytes::from(long.clone().into_bytes());
    let tensor = |name: &str, shape: Vec<i64>, data| Tensor {
        name: name.into(),
        shape,
        data,
    };
    let payloads = [
        Payload::Rows(vec![row(&long)]),
        Payload::Tensors(vec![
            tensor("a", vec![1], TensorData::Bytes(vec![bytes])),
            tensor("b", vec![1, 2], TensorData::Fp32(vec![7.5, 7.5])),
            tensor("unknown", vec![1], TensorData::Int64(vec![7])),
        ]),
    ];
    let one = scores(&[0.0]);
    let mut counts = PairCounts::new(PredictionKind::Value, 0);
    for at in 0..40_u8 {
        let other = scores(&[f32::from(at % 20)]);
        let pair = Pair {
            primary: side(1, &one, &[], 1),
            primary_info: &primary,
            shadow: side(2, &other, &[], 1),
            response_id: &response_id,
            inputs: &payloads[usize::from(at % 2)],
        };
        counts.add(&pair, &shadow);
    }
    assert_eq!(counts.examples.len(), examples::MAX_EXAMPLES);
    let distances: Vec<_> = counts.examples.iter().map(|one| one.distance).collect();
    assert!(distances.is_sorted_by(|a, b| a >= b), "{distances:?}");
    assert_eq!((distances[0], distances[15]), (19.0, 12.0));
    for example in &counts.examples {
        let [(name, text)] = &example.inputs[..] else {
            panic!("{:?}", example.inputs)
        };
        assert_eq!(
            (name.as_str(), text.chars().count()),
            ("a", examples::MAX_TEXT)
        );
        assert!(text.chars().all(|c| c == 'é'), "{text}");
        assert!(example.left_out >= 1 && example.classes.is_none());
    }
}

#[test]
fn a_pair_ends_with_its_primary_and_starts_anew_when_that_is_loaded_again() {
    let manifest = samples::manifest(samples::document("m", 2));
    let telemetry = Telemetry::new().unwrap();
    let insight = VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
    let (one, response_id) = (scores(&[0.5]), ResponseId::from_random(1));
    let (tops, inputs) = ([top(0)], Payload::Rows(vec![row("x")]));
    let record = |primary_info: &Arc<VersionInfo>, primary: u64| {
        let pair = Pair {
            primary: side(primary, &one, &tops, 1),
            primary_info,
            shadow: side(2, &one, &tops, 1),
            response_id: &response_id,
            inputs: &inputs,
        };
        insight.compare(&pair);
    };
    let rows = || {
        insight
            .comparisons
            .with_primary(1.try_into().unwrap())
            .map(|pair| pair.counts.rows)
    };
    let first = info(&[]);
    record(&first, 1);
    record(&first, 1);
    assert_eq!(rows(), Some(2));
    let again = info(&[]);
    record(&again, 1);
    assert_eq!(rows(), Some(1), "loaded again");
    drop(again);
    assert_eq!(rows(), None, "gone");
    insight.comparisons.remove_retired();
    assert!(lock(&insight.comparisons.by_primary).is_empty());
    for primary in 2..=70 {
        record(&first, primary);
    }
    assert_eq!(lock(&insight.comparisons.by_primary).len(), MAX_PRIMARIES);
    record(&first, 1);
    record(&first, 1);
    assert_eq!(
        rows(),
        Some(2),
        "the lowest number is kept if it is the newest"
    );
    assert_eq!(lock(&insight.comparisons.by_primary).len(), MAX_PRIMARIES);
}

/// Returns the vectors of two columns, and their norms.
fn vectors(values: &[f32]) -> (Value, Scores) {
    let norm = |vector: &[f32]| vector[0].hypot(vector[1]);
    let norms = values.chunks(2).map(norm).collect::<Vec<_>>();
    let value = Value {
        shape: vec![values.len() / 2, 2],
        data: TensorData::Fp32(values.to_vec()),
    };
    (value, scores(&norms))
}

#[test]
fn embeddings_are_compared_by_the_cosine_of_each_row() {
    let (open, response_id) = (info(&[]), ResponseId::from_random(1));
    let inputs = Payload::Rows(Vec::new());
    // The same, longer in the same direction, 45 degrees apart, opposite, and zero.
    let one = vectors(&[0.1, 0.2, 3.0, 4.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    let other = vectors(&[0.1, 0.2, 6.0, 8.0, 1.0, 1.0, -1.0, -1.0, 1.0, 0.0]);
    let pair = |other| Pair {
        primary: Side {
            summarised: Some(&one.0),
            ..side(1, &one.1, &[], 2)
        },
        primary_info: &open,
        shadow: other,
        response_id: &response_id,
        inputs: &inputs,
    };
    let shadow = Side {
        summarised: Some(&other.0),
        ..side(2, &other.1, &[], 5)
    };
    let mut counts = PairCounts::new(PredictionKind::Embedding(0.5), 0);
    assert_eq!(counts.add(&pair(shadow), &open), compared(5, 2));
    assert_eq!((counts.disagreed, counts.differed), (2, 4));
    assert_eq!(counts.cosine.count(), 5);
    assert_eq!(
        (counts.cosine.min(), counts.cosine.max()),
        (Some(-1.0), Some(1.0))
    );
    let mean = (1.0 + 1.0 + 0.5_f64.sqrt() - 1.0) / 5.0;
    assert!((counts.cosine.mean().unwrap() - mean).abs() < 1e-12);
    assert_eq!(
        counts.difference.max(),
        Some(5.0),
        "the difference of norms"
    );
    let [example] = &counts.examples[..] else {
        panic!("one example of each request: {:?}", counts.examples)
    };
    assert_eq!((example.row, example.distance), (3, 2.0));
    assert_eq!(
        (&example.primary[..], &example.shadow[..]),
        (&[1.0, 1.0][..], &[-1.0, -1.0][..]),
        "the vectors, not their norms"
    );
    assert!(example.classes.is_none() && counts.confusion.is_empty());

    let mut at_threshold = PairCounts::new(PredictionKind::Embedding(0.75), 0);
    assert_eq!(at_threshold.add(&pair(shadow), &open), compared(5, 3));

    let without = side(2, &other.1, &[], 5);
    assert_eq!(counts.add(&pair(without), &open), compared(0, 0));
    assert_eq!(counts.rows, 5, "nothing is added without vectors");
}

#[test]
fn the_larger_threshold_of_two_embeddings_counts() {
    let info = |cosine: f32| {
        let document = samples::embedding("m", 1, cosine);
        VersionInfo::new(&samples::manifest(document).signature)
    };
    let (strict, lax) = (info(0.75), info(0.5));
    let threshold = PredictionKind::Embedding(0.75);
    assert_eq!(strict.kind_beside(&lax), threshold);
    assert_eq!(lax.kind_beside(&strict), threshold);
}

#[test]
fn labels_are_compared_without_scores() {
    let (open, response_id) = (info(&[]), ResponseId::from_random(1));
    let inputs = Payload::Rows(Vec::new());
    let marks = |classes: [usize; 2]| {
        let mark = |class: usize| [f32::from(class == 0), f32::from(class == 1)];
        Scores::new(classes.map(mark).concat(), 2).unwrap()
    };
    let (one, other) = (marks([0, 1]), marks([0, 0]));
    let (tops, others) = ([top(0), top(1)], [top(0), top(0)]);
    let pair = Pair {
        primary: side(1, &one, &tops, 2),
        primary_info: &open,
        shadow: side(2, &other, &others, 5),
        response_id: &response_id,
        inputs: &inputs,
    };
    let mut counts = PairCounts::new(PredictionKind::Labels, 2);
    assert_eq!(counts.add(&pair, &open), compared(2, 1));
    assert_eq!((counts.disagreed, counts.differed), (1, 1));
    assert_eq!(counts.confusion, [1, 0, 1, 0]);
    assert_eq!(counts.difference.count(), 0, "a label has no score");
    let [example] = &counts.examples[..] else {
        panic!("one row differs: {:?}", counts.examples)
    };
    assert_eq!((example.row, example.classes), (1, Some([1, 0])));
    assert!(example.primary.is_empty() && example.shadow.is_empty());
}
