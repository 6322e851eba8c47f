//! What is judged of versions that predict class labels, or an embedding: statistics, comparisons, drift and outcomes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use taper::model::npz;
use taper::model::payload::{Tensor, TensorData};
use taper::proto::v1;
use taper::proto::v1::outcome::Truth;
use taper::proto::v1::outcome_window::Quality;

use crate::harness::{TestGateway, eventually, row};
use crate::process::stdout_of;
use crate::tiny;

const HOME: &str = "tests/fixtures/formats";
/// How often the rows of the case are repeated: drift needs 200.
const TIMES: usize = 5;

/// Rows of 13 numbers, with the number of the class that XGBoost predicts for each.
struct Wines {
    rows: Vec<f64>,
    classes: Vec<f64>,
}

impl Wines {
    fn read() -> Self {
        let text = fs::read_to_string(format!("{HOME}/xgb_softmax.json")).expect("a case");
        let case: Value = serde_json::from_str(&text).expect("JSON");
        let numbers = |value: &Value| -> Vec<f64> {
            let list = value.as_array().expect("a list").iter();
            list.map(|x| x.as_f64().expect("a number")).collect()
        };
        let rows = case["inputs"]["rows"].as_array().expect("rows").iter();
        Self {
            rows: rows.flat_map(numbers).collect(),
            classes: numbers(&case["expected"]["class"]),
        }
    }

    /// Returns the labels as text.
    fn labels(&self) -> Vec<String> {
        self.classes.iter().map(f64::to_string).collect()
    }

    /// Returns the number of rows that have this class.
    fn count(&self, class: &str) -> usize {
        self.labels().iter().filter(|label| *label == class).count()
    }

    fn request(&self) -> v1::PredictRequest {
        let rows = i64::try_from(self.classes.len()).expect("few");
        v1::PredictRequest {
            model: "wine".into(),
            tensors: vec![v1::Tensor {
                name: "rows".into(),
                datatype: v1::Datatype::Fp64.into(),
                shape: vec![rows, 13],
                fp64_values: self.rows.clone(),
                ..v1::Tensor::default()
            }],
            ..v1::PredictRequest::default()
        }
    }

    /// Publishes versions 1 and 2, which are the same model in two encodings of its file, with all rows as the reference profile.
    fn publish(&self, root: &Path) {
        let rows = i64::try_from(self.classes.len() * TIMES).expect("few");
        let tensor = Tensor {
            name: "rows".into(),
            shape: vec![rows, 13],
            data: TensorData::Fp64(self.rows.repeat(TIMES)),
        };
        let dir = tempfile::tempdir().expect("temporary folder");
        let archive = dir.path().join("rows.npz");
        let bytes = npz::write(&[tensor]).expect("an archive");
        fs::write(&archive, bytes).expect("written");
        for file in ["xgb_softmax.model.json", "xgb_softmax.model.ubj"] {
            let file = format!("{HOME}/{file}");
            stdout_of(&[
                "import",
                &file,
                "--model",
                "wine",
                "--registry",
                root.to_str().expect("a path"),
                "--rows",
                archive.to_str().expect("a path"),
            ]);
        }
    }
}

fn shadowed(model: &str) -> String {
    format!(
        "[models.{model}]\nsplit = {{ 1 = 10000 }}\nshadows = [{{ version = 2, share = 10000 }}]"
    )
}

/// Runs `taper` with the address of the admin port while the gateway serves.
async fn taper(gateway: &TestGateway, args: &[&str]) -> String {
    let address = gateway.addresses().admin.to_string();
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || {
        let args = args
            .iter()
            .map(String::as_str)
            .chain(["--address", &address]);
        stdout_of(&args.collect::<Vec<_>>())
    };
    let ran = tokio::task::spawn_blocking(run).await;
    ran.expect("it ran")
}

async fn judged(gateway: &mut TestGateway, model: &str) -> v1::JudgedOutput {
    let request = v1::GetModelRequest {
        model: model.to_owned(),
    };
    let response = gateway.admin.get_model(request).await.expect("the model");
    let versions = response.into_inner().versions;
    versions[0].prediction.clone().expect("what is judged")
}

