use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::ident::ModelName;
use crate::model;
use crate::registry;

const SPEC: &str = r#"
model = "tides"
[data]
train = "rows.csv"
date = "day"
source = "drawn by hand"
TARGET
[[features]]
name = "height"
datatype = "FP64"
kind = "numeric"
range = { min = -5, max = 5, outside = "reject" }
missing = "impute"
[[features]]
name = "hour"
datatype = "INT32"
kind = "cyclic"
period = 24
[[features]]
name = "harbour"
datatype = "BYTES"
kind = "categorical"
min_count = 3
[[features]]
name = "skipper"
datatype = "BYTES"
kind = "ignore"
sensitive = true
[network]
hidden = [8]
[training]
learning_rate = 0.02
batch_size = 32
epochs = 30
"#;

/// A folder with a spec for `target` and 400 rows whose targets follow from their values.
fn folder(target: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = String::from("day,height,hour,harbour,skipper,high,level,height_in_feet\n");
    for at in 0..400u32 {
        let height = f64::from(at * 37 % 100) / 25.0 - 2.0;
        let hour = at * 7 % 24;
        let harbour = ["Ayr", "Bray", "Cork"][(at % 3) as usize];
        let tide = height + if hour < 12 { 1.0 } else { -1.0 } + f64::from(at % 3);
        let level = if tide < 0.0 {
            "low"
        } else if tide < 2.0 {
            "mid"
        } else {
            "top"
        };
        let (day, high) = (1 + at / 15, u8::from(tide > 1.0));
        let shown = if at % 20 == 3 {
            String::new()
        } else {
            height.to_string()
        };
        let feet = 1000.0 + 3.28 * tide;
        writeln!(
            rows,
            "2020-01-{day:02},{shown},{hour},{harbour},S{at},{high},{level},{feet}"
        )
        .unwrap();
    }
    fs::write(folder.path().join("rows.csv"), rows).unwrap();
    fs::write(
        folder.path().join("spec.toml"),
        SPEC.replace("TARGET", target),
    )
    .unwrap();
    folder
}

const TWO_CLASSES: &str =
    "[target]\ncolumn = 'high'\nclasses = ['low', 'high']\nvalues = ['0', '1']";
const THREE_CLASSES: &str = "[target]\ncolumn = 'level'\nclasses = ['low', 'mid', 'top']";
const REGRESSION: &str = "[target]\ncolumn = 'height_in_feet'";

fn options(folder: &TempDir, registry: &str) -> Options {
    Options {
        spec: folder.path().join("spec.toml"),
        registry: folder.path().join(registry),
        version: None,
        created_at: Some("2020-02-01T00:00:00Z".into()),
        seed: None,
    }
}

fn tides() -> ModelName {
    "tides".parse().unwrap()
}

fn files(report: &Report) -> [Vec<u8>; 2] {
    ["metadata.json", "weights.safetensors"].map(|name| fs::read(report.path.join(name)).unwrap())
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let folder = folder(TWO_CLASSES);
    let run = |registry: &str, seed: Option<u64>| {
        let options = Options {
            seed,
            ..options(&folder, registry)
        };
        files(&train(&options, &mut |_| {}).unwrap())
    };
    let first = run("a", Some(5));
    assert_eq!(first, run("b", Some(5)));
    assert_ne!(first[1], run("c", Some(6))[1]);
}

#[test]
fn dropout_depends_on_the_seed() {
    let folder = folder(TWO_CLASSES);
    let spec = fs::read_to_string(folder.path().join("spec.toml")).unwrap();
    fs::write(folder.path().join("spec.toml"), spec + "dropout = 0.3\n").unwrap();
    let run = |registry: &str| files(&train(&options(&folder, registry), &mut |_| {}).unwrap());
    assert_eq!(run("a"), run("b"));
}

