//! Statistics of the requests of each version: `GetStats` and `taper stats`.

use serde_json::{Value, json};
use taper::model::Encoding;
use taper::model::payload::{Cell, Row};
use taper::proto::v1;
use tonic::Code;

use crate::flights;
use crate::harness::{TestGateway, fields, good, reason, row, rows};
use crate::process::{Process, stdout_of};
use crate::tiny;

async fn stats(gateway: &mut TestGateway, request: v1::GetStatsRequest) -> v1::GetStatsResponse {
    let answer = gateway.admin.get_stats(request).await;
    answer.expect("statistics").into_inner()
}

/// Returns true if the values agree within the stated error of the sketches plus a last digit of f64.
fn near(got: f64, exact: f64) -> bool {
    (got - exact).abs() <= exact.abs() / 256.0 + 1e-9
}

#[tokio::test]
async fn statistics_report_codes_predictions_and_inputs_but_no_sensitive_input() {
    let mut gateway = TestGateway::start("[models.m]\nsplit = { 1 = 10000 }", |root| {
        tiny::publish(root, "m", 2);
        tiny::publish_with(root, "m", 1, |manifest| {
            manifest["inputs"][1]["sensitive"] = true.into()
        });
    })
    .await;
    let many =
        (0..60).map(|x| json!({"x": x, "n": 777_777, "color": "green", "pair": [0.5, -0.5]}));
    let request = v1::PredictRequest {
        rows: many.map(|one| row(&one)).collect(),
        ..rows("m", [good()])
    };
    gateway.predict(request).await.expect("an answer");
    let bad = rows("m", [good(), json!({"x": 1_000_000})]);
    gateway.predict(bad).await.expect_err("out of range");

    let request = v1::GetStatsRequest {
        model: "m".into(),
        features: true,
        ..Default::default()
    };
    let answer = stats(&mut gateway, request).await;
    assert_eq!(
        answer.stats.len(),
        4,
        "four windows of the version that answered"
    );
    for entry in &answer.stats {
        assert_eq!((entry.version, entry.role()), (1, v1::Role::Primary));
        assert_eq!(
            (
                entry.codes["OK"],
                entry.codes["INVALID_ARGUMENT"],
                entry.codes.len()
            ),
            (1, 1, 2)
        );
        assert_eq!(entry.rows, 60, "rows that were refused are none");
        let total = entry.total_seconds.as_ref().expect("times");
        assert_eq!(total.count, 2);
        let score = entry.scores[0].distribution.as_ref().expect("scores");
        assert_eq!(
            (entry.scores[0].name.as_str(), score.count, score.min),
            ("value", 60, 1.0)
        );
        let names: Vec<_> = entry.features.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["x", "color", "pair"]);
        let x = entry.features[0].numbers.as_ref().expect("numbers");
        assert_eq!((x.count, x.min, x.max, x.mean), (60, 0.0, 59.0, 29.5));
        assert!(near(x.p50, 29.0) && near(x.p90, 53.0), "{x:?}");
        assert_eq!(entry.features[1].categories[0].count, 60);
        assert_eq!(entry.features[2].count, 120, "two values a row");
    }
    let text = format!("{answer:?}");
    assert!(
        !text.contains("777777") && !text.contains("\"n\""),
        "{text}"
    );

    for (request, code, why) in [
        (
            v1::GetStatsRequest {
                model: "x".into(),
                ..Default::default()
            },
            Code::NotFound,
            "UNKNOWN_MODEL",
        ),
        (
            v1::GetStatsRequest {
                model: "m".into(),
                versions: vec![9],
                ..Default::default()
            },
            Code::NotFound,
            "UNKNOWN_VERSION",
        ),
        (
            v1::GetStatsRequest {
                model: "m".into(),
                windows: vec![2, 99],
                ..Default::default()
            },
            Code::InvalidArgument,
            "INVALID_CHANGE",
        ),
    ] {
        let status = gateway.admin.get_stats(request).await.expect_err(why);
        assert_eq!((status.code(), reason(&status).as_str()), (code, why));
        if code == Code::InvalidArgument {
            assert_eq!(fields(&status), ["windows[1]"]);
        }
    }
    gateway.drain().await;
}

/// Returns the `q`-quantile as the sketch defines it: the `⌈q n⌉`-th smallest value.
fn exact(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.max(1) - 1]
}