async fn stats(gateway: &mut TestGateway, model: &str) -> v1::VersionStats {
    let request = v1::GetStatsRequest {
        model: model.to_owned(),
        versions: vec![1],
        roles: vec![v1::Role::Primary.into()],
        windows: vec![v1::StatsWindow::SinceLoad.into()],
        ..v1::GetStatsRequest::default()
    };
    let response = gateway.admin.get_stats(request).await.expect("statistics");
    response.into_inner().stats.remove(0)
}

/// Returns the comparison of versions 1 and 2 once the shadow has answered `rows` rows.
async fn paired(gateway: &TestGateway, model: &str, rows: u64) -> v1::PairedComparison {
    let request = v1::CompareVersionsRequest {
        model: model.to_owned(),
        baseline: 1,
        candidate: 2,
        window: v1::StatsWindow::SinceLoad.into(),
    };
    eventually("every row is compared", || async {
        let mut admin = gateway.admin.clone();
        let answer = admin.compare_versions(request.clone()).await;
        let mut pairs = answer.expect("a comparison").into_inner().paired;
        pairs.pop().filter(|pair| pair.rows == rows)
    })
    .await
}

#[tokio::test]
async fn class_labels_are_counted_and_have_no_probabilities() {
    let wines = Wines::read();
    let config = shadowed("wine");
    let mut gateway = TestGateway::start(&config, |root| wines.publish(root)).await;
    let prediction = judged(&mut gateway, "wine").await;
    assert_eq!(prediction.kind(), v1::PredictionKind::Labels);
    let mut ids = Vec::new();
    for _ in 0..TIMES {
        let answer = gateway.predict(wines.request()).await.expect("an answer");
        ids.push(answer.response_id);
    }
    let rows = wines.classes.len() * TIMES;
    let stats = stats(&mut gateway, "wine").await;
    let counted = |class: &str| {
        let mut classes = stats.classes.iter();
        classes.find(|one| one.name == class).map(|one| one.count)
    };
    for class in ["0", "1", "2"] {
        assert_eq!(counted(class), Some((wines.count(class) * TIMES) as u64));
    }
    assert_eq!((stats.scores, stats.confidence), (vec![], None));

    let pair = paired(&gateway, "wine", rows as u64).await;
    let rate = pair.disagreement.expect("classes");
    assert_eq!((rate.count, rate.total), (0, rows as u64));
    assert_eq!((pair.score_difference, pair.cosine), (None, None));
    assert!(
        pair.confusion
            .iter()
            .all(|cell| cell.primary == cell.shadow)
    );
    assert_eq!(pair.confusion.len(), 3);

    outcomes_of_labels(&mut gateway, &wines, &ids[0]).await;
    let drift = v1::GetDriftRequest {
        model: "wine".into(),
        versions: vec![1],
        ..v1::GetDriftRequest::default()
    };
    let drift = gateway.admin.get_drift(drift).await.expect("drift");
    let version = &drift.into_inner().versions[0];
    let [column] = &version.predictions[..] else {
        panic!("only the classes: {:?}", version.predictions)
    };
    assert_eq!(column.name, "class");
    assert_eq!(column.kind(), v1::ColumnKind::Categories);
    assert_eq!(column.verdict(), v1::DriftVerdict::Stable, "the same rows");
    labels_as_text(&gateway).await;
    gateway.drain().await;
}

