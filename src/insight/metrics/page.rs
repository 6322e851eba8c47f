//! The page `docs/metrics.md`, generated from the table of metrics.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use super::labels::{Label, Values};
use super::metric::{Buckets, Exported, Metric};
use super::table::METRICS;

/// Rewrites the page.
const COMMAND: &str = "TAPER_BLESS=1 cargo test --locked --lib metrics_page";

/// Up to this many metrics, the table of labels names the metrics of a label.
const MOST_NAMED: usize = 4;

const INTRODUCTION: &str = "\
taper exports its metrics at `http://127.0.0.1:8000/metrics` in the Prometheus text format.

* Series with the label `model` or `version` are removed with the model or when the version is freed.
* Label values come from the registry or from a closed set, so a client cannot create a series.
* Quality, drift and statistics of predictions are also available as numbers with their uncertainty: see `taper stats`,
  `taper drift` and `taper outcomes`.

`deploy/prometheus/` contains a scrape configuration, recording rules, alerts and their tests. `deploy/grafana/taper.json` is
a dashboard.
";

fn page() -> String {
    let mut text = format!(
        "# Metrics\n\n<!-- Generated from src/insight/metrics/table.rs. To rewrite this page: {COMMAND} -->\n\n{INTRODUCTION}"
    );
    for rows in METRICS.chunk_by(|one, two| one.group == two.group) {
        let title = rows[0].group.title();
        let _ = writeln!(
            text,
            "\n## {title}\n\n| metric | kind | unit | labels | meaning | buckets |\n|---|---|---|---|---|---|"
        );
        rows.iter().for_each(|metric| add_metric(&mut text, metric));
    }
    text.push_str("\n## Labels\n\n| label | of | values | meaning |\n|---|---|---|---|\n");
    labels()
        .iter()
        .for_each(|label| add_label(&mut text, label));
    text
}

fn add_metric(text: &mut String, metric: &Metric) {
    let labels = quoted(metric.all_labels().map(|label| label.name));
    let buckets = match metric.buckets {
        Buckets::None => String::new(),
        Buckets::Fixed(bounds) => joined(bounds.iter().map(f64::to_string)),
        Buckets::PerVersion(rule) => rule.to_owned(),
    };
    let condition = match metric.exported {
        Exported::Always => String::new(),
        Exported::When(condition) => format!(" Exported {condition}."),
    };
    let Metric {
        name, unit, help, ..
    } = metric;
    let kind = metric.kind.as_str();
    let _ = writeln!(
        text,
        "| `{name}` | {kind} | {unit} | {labels} | {help}{condition} | {buckets} |"
    );
}

fn add_label(text: &mut String, label: &Label) {
    let carriers = METRICS
        .iter()
        .filter(|metric| metric.all_labels().any(|of| of == label));
    let carriers: Vec<&str> = carriers.map(|metric| metric.name).collect();
    let of = if carriers.len() > MOST_NAMED {
        format!("{} metrics", carriers.len())
    } else {
        quoted(carriers.into_iter())
    };
    let values = match label.values {
        Values::OneOf(values) => quoted(values.iter().copied()),
        Values::Registry => "from the registry".to_owned(),
        Values::Build => "from the build".to_owned(),
    };
    let Label { name, meaning, .. } = label;
    let _ = writeln!(text, "| `{name}` | {of} | {values} | {meaning} |");
}

/// Returns each label once, in the order of its first use.
fn labels() -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    for label in METRICS.iter().flat_map(Metric::all_labels) {
        if !labels.contains(label) {
            labels.push(*label);
        }
    }
    labels
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    joined(names.map(|name| format!("`{name}`")))
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[test]
fn metrics_page_is_what_the_table_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = page();
    if env::var_os("TAPER_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/metrics.md does not match src/insight/metrics/table.rs; run `{COMMAND}` and commit the page"
    );
}
