//! Comparisons of two versions over real sockets and on the command line: `CompareVersions` and `taper compare`.

use std::path::Path;

use serde_json::{Value, json};
use taper::proto::v1;
use tonic::Code;

use crate::harness::{
    TestGateway, eventually, expecting_revision, fields, good, policy, reason, row, rows,
};
use crate::process::{Process, stdout_of};
use crate::tiny;

/// Version `v` answers `yes` if `x` is above `5 (v - 1)`. The input `n` is sensitive in version 2 only.
fn thresholds(root: &Path) {
    for (version, bias) in [(1, 0.0_f32), (2, -5.0), (3, -10.0)] {
        let weight = [1.0_f32, 0.0, 0.0, 0.0, 0.0, 0.0];
        let weight = weight.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensors = [
            ("0.weight", (vec![1, 6], weight)),
            ("0.bias", (vec![1], bias.to_le_bytes().to_vec())),
        ];
        tiny::publish_tensors(root, "m", version, &tensors, |manifest| {
            manifest["architecture"]["head"] = "sigmoid".into();
            manifest["outputs"][0]["name"] = "probability".into();
            manifest["classes"] = json!(["no", "yes"]);
            manifest["golden"] = json!([]);
            if version == 2 {
                manifest["inputs"][1]["sensitive"] = true.into();
            }
        });
    }
}

fn shadow(version: u64) -> v1::Shadow {
    v1::Shadow {
        target: Some(v1::shadow::Target::Version(version)),
        basis_points: 10_000,
        deadline_ms: Some(60_000),
        ..Default::default()
    }
}

/// Returns 20 rows. A quarter of them lies between the thresholds of versions 1 and 2.
fn request() -> v1::PredictRequest {
    let many = (0..20).map(|at| {
        let x = f64::from(at) - 9.5;
        row(&json!({"x": x, "n": 777_777, "color": "green", "pair": [0.5, -0.5]}))
    });
    v1::PredictRequest {
        rows: many.collect(),
        ..rows("m", [good()])
    }
}

async fn compare(
    gateway: &TestGateway,
    baseline: u64,
    candidate: u64,
) -> v1::CompareVersionsResponse {
    let request = v1::CompareVersionsRequest {
        model: "m".into(),
        baseline,
        candidate,
        window: v1::StatsWindow::SinceLoad.into(),
    };
    let mut admin = gateway.admin.clone();
    let answer = admin.compare_versions(request).await;
    answer.expect("a comparison").into_inner()
}

#[tokio::test]
async fn a_shadow_disagrees_at_the_expected_rate_and_an_identical_version_never_disagrees() {
    let mut gateway = TestGateway::start("", thresholds).await;
    let set = v1::SetTrafficPolicyRequest {
        model: "m".into(),
        policy: Some(v1::TrafficPolicy {
            shadows: vec![shadow(2), shadow(1)],
            ..policy(&[(1, 10_000)])
        }),
        terms: expecting_revision(0),
    };
    gateway.admin.set_traffic_policy(set).await.expect("set");
    for _ in 0..10 {
        gateway.predict(request()).await.expect("an answer");
    }
    let both = |candidate| {
        let gateway = &gateway;
        eventually("all rows are compared", move || async move {
            let comparison = compare(gateway, 1, candidate).await;
            let rows = comparison.paired.first().map_or(0, |pair| pair.rows);
            (rows == 200).then_some(comparison)
        })
    };
    let comparison = both(2).await;
    assert!(
        comparison.paired.len() == 1 && comparison.split.is_none(),
        "{comparison:?}"
    );
    let pair = &comparison.paired[0];
    assert_eq!((pair.primary, pair.shadow, pair.requests), (1, 2, 10));
    let rate = pair.disagreement.expect("classes");
    assert_eq!((rate.count, rate.total), (50, 200));
    assert!(rate.low < 0.25 && 0.25 < rate.high, "{rate:?}");
    assert!(rate.low > 0.19 && rate.high < 0.32, "{rate:?}");
    let cell = |primary: &str, shadow: &str| {
        let mut cells = pair.confusion.iter();
        let found = cells.find(|cell| cell.primary == primary && cell.shadow == shadow);
        found.map_or(0, |cell| cell.rows)
    };
    let table = [
        cell("no", "no"),
        cell("no", "yes"),
        cell("yes", "no"),
        cell("yes", "yes"),
    ];
    assert_eq!(table, [100, 0, 50, 50]);
    let difference = pair.score_difference.as_ref().expect("scores");
    assert!(
        difference.count == 200 && difference.max < 0.0,
        "{difference:?}"
    );
    for times in [
        &pair.primary_inference_seconds,
        &pair.shadow_inference_seconds,
        &pair.inference_difference_seconds,
    ] {
        assert_eq!(times.as_ref().map(|times| times.count), Some(10));
    }
    assert_eq!(pair.examples.len(), 10, "one a request");
    let example = &pair.examples[0];
    let names: Vec<_> = example.inputs.iter().map(|one| one.name.as_str()).collect();
    assert!(
        !names.contains(&"n") && names.contains(&"x"),
        "sensitive to the shadow alone: {names:?}"
    );
    assert_eq!(example.inputs_left_out, 1);
    assert!(!format!("{comparison:?}").contains("777777"));

    let control = both(1).await;
    let pair = &control.paired[0];
    let [disagreement, difference] =
        [pair.disagreement, pair.difference].map(Option::unwrap_or_default);
    assert_eq!((disagreement.count, difference.count), (0, 0));
    assert!(disagreement.total == 200 && disagreement.high < 0.02);
    assert!(pair.examples.is_empty() && control.split.is_none());
    gateway.drain().await;
}

