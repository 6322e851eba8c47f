//! Rules, alerts and the dashboard query metrics that the gateway exports: checked with Prometheus and a running gateway.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use taper::proto::v1;

use crate::harness::{TestGateway, eventually, expecting_revision, good, policy, rows};
use crate::metrics::{Prometheus, installed, two_versions};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

fn promtool(args: &[&str], file: &str) -> String {
    let mut command: Command = installed("promtool");
    let output = command.args(args).arg(deploy(file)).output();
    let output = output.expect("promtool runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{file}: {text}");
    text
}

/// Returns the metrics that `text` names, without the suffixes of histograms.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics = words.filter(|word| word.starts_with("taper_") || word.starts_with("process_"));
    let stem = |word: &str| {
        ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|ending| word.strip_suffix(ending))
            .unwrap_or(word)
            .to_owned()
    };
    metrics.map(stem).collect()
}

/// Starts a gateway in which a version is the fallback of another, a version is its own shadow, and each model has an outcome.
async fn with_a_shadow() -> TestGateway {
    let mut gateway = two_versions().await;
    let shadow = v1::Shadow {
        target: Some(v1::shadow::Target::Version(3)),
        basis_points: 10_000,
        ..Default::default()
    };
    let set = v1::SetTrafficPolicyRequest {
        model: "classes".into(),
        policy: Some(v1::TrafficPolicy {
            shadows: vec![shadow],
            ..policy(&[(3, 10_000)])
        }),
        terms: expecting_revision(0),
    };
    gateway.admin.set_traffic_policy(set).await.expect("set");
    let fallback = v1::Fallback {
        target: Some(v1::fallback::Target::Version(1)),
        within_ms: None,
    };
    let set = v1::SetTrafficPolicyRequest {
        model: "m".into(),
        policy: Some(v1::TrafficPolicy {
            fallback: Some(fallback),
            ..policy(&[(1, 7_000), (2, 3_000)])
        }),
        terms: expecting_revision(1),
    };
    gateway.admin.set_traffic_policy(set).await.expect("set");
    eventually("a row is compared", || async {
        let mut client = gateway.data.clone();
        let answered = client.predict(rows("classes", [good()])).await;
        answered.expect("answer");
        let (_, text) = gateway.http_get("/metrics").await;
        text.contains("taper_shadow_compared_rows_total{")
            .then_some(())
    })
    .await;
    // The outcome of a number, in addition to that of a class.
    let answer = gateway.predict(rows("m", [good()])).await;
    let outcome = v1::Outcome {
        response_id: answer.expect("answer").response_id,
        row: 0,
        truth: Some(v1::outcome::Truth::Number(1.5)),
    };
    let outcomes = vec![outcome];
    let report = v1::ReportOutcomesRequest { outcomes };
    gateway.data.report_outcomes(report).await.expect("report");
    gateway
}

#[tokio::test]
async fn deployed_files_name_only_metrics_that_are_exported() {
    let gateway = with_a_shadow().await;
    let (_, text) = gateway.http_get("/metrics").await;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: BTreeSet<_> = types.filter_map(|rest| rest.split(' ').next()).collect();
    for file in [
        "prometheus/rules.yml",
        "prometheus/alerts.yml",
        "prometheus/rules_test.yml",
        "grafana/taper.json",
    ] {
        let text = fs::read_to_string(deploy(file)).expect("read");
        let named = named(&text);
        assert!(!named.is_empty(), "{file}");
        for metric in named {
            assert!(exported.contains(&*metric), "{file} names {metric}");
        }
    }
    gateway.drain().await;
}

/// Sends requests to both models until `found` returns true.
async fn traffic_until(gateway: &TestGateway, what: &str, found: impl Fn() -> bool) {
    eventually(&format!("data for {what}"), || async {
        if found() {
            return Some(());
        }
        let mut client = gateway.data.clone();
        for model in ["m", "classes"] {
            let answered = client.predict(rows(model, [good()])).await;
            answered.expect("answer");
        }
        None
    })
    .await;
}

/// Returns whether `expr` has a value now. Fails if Prometheus refuses the expression.
fn has_data(prometheus: &Prometheus, expr: &str) -> bool {
    let Some(answer) = prometheus.ask("query", expr) else {
        return false;
    };
    assert_eq!(answer["status"], "success", "{expr}: {answer}");
    let result = answer["data"]["result"].as_array();
    result.is_some_and(|result| !result.is_empty())
}

/// Tests that call programs from Debian packages or PyPI. `make check` leaves them out.
mod peers {
    use super::*;

    #[test]
    fn promtool_accepts_configuration_and_rules_and_their_tests_pass() {
        promtool(&["check", "config"], "prometheus/prometheus.yml");
        promtool(&["check", "rules"], "prometheus/rules.yml");
        promtool(&["check", "rules"], "prometheus/alerts.yml");
        promtool(&["test", "rules"], "prometheus/rules_test.yml");
    }

    #[tokio::test]
    async fn every_panel_and_every_rule_returns_data_for_a_running_gateway() {
        let gateway = with_a_shadow().await;
        let rules = tempfile::tempdir().expect("temporary folder");
        let quick = ["rules.yml", "alerts.yml"].map(|file| {
            let text = fs::read_to_string(deploy(&format!("prometheus/{file}"))).expect("read");
            let to = rules.path().join(file);
            fs::write(&to, text.replace("interval: 15s", "interval: 1s")).expect("written");
            to
        });
        let prometheus = Prometheus::start(gateway.addresses().http, &quick);
        let panels = fs::read_to_string(deploy("grafana/taper.json")).expect("read");
        let panels: Value = serde_json::from_str(&panels).expect("JSON");
        let mut queries = Vec::new();
        for panel in panels["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let title = panel["title"].as_str().expect("a title").to_owned();
                let expr = target["expr"].as_str().expect("an expression").to_owned();
                queries.push((title, expr));
            }
        }
        assert!(queries.len() > 15, "{queries:?}");
        for (title, expr) in queries {
            let expr = expr
                .replace("$__rate_interval", "30s")
                .replace("$model", ".*")
                .replace("$version", ".*")
                .replace("$output", ".*");
            traffic_until(&gateway, &title, || has_data(&prometheus, &expr)).await;
        }
        // Recording rules return data, and alerts are evaluated without an error.
        traffic_until(&gateway, "the rules", || {
            let rules = prometheus.ask("rules", "").unwrap_or_default();
            let groups = rules["data"]["groups"].as_array().into_iter().flatten();
            let rules: Vec<&Value> = groups
                .flat_map(|group| group["rules"].as_array().into_iter().flatten())
                .collect();
            let healthy = rules.iter().filter(|rule| rule["health"] == "ok").count();
            healthy == rules.len() && healthy >= 12
        })
        .await;
        gateway.drain().await;
    }
}