#[test]
fn a_published_version_can_be_loaded_and_records_its_origin() {
    let folder = folder(TWO_CLASSES);
    let mut epochs = Vec::new();
    let report = train(&options(&folder, "models"), &mut |now| {
        epochs.push(now.epoch)
    })
    .unwrap();
    assert_eq!(epochs, (1..=report.epochs).collect::<Vec<_>>());
    let version = model::load(&report.path, &tides(), report.version).unwrap();
    let about = &version.manifest().about;
    assert_eq!(about.features, ["height", "hour", "harbour"]);
    let data = about.training_data.as_ref().unwrap();
    // A fifth is held out, and 15 per cent of the rest validates.
    assert_eq!((data.rows, data.source.as_str()), (272, "drawn by hand"));
    assert_eq!(
        data.date_range.as_ref().unwrap(),
        &["2020-01-01", "2020-01-19"].map(String::from)
    );
    assert_eq!(data.sha256.as_ref().map(String::len), Some(64));
    let names: Vec<_> = about.metrics.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["accuracy", "auc", "brier", "calibration_error", "log_loss"]
    );
    assert!(
        about.metrics["auc"] > 0.95,
        "the target follows from the row: {:?}",
        about.metrics
    );
    let reference = about.reference.as_ref().unwrap();
    assert_eq!(reference.rows, 272);
    assert_eq!(reference.features["height"].missing, 14);
    assert_eq!(
        reference.features["harbour"].categories.as_ref().unwrap()["Ayr"],
        91
    );
    assert!(!reference.features.contains_key("skipper"), "sensitive");
    let [metadata, _] = files(&report);
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let golden = metadata["golden"].as_array().unwrap();
    assert_eq!(golden.len(), 8);
    assert!(
        golden
            .iter()
            .all(|golden| golden["row"]["skipper"].is_null())
    );
}

#[test]
fn versions_are_numbered_and_never_replaced() {
    let folder = folder(TWO_CLASSES);
    let mut options = options(&folder, "models");
    let publish = |options: &Options| train(options, &mut |_| {});
    assert_eq!(publish(&options).unwrap().version.get(), 1);
    assert_eq!(publish(&options).unwrap().version.get(), 2);
    options.version = "7".parse().ok();
    assert_eq!(publish(&options).unwrap().version.get(), 7);
    let refused = train(&options, &mut |_| panic!("refused before it trains")).unwrap_err();
    let error = refused.to_string();
    assert!(
        error.starts_with("nothing was published: ") && error.contains("already exists"),
        "{error}"
    );
    let scan = registry::scan(&options.registry).unwrap();
    let found: Vec<_> = scan.found.iter().map(|found| found.version.get()).collect();
    assert_eq!(found, [1, 2, 7]);
}

#[test]
fn models_with_three_classes_and_regressions_are_trained_and_published() {
    let softmax = folder(THREE_CLASSES);
    let report = train(&options(&softmax, "models"), &mut |_| {}).unwrap();
    let Quality::Classes {
        accuracy, shares, ..
    } = &report.quality
    else {
        panic!("three classes are classes");
    };
    let commonest = shares.iter().copied().fold(0.0, f64::max);
    assert!(accuracy - commonest > 0.2, "{accuracy} against {commonest}");
    let version = model::load(&report.path, &tides(), report.version).unwrap();
    assert_eq!(
        (
            version.signature().prediction.columns,
            version.signature().classes.len()
        ),
        (3, 3)
    );

    let regression = folder(REGRESSION);
    let report = train(&options(&regression, "models"), &mut |_| {}).unwrap();
    let Quality::Value { r2, mae, .. } = report.quality else {
        panic!("a number is no class");
    };
    assert!(
        r2.unwrap() > 0.9,
        "values about 1000 that differ by a few: R2 {r2:?}, error {mae}"
    );
    let version = model::load(&report.path, &tides(), report.version).unwrap();
    assert!(version.signature().classes.is_empty());
    assert!(
        version
            .manifest()
            .golden
            .iter()
            .all(|golden| golden.answer[0] > 900.0)
    );
}