#[tokio::test]
async fn quantiles_of_real_flights_are_within_the_stated_error_of_the_exact_ones() {
    let mut gateway = TestGateway::start("", flights::copy_models).await;
    let version = flights::versions().remove(1);
    let (rows, _) = flights::live(version.signature());
    let rows = &rows[..2_000];
    let mut scores = Vec::new();
    for chunk in rows.chunks(50) {
        let json = |row: &Row| {
            let cells = row.iter().map(|(name, cell)| match cell {
                Cell::Number(x) => (name.clone(), json!(x)),
                Cell::Text(text) => (name.clone(), json!(text)),
                other => panic!("no flight has {other}"),
            });
            Value::Object(cells.collect())
        };
        let request = v1::PredictRequest {
            model: "flight-delay".into(),
            rows: chunk.iter().map(|one| row(&json(one))).collect(),
            pin: Some(v1::predict_request::Pin::Version(2)),
            ..Default::default()
        };
        let answer = gateway.predict(request).await.expect("an answer");
        scores.extend(answer.outputs[0].fp32_values.iter().map(|x| f64::from(*x)));
    }
    let request = v1::GetStatsRequest {
        model: "flight-delay".into(),
        windows: vec![v1::StatsWindow::SinceLoad.into()],
        features: true,
        ..Default::default()
    };
    let answer = stats(&mut gateway, request).await;
    let [entry] = &answer.stats[..] else {
        panic!("one version answered: {answer:?}")
    };
    let held = |values: &mut Vec<f64>, distribution: &v1::Distribution, name: &str| {
        values.sort_by(f64::total_cmp);
        assert_eq!(distribution.count, values.len() as u64, "{name}");
        for (q, got) in [
            (0.5, distribution.p50),
            (0.9, distribution.p90),
            (0.95, distribution.p95),
            (0.99, distribution.p99),
        ] {
            let want = exact(values, q);
            assert!(near(got, want), "{name} at {q}: {got}, exactly {want}");
        }
        assert_eq!(
            (distribution.min, distribution.max),
            (values[0], values[values.len() - 1]),
            "{name}"
        );
        let bars: u64 = distribution.bars.iter().map(|bar| bar.count).sum();
        assert!(
            bars == distribution.count && distribution.bars.len() <= 40,
            "{name}"
        );
    };
    let score = entry.scores[0].distribution.as_ref().expect("scores");
    held(&mut scores, score, "score");
    let classes: u64 = entry.classes.iter().map(|class| class.count).sum();
    assert_eq!((entry.scores[0].name.as_str(), classes), ("late", 2_000));
    let mut checked = 0;
    for (at, input) in version.signature().inputs().iter().enumerate() {
        let feature = entry.features.iter().find(|one| one.name == input.name);
        let Some(feature) = feature else {
            assert!(
                input.is_sensitive() || input.columns() == 0,
                "{}",
                input.name
            );
            continue;
        };
        assert_eq!(
            (feature.count, feature.missing),
            (2_000, 0),
            "{}",
            input.name
        );
        // Numbers outside the range count as the nearest bound.
        let (least, most) = match &input.encoding {
            Encoding::Numeric { range, .. } | Encoding::Cyclic { range, .. } => {
                range.map_or((f64::MIN, f64::MAX), |range| (range.min, range.max))
            }
            _ => (f64::MIN, f64::MAX),
        };
        let values = rows.iter().filter_map(|row| match row[at].1 {
            Cell::Number(x) => Some(x.clamp(least, most)),
            _ => None,
        });
        let mut values: Vec<f64> = values.collect();
        match &feature.numbers {
            Some(numbers) => held(&mut values, numbers, &input.name),
            None => assert!(values.is_empty(), "{}", input.name),
        }
        checked += 1;
    }
    assert!(checked > 5, "{checked} inputs");
    gateway.drain().await;
}

#[test]
fn the_command_line_shows_a_row_for_each_version_and_a_histogram_for_each_input() {
    let dir = crate::cli::two_versions();
    let mut gateway = Process::serve(dir.path());
    let data = gateway.address("data").to_string();
    let admin = gateway.address("admin").to_string();
    let empty = stdout_of(&["stats", "--address", &admin]);
    assert!(empty.contains("no requests"), "{empty}");
    let row = good().to_string();
    stdout_of(&["predict", "m", "--row", &row, "--address", &data]);
    let json = stdout_of(&[
        "stats",
        "--features",
        "--window",
        "all",
        "--json",
        "--address",
        &admin,
    ]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let line = &json["stats"][0];
    assert_eq!(
        (&line["window"], &line["codes"]["OK"]),
        (&"all".into(), &1.into()),
        "{json}"
    );
    assert_eq!(line["features"][0]["numbers"]["p50"], 1.0);
    let text = stdout_of(&["stats", "--features", "--address", &admin]);
    for part in [
        "window 5m",
        "primary",
        "queue p50",
        "color",
        "green 100.00%",
        "█",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