#[tokio::test]
async fn versions_with_split_traffic_are_compared_and_too_few_rows_are_reported() {
    let mut gateway = TestGateway::start("", thresholds).await;
    for (version, times) in [(1, 3), (2, 2), (3, 1)] {
        for _ in 0..times {
            let request = v1::PredictRequest {
                pin: Some(v1::predict_request::Pin::Version(version)),
                ..request()
            };
            gateway.predict(request).await.expect("an answer");
        }
    }
    let comparison = compare(&gateway, 1, 2).await;
    assert!(comparison.paired.is_empty(), "there was no shadow");
    let split = comparison.split.expect("both answered");
    let errors = split.errors.expect("errors");
    let total = |rate: Option<v1::Rate>| rate.map(|rate| (rate.count, rate.total));
    assert_eq!(total(errors.baseline), Some((0, 3)));
    assert_eq!(total(errors.candidate), Some((0, 2)));
    let yes = &split.classes[1];
    assert_eq!(
        (yes.name.as_str(), total(yes.baseline), total(yes.candidate)),
        ("yes", Some((30, 60)), Some((10, 40)))
    );
    // statsmodels: confint_proportions_2indep(10, 40, 30, 60, method="newcomb")
    let difference = yes.difference.expect("both have rows");
    assert!((difference.value + 0.25).abs() < 1e-12);
    assert!((difference.low - NEWCOMBE.0).abs() < 1e-9, "{difference:?}");
    assert!(
        (difference.high - NEWCOMBE.1).abs() < 1e-9,
        "{difference:?}"
    );
    let named = |name: &str| {
        let mut numbers = split.numbers.iter();
        numbers.find(|one| one.name == name).expect(name)
    };
    let test = named("score:yes").test.as_ref();
    let Some(v1::two_distributions::Test::KolmogorovSmirnov(test)) = test else {
        panic!("enough rows: {test:?}")
    };
    let statistic = test.statistic.expect("a statistic");
    assert!(
        statistic.low <= 0.25 + 1e-9 && 0.25 <= statistic.high + 1e-9,
        "{statistic:?}"
    );
    let few = v1::TooFew { have: 2, want: 30 };
    let test = named("inference_seconds").test;
    assert_eq!(test, Some(v1::two_distributions::Test::TooFew(few)));
    gateway.drain().await;
}

/// Interval that statsmodels computes for 10 of 40 minus 30 of 60.
const NEWCOMBE: (f64, f64) = (-0.413_507_808_278_443_74, -0.054_734_515_591_973_59);

#[tokio::test]
async fn bad_requests_name_their_field() {
    let mut gateway = TestGateway::start("", thresholds).await;
    let ask = |baseline, candidate, window| v1::CompareVersionsRequest {
        model: "m".into(),
        baseline,
        candidate,
        window,
    };
    for (request, code, why, named) in [
        (
            ask(0, 0, 99),
            Code::InvalidArgument,
            "INVALID_CHANGE",
            &["baseline", "candidate", "window"][..],
        ),
        (ask(1, 9, 0), Code::NotFound, "UNKNOWN_VERSION", &[]),
    ] {
        let status = gateway.admin.compare_versions(request).await;
        let status = status.expect_err(why);
        assert_eq!((status.code(), reason(&status).as_str()), (code, why));
        if code == Code::InvalidArgument {
            assert_eq!(fields(&status), named);
        }
    }
    gateway.drain().await;
}

#[test]
fn the_command_line_shows_both_parts_and_reports_missing_data() {
    let dir = crate::cli::two_versions();
    let mut gateway = Process::serve(dir.path());
    let data = gateway.address("data").to_string();
    let admin = gateway.address("admin").to_string();
    let empty = stdout_of(&["compare", "1", "2", "--address", &admin]);
    assert!(empty.contains("nothing to compare"), "{empty}");
    let row = good().to_string();
    for version in ["1", "2"] {
        let args = ["--row", &row, "--version", version, "--address", &data];
        stdout_of(&[&["predict", "m"], &args[..]].concat());
    }
    let text = stdout_of(&["compare", "1", "2", "--address", &admin]);
    for part in ["split traffic", "errors", "too few: 1, wants 30", "score:"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let args = ["compare", "1", "2", "--json", "--address", &admin];
    let json: Value = serde_json::from_str(&stdout_of(&args)).expect("JSON");
    assert_eq!(json["split"]["errors"]["baseline"]["total"], 1, "{json}");
    assert_eq!(json["paired"], json!([]));
}