/// Reports the outcome of each row of one answer, all but one as predicted.
async fn outcomes_of_labels(gateway: &mut TestGateway, wines: &Wines, id: &str) {
    let mut labels = wines.labels();
    labels[0] = if labels[0] == "1" { "2" } else { "1" }.to_owned();
    let outcomes = labels.into_iter().zip(0..).map(|(label, row)| v1::Outcome {
        response_id: id.to_owned(),
        row,
        truth: Some(Truth::Class(label)),
    });
    let request = v1::ReportOutcomesRequest {
        outcomes: outcomes.collect(),
    };
    let reported = gateway.data.report_outcomes(request).await;
    let rows = wines.classes.len() as u64;
    assert_eq!(reported.expect("a report").into_inner().accepted, rows);
    let request = v1::GetOutcomesRequest {
        model: "wine".into(),
    };
    let read = gateway.admin.get_outcomes(request).await;
    let versions = read.expect("outcomes").into_inner().versions;
    assert_eq!(versions.len(), 2, "the primary and its shadow");
    #[expect(clippy::cast_precision_loss, reason = "few rows")]
    let accuracy = (rows - 1) as f64 / rows as f64;
    for version in versions {
        let wanted = Quality::Labels(v1::LabelQuality { accuracy });
        assert_eq!(version.windows[1].quality, Some(wanted));
    }
}

/// Checks that neither the command line nor the metrics show a probability of a label.
async fn labels_as_text(gateway: &TestGateway) {
    let outcomes = taper(gateway, &["outcomes"]).await;
    assert!(outcomes.contains("97.5%"), "{outcomes}");
    for measure in ["log-loss", "Brier", "AUC", "calibration"] {
        assert!(!outcomes.contains(measure), "{outcomes}");
    }
    let compared = taper(gateway, &["compare", "1", "2"]).await;
    assert!(compared.contains("primary \\ shadow"), "{compared}");
    for score in ["score", "most probable", "cosine"] {
        assert!(!compared.contains(score), "{compared}");
    }
    let drift = taper(gateway, &["drift"]).await;
    assert!(drift.contains("prediction ┆ class"), "{drift}");
    let models = taper(gateway, &["models", "wine"]).await;
    assert!(models.contains("prediction labels in output"), "{models}");
    let stats = taper(gateway, &["stats"]).await;
    assert!(stats.contains('%'), "shares of classes: {stats}");
    let (_, metrics) = gateway.http_get("/metrics").await;
    let of_wine = |name: &str| metrics.contains(&format!("{name}{{model=\"wine\""));
    assert!(of_wine("taper_predicted_class_total"), "{metrics}");
    for name in [
        "taper_prediction_score_bucket",
        "taper_prediction_confidence_bucket",
    ] {
        assert!(!of_wine(name), "{name}: {metrics}");
    }
    assert!(!metrics.contains("metric=\"log_loss\""), "{metrics}");
}

/// Publishes two versions of an embedding of two numbers: `(x, 1)`, and `(1, x)` or longer.
fn embeddings(root: &Path) {
    for (version, at, bias) in [(1, 0, [0.0_f32, 1.0]), (2, 1, [1.0, 0.0])] {
        let mut weight = [0.0_f32; 12];
        // Column 0 is `x`.
        weight[at * 6] = 1.0;
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensors = [
            ("0.weight", (vec![2, 6], bytes(&weight))),
            ("0.bias", (vec![2], bytes(&bias))),
        ];
        tiny::publish_tensors(root, "words", version, &tensors, |manifest| {
            manifest["manifest_version"] = 2.into();
            manifest["outputs"] = json!([{"name": "vector", "datatype": "FP32", "shape": [-1, 2]}]);
            manifest["prediction"] = json!({"kind": "embedding", "cosine": 0.9});
            manifest["golden"] = json!([]);
        });
    }
}

