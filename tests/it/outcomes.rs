//! Outcomes that clients report later, by response id, and that are counted for the version that answered.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use taper::proto::v1;
use taper::proto::v1::outcome::Truth;
use taper::proto::v1::outcome_window::Quality;
use taper::train::metrics;
use tonic::{Code, Status};

use crate::harness::{TestGateway, fields, good, reason, row, rows};
use crate::process::run;
use crate::tiny;

fn outcome(id: &str, row: u32, truth: Truth) -> v1::Outcome {
    v1::Outcome {
        response_id: id.to_owned(),
        row,
        truth: Some(truth),
    }
}

async fn report(
    gateway: &mut TestGateway,
    outcomes: Vec<v1::Outcome>,
) -> Result<v1::ReportOutcomesResponse, Status> {
    let request = v1::ReportOutcomesRequest { outcomes };
    let answer = gateway.data.report_outcomes(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn outcomes(gateway: &mut TestGateway, model: &str) -> Vec<v1::VersionOutcomes> {
    let model = model.to_owned();
    let request = v1::GetOutcomesRequest { model };
    let answer = gateway.admin.get_outcomes(request).await;
    answer.expect("known").into_inner().versions
}

#[tokio::test]
async fn numeric_outcomes_become_errors_of_the_version() {
    let fill = |root: &Path| (1..=2).for_each(|version| tiny::publish(root, "m", version));
    let mut gateway = TestGateway::start("[models.m]\nsplit = { 2 = 10000 }", fill).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = gateway.predict(rows("m", [good(), good()])).await;
        ids.push(answer.expect("answer").response_id);
    }
    assert_eq!(
        outcomes(&mut gateway, "m").await,
        [],
        "nothing is known yet"
    );
    // Version 2 answers 2, so the errors are -1 and 0.5.
    let mut reported = vec![
        outcome(&ids[0], 0, Truth::Number(3.0)),
        outcome(&ids[1], 1, Truth::Number(1.5)),
        outcome(&ids[1], 1, Truth::Number(1.5)),
        outcome("nobody", 0, Truth::Number(1.0)),
        outcome(&ids[2], 2, Truth::Number(1.0)),
        outcome(&ids[2], 0, Truth::Class("late".into())),
    ];
    let summary = report(&mut gateway, reported.clone())
        .await
        .expect("report");
    let counts = (
        summary.accepted,
        summary.duplicate,
        summary.unmatched,
        summary.invalid,
    );
    assert_eq!(counts, (2, 1, 1, 2), "{summary:?}");
    let places: Vec<_> = summary
        .faults
        .iter()
        .map(|fault| fault.field.as_str())
        .collect();
    assert_eq!(places, ["outcomes[4].row", "outcomes[5].truth"]);
    let [of_two] = &outcomes(&mut gateway, "m").await[..] else {
        panic!("only version 2 answered");
    };
    assert_eq!((of_two.version, of_two.role()), (2, v1::Role::Primary));
    for window in &of_two.windows {
        assert_eq!(window.rows, 2);
        let wanted = v1::ValueQuality {
            mae: 0.75,
            rmse: 0.625_f64.sqrt(),
            mean_error: -0.25,
        };
        assert_eq!(window.quality, Some(Quality::Value(wanted)));
    }
    let (_, text) = gateway.http_get("/metrics").await;
    for line in [
        r#"taper_outcomes_total{model="m",version="2",role="primary",result="joined"} 2"#,
        r#"taper_outcome_quality{model="m",version="2",role="primary",metric="mae"} 0.75"#,
        r#"taper_outcomes_unmatched_total{reason="unmatched"} 1"#,
        r#"taper_outcomes_unmatched_total{reason="duplicate"} 1"#,
        r#"taper_outcomes_unmatched_total{reason="invalid"} 2"#,
        "taper_outcome_buffer_rows 6",
    ] {
        assert!(
            text.lines().any(|have| have == line),
            "{line}\nis not in\n{text}"
        );
    }

    // A second gateway does not know the responses of the first one.
    reported.truncate(2);
    let dir = gateway.drain_and_keep().await;
    let mut gateway = TestGateway::over(dir, "[models.m]\nsplit = { 2 = 10000 }").await;
    let summary = report(&mut gateway, reported).await.expect("report");
    assert_eq!((summary.accepted, summary.unmatched), (0, 2));
    gateway.drain().await;
}

#[tokio::test]
async fn one_outcome_is_counted_once_for_the_primary_and_once_for_its_shadow() {
    let fill = |root: &Path| (1..=2).for_each(|version| tiny::publish(root, "m", version));
    let config = "[models.m]\nsplit = { 1 = 10000 }\nshadows = [{ version = 2, share = 10000 }]";
    let mut gateway = TestGateway::start(config, fill).await;
    let mut reported = Vec::new();
    for _ in 0..3 {
        let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
        reported.push(outcome(&answer.response_id, 0, Truth::Number(1.5)));
    }
    let asked = &gateway;
    crate::harness::eventually("the shadow has answered", || async move {
        let (_, text) = asked.http_get("/metrics").await;
        text.contains("taper_outcome_buffer_rows 6\n").then_some(())
    })
    .await;
    let summary = report(&mut gateway, reported.clone())
        .await
        .expect("report");
    assert_eq!(summary.accepted, 3, "{summary:?}");
    reported.push(outcome("nobody", 0, Truth::Number(1.5)));
    let summary = report(&mut gateway, reported).await.expect("report");
    assert_eq!(
        (summary.accepted, summary.duplicate, summary.unmatched),
        (0, 3, 1)
    );
    let measured = outcomes(&mut gateway, "m").await;
    let wanted = [(1, v1::Role::Primary, -0.5), (2, v1::Role::Shadow, 0.5)];
    assert_eq!(measured.len(), wanted.len(), "{measured:?}");
    for (of, (version, role, mean_error)) in measured.iter().zip(wanted) {
        assert_eq!((of.version, of.role()), (version, role));
        let quality = v1::ValueQuality {
            mae: 0.5,
            rmse: 0.5,
            mean_error,
        };
        assert_eq!(of.windows[1].rows, 3);
        assert_eq!(of.windows[1].quality, Some(Quality::Value(quality)));
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_report_without_a_valid_outcome_is_refused() {
    let mut gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
    let empty = v1::Outcome::default();
    let many = vec![outcome("a", 0, Truth::Number(1.0)); 10_001];
    for (outcomes, named) in [
        (vec![], vec!["outcomes"]),
        (many, vec!["outcomes"]),
        (vec![empty.clone()], vec!["outcomes[0].response_id"]),
    ] {
        let status = report(&mut gateway, outcomes).await.expect_err("refused");
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_INPUT")
        );
        assert_eq!(fields(&status), named);
    }
    let some = vec![empty, outcome("a", 0, Truth::Number(1.0))];
    let summary = report(&mut gateway, some).await.expect("one can be read");
    assert_eq!((summary.invalid, summary.unmatched), (1, 1));
    let most = vec![outcome("a", 0, Truth::Number(1.0)); 10_000];
    let summary = report(&mut gateway, most).await.expect("as many as may be");
    assert_eq!(summary.unmatched, 10_000);
    let unknown = v1::GetOutcomesRequest { model: "x".into() };
    let status = gateway
        .admin
        .get_outcomes(unknown)
        .await
        .expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    gateway.drain().await;
}

#[tokio::test]
async fn outcomes_of_an_unloaded_version_are_reported_as_gone() {
    let fill = |root: &Path| (1..=2).for_each(|version| tiny::publish(root, "m", version));
    let mut gateway = TestGateway::start("[models.m]\nsplit = { 1 = 10000 }", fill).await;
    let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
    gateway
        .set_split("m", &[(2, 10_000)], 1)
        .await
        .expect("moved");
    let unload = v1::UnloadVersionRequest {
        model: "m".into(),
        version: 1,
        terms: None,
    };
    gateway
        .admin
        .unload_version(unload)
        .await
        .expect("unloaded");
    let reported = || vec![outcome(&answer.response_id, 7, Truth::Number(1.0))];
    let data = &gateway.data;
    crate::harness::eventually("version 1 is freed", || {
        let mut data = data.clone();
        let request = v1::ReportOutcomesRequest {
            outcomes: reported(),
        };
        async move {
            let summary = data.report_outcomes(request).await.expect("report");
            (summary.into_inner().gone == 1).then_some(())
        }
    })
    .await;
    gateway.drain().await;
}

/// Returns the first `most` flights of the second half of the year, and whether each was late.
fn flights(inputs: &[v1::TensorSignature], most: usize) -> Vec<(Value, bool)> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights");
    let file = File::open(examples.join("live.csv.gz")).expect("flights");
    let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
    let header = reader.headers().expect("a header").clone();
    let records = reader.records().step_by(10).take(most);
    let flight = |record: csv::StringRecord| {
        let named: BTreeMap<_, _> = header.iter().zip(record.iter()).collect();
        let cell = |input: &v1::TensorSignature| {
            let text = named[input.name.as_str()];
            let value = match input.datatype() {
                v1::Datatype::Bytes => json!(text),
                _ => json!(text.parse::<f64>().expect("a number")),
            };
            (input.name.clone(), value)
        };
        (inputs.iter().map(cell).collect(), named["late"] == "1")
    };
    records
        .map(|record| flight(record.expect("a line")))
        .collect()
}

/// Scores of one version and the outcomes of its rows.
#[derive(Default)]
struct ScoredRows {
    p: Vec<f64>,
    late: Vec<bool>,
}

#[tokio::test]
async fn quality_of_real_flights_equals_an_offline_computation() {
    let config = "[models.flight-delay]\nsplit = { 1 = 5000, 2 = 5000 }";
    let mut gateway = TestGateway::start(config, crate::flights::copy_models).await;
    let model = v1::GetModelRequest {
        model: "flight-delay".into(),
    };
    let model = gateway
        .admin
        .get_model(model)
        .await
        .expect("model")
        .into_inner();
    let flights = flights(&model.versions[0].inputs, 2_000);
    let mut seen = BTreeMap::<u64, ScoredRows>::new();
    let mut reported = Vec::new();
    for (at, some) in flights.chunks(20).enumerate() {
        let id = format!("flights-{at}");
        let request = v1::PredictRequest {
            model: "flight-delay".into(),
            response_id: id.clone(),
            rows: some.iter().map(|(flight, _)| row(flight)).collect(),
            ..Default::default()
        };
        let answer = gateway.predict(request).await.expect("answer");
        let of = seen.entry(answer.version).or_default();
        of.p.extend(answer.outputs[0].fp32_values.iter().map(|p| f64::from(*p)));
        of.late.extend(some.iter().map(|(_, late)| *late));
        for (row, (_, late)) in (0..).zip(some) {
            let class = model.versions[0].classes[usize::from(*late)].clone();
            reported.push(outcome(&id, row, Truth::Class(class)));
        }
    }
    // The newest rows first: outcomes may arrive in any order.
    reported.reverse();
    let summary = report(&mut gateway, reported).await.expect("report");
    assert_eq!(summary.accepted, 2_000, "{summary:?}");

    let measured = outcomes(&mut gateway, "flight-delay").await;
    assert_eq!(
        measured.iter().map(|of| of.version).collect::<Vec<_>>(),
        [1, 2]
    );
    for of in &measured {
        let ScoredRows { p, late } = &seen[&of.version];
        assert!(p.len() > 300, "version {} answered {}", of.version, p.len());
        for window in &of.windows {
            assert_eq!(window.rows, p.len() as u64);
            let Some(Quality::Classes(quality)) = &window.quality else {
                panic!("a classifier");
            };
            let given = p
                .iter()
                .zip(late)
                .map(|(p, y)| if *y { *p } else { 1.0 - p });
            let right: Vec<_> = p.iter().map(|p| usize::from(*p >= 0.5)).collect();
            let classes: Vec<_> = late.iter().map(|y| usize::from(*y)).collect();
            let bins = metrics::calibration(p, late);
            for (name, got, want) in [
                (
                    "accuracy",
                    quality.accuracy,
                    metrics::accuracy(&right, &classes),
                ),
                (
                    "log-loss",
                    quality.log_loss,
                    metrics::log_loss(&given.collect::<Vec<_>>()),
                ),
                ("Brier", quality.brier, metrics::brier(p, late)),
                (
                    "ece",
                    quality.calibration_error,
                    metrics::calibration_error(&bins),
                ),
            ] {
                assert!((got - want).abs() < 1e-6, "{name}: got {got}, wants {want}");
            }
            let exact = metrics::auc(p, late).expect("both kinds");
            let auc = quality.auc.expect("both kinds");
            let bound = quality.auc_bound;
            assert!(
                (auc - exact).abs() <= bound + 1e-12,
                "{auc} and {exact}, bound {bound}"
            );
            assert!(bound < 0.01, "the bound is tight: {bound}");
        }
    }

    let admin = gateway.addresses().admin.to_string();
    let (json, table) = tokio::task::spawn_blocking(move || {
        let json = run(&["outcomes", "--json", "--address", &admin]);
        (json, run(&["outcomes", "--address", &admin]))
    })
    .await
    .expect("runs");
    let json: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["versions"][1]["windows"][1]["rows"], seen[&2].p.len());
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.stdout.contains("log-loss"), "{table:?}");
    gateway.drain().await;
}

#[tokio::test]
async fn outcomes_can_be_reported_from_a_shell() {
    let mut gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
    let id = gateway
        .predict(rows("m", [good()]))
        .await
        .expect("answer")
        .response_id;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("truths.csv");
    fs::write(
        &file,
        format!("response_id,row,truth\n{id},0,1.5\n{id},0,1.5\nx,0,1\n"),
    )
    .expect("a file");
    let data = gateway.addresses().data.to_string();
    let ended = tokio::task::spawn_blocking(move || {
        let file = file.display().to_string();
        run(&["outcomes", "report", "--file", &file, "--address", &data])
    });
    let ended = ended.await.expect("runs");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.stdout,
        "1 accepted\n1 unmatched: no response with this id and row is kept\n1 duplicate: reported before\n"
    );
    gateway.drain().await;
}
