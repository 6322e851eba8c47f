use std::time::Duration;

use super::*;
use crate::ident::ResponseId;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::payload::{Cell, Payload, Tensor, TensorData};
use crate::model::{Scores, TopClass, samples};

const MS: Duration = Duration::from_millis(1);

fn about(sensitive: &[usize]) -> Arc<About> {
    let mut document = samples::document("m", 1);
    for at in sensitive {
        document["inputs"][*at]["sensitive"] = true.into();
    }
    Arc::new(About::of(&samples::manifest(document).signature))
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
        scores,
        top,
        inference: MS * took,
    }
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
    let (open, response_id) = (about(&[]), ResponseId::from_random(1));
    let inputs = Payload::Rows(vec![row("x"), row("y")]);
    let pair = Pair {
        primary: side(1, &one, &tops, 2),
        about: &open,
        shadow: side(2, &other, &others, 5),
        response_id: &response_id,
        inputs: &inputs,
    };
    let mut seen = Seen::of(2);
    assert_eq!(seen.add(&pair, &open), (2, 1));
    assert_eq!((seen.requests, seen.rows, seen.disagreed), (1, 2, 1));
    assert_eq!(seen.differed, 1);
    assert_eq!(
        seen.confusion,
        [0, 1, 0, 1],
        "the primary's class is the row"
    );
    assert_eq!(
        (seen.difference.min(), seen.difference.max()),
        (Some(0.0), Some(0.5))
    );
    let slower = seen.slower.max().unwrap();
    assert!((slower - 0.003).abs() < 1e-12, "{slower}");
    let [example] = &seen.examples[..] else {
        panic!("one row differs: {:?}", seen.examples)
    };
    assert_eq!((example.row, example.classes), (0, Some([0, 1])));
    assert_eq!(example.inputs[0], ("a".to_owned(), "x".to_owned()));

    let short = scores(&[0.25]);
    let torn = Pair {
        shadow: side(2, &short, &others, 5),
        ..pair
    };
    assert_eq!(seen.add(&torn, &open), (0, 0), "not of one shape");
    let same = Pair {
        shadow: side(1, &one, &tops, 2),
        ..pair
    };
    let mut control = Seen::of(2);
    control.add(&same, &open);
    assert_eq!((control.disagreed, control.differed), (0, 0));
    assert!(control.examples.is_empty(), "nothing differs");
}

#[test]
fn classes_past_the_bound_share_a_row() {
    let (one, response_id) = (scores(&[0.5]), ResponseId::from_random(1));
    let (open, inputs) = (about(&[]), Payload::Rows(Vec::new()));
    let mut seen = Seen::of(1_000);
    let (last, past) = ([top(999)], [top(16)]);
    assert_eq!(
        seen.confusion.len(),
        (MOST_CLASSES + 1) * (MOST_CLASSES + 1)
    );
    let pair = Pair {
        primary: side(1, &one, &last, 1),
        about: &open,
        shadow: side(2, &one, &past, 1),
        response_id: &response_id,
        inputs: &inputs,
    };
    assert_eq!(seen.add(&pair, &open), (1, 1));
    assert_eq!(seen.confusion.last(), Some(&1));
}

#[test]
fn the_most_different_rows_are_kept_and_what_is_sensitive_to_either_is_not() {
    let (primary, shadow) = (about(&[]), about(&[1]));
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
    let mut seen = Seen::of(0);
    for at in 0..40_u8 {
        let other = scores(&[f32::from(at % 20)]);
        let pair = Pair {
            primary: side(1, &one, &[], 1),
            about: &primary,
            shadow: side(2, &other, &[], 1),
            response_id: &response_id,
            inputs: &payloads[usize::from(at % 2)],
        };
        seen.add(&pair, &shadow);
    }
    assert_eq!(seen.examples.len(), examples::MOST);
    let distances: Vec<_> = seen.examples.iter().map(|one| one.distance).collect();
    assert!(distances.is_sorted_by(|a, b| a >= b), "{distances:?}");
    assert_eq!((distances[0], distances[15]), (19.0, 12.0));
    for example in &seen.examples {
        let [(name, text)] = &example.inputs[..] else {
            panic!("{:?}", example.inputs)
        };
        assert_eq!(
            (name.as_str(), text.chars().count()),
            ("a", examples::LONGEST_TEXT)
        );
        assert!(text.chars().all(|c| c == 'é'), "{text}");
        assert!(example.left_out >= 1 && example.classes.is_none());
    }
}

#[test]
fn a_pair_goes_with_its_primary_and_begins_anew_when_that_is_loaded_again() {
    let manifest = samples::manifest(samples::document("m", 2));
    let telemetry = Telemetry::new().unwrap();
    let insight = VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
    let (one, response_id) = (scores(&[0.5]), ResponseId::from_random(1));
    let (tops, inputs) = ([top(0)], Payload::Rows(vec![row("x")]));
    let ask = |about: &Arc<About>, primary: u64| {
        let pair = Pair {
            primary: side(primary, &one, &tops, 1),
            about,
            shadow: side(2, &one, &tops, 1),
            response_id: &response_id,
            inputs: &inputs,
        };
        insight.compare(&pair);
    };
    let rows = || {
        insight
            .comparisons
            .beside(1.try_into().unwrap())
            .map(|told| told.seen.rows)
    };
    let first = about(&[]);
    ask(&first, 1);
    ask(&first, 1);
    assert_eq!(rows(), Some(2));
    let again = about(&[]);
    ask(&again, 1);
    assert_eq!(rows(), Some(1), "loaded again");
    drop(again);
    assert_eq!(rows(), None, "gone");
    insight.comparisons.forget_retired();
    assert!(lock(&insight.comparisons.by_primary).is_empty());
    for primary in 2..=70 {
        ask(&first, primary);
    }
    assert_eq!(lock(&insight.comparisons.by_primary).len(), MOST_PRIMARIES);
    ask(&first, 1);
    ask(&first, 1);
    assert_eq!(rows(), Some(2), "the lowest number, but it has just come");
    assert_eq!(lock(&insight.comparisons.by_primary).len(), MOST_PRIMARIES);
}
