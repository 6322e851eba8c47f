use super::*;
use crate::insight::drift::{ColumnResult, Severity, TooFewRows};
use crate::insight::query::drift::{
    Assessment, DriftQuery, NotCompared, NotEarlier, assess_for_gauges, assess_versions,
};
use crate::model::manifest::raw::{Profile, Reference};

const PRIMARY: Role = Role::Primary;

/// A version whose training saw 1,000 values of `a`, evenly between 0 and 100.
fn profiled() -> Loaded {
    let mut manifest = samples::manifest(samples::document("m", 1));
    let profile = Profile {
        missing: 0,
        mean: None,
        std: None,
        quantiles: Some((0..=100).map(f64::from).collect()),
        categories: None,
        other: None,
    };
    manifest.about.reference = Some(Reference {
        rows: 1_000,
        features: [("a".to_owned(), profile)].into(),
        predictions: [].into(),
    });
    Loaded::of(manifest)
}

fn severity(assessment: &Assessment) -> Severity {
    let [(_, a)] = assessment.features().collect::<Vec<_>>()[..] else {
        panic!("only `a` is in the profile: {assessment:?}")
    };
    a.severity()
}

fn outcome(version: &Loaded, query: &DriftQuery<'_>) -> Result<Assessment, NotCompared> {
    let mut answer = assess_versions(&[version.observed()], query);
    answer.versions.remove(0).outcome
}

#[test]
fn the_last_hour_as_primary_is_compared_if_nothing_else_is_named() {
    let hour = Sample {
        role: PRIMARY,
        window: Window::Hour,
    };
    assert_eq!(DriftQuery::sample(None, None), hour);
    let shadow = DriftQuery::sample(Some(Role::Shadow), Some(Window::Minute));
    let wanted = Sample {
        role: Role::Shadow,
        window: Window::Minute,
    };
    assert_eq!(shadow, wanted);
}

#[test]
fn a_sample_is_compared_with_the_profile_of_its_version() {
    let version = profiled();
    let query = DriftQuery::against_profile(DriftQuery::sample(None, None));
    let never = NotCompared::NeverPlayed {
        version: 1.try_into().unwrap(),
        role: PRIMARY,
    };
    assert_eq!(outcome(&version, &query), Err(never));
    for a in 0..1_000 {
        version.answer(PRIMARY, f64::from(a % 100), 0.75);
    }
    let assessment = outcome(&version, &query).unwrap();
    assert_eq!(severity(&assessment), Severity::None);
    for _ in 0..1_000 {
        version.answer(PRIMARY, 99.0, 0.75);
    }
    let assessment = outcome(&version, &query).unwrap();
    assert_eq!(severity(&assessment), Severity::Severe);
    let gauges = assess_for_gauges(version.observed());
    assert_eq!(gauges, Some(assessment), "the gauges show the same");
}

#[test]
fn without_a_profile_there_is_nothing_to_compare_with() {
    let version = Loaded::new(1);
    let query = DriftQuery::against_profile(DriftQuery::sample(None, None));
    assert_eq!(outcome(&version, &query), Err(NotCompared::NoProfile));
    assert_eq!(assess_for_gauges(version.observed()), None);
}

#[test]
fn the_gauges_of_a_version_that_answered_nothing_show_too_few_rows() {
    let assessment = assess_for_gauges(profiled().observed()).unwrap();
    let few = TooFewRows {
        have: 0,
        want: assessment.report.rule.min_rows,
    };
    let outcomes = assessment.features().map(|(_, finding)| &finding.result);
    assert_eq!(outcomes.collect::<Vec<_>>(), [&ColumnResult::TooFew(few)]);
}

#[test]
fn the_sample_of_another_version_has_the_same_role_and_window_if_they_are_not_named() {
    let (one, other) = (Loaded::new(1), Loaded::new(2));
    for a in 0..300 {
        one.answer(PRIMARY, f64::from(a), 0.75);
        other.answer(Role::Shadow, f64::from(a), 0.75);
    }
    let sample = DriftQuery::sample(None, None);
    let same = DriftQuery::against_version(sample, other.observed(), None, None);
    let never = NotCompared::NeverPlayed {
        version: 2.try_into().unwrap(),
        role: PRIMARY,
    };
    assert_eq!(outcome(&one, &same), Err(never), "not as a primary");
    let role = Some(Role::Shadow);
    let shadow = DriftQuery::against_version(sample, other.observed(), role, None);
    let assessment = outcome(&one, &shadow).unwrap();
    assert_eq!(assessment.features().count(), 2);
    let names = assessment.predictions().map(|(pair, _)| pair.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["yes", "class"]);
    assert_eq!(assessment.report.drifted().count(), 0);
}

#[test]
fn the_time_before_must_begin_earlier() {
    let sample = DriftQuery::sample(None, None);
    for longer in [Window::Minute, Window::Hour] {
        let refused = DriftQuery::against_earlier(sample, Some(longer));
        assert_eq!(refused.unwrap_err(), NotEarlier { longer });
    }
    assert!(DriftQuery::against_earlier(sample, Some(Window::SinceLoad)).is_ok());
    assert!(DriftQuery::against_earlier(sample, None).is_ok());
    let all = DriftQuery::sample(None, Some(Window::SinceLoad));
    assert!(DriftQuery::against_earlier(all, None).is_err());
}

#[tokio::test(start_paused = true)]
async fn requests_before_the_window_are_the_baseline() {
    let version = Loaded::new(1);
    for a in 0..500 {
        version.answer(PRIMARY, f64::from(a % 100), 0.75);
    }
    tokio::time::advance(Duration::from_secs(400)).await;
    for a in 0..250 {
        version.answer(PRIMARY, f64::from(a % 100), 0.75);
    }
    let sample = DriftQuery::sample(None, Some(Window::Minute));
    let query = DriftQuery::against_earlier(sample, None).unwrap();
    let assessment = outcome(&version, &query).unwrap();
    let rows = assessment.features().map(|(_, finding)| finding.rows);
    assert_eq!(rows.collect::<Vec<_>>(), [[500, 250], [0, 0]]);
}
