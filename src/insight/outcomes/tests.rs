use std::thread;

use tokio::time;

use super::*;
use crate::error::InputFaults;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::samples;

/// Returns a version that predicts the probability of the second class, `yes`.
fn version(telemetry: &Telemetry) -> VersionInsight {
    let manifest = samples::manifest(samples::document("m", 1));
    VersionInsight::new(telemetry, &manifest, stats::Settings::default()).unwrap()
}

fn id(name: &str) -> ResponseId {
    ResponseId::try_from(name.to_owned()).unwrap()
}

fn outcome(name: &str, row: u32, class: &str) -> Outcome {
    Outcome {
        response_id: name.into(),
        row,
        ground_truth: Some(GroundTruth::Class(class.into())),
    }
}

/// A buffer, and a version whose answers it stores.
struct Fixture {
    telemetry: Arc<Telemetry>,
    version: VersionInsight,
    outcomes: Outcomes,
}

impl Fixture {
    fn new(buffer_rows: usize) -> Self {
        let telemetry = Telemetry::new().unwrap();
        let settings = OutcomeSettings {
            buffer_rows,
            expires: Duration::from_secs(60),
        };
        Self {
            version: version(&telemetry),
            outcomes: Outcomes::new(settings, telemetry.outcomes()),
            telemetry,
        }
    }

    fn answer(&self, name: &str, role: Role, scores: &[f32]) {
        let scores = Scores::new(scores.to_vec(), 1).unwrap();
        let by = self.version.quality();
        self.outcomes.remember(&id(name), by, role, &scores);
    }

    fn report(&self, outcomes: &[Outcome]) -> JoinReport {
        let mut report = JoinReport::default();
        self.outcomes.join(0, outcomes, &mut report);
        report
    }

    fn one(&self, name: &str, row: u32, class: &str) -> JoinReport {
        self.report(&[outcome(name, row, class)])
    }

    fn rows(&self, role: Role) -> u64 {
        let read = self.version.quality().read(role);
        read.map_or(0, |read| read.all.rows())
    }

    fn has(&self, line: &str) {
        self.outcomes.report_rows();
        self.version.quality().report_gauges();
        let text = self.telemetry.render();
        assert!(
            text.lines().any(|have| have == line),
            "{line}\nis not in\n{text}"
        );
    }
}

#[tokio::test]
async fn an_outcome_is_counted_once_with_the_version_that_answered() {
    let fixture = Fixture::new(100);
    fixture.answer("a", Role::Primary, &[0.75, 0.25]);
    let report = fixture.report(&[
        outcome("a", 0, "yes"),
        outcome("a", 1, "yes"),
        outcome("a", 1, "no"),
        outcome("b", 0, "yes"),
    ]);
    let counts = (report.accepted, report.duplicate, report.unmatched);
    assert_eq!(counts, (2, 1, 1), "{report:?}");
    assert_eq!(report.faults, InputFaults::default());
    for line in [
        r#"taper_outcomes_total{model="m",version="1",role="primary",result="joined"} 2"#,
        r#"taper_outcome_quality{model="m",version="1",role="primary",metric="accuracy"} 0.5"#,
        r#"taper_outcomes_unmatched_total{reason="duplicate"} 1"#,
        r#"taper_outcomes_unmatched_total{reason="unmatched"} 1"#,
        r#"taper_outcomes_unmatched_total{reason="expired"} 0"#,
        "taper_outcome_buffer_rows 2",
    ] {
        fixture.has(line);
    }
    let Fixture {
        telemetry, version, ..
    } = fixture;
    drop(version);
    let left = telemetry.render();
    assert!(
        !left.contains("version=\"1\""),
        "series end with the version: {left}"
    );
}

