use std::sync::Arc;

use super::*;
use crate::ident::ResponseId;
use crate::insight::compare::{MAX_CLASSES, Pair, Side};
use crate::insight::query::compare::{Comparison, ConfusionCell, compare_versions};
use crate::model::payload::Payload;

/// Lets `shadow` answer a request of one row beside `primary`; each with the class at this place.
fn copy(primary: &Loaded, shadow: &Loaded, classes: [usize; 2]) {
    let [one, two] = classes.map(|index| {
        let probability = 0.5;
        [TopClass { index, probability }]
    });
    let scores = [0.25, 0.75].map(|score| Scores::new(vec![score], 1).unwrap());
    let side = |of: &Loaded, scores, top| Side {
        version: of.manifest.version,
        summarised: None,
        scores,
        top,
        inference: Duration::from_millis(2),
    };
    let info = Arc::clone(primary.insight.comparisons.info());
    shadow.insight.compare(&Pair {
        primary: side(primary, &scores[0], &one),
        primary_info: &info,
        shadow: side(shadow, &scores[1], &two),
        response_id: &ResponseId::from_random(1),
        inputs: &Payload::Rows(vec![vec![]]),
    });
}

fn compare(baseline: &Loaded, candidate: &Loaded) -> Comparison {
    compare_versions(baseline.observed(), candidate.observed(), Window::Minute)
}

#[test]
fn the_candidate_as_the_shadow_comes_first() {
    let (one, two) = (Loaded::new(1), Loaded::new(2));
    assert_eq!(
        compare(&one, &two),
        Comparison {
            paired: vec![],
            split: None
        }
    );
    copy(&two, &one, [0, 0]);
    copy(&one, &two, [0, 1]);
    let pairs: Vec<_> = compare(&one, &two)
        .paired
        .iter()
        .map(|pair| (pair.primary.get(), pair.shadow.get()))
        .collect();
    assert_eq!(pairs, [(1, 2), (2, 1)]);
}

#[test]
fn a_version_that_is_its_own_shadow_is_the_control_and_takes_no_split_traffic() {
    let one = Loaded::new(1);
    copy(&one, &one, [1, 1]);
    one.answer(Role::Primary, 1.0, 0.75);
    let comparison = compare(&one, &one);
    assert_eq!((comparison.paired.len(), comparison.split), (1, None));
}

#[test]
fn rates_of_rows_and_named_classes_come_from_the_pair() {
    let (one, two) = (Loaded::new(1), Loaded::new(2));
    copy(&one, &two, [0, 1]);
    copy(&one, &two, [1, 1]);
    let pair = compare(&one, &two).paired.remove(0);
    let disagreement = pair.disagreement.unwrap();
    assert_eq!((disagreement.rate.count, disagreement.rate.total), (1, 2));
    assert!((disagreement.interval.value - 0.5).abs() < 1e-12);
    assert_eq!(pair.difference.rate.count, 2, "all scores differ");
    let cell = |primary: &str, shadow: &str| ConfusionCell {
        primary: primary.to_owned(),
        shadow: shadow.to_owned(),
        rows: 1,
    };
    assert_eq!(pair.confusion, [cell("no", "yes"), cell("yes", "yes")]);
    let both = ["no", "yes"].map(str::to_owned);
    let classes = pair.examples.iter().map(|row| row.classes.clone());
    assert!(
        classes
            .into_iter()
            .any(|classes| classes == Some(both.clone()))
    );
}

#[test]
fn classes_past_the_limit_share_a_cell() {
    let version = |number| {
        let mut manifest = samples::manifest(samples::document("m", number));
        let classes = 0..=MAX_CLASSES + 1;
        manifest.signature.classes = classes.map(|at| format!("c{at}")).collect();
        Loaded::of(manifest)
    };
    let (one, two) = (version(1), version(2));
    copy(&one, &two, [MAX_CLASSES, 0]);
    copy(&one, &two, [MAX_CLASSES + 1, 0]);
    let pair = compare(&one, &two).paired.remove(0);
    let cell = ConfusionCell {
        primary: "other classes".to_owned(),
        shadow: "c0".to_owned(),
        rows: 2,
    };
    assert_eq!(pair.confusion, [cell]);
}

#[test]
fn split_traffic_is_compared_once_both_versions_answered_clients() {
    let (one, two) = (Loaded::new(1), Loaded::new(2));
    one.answer(Role::Primary, 1.0, 0.75);
    two.answer(Role::Shadow, 1.0, 0.75);
    assert_eq!(
        compare(&one, &two).split,
        None,
        "a shadow answers no client"
    );
    two.answer(Role::Primary, 1.0, 0.25);
    let split = compare(&one, &two).split.unwrap();
    let names: Vec<_> = split.numbers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "inference_seconds",
            "total_seconds",
            "confidence",
            "score:yes"
        ]
    );
    let [no, yes] = &split.classes[..] else {
        panic!("two classes: {split:?}")
    };
    assert_eq!((no.name.as_str(), yes.name.as_str()), ("no", "yes"));
    assert_eq!((yes.baseline.rate.count, yes.candidate.rate.count), (1, 0));
    assert!(split.numbers[0].test.is_err(), "too few to test");
}

#[test]
fn only_faults_of_the_version_count_as_its_errors() {
    let (one, two) = (Loaded::new(1), Loaded::new(2));
    for code in Code::PREDICTION {
        one.end(Role::Primary, code);
    }
    two.end(Role::Primary, Code::Ok);
    let split = compare(&one, &two).split.unwrap();
    let errors = split.errors;
    assert_eq!(
        (errors.baseline.rate.count, errors.baseline.rate.total),
        (4, 10)
    );
    assert_eq!(
        (errors.candidate.rate.count, errors.candidate.rate.total),
        (0, 1)
    );
    let difference = errors.difference.unwrap();
    assert!(
        (difference.value + 0.4).abs() < 1e-12,
        "candidate minus baseline"
    );
    let class = &split.classes[0].baseline;
    let interval = (class.interval.low, class.interval.high);
    assert_eq!(
        (class.rate.total, interval),
        (0, (0.0, 1.0)),
        "nothing is known"
    );
    assert_eq!(split.classes[0].difference, None);
}