#[test]
fn values_that_no_request_may_contain_are_reported_by_line_and_column() {
    let folder = folder(TWO_CLASSES);
    let rows = fs::read_to_string(folder.path().join("rows.csv")).unwrap();
    let rows = rows.replacen("2020-01-01,-2,", "2020-01-01,-7,", 1);
    fs::write(folder.path().join("rows.csv"), rows).unwrap();
    let refused = train(&options(&folder, "models"), &mut |_| {}).unwrap_err();
    let error = refused.to_string();
    let want = "rows.csv: line 2, column `height`: got -7, wants a finite number from -5 to 5";
    assert!(error.ends_with(want), "{error}");
    assert!(
        !folder.path().join("models").exists(),
        "nothing was published"
    );
}

#[test]
fn too_few_rows_and_missing_columns_are_reported() {
    let unseen = "[target]\ncolumn = 'high'\nclasses = ['0', '1', '2']";
    for (last, target, want) in [
        (
            "2020-01-01",
            TWO_CLASSES,
            &[
                "got 10 training rows, wants at least 20",
                "got 2 validation rows, wants at least 5",
                "got 3 held-out rows, wants at least 5",
            ][..],
        ),
        (
            "2020-01-20",
            unseen,
            &["column `high`: no training row has the value \"2\""],
        ),
        (
            "2020-01-20",
            "[target]\ncolumn = 'surge'",
            &[
                "column `surge`: no such column; the file has day, height, hour, harbour, skipper, high, level, height_in_feet",
            ],
        ),
    ] {
        let folder = folder(target);
        let spec = fs::read_to_string(folder.path().join("spec.toml")).unwrap();
        let spec = spec.replace("date = \"day\"", &format!("date = \"day\"\nto = {last}"));
        fs::write(folder.path().join("spec.toml"), spec).unwrap();
        let error = train(&options(&folder, "models"), &mut |_| {}).unwrap_err();
        let file = format!("{}: ", folder.path().join("rows.csv").display());
        assert_eq!(error.to_string().replace(&file, ""), want.join("\n"));
    }
}

#[test]
fn faults_of_the_manifest_are_reported_with_the_paths_of_the_spec() {
    let folder = folder(TWO_CLASSES);
    let spec = fs::read_to_string(folder.path().join("spec.toml")).unwrap();
    let spec = spec.replace(
        "name = \"height\"",
        "name = \"the[height]\"\ncolumn = \"height\"",
    );
    let spec = spec.replace("'low', 'high'", "'', 'high'");
    fs::write(folder.path().join("spec.toml"), spec).unwrap();
    let error = train(&options(&folder, "models"), &mut |_| {}).unwrap_err();
    let file = format!("{}: ", folder.path().join("spec.toml").display());
    assert_eq!(
        error.to_string().replace(&file, ""),
        "$.features[0].name: got \"the[height]\", expected 1 to 128 characters, none of them a control character, a bracket or a backtick\n\
         $.target.classes[0]: got 0 characters, wants 1 to 128"
    );
}

#[test]
fn an_invalid_creation_time_is_refused_before_anything_is_read() {
    let folder = folder(TWO_CLASSES);
    let created_at = Some("yesterday".into());
    let options = Options {
        created_at,
        ..options(&folder, "models")
    };
    let error = train(&options, &mut |_| {}).unwrap_err().to_string();
    assert_eq!(
        error,
        "created_at: got \"yesterday\", wants an RFC 3339 time such as 2013-07-01T08:00:00Z"
    );
}

#[test]
fn a_report_reads_well() {
    let folder = folder(TWO_CLASSES);
    let mut report = train(&options(&folder, "models"), &mut |_| {}).unwrap();
    report.path = "models/tides/1".into();
    report.took = std::time::Duration::from_millis(1234);
    (report.epochs, report.best_epoch) = (30, 29);
    (report.train_loss, report.validation_loss) = (0.123_456, 0.234_567);
    let predicted = [0.05, 0.15, 0.97, 0.4, 0.6];
    let targets = [0.0, 0.0, 1.0, 1.0, 0.0];
    report.quality = Quality::measure(Head::Sigmoid, &predicted, 1, &targets);
    insta::assert_snapshot!(report.to_string());
}