#[tokio::test]
async fn faults_name_the_place_of_an_outcome_in_its_message() {
    let fixture = Fixture::new(100);
    fixture.answer("a", Role::Primary, &[0.75]);
    let number = |number| Outcome {
        ground_truth: Some(GroundTruth::Number(number)),
        ..outcome("a", 0, "")
    };
    let none = Outcome {
        ground_truth: None,
        ..outcome("a", 0, "")
    };
    let mut report = JoinReport::default();
    let wrong = [
        outcome("a", 1, "yes"),
        outcome("a", 0, "maybe"),
        number(1.0),
        number(f64::NAN),
        number(-1e39),
        none,
        outcome("", 0, "yes"),
    ];
    fixture.outcomes.join(256, &wrong, &mut report);
    assert_eq!((report.invalid, report.malformed), (7, 4));
    let faults: Vec<_> = report.faults.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(faults.join("\n"), @r#"
    outcomes[256].row: got 1, wants 0: the answer has one row
    outcomes[257].truth: got "maybe", wants one of ["no", "yes"]
    outcomes[258].truth: got 1, wants one of ["no", "yes"]
    outcomes[259].truth: got NaN, wants a number from -3.4e38 to 3.4e38
    outcomes[260].truth: got -1e39, wants a number from -3.4e38 to 3.4e38
    outcomes[261].truth: got nothing, wants `class` or `number`
    outcomes[262].response_id: got "", wants 1 to 128 visible ASCII characters
    "#);
    assert_eq!(
        fixture.one("a", 0, "yes").accepted,
        1,
        "invalid outcomes close no row"
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_outcome_counts_until_the_answer_expires() {
    let fixture = Fixture::new(100);
    fixture.answer("a", Role::Primary, &[0.75]);
    fixture.answer("b", Role::Primary, &[0.75]);
    time::advance(Duration::from_secs(60)).await;
    assert_eq!(fixture.one("a", 0, "yes").accepted, 1);
    time::advance(Duration::from_secs(1)).await;
    assert_eq!(fixture.one("b", 0, "yes").expired, 1);
    assert_eq!(fixture.rows(Role::Primary), 1);
}

#[tokio::test]
async fn a_full_buffer_evicts_the_oldest_answers_and_counts_them() {
    let fixture = Fixture::new(100);
    for at in 0..1_000 {
        fixture.answer(&at.to_string(), Role::Primary, &[0.75]);
    }
    assert_eq!(fixture.one("899", 0, "yes").unmatched, 1);
    for at in 900..1_000 {
        assert_eq!(fixture.one(&at.to_string(), 0, "yes").accepted, 1, "{at}");
    }
    fixture.has(r#"taper_outcome_rows_lost_total{reason="evicted"} 900"#);
    fixture.has("taper_outcome_buffer_rows 100");
    fixture.answer("wide", Role::Primary, &[0.5; 101]);
    fixture.has(r#"taper_outcome_rows_lost_total{reason="too_large"} 101"#);
    fixture.answer("all", Role::Primary, &[0.5; 100]);
    assert_eq!(fixture.one("999", 0, "yes").unmatched, 1, "overwritten");
    assert_eq!(fixture.one("all", 99, "yes").accepted, 1);
    fixture.has(r#"taper_outcome_rows_lost_total{reason="evicted"} 900"#);
}

#[tokio::test(start_paused = true)]
async fn overwriting_an_expired_answer_does_not_count_as_lost() {
    let fixture = Fixture::new(1);
    fixture.answer("a", Role::Primary, &[0.75]);
    time::advance(Duration::from_secs(61)).await;
    fixture.answer("b", Role::Primary, &[0.75]);
    fixture.has(r#"taper_outcome_rows_lost_total{reason="evicted"} 0"#);
}

#[tokio::test]
async fn a_response_id_refers_to_its_last_answer() {
    let fixture = Fixture::new(100);
    fixture.answer("a", Role::Primary, &[0.75, 0.75]);
    fixture.answer("a", Role::Primary, &[0.25]);
    let row = fixture.one("a", 1, "yes");
    assert_eq!(row.invalid, 1, "the last answer has one row: {row:?}");
    assert_eq!(fixture.one("a", 0, "yes").accepted, 1);
    fixture.has(r#"taper_outcome_rows_lost_total{reason="replaced"} 2"#);
    fixture
        .has(r#"taper_outcome_quality{model="m",version="1",role="primary",metric="accuracy"} 0"#);
}

#[tokio::test]
async fn a_response_id_that_is_used_repeatedly_evicts_no_other() {
    let fixture = Fixture::new(100);
    for at in 0..90 {
        fixture.answer(&at.to_string(), Role::Primary, &[0.75]);
    }
    for _ in 0..1_000 {
        fixture.answer("a", Role::Primary, &[0.75; 10]);
    }
    fixture.has("taper_outcome_buffer_rows 100");
    fixture.has(r#"taper_outcome_rows_lost_total{reason="evicted"} 0"#);
    fixture.has(r#"taper_outcome_rows_lost_total{reason="replaced"} 9990"#);
    for at in 0..90 {
        assert_eq!(fixture.one(&at.to_string(), 0, "yes").accepted, 1, "{at}");
    }
}

#[tokio::test]
async fn one_outcome_judges_the_primary_and_its_shadows() {
    let fixture = Fixture::new(100);
    for role in [Role::Primary, Role::Shadow] {
        fixture.answer("a", role, &[0.75]);
    }
    assert_eq!(fixture.one("a", 0, "yes").accepted, 1);
    assert_eq!(fixture.one("a", 0, "yes").duplicate, 1);
    assert_eq!(
        (fixture.rows(Role::Primary), fixture.rows(Role::Shadow)),
        (1, 1)
    );
}

#[tokio::test]
async fn a_shadow_that_answers_before_the_fallback_is_judged_with_it() {
    let fixture = Fixture::new(100);
    fixture.answer("a", Role::Shadow, &[0.75]);
    fixture.answer("a", Role::Fallback, &[0.75]);
    assert_eq!(fixture.one("a", 0, "yes").accepted, 1);
    assert_eq!(
        (fixture.rows(Role::Fallback), fixture.rows(Role::Shadow)),
        (1, 1)
    );
}

#[tokio::test]
async fn a_shadow_that_answers_after_the_outcome_is_not_judged_and_reopens_no_row() {
    let fixture = Fixture::new(100);
    fixture.answer("a", Role::Primary, &[0.75, 0.25]);
    assert_eq!(fixture.one("a", 1, "yes").accepted, 1);
    fixture.answer("a", Role::Shadow, &[0.75, 0.25]);
    assert_eq!(fixture.one("a", 1, "yes").duplicate, 1);
    assert_eq!(
        (fixture.rows(Role::Primary), fixture.rows(Role::Shadow)),
        (1, 0)
    );
    fixture.has(r#"taper_outcome_rows_lost_total{reason="after_truth"} 1"#);
    assert_eq!(fixture.one("a", 0, "yes").accepted, 1);
    assert_eq!(
        (fixture.rows(Role::Primary), fixture.rows(Role::Shadow)),
        (2, 1)
    );
}

#[tokio::test]
async fn the_reported_status_is_that_of_the_clients_answer() {
    let mut fixture = Fixture::new(100);
    let stays = version(&fixture.telemetry);
    fixture.answer("a", Role::Primary, &[0.75]);
    let scores = Scores::new(vec![0.75], 1).unwrap();
    let by = stays.quality();
    fixture
        .outcomes
        .remember(&id("a"), by, Role::Shadow, &scores);
    fixture.version = version(&Telemetry::new().unwrap());
    assert_eq!(
        fixture.one("a", 0, "yes").gone,
        1,
        "although the shadow is judged"
    );
    let read = by.read(Role::Shadow).unwrap();
    assert_eq!(read.all.rows(), 1);
}

#[tokio::test]
async fn a_primarys_answer_replaces_those_of_shadows_of_an_earlier_request() {
    let fixture = Fixture::new(100);
    for role in [Role::Primary, Role::Shadow, Role::Primary] {
        fixture.answer("a", role, &[0.75]);
    }
    assert_eq!(fixture.one("a", 0, "yes").accepted, 1);
    assert_eq!(
        (fixture.rows(Role::Primary), fixture.rows(Role::Shadow)),
        (1, 0)
    );
    fixture.has(r#"taper_outcome_rows_lost_total{reason="replaced"} 2"#);
}

#[tokio::test]
async fn an_outcome_for_a_version_that_is_no_longer_loaded_is_reported_as_gone() {
    let mut fixture = Fixture::new(100);
    fixture.answer("a", Role::Primary, &[0.75]);
    fixture.version = version(&Telemetry::new().unwrap());
    assert_eq!(fixture.one("a", 0, "yes").gone, 1);
    fixture.has(r#"taper_outcomes_unmatched_total{reason="gone"} 1"#);
}

#[tokio::test]
async fn without_a_buffer_no_answer_is_stored() {
    let fixture = Fixture::new(0);
    fixture.answer("a", Role::Primary, &[0.75]);
    assert_eq!(fixture.one("a", 0, "yes").unmatched, 1);
    fixture.has("taper_outcome_buffer_rows 0");
}

/// After the queues have wrapped many times, each outcome is joined to its own score.
#[tokio::test]
async fn concurrent_clients_lose_no_outcome() {
    // Room for the rows of all answers in every shard: a client may be held up between its answer and its report.
    let fixture = Fixture::new(1_000_000);
    let per_client: u32 = 2_000;
    thread::scope(|scope| {
        for client in 0..8 {
            let fixture = &fixture;
            scope.spawn(move || {
                for at in 0..per_client {
                    let name = format!("{client}-{at}");
                    let scores = [0.875, 0.125, 0.625];
                    fixture.answer(&name, Role::Primary, &scores[..1 + at as usize % 3]);
                    assert_eq!(fixture.one(&name, 0, "yes").accepted, 1);
                }
            });
        }
    });
    let read = fixture.version.quality().read(Role::Primary).unwrap();
    assert_eq!(read.all.rows(), u64::from(8 * per_client));
    let quality = fixture.version.quality().measure(&read.all).unwrap();
    let quality::Quality::Classes { brier, .. } = quality else {
        panic!("two classes");
    };
    assert_eq!(
        brier,
        0.125_f64.powi(2),
        "each outcome was joined to the score 0.875"
    );
}

/// Returns the quality of a version with this manifest.
fn quality_of(document: serde_json::Value) -> Arc<VersionQuality> {
    let telemetry = Telemetry::new().unwrap();
    let manifest = samples::manifest(document);
    let settings = stats::Settings::default();
    let insight = VersionInsight::new(&telemetry, &manifest, settings).unwrap();
    Arc::clone(insight.quality())
}

#[test]
fn labels_have_an_accuracy_and_no_measure_of_probabilities() {
    let quality = quality_of(samples::labels("m", 1));
    for (row, class) in [([1.0, 0.0], "no"), ([1.0, 0.0], "yes"), ([0.0, 1.0], "yes")] {
        let actual = quality.resolve(&GroundTruth::Class(class.into())).unwrap();
        quality.count(Role::Primary, &row, actual);
    }
    let sums = quality.read(Role::Primary).unwrap().all;
    let measured = quality.measure(&sums).unwrap();
    let accuracy = 2.0 / 3.0;
    assert_eq!(measured, quality::Quality::Labels { accuracy });
    let named: Vec<_> = measured.by_name().collect();
    assert_eq!(named, [("accuracy", accuracy)]);
    let number = quality.resolve(&GroundTruth::Number(1.0)).unwrap_err();
    assert_eq!(number.wanted, r#"one of ["no", "yes"]"#);
}

#[test]
fn outcomes_of_embeddings_and_of_several_numbers_are_refused_with_the_reason() {
    let mut several = samples::embedding("m", 1, 0.9);
    several["prediction"] = serde_json::json!({"kind": "values"});
    several["outputs"][0]["shape"] = serde_json::json!([-1, 2]);
    several["golden"] = serde_json::json!([]);
    for (document, got, reason) in [
        (
            samples::embedding("m", 1, 0.9),
            "an answer that is an embedding",
            "outcomes of embeddings are not supported",
        ),
        (
            several,
            "an answer of several numbers",
            "outcomes of several are not supported",
        ),
    ] {
        let quality = quality_of(document);
        assert!(!quality.supports_outcomes());
        for truth in [GroundTruth::Number(1.0), GroundTruth::Class("no".into())] {
            let refused = quality.resolve(&truth).unwrap_err();
            assert_eq!((refused.field, refused.got.as_str()), ("truth", got));
            assert!(refused.wanted.contains(reason), "{}", refused.wanted);
        }
    }
}
