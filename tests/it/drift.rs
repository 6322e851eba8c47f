//! Drift of live inputs and predictions from the training data: `GetDrift`, `taper drift` and the gauges, on real flights.

use std::collections::BTreeSet;
use std::fs::File;

use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use taper::proto::v1;
use taper::proto::v1::get_drift_request::Against;
use taper::proto::v1::{ColumnDrift, DriftVerdict, StatsWindow};
use tonic::Code;

use crate::flights;
use crate::harness::{TestGateway, eventually, fields, good, reason, row, rows};
use crate::process::{Process, run, stdout_of};
use crate::tiny;

const FLIGHTS: &str = "[insight]\ndrift_interval_seconds = 1";

/// Returns the flights of a file of the example as JSON rows with the inputs of version 2. Numeric columns become numbers.
fn flights_of(file: &str) -> Vec<Value> {
    let file = File::open(flights::example(file)).expect("flights");
    let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
    let version = flights::versions().remove(1);
    let signature = version.signature();
    let records = reader.deserialize::<std::collections::BTreeMap<String, String>>();
    let row = |record: std::collections::BTreeMap<String, String>| {
        let cells = signature.inputs().iter().map(|input| {
            let text = &record[&input.name];
            let value = match text.parse::<f64>() {
                Ok(number) if input.datatype.to_string() != "BYTES" => json!(number),
                _ => json!(text),
            };
            (input.name.clone(), value)
        });
        Value::Object(cells.collect::<Map<_, _>>())
    };
    records.map(|record| row(record.expect("a line"))).collect()
}

async fn send<'r>(gateway: &mut TestGateway, flights: impl Iterator<Item = &'r Value>) {
    let flights: Vec<&Value> = flights.collect();
    for chunk in flights.chunks(200) {
        let request = v1::PredictRequest {
            model: "flight-delay".into(),
            rows: chunk.iter().map(|flight| row(flight)).collect(),
            pin: Some(v1::predict_request::Pin::Version(2)),
            ..Default::default()
        };
        gateway.predict(request).await.expect("an answer");
    }
}

async fn drift(gateway: &mut TestGateway, request: v1::GetDriftRequest) -> v1::VersionDrift {
    let answer = gateway.admin.get_drift(request).await.expect("drift");
    let mut answer = answer.into_inner();
    assert_eq!(answer.versions.len(), 1, "{answer:?}");
    answer.versions.remove(0)
}

fn version_2() -> v1::GetDriftRequest {
    v1::GetDriftRequest {
        model: "flight-delay".into(),
        versions: vec![2],
        window: StatsWindow::SinceLoad.into(),
        ..Default::default()
    }
}

fn drifted(columns: &[ColumnDrift]) -> BTreeSet<&str> {
    let drifted = columns.iter().filter(|column| {
        let verdict = column.verdict();
        verdict == DriftVerdict::Moderate || verdict == DriftVerdict::Severe
    });
    drifted.map(|column| column.name.as_str()).collect()
}

