//! Questions about versions that predict labels or an embedding.

use super::*;
use crate::insight::drift::Pair;
use crate::insight::query::compare::compare_versions;
use crate::insight::query::drift::{DriftQuery, assess_versions};
use crate::insight::query::stats::{SampleStats, StatsQuery, read_stats};
use crate::model::manifest::raw::{Profile, Reference};

/// Returns a version that predicts labels. In training, three of four rows were `yes`.
fn labels(number: u64) -> Loaded {
    let mut manifest = samples::manifest(samples::labels("m", number));
    let share = |mean| Profile {
        missing: 0,
        mean: Some(mean),
        std: None,
        quantiles: Some(vec![0.0; 101]),
        categories: None,
        other: None,
    };
    manifest.about.reference = Some(Reference {
        rows: 1_000,
        features: [].into(),
        predictions: [("no".into(), share(0.25)), ("yes".into(), share(0.75))].into(),
    });
    Loaded::of(manifest)
}

/// Returns a version that predicts an embedding. In training, the norms were between 0 and 100.
fn embedding(number: u64) -> Loaded {
    let mut manifest = samples::manifest(samples::embedding("m", number, 0.9));
    let norms = Profile {
        missing: 0,
        mean: None,
        std: None,
        quantiles: Some((0..=100).map(f64::from).collect()),
        categories: None,
        other: None,
    };
    manifest.about.reference = Some(Reference {
        rows: 1_000,
        features: [].into(),
        predictions: [("vector".into(), norms)].into(),
    });
    Loaded::of(manifest)
}

impl Loaded {
    /// Records a request of one row, judged as `row`, with the class at this place if there are classes.
    fn judged(&self, row: &[f32], class: Option<usize>) {
        let probability = 1.0;
        let top: Vec<_> = class
            .map(|index| TopClass { index, probability })
            .into_iter()
            .collect();
        let scoring = Scoring {
            queue: Duration::from_millis(1),
            inference: Duration::from_millis(2),
            scores: &Scores::new(row.to_vec(), row.len()).unwrap(),
            top: &top,
            is_first: true,
        };
        let inputs = self.insight.stats.observe_inputs();
        self.insight.stats.scored(Role::Primary, &inputs, scoring);
        self.end(Role::Primary, Code::Ok);
    }

    fn label(&self, class: usize) {
        let mark = |at: usize| f32::from(u8::from(at == class));
        self.judged(&[mark(0), mark(1)], Some(class));
    }

    fn sample(&self) -> SampleStats {
        let query = StatsQuery {
            windows: &[Window::Minute],
            ..StatsQuery::default()
        };
        read_stats(&[self.observed()], query).samples.remove(0)
    }
}

#[test]
fn labels_have_counts_of_classes_but_neither_scores_nor_confidence() {
    let (one, two) = (labels(1), labels(2));
    for class in [0, 1, 1] {
        one.label(class);
        two.label(class);
    }
    let sample = one.sample();
    let counts = [("no".to_owned(), 1), ("yes".to_owned(), 2)];
    assert_eq!((sample.rows, &sample.classes[..]), (3, &counts[..]));
    assert_eq!((sample.scores, sample.confidence), (vec![], None));
    let split = compare_versions(one.observed(), two.observed(), Window::Minute).split;
    let split = split.unwrap();
    let names: Vec<_> = split.numbers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["inference_seconds", "total_seconds"]);
    assert_eq!(split.classes.len(), 2);
}

#[test]
fn drift_of_labels_compares_the_shares_of_classes() {
    let version = labels(1);
    (0..4).for_each(|at| version.label(usize::from(at > 0)));
    let sample = DriftQuery::sample(None, None);
    let earlier = DriftQuery::against_version(sample, version.observed(), None, None);
    for (query, counts) in [
        (DriftQuery::against_profile(sample), [250, 750]),
        (earlier, [1, 3]),
    ] {
        let answer = assess_versions(&[version.observed()], &query);
        let assessment = answer.versions[0].outcome.clone().unwrap();
        let [column] = &assessment.columns.predictions[..] else {
            panic!("only the classes: {assessment:?}")
        };
        let Pair::Categories { reference, current } = &column.pair else {
            panic!("classes: {column:?}")
        };
        assert_eq!(column.name, "class");
        let of = |counts: [u64; 2]| ["no", "yes"].map(str::to_owned).into_iter().zip(counts);
        assert!(reference.counts.clone().into_iter().eq(of(counts)));
        assert!(current.counts.clone().into_iter().eq(of([1, 3])));
    }
}

#[test]
fn an_embedding_is_observed_by_its_norm() {
    let version = embedding(1);
    version.judged(&[3.0], None);
    version.judged(&[5.0], None);
    let sample = version.sample();
    let [(name, norms)] = &sample.scores[..] else {
        panic!("one distribution: {sample:?}")
    };
    assert_eq!((name.as_str(), norms.min, norms.max), ("norm", 3.0, 5.0));
    assert!(sample.classes.is_empty() && sample.confidence.is_none());
    let query = DriftQuery::against_profile(DriftQuery::sample(None, None));
    let answer = assess_versions(&[version.observed()], &query);
    let assessment = answer.versions[0].outcome.clone().unwrap();
    let names: Vec<_> = assessment.predictions().map(|(one, _)| &one.name).collect();
    assert_eq!(
        names,
        ["norm"],
        "the profile has it under the output's name"
    );
}

#[test]
fn only_numbers_of_the_same_name_are_compared() {
    let (one, two) = (embedding(1), Loaded::new(2));
    one.judged(&[3.0], None);
    two.answer(Role::Primary, 1.0, 0.75);
    for (baseline, candidate) in [(&one, &two), (&two, &one)] {
        let both = compare_versions(baseline.observed(), candidate.observed(), Window::Minute);
        let numbers = both.split.unwrap().numbers;
        let names: Vec<_> = numbers.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["inference_seconds", "total_seconds"]);
    }
}
