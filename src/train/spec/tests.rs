use super::*;
use crate::model::manifest::raw::{OutsidePolicy, RawRange, ScaleKind};

const VALID: &str = r#"
model = "flight-delay"
[data]
train = "train.csv"
date = "date"
from = 2013-01-01
to = "2013-06-30"
[target]
column = "late"
classes = ["on time", "late"]
values = ["0", "1"]
[[features]]
name = "temp"
datatype = "FP64"
kind = "numeric"
range = { min = -60, max = 140, outside = "reject" }
missing = "impute"
[[features]]
name = "carrier"
column = "airline"
datatype = "BYTES"
kind = "categorical"
min_count = 20
[network]
hidden = [64, 32]
[training]
seed = 7
"#;

fn parse(text: &str) -> Result<Spec, Faults> {
    Spec::parse(Path::new("specs/a.toml"), text)
}

fn lines(faults: &Faults) -> Vec<String> {
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.path, fault.message))
        .collect()
}

#[test]
fn a_valid_spec_is_parsed_with_defaults() {
    let spec = parse(VALID).unwrap();
    assert_eq!(
        spec.data.train,
        Path::new("specs/train.csv"),
        "relative to the spec"
    );
    assert_eq!(spec.data.holdout, Holdout::Tail(0.2));
    assert_eq!(spec.data.source, "train.csv");
    let days = spec.data.from.zip(spec.data.to);
    let days = days.map(|(from, to)| format!("{from} {to}"));
    assert_eq!(
        days.as_deref(),
        Some("2013-01-01 2013-06-30"),
        "with and without quotes"
    );
    assert_eq!(spec.features[1].column, "airline");
    let (scale, missing) = (ScaleKind::Standardise, Missing::Typical);
    let range = Some(RawRange {
        min: -60.0,
        max: 140.0,
        outside: OutsidePolicy::Reject,
    });
    assert_eq!(
        spec.features[0].kind,
        Kind::Numeric {
            scale,
            range,
            missing
        }
    );
    assert_eq!((spec.training.seed, spec.training.batch_size), (7, 256));
    assert_eq!(spec.hidden, [64, 32]);
}

#[test]
fn all_structural_faults_are_reported_at_once() {
    let text = VALID
        .replace("min_count = 20", "min_count = 0\nmincount = 1")
        .replace("kind = \"numeric\"", "kind = \"number\"")
        .replace("column = \"late\"", "");
    let mut found = lines(&parse(&text).unwrap_err());
    found.sort();
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found[0].starts_with("$.features[0].kind: got \"number\", wants one of \"numeric\""),
        "{found:#?}"
    );
    assert_eq!(
        found[1..],
        [
            "$.features[1].min_count: got 0, wants at least 1",
            "$.features[1].mincount: unknown field",
            "$.target.column: missing",
        ]
    );
}

#[test]
fn all_faults_beyond_the_schema_are_reported_at_once() {
    let text = r#"
model = "flight delay"
[data]
train = "train.csv"
holdout = "live.csv"
holdout_fraction = 0.1
from = 2013-05-01
to = 2013-04-01
[target]
column = "late"
classes = ["a", "a", "b"]
values = ["0", "1"]
[[features]]
name = "late"
datatype = "FP64"
kind = "numeric"
[[features]]
name = "hour"
datatype = "BYTES"
kind = "cyclic"
scale = "none"
range = { min = 24, max = 0, outside = "reject" }
[[features]]
name = "hour"
datatype = "INT32"
kind = "numeric"
missing = "impute"
impute = 1.5
[[features]]
name = "dest"
datatype = "BYTES"
kind = "categorical"
unknown = "reject"
min_count = 5
missing = "accept"
impute = "BOS"
[network]
hidden = [0]
[training]
learning_rate = 0
validation_fraction = 0.6
epochs = 0
"#;
    assert_eq!(
        lines(&parse(text).unwrap_err()),
        [
            "$.model: got \"flight delay\", wants 1 to 128 of a-z A-Z 0-9 . _ - starting with a letter or digit",
            "$.data.from: needs `data.date`, the column to compare it with",
            "$.data.to: needs `data.date`, the column to compare it with",
            "$.data.to: got 2013-04-01, wants at least `from`, 2013-05-01",
            "$.data.holdout_fraction: not allowed together with `holdout`",
            "$.target.values: got 2 values, wants 3: one per class",
            "$.target.classes[1]: `a` is listed twice",
            "$.features[0]: `late` is the target, which is unknown when a request is made",
            "$.features[1].scale: not allowed for kind `cyclic`",
            "$.features[1].datatype: got BYTES, wants a numeric type for kind `cyclic`",
            "$.features[1].range.max: got 0, wants at least min, 24",
            "$.features[1].period: missing: the length of one period",
            "$.features[2].name: `hour` is listed twice",
            "$.features[2].impute: got 1.5, wants a value of type INT32",
            "$.features[3].missing: got `accept`, wants `reject` or `impute`",
            "$.features[3].min_count: a value above 1 needs unknown = \"bucket\", which receives the rare categories",
            "$.network.hidden[0]: got 0, wants 1 to 4096",
            "$.training.learning_rate: got 0, wants more than 0, at most 1",
            "$.training.validation_fraction: got 0.6, wants more than 0, at most 0.5",
            "$.training.epochs: got 0, wants 1 to 1000000",
        ]
    );
}

#[test]
fn a_number_that_is_not_finite_is_reported() {
    let text = VALID.replace("min = -60", "min = -inf") + "learning_rate = nan\n";
    assert_eq!(
        lines(&parse(&text).unwrap_err()),
        [
            "$.features[0].range.min: got -inf, wants a finite number",
            "$.training.learning_rate: got NaN, wants a finite number",
        ]
    );
}

#[test]
fn invalid_toml_and_a_missing_file_are_reported() {
    let faults = parse("model = ").unwrap_err();
    assert!(
        faults.to_string().contains("TOML parse error at line 1"),
        "{faults}"
    );
    let faults = Spec::load(Path::new("no/such.toml")).unwrap_err();
    assert!(
        faults
            .to_string()
            .starts_with("no/such.toml: cannot be read"),
        "{faults}"
    );
}

#[test]
fn every_field_of_a_spec_is_described_in_its_schema() {
    let schema = faults::schema_of::<RawSpec>();
    let definitions = schema["$defs"].as_object().unwrap().values();
    for object in definitions.chain([&schema]) {
        for (name, field) in object["properties"].as_object().into_iter().flatten() {
            assert!(
                field["description"].is_string(),
                "`{name}` has no description"
            );
        }
    }
}