/// Returns the value of the series whose name and labels begin with `series`.
async fn gauge(gateway: &TestGateway, series: &str) -> Option<f64> {
    let (_, text) = gateway.http_get("/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.map(|value| value.trim().parse().expect("a number"))
}

#[tokio::test]
async fn the_second_half_of_the_year_has_drifted_from_the_profile_of_version_2() {
    let mut gateway = TestGateway::start(FLIGHTS, flights::copy_models).await;
    let psi =
        r#"taper_feature_drift{model="flight-delay",version="2",feature="temp",statistic="psi"}"#;
    let before = gauge(&gateway, psi).await.expect("a series from the start");
    assert!(before.is_nan(), "no data: {before}");
    let few = drift(&mut gateway, version_2()).await;
    assert!(few.not_compared.contains("answered nothing"), "{few:?}");

    let live = flights_of("live.csv.gz");
    send(&mut gateway, live.iter().take(100)).await;
    let few = drift(&mut gateway, version_2()).await;
    for column in few.features.iter().chain(&few.predictions) {
        assert_eq!(
            (column.verdict(), column.rows),
            (DriftVerdict::TooFewRows, 100)
        );
        assert_eq!((&column.psi, column.p_corrected), (&None, None));
    }

    send(&mut gateway, live.iter().skip(100).step_by(4)).await;
    let report = drift(&mut gateway, version_2()).await;
    let moved = drifted(&report.features);
    for name in ["temp", "dewp", "humid"] {
        assert!(moved.contains(name), "{name}: {moved:?}");
    }
    for name in ["weekday", "origin", "distance", "precip"] {
        assert!(!moved.contains(name), "{name}: {moved:?}");
    }
    let version = flights::versions().remove(1);
    for column in &report.features {
        let input = version.signature().find(&column.name).expect("an input");
        assert!(!version.signature().inputs()[input].is_sensitive());
        let ends = [
            &column.kolmogorov_smirnov,
            &column.psi,
            &column.jensen_shannon,
        ];
        for one in ends.into_iter().flatten() {
            assert!(one.low <= one.value && one.value <= one.high, "{column:?}");
        }
        let numbers = column.kind() == v1::ColumnKind::Numbers;
        assert_eq!(column.wasserstein.is_some(), numbers, "{column:?}");
        let tested = !numbers || column.missing + column.reference_missing > 0;
        assert_eq!(column.chi_squared.is_some(), tested, "{column:?}");
        assert!(column.p <= column.p_corrected, "{column:?}");
    }
    let sensitive = version.signature().inputs().iter();
    let sensitive = sensitive.filter(|input| input.is_sensitive()).count() as u64;
    assert_eq!(report.features_sensitive, sensitive);
    assert_eq!(report.predictions[0].name, "late");

    // The gauges are updated periodically and have the same values.
    let want = report.features.iter().find(|one| one.name == "temp");
    let want = want.and_then(|one| one.psi).expect("measured").value;
    eventually("the gauge follows", async || {
        let got = gauge(&gateway, psi).await?;
        ((got - want).abs() < 1e-9).then_some(())
    })
    .await;
    let p = psi.replace("\"psi\"", "\"corrected_p\"");
    assert!(gauge(&gateway, &p).await.expect("a series") < 0.05);
    let output =
        r#"taper_prediction_drift{model="flight-delay",version="2",output="late",statistic="ks"}"#;
    assert!(gauge(&gateway, output).await.expect("a series") > 0.0);
    gateway.drain().await;
}

#[tokio::test]
async fn one_outlier_does_not_hide_drift_and_an_input_that_is_no_longer_sent_is_reported() {
    let mut gateway = TestGateway::start(FLIGHTS, flights::copy_models).await;
    let mut live = flights_of("live.csv.gz");
    live.truncate(600);
    for flight in &mut live {
        flight.as_object_mut().expect("a row").remove("temp");
    }
    send(&mut gateway, live.iter()).await;
    let stats = v1::GetStatsRequest {
        model: "flight-delay".into(),
        versions: vec![2],
        windows: vec![StatsWindow::SinceLoad.into()],
        features: true,
        ..Default::default()
    };
    let wind = async |gateway: &mut TestGateway| {
        let read = gateway.admin.get_stats(stats.clone()).await.expect("stats");
        let mut read = read.into_inner();
        let mut features = read.stats.remove(0).features.into_iter();
        let wind = features.find(|one| one.name == "wind_speed");
        (wind.expect("an input"), read.relative_error)
    };
    let (usual, _) = wind(&mut gateway).await;
    let before = drift(&mut gateway, version_2()).await;

    live[0]["wind_speed"] = json!(1e13);
    send(&mut gateway, live.iter().take(1)).await;
    let (odd, relative_error) = wind(&mut gateway).await;
    assert_eq!(odd.clipped, usual.clipped + 1);
    let [usual, odd] = [usual, odd].map(|one| one.numbers.expect("numbers"));
    assert!(odd.max < 1e4, "at the end of its range: {odd:?}");
    assert!((odd.p50 / usual.p50 - 1.0).abs() < 0.1, "{usual:?} {odd:?}");
    assert_eq!((relative_error, odd.beyond), (1.0 / 256.0, 0));

    let after = drift(&mut gateway, version_2()).await;
    let column = |report: &v1::VersionDrift, name: &str| {
        let mut columns = report.features.iter();
        columns
            .find(|one| one.name == name)
            .cloned()
            .expect("an input")
    };
    let verdicts = [&before, &after].map(|report| column(report, "wind_speed").verdict());
    assert_eq!(verdicts[0], verdicts[1]);
    let temp = column(&after, "temp");
    assert_eq!(temp.verdict(), DriftVerdict::Severe, "{temp:?}");
    assert_eq!((temp.rows, temp.missing), (0, 601));
    assert!(temp.kolmogorov_smirnov.is_none(), "{temp:?}");
    assert!(
        temp.p_corrected < Some(1e-9) && temp.chi_squared.is_some(),
        "{temp:?}"
    );
    let verdict = r#"taper_feature_drift{model="flight-delay",version="2",feature="temp",statistic="verdict"}"#;
    eventually("the gauge says so", async || {
        (gauge(&gateway, verdict).await? == 2.0).then_some(())
    })
    .await;
    gateway.drain().await;
}

/// The version was trained on the first 85 % of the rows in order of time, so its profile describes these rows.
#[tokio::test]
async fn flights_of_the_training_months_have_not_drifted() {
    let mut gateway = TestGateway::start(FLIGHTS, flights::copy_models).await;
    let train = flights_of("train.csv.gz");
    send(&mut gateway, train.iter().take(20_400).step_by(17)).await;
    let report = drift(&mut gateway, version_2()).await;
    assert!(report.features.len() > 5 && report.features.iter().all(|one| one.rows == 1_200));
    assert_eq!(drifted(&report.features), BTreeSet::new());
    assert_eq!(drifted(&report.predictions), BTreeSet::new());

    // The window is compared with itself, and there is no earlier data.
    let same = v1::GetDriftRequest {
        against: Some(Against::Other(v1::DriftWindow {
            version: 2,
            ..Default::default()
        })),
        ..version_2()
    };
    let report = drift(&mut gateway, same).await;
    assert_eq!(
        report.predictions.last().map(|one| one.name.as_str()),
        Some("class")
    );
    let all = report.features.iter().chain(&report.predictions);
    for column in all {
        assert_eq!(column.psi.expect("measured").value, 0.0, "{column:?}");
        assert_eq!(column.verdict(), DriftVerdict::Stable);
    }
    let earlier = v1::GetDriftRequest {
        window: StatsWindow::Hour.into(),
        against: Some(Against::Earlier(StatsWindow::SinceLoad.into())),
        ..version_2()
    };
    let report = drift(&mut gateway, earlier).await;
    for column in &report.features {
        assert_eq!((column.reference_rows, column.rows), (0, 1_200));
        assert_eq!(column.verdict(), DriftVerdict::TooFewRows);
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_bad_request_names_the_wrong_field() {
    let mut gateway = TestGateway::start("", |root| {
        tiny::publish(root, "m", 1);
        tiny::publish_with(root, "m", 2, |manifest| {
            manifest["inputs"][1]["sensitive"] = true.into();
        });
    })
    .await;
    let request = || v1::GetDriftRequest {
        model: "m".into(),
        ..Default::default()
    };
    let other = |version, role| {
        Some(Against::Other(v1::DriftWindow {
            version,
            role,
            window: 0,
        }))
    };
    let wrong = |request, code, why: &'static str, named: &'static [&'static str]| {
        (request, code, why, named)
    };
    let invalid = "INVALID_CHANGE";
    for (request, code, why, named) in [
        wrong(
            v1::GetDriftRequest {
                model: "x".into(),
                ..request()
            },
            Code::NotFound,
            "UNKNOWN_MODEL",
            &[],
        ),
        wrong(
            v1::GetDriftRequest {
                versions: vec![9],
                ..request()
            },
            Code::NotFound,
            "UNKNOWN_VERSION",
            &[],
        ),
        wrong(
            v1::GetDriftRequest {
                against: other(9, 0),
                ..request()
            },
            Code::NotFound,
            "UNKNOWN_VERSION",
            &[],
        ),
        wrong(
            v1::GetDriftRequest {
                role: 9,
                window: 77,
                ..request()
            },
            Code::InvalidArgument,
            invalid,
            &["role", "window"],
        ),
        wrong(
            v1::GetDriftRequest {
                against: other(1, 9),
                ..request()
            },
            Code::InvalidArgument,
            invalid,
            &["other.role"],
        ),
        wrong(
            v1::GetDriftRequest {
                against: Some(Against::Earlier(9)),
                ..request()
            },
            Code::InvalidArgument,
            invalid,
            &["earlier"],
        ),
        wrong(
            v1::GetDriftRequest {
                against: Some(Against::Earlier(StatsWindow::Minute.into())),
                ..request()
            },
            Code::InvalidArgument,
            invalid,
            &["earlier"],
        ),
    ] {
        let status = gateway.admin.get_drift(request).await.expect_err(why);
        assert_eq!((status.code(), reason(&status).as_str()), (code, why));
        if code == Code::InvalidArgument {
            assert_eq!(fields(&status), named);
        }
    }

    // Missing data is not an error of the request.
    for pin in [1, 2] {
        let pin = Some(v1::predict_request::Pin::Version(pin));
        let request = v1::PredictRequest {
            pin,
            ..rows("m", [good()])
        };
        gateway.predict(request).await.expect("an answer");
    }
    let answer = gateway.admin.get_drift(request()).await.expect("drift");
    for version in answer.into_inner().versions {
        assert!(
            version.not_compared.contains("no reference profile"),
            "{version:?}"
        );
    }
    let request = v1::GetDriftRequest {
        versions: vec![2],
        against: other(1, 0),
        ..request()
    };
    let report = drift(&mut gateway, request).await;
    let names: Vec<_> = report
        .features
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["x", "color", "pair"], "`n` is sensitive");
    assert_eq!(
        (report.features_sensitive, report.features_left_out),
        (1, 0)
    );
    gateway.drain().await;
}

#[test]
fn the_command_line_shows_a_table_for_each_version() {
    let dir = crate::cli::two_versions();
    let mut gateway = Process::serve(dir.path());
    let data = gateway.address("data").to_string();
    let admin = gateway.address("admin").to_string();
    let empty = stdout_of(&["drift", "--address", &admin]);
    assert!(empty.contains("no reference profile"), "{empty}");
    let row = good().to_string();
    for version in ["1", "2"] {
        stdout_of(&[
            "predict",
            "m",
            "--row",
            &row,
            "--version",
            version,
            "--address",
            &data,
        ]);
    }
    let against = [
        "drift",
        "--version",
        "2",
        "--against-version",
        "1",
        "--address",
        &admin,
    ];
    let text = stdout_of(&against);
    for part in [
        "against version 1",
        "version 2   primary   window 1h",
        "too few rows",
        "color",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value =
        serde_json::from_str(&stdout_of(&[&against[..], &["--json"]].concat())).expect("JSON");
    let column = &json["versions"][0]["features"][0];
    assert_eq!(
        (&column["name"], &column["verdict"]),
        (&"x".into(), &"too few rows".into())
    );
    let ended = run(&["drift", "--earlier", "1m", "--address", &admin]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("earlier"), "{ended:?}");
}