#[tokio::test]
async fn embeddings_are_compared_by_their_cosine_and_observed_by_their_norm() {
    let mut gateway = TestGateway::start(&shadowed("words"), embeddings).await;
    let wanted = v1::JudgedOutput {
        output: "vector".into(),
        kind: v1::PredictionKind::Embedding.into(),
        cosine: Some(0.9),
    };
    assert_eq!(judged(&mut gateway, "words").await, wanted);
    // The cosine of `(x, 1)` and `(1, x)` is `2 x / (x^2 + 1)`: 1, 0.8, 0 and -1.
    let rows = [1.0, 2.0, 0.0, -1.0];
    let request = v1::PredictRequest {
        model: "words".into(),
        rows: rows
            .iter()
            .map(|x| row(&json!({"x": x, "n": 1, "color": "red", "pair": [0.0, 0.0]})))
            .collect(),
        ..v1::PredictRequest::default()
    };
    let answer = gateway.predict(request).await.expect("an answer");
    let [output] = &answer.outputs[..] else {
        panic!("one output: {answer:?}")
    };
    assert_eq!(
        (output.name.as_str(), &output.shape[..]),
        ("vector", &[4, 2][..])
    );
    assert_eq!(
        output.fp32_values,
        [1.0, 1.0, 2.0, 1.0, 0.0, 1.0, -1.0, 1.0]
    );
    assert!(answer.top_classes.is_empty());

    let stats = stats(&mut gateway, "words").await;
    let [norms] = &stats.scores[..] else {
        panic!("one distribution: {stats:?}")
    };
    let distribution = norms.distribution.as_ref().expect("norms");
    assert_eq!((norms.name.as_str(), distribution.count), ("norm", 4));
    assert!((distribution.min - 1.0).abs() < 1e-6);
    assert!((distribution.max - 5_f64.sqrt()).abs() < 1e-6);
    assert_eq!((stats.classes, stats.confidence), (vec![], None));

    vectors_are_compared(&gateway).await;
    let request = v1::ReportOutcomesRequest {
        outcomes: vec![v1::Outcome {
            response_id: answer.response_id,
            row: 0,
            truth: Some(Truth::Number(1.0)),
        }],
    };
    let reported = gateway.data.report_outcomes(request).await;
    let reported = reported.expect("a report").into_inner();
    assert_eq!((reported.accepted, reported.invalid), (0, 1));
    assert!(
        reported.faults[0]
            .wanted
            .contains("outcomes of embeddings are not supported")
    );
    embedding_as_text(&gateway).await;
    gateway.drain().await;
}

/// Checks the comparison of the four vectors.
async fn vectors_are_compared(gateway: &TestGateway) {
    let pair = paired(gateway, "words", 4).await;
    let rate = pair.disagreement.expect("embeddings disagree");
    assert_eq!((rate.count, rate.total), (3, 4));
    assert_eq!(
        pair.difference.expect("a rate").count,
        3,
        "one row is equal"
    );
    assert_eq!(pair.cosine_threshold, Some(0.9));
    let cosine = pair.cosine.expect("cosines");
    assert_eq!((cosine.count, cosine.min, cosine.max), (4, -1.0, 1.0));
    assert!((cosine.mean - 0.2).abs() < 1e-12);
    let norms = pair.score_difference.expect("the difference of the norms");
    assert!(norms.max.abs() < 1e-6, "both are equally long");
    let [example] = &pair.examples[..] else {
        panic!("one example: {:?}", pair.examples)
    };
    assert_eq!((example.row, example.distance), (3, 2.0));
    assert_eq!(
        (&example.primary, &example.shadow),
        (&vec![-1.0, 1.0], &vec![1.0, -1.0])
    );
}

async fn embedding_as_text(gateway: &TestGateway) {
    let compared = taper(gateway, &["compare", "1", "2"]).await;
    for part in [
        "direction: cosine below 0.9",
        "75.00%",
        "norm: shadow - primary",
    ] {
        assert!(compared.contains(part), "{part}: {compared}");
    }
    let stats = taper(gateway, &["stats"]).await;
    assert!(stats.contains("norm 1.5161"), "{stats}");
    let models = taper(gateway, &["models", "words"]).await;
    let prediction =
        "prediction embedding in output vector, vectors with a cosine below 0.9 disagree";
    assert!(models.contains(prediction), "{models}");
    let (_, metrics) = gateway.http_get("/metrics").await;
    let disagreed = r#"taper_shadow_disagreed_rows_total{model="words",version="2",primary="1"} 3"#;
    assert!(metrics.contains(disagreed), "{metrics}");
    assert!(metrics.contains(r#"output="norm""#), "{metrics}");
}
