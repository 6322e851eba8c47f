use super::*;
use crate::ident::ResponseId;
use crate::insight::outcomes::quality::Quality;
use crate::insight::outcomes::{GroundTruth, JoinReport, Outcome, OutcomeSettings, Outcomes};
use crate::insight::query::outcomes::read_outcomes;

#[test]
fn outcomes_are_read_by_version_and_role_without_roles_that_have_none() {
    let telemetry = Telemetry::new().unwrap();
    let outcomes = Outcomes::new(OutcomeSettings::default(), telemetry.outcomes());
    let (one, two) = (Loaded::new(1), Loaded::new(2));
    let id = ResponseId::from_random(1);
    let scores = Scores::new(vec![0.75], 1).unwrap();
    outcomes.remember(&id, one.insight.quality(), Role::Primary, &scores);
    outcomes.remember(&id, two.insight.quality(), Role::Shadow, &scores);
    let versions = || [one.observed(), two.observed()];
    assert!(read_outcomes(versions()).is_empty(), "no outcome yet");
    let outcome = Outcome {
        response_id: id.as_str().to_owned(),
        row: 0,
        ground_truth: Some(GroundTruth::Class("yes".to_owned())),
    };
    outcomes.join(0, &[outcome], &mut JoinReport::default());
    let read = read_outcomes(versions());
    let found: Vec<_> = read
        .iter()
        .map(|one| (one.version.get(), one.role))
        .collect();
    assert_eq!(found, [(1, Role::Primary), (2, Role::Shadow)]);
    let [hour, all] = &read[0].windows;
    assert_eq!(
        (hour.length, hour.rows),
        (Some(Duration::from_secs(3_600)), 1)
    );
    assert_eq!((all.length, all.rows), (None, 1));
    let Some(Quality::Classes { accuracy, .. }) = &all.quality else {
        panic!("a classifier: {all:?}")
    };
    assert!((accuracy - 1.0).abs() < 1e-12);
    assert_eq!(hour.quality, all.quality);
}
