//! The metrics in the Prometheus text format: per-version series, compared with the table of metrics and scraped by Prometheus.

use std::{
    collections::BTreeSet,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use taper::insight::metrics::{Exported, Kind, METRICS, Metric};
use taper::proto::v1;

use crate::harness::{TestGateway, eventually, expecting_revision, good, rows, with_header};
use crate::shadow_policy::with_shadows_and_fallback;
use crate::tiny;

/// Returns a command for `program`. Fails with the command that installs it if it is missing.
pub fn installed(program: &str) -> Command {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(
        found,
        "`{program}` is missing: run `apt-get install --no-install-recommends prometheus curl`"
    );
    Command::new(program)
}

/// Starts a gateway with two versions of `m` and one classifier that have answered, one reported outcome, and two refused requests.
pub async fn two_versions() -> TestGateway {
    let config =
        "[models.m]\nsplit = { 1 = 7000, 2 = 3000 }\n[prediction_log]\npath = \"log.jsonl\"";
    let mut gateway = TestGateway::start(config, |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
        classifier(root, 3);
    })
    .await;
    for version in [1, 1, 1, 2] {
        let pin = Some(v1::predict_request::Pin::Version(version));
        gateway
            .predict(v1::PredictRequest {
                pin,
                ..rows("m", [good()])
            })
            .await
            .expect("answer");
    }
    gateway
        .predict(rows("m", [json!({"x": 1000})]))
        .await
        .expect_err("out of range");
    gateway
        .predict(rows("client-chosen-name", [good()]))
        .await
        .expect_err("unknown model");
    let answer = gateway.predict(rows("classes", [good(), good()])).await;
    let outcome = v1::Outcome {
        response_id: answer.expect("answer").response_id,
        row: 0,
        truth: Some(v1::outcome::Truth::Class("yes".into())),
    };
    let outcomes = vec![outcome];
    let report = v1::ReportOutcomesRequest { outcomes };
    gateway.data.report_outcomes(report).await.expect("report");
    gateway
}

/// Publishes a version of the model `classes` with a sigmoid head. It answers sigmoid(`version`).
fn classifier(root: &Path, version: u64) {
    tiny::publish_with(root, "classes", version, |manifest| {
        manifest["architecture"]["head"] = "sigmoid".into();
        manifest["outputs"][0]["name"] = "probability".into();
        manifest["classes"] = json!(["no", "yes"]);
        manifest["golden"] = json!([]);
        let profile = |at: fn(u32) -> f64| {
            let quantiles: Vec<f64> = (0..=100).map(at).collect();
            json!({"missing": 0, "quantiles": quantiles})
        };
        manifest["reference"] = json!({
            "rows": 1_000,
            "features": {"x": profile(|at| f64::from(at) - 50.0)},
            "predictions": {"probability": profile(|at| f64::from(at) / 100.0)},
        });
    });
}

#[tokio::test]
async fn every_version_has_its_own_series() {
    let gateway = two_versions().await;
    let (_, text) = gateway.http_get("/metrics").await;
    let has = |line: &str| {
        assert!(
            text.lines().any(|have| have == line),
            "{line}\nis not in\n{text}"
        )
    };
    has(r#"taper_requests_total{model="m",version="2",role="primary",code="OK"} 1"#);
    has(r#"taper_traffic_share{model="m",version="1"} 0.7"#);
    has(r#"taper_traffic_share{model="m",version="2"} 0.3"#);
    has(r#"taper_in_flight_requests{model="m",version="1"} 0"#);
    has(r#"taper_policy_revision{model="m"} 1"#);
    has(&format!(
        r#"taper_build_info{{version="{}"}} 1"#,
        env!("CARGO_PKG_VERSION")
    ));
    has(r#"taper_predicted_class_total{model="classes",version="3",role="primary",class="yes"} 2"#);
    has(r#"taper_prediction_confidence_count{model="classes",version="3",role="primary"} 2"#);
    has(
        r#"taper_prediction_score_bucket{model="classes",version="3",role="primary",output="yes",le="0.95"} 0"#,
    );
    has(
        r#"taper_prediction_score_bucket{model="classes",version="3",role="primary",output="yes",le="1"} 2"#,
    );
    has(r#"taper_rejected_requests_total{reason="UNKNOWN_MODEL"} 1"#);
    for series in [
        r#"taper_request_seconds_bucket{model="m",version="2",role="primary",le="0.00005"}"#,
        r#"taper_request_seconds_bucket{model="m",version="2",role="primary",le="10"}"#,
        r#"taper_inference_seconds_count{model="m",version="2",role="primary"} 1"#,
        r#"taper_prediction_score_sum{model="m",version="2",role="primary",output="value"} 2"#,
    ] {
        assert!(text.contains(series), "{series}\nis not in\n{text}");
    }
    gateway.drain().await;
}

/// Returns the metrics of a gateway after every counted event: [`two_versions`], then a batch of the compute pool, a copy
/// that a shadow answered, and a policy with a fallback.
async fn text_of_all_metrics() -> String {
    let mut gateway = two_versions().await;
    let read = v1::GetTrafficPolicyRequest { model: "m".into() };
    let read = gateway.admin.get_traffic_policy(read).await.expect("read");
    let set = v1::SetTrafficPolicyRequest {
        model: "m".into(),
        policy: Some(with_shadows_and_fallback(2)),
        terms: expecting_revision(read.into_inner().revision),
    };
    gateway.admin.set_traffic_policy(set).await.expect("set");
    // Too many rows to compute them inline.
    let request = rows("m", std::array::from_fn::<_, 64, _>(|_| good()));
    gateway.predict(request).await.expect("answer");
    let text = eventually("the copy is compared", || async {
        let text = gateway.http_get("/metrics").await.1;
        let compared = "taper_shadow_compared_rows_total{";
        text.contains(compared).then_some(text)
    })
    .await;
    gateway.drain().await;
    text
}

/// Returns the rows of the table whose metrics are in `text`, by the TYPE lines.
fn exported(text: &str) -> Vec<&'static Metric> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            let row = METRICS.iter().find(|metric| metric.name == name);
            let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
            assert_eq!(row.kind.as_str(), kind, "{name}");
            row
        })
        .collect()
}

/// Fails unless the labels of this sample of `metric` are those of the table, in their order.
fn check_labels(metric: &Metric, sample: &str) {
    let (series, _) = sample.rsplit_once(' ').expect("a value");
    let (_, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').expect("labels end");
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
    let pairs: Vec<(&str, &str)> = pairs
        .map(|pair| pair.split_once("=\"").expect("a name and a value"))
        .map(|(name, value)| (name, value.trim_end_matches('"')))
        .filter(|(name, _)| *name != "le")
        .collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
    let listed: Vec<&str> = metric.all_labels().map(|label| label.name).collect();
    assert_eq!(names, listed, "{sample}");
    for (label, (_, value)) in metric.all_labels().zip(pairs) {
        assert!(label.values.accept(value), "{sample}");
    }
}

#[tokio::test]
async fn every_series_is_in_the_table_and_every_row_is_exported() {
    let text = text_of_all_metrics().await;
    let there = exported(&text);
    for metric in METRICS {
        assert!(
            there.iter().any(|there| there.name == metric.name),
            "{} is not exported",
            metric.name
        );
        assert!(
            text.contains(&format!("# HELP {} {}\n", metric.name, metric.help)),
            "{}",
            metric.name
        );
    }
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().expect("a name");
        let is_of = |metric: &&&Metric| match metric.kind {
            Kind::Counter | Kind::Gauge => metric.name == name,
            Kind::Histogram => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(metric.name)),
        };
        let metric = there.iter().find(is_of);
        check_labels(metric.unwrap_or_else(|| panic!("{sample}")), sample);
    }
}

#[tokio::test]
async fn a_gateway_without_traffic_exports_the_rows_without_a_condition() {
    let gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
    let (_, text) = gateway.http_get("/metrics").await;
    let there: BTreeSet<&str> = exported(&text).iter().map(|metric| metric.name).collect();
    let always = METRICS.iter().filter(|metric| {
        // The condition of this metric is the system that the test runs on.
        metric.exported == Exported::Always || metric.name == "process_resident_memory_bytes"
    });
    assert_eq!(there, always.map(|metric| metric.name).collect());
    gateway.drain().await;
}

/// Returns the name and labels of every series.
async fn series(gateway: &TestGateway) -> BTreeSet<String> {
    let (_, text) = gateway.http_get("/metrics").await;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect()
}

#[tokio::test]
async fn no_client_can_create_a_series() {
    let mut gateway = two_versions().await;
    let before = series(&gateway).await;
    assert!(before.len() > 50, "{before:?}");
    let plain = || rows("m", [good()]);
    let pinned = |pin| v1::PredictRequest {
        pin: Some(pin),
        ..plain()
    };
    let mut tried = 0;
    for hostile in [
        "client-chosen",
        "a\",role=\"x\"} 1\nmade_up{a=\"",
        "漢字",
        "a\\b\nc 1",
    ] {
        let mut row = good();
        row[hostile] = json!(1);
        let mut color = good();
        color["color"] = json!(hostile);
        let tensor = v1::Tensor {
            name: hostile.into(),
            datatype: v1::Datatype::Bytes.into(),
            shape: vec![1],
            bytes_values: vec![hostile.as_bytes().to_vec().into()],
            ..Default::default()
        };
        for request in [
            rows(hostile, [good()]),
            pinned(v1::predict_request::Pin::Label(hostile.into())),
            pinned(v1::predict_request::Pin::Version(987_654_321)),
            rows("m", [row]),
            rows("m", [color]),
            v1::PredictRequest {
                tensors: vec![tensor],
                ..rows("m", [])
            },
            v1::PredictRequest {
                routing_key: hostile.into(),
                ..plain()
            },
            v1::PredictRequest {
                response_id: hostile.into(),
                ..plain()
            },
        ] {
            // Some requests are answered and some refused. Each may only increment counters.
            let _ = gateway.predict(request).await;
            tried += 1;
        }
    }
    for header in ["x-user-id", "x-client-chosen", "user-agent", "grpc-timeout"] {
        let request = with_header(plain(), header, "client-chosen");
        let _ = gateway.predict(request).await;
        tried += 1;
    }
    let after = series(&gateway).await;
    // A series with fixed labels may be new: a code that a version has not answered with before.
    let new: Vec<_> = after.difference(&before).collect();
    for made in &new {
        let fixed = ["m", "classes"].iter().any(|model| {
            ["1", "2", "3"].iter().any(|version| {
                ["OK", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "CANCELLED"].iter().any(|code| {
                    **made == format!(
                        r#"taper_requests_total{{model="{model}",version="{version}",role="primary",code="{code}"}}"#
                    )
                })
            })
        });
        assert!(fixed, "a client created the series {made}");
    }
    assert!(new.len() < tried, "{new:?}");
    gateway.drain().await;
}

#[tokio::test]
async fn counted_shares_follow_the_split_down_to_zero() {
    let mut gateway = TestGateway::start("[models.m]\nsplit = { 1 = 5000, 2 = 5000 }", |root| {
        (1..=3).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    for _ in 0..40 {
        gateway.predict(rows("m", [good()])).await.expect("answer");
    }
    let counted = |text: &str| -> Vec<f64> {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("taper_traffic_share_counted{"));
        let value = |line: &str| line.rsplit(' ').next()?.parse().ok();
        lines.filter_map(value).collect()
    };
    let shares = counted(&gateway.http_get("/metrics").await.1);
    assert_eq!(shares.len(), 3, "every version has one");
    assert!(
        (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9,
        "{shares:?}"
    );
    assert!(shares.contains(&0.0), "version 3 got nothing: {shares:?}");
    gateway
        .set_split("m", &[(3, 10_000)], 1)
        .await
        .expect("changed");
    let shares = counted(&gateway.http_get("/metrics").await.1);
    assert_eq!(shares, [0.0; 3], "counting restarts with each revision");
    gateway.drain().await;
}

/// A Prometheus process that scrapes one gateway every second. It is killed when this is dropped.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    /// Its files. They are removed after the process has ended.
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes `target` and evaluates `rules`.
    pub fn start(target: SocketAddr, rules: &[PathBuf]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": rules,
            "scrape_configs": [{"job_name": "taper", "static_configs": [{"targets": [target.to_string()]}]}],
        });
        // JSON is YAML.
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).expect("configuration");
        let address = free_port();
        let child = installed("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus starts");
        Self {
            child,
            address,
            _dir: dir,
        }
    }

    /// Returns the response of its API to `path` with the parameter `query`, or `None` while it does not respond.
    pub fn ask(&self, path: &str, query: &str) -> Option<Value> {
        let answered = installed("curl")
            .args(["--silent", "--get", "--max-time", "10"])
            .args(["--data-urlencode", &format!("query={query}")])
            .arg(format!("http://{}/api/v1/{path}", self.address))
            .output()
            .expect("curl runs");
        serde_json::from_slice(&answered.stdout).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `query` returns two series, and returns their versions.
async fn two_series(prometheus: &Prometheus, query: &str) -> Vec<String> {
    eventually(&format!("two series for {query}"), || async {
        let answer = prometheus.ask("query", query)?;
        let results = answer["data"]["result"].as_array()?;
        let version = |result: &Value| result["metric"]["version"].as_str().map(str::to_owned);
        (results.len() == 2).then(|| results.iter().filter_map(version).collect())
    })
    .await
}

fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

/// Tests that call programs from Debian packages or PyPI. `make check` leaves them out.
mod peers {
    use super::*;

    #[tokio::test]
    async fn promtool_accepts_the_text() {
        let gateway = two_versions().await;
        let (_, text) = gateway.http_get("/metrics").await;
        let mut promtool = installed("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool starts");
        promtool
            .stdin
            .take()
            .expect("stdin")
            .write_all(text.as_bytes())
            .expect("writes");
        let output = promtool.wait_with_output().expect("promtool ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && errors.is_empty(),
            "{errors}\n{text}"
        );
        gateway.drain().await;
    }

    #[tokio::test]
    async fn prometheus_scrapes_both_versions() {
        let gateway = two_versions().await;
        let prometheus = Prometheus::start(gateway.addresses().http, &[]);
        for (query, versions) in [
            (r#"taper_requests_total{code="OK",model="m"}"#, ["1", "2"]),
            (
                "histogram_quantile(0.99, taper_request_seconds_bucket{model=\"m\"})",
                ["1", "2"],
            ),
            (r#"taper_prediction_score_count{model="m"}"#, ["1", "2"]),
        ] {
            let mut found = two_series(&prometheus, query).await;
            found.sort();
            assert_eq!(found, versions, "{query}");
        }
        gateway.drain().await;
    }
}
