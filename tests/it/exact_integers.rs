//! Integers of 64 bits keep every digit, as values of named rows and as categories.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use taper::proto::v1;

use crate::harness::{TestGateway, rows};
use crate::onnx_file::{FLOAT, Graph, INT64, attribute, integers, node, value};
use crate::process::stdout_of;
use crate::rest::call;

/// Above it, doubles skip integers.
const BASE: i64 = 1 << 53;

fn import(registry: &Path, model: &str, file: &str, bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let file = dir.path().join(file);
    fs::write(&file, bytes).expect("written");
    let [file, registry] = [&*file, registry].map(|path| path.to_str().expect("a path"));
    stdout_of(&["import", file, "--model", model, "--registry", registry]);
}

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new("tests/fixtures/formats").join(name)).expect("a fixture")
}

/// Returns the fixture of XGBoost whose categories 0 to 39 are now `BASE` to `BASE + 39`.
fn xgboost() -> Vec<u8> {
    let mut model: Value =
        serde_json::from_str(&fixture("xgb_categorical.model.json")).expect("JSON");
    let shops = &mut model["learner"]["gradient_booster"]["model"]["cats"]["enc"][1]["values"];
    for shop in shops.as_array_mut().expect("categories") {
        *shop = json!(shop.as_i64().expect("a whole number") + BASE);
    }
    model.to_string().into_bytes()
}

/// Returns the fixture of LightGBM with the same change.
fn lightgbm() -> Vec<u8> {
    let text = fixture("lgb_categorical.model.txt");
    let (model, categories) = text.split_once("pandas_categorical:").expect("categories");
    let mut categories: Value = serde_json::from_str(categories.trim()).expect("JSON");
    for shop in categories[1].as_array_mut().expect("a list") {
        *shop = json!(shop.as_i64().expect("a whole number") + BASE);
    }
    format!("{model}pandas_categorical:{categories}\n").into_bytes()
}

/// Returns a graph that answers 1 for `BASE + 1` and 0 for every other number.
fn graph() -> Vec<u8> {
    let to_float = attribute("to", &crate::onnx_file::Attribute::Integer(FLOAT));
    Graph {
        nodes: vec![
            node("", "Equal", &["id", "wanted"], &["is"], &[]),
            node("", "Cast", &["is"], &["as_float"], &[to_float]),
            node("", "Unsqueeze", &["as_float", "last"], &["value"], &[]),
        ],
        weights: vec![
            integers("wanted", &[], &[BASE + 1]),
            integers("last", &[1], &[1]),
        ],
        inputs: vec![value("id", INT64, &[])],
        outputs: vec![value("value", FLOAT, &[1])],
    }
    .file()
}

/// Returns the only output of each row of a JSON answer.
fn predicted(body: &Value) -> Vec<f64> {
    let predictions = body["predictions"]
        .as_array()
        .unwrap_or_else(|| panic!("{body}"));
    let of_row = |prediction: &Value| {
        let outputs = prediction["outputs"].as_object().expect("outputs");
        let only = outputs.values().next().expect("one output");
        only.get(0).unwrap_or(only).as_f64().expect("a number")
    };
    predictions.iter().map(of_row).collect()
}

async fn over_rest(gateway: &TestGateway, model: &str, rows: &Value) -> Vec<f64> {
    let body = json!({ "rows": rows }).to_string();
    let path = format!("/v2/models/{model}/predict");
    let reply = call(
        gateway.addresses().http,
        "POST",
        &path,
        &[],
        body.as_bytes(),
    )
    .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    predicted(&reply.json())
}

#[tokio::test]
async fn named_rows_have_integers_of_64_bits() {
    let mut gateway =
        TestGateway::start("", |root| import(root, "m", "model.onnx", &graph())).await;
    let ids = [BASE, BASE + 1, BASE + 2, i64::MIN, i64::MAX];
    let wanted = [0.0, 1.0, 0.0, 0.0, 0.0];
    let as_numbers: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    assert_eq!(over_rest(&gateway, "m", &json!(as_numbers)).await, wanted);
    let as_digits = ids.map(|id| json!({ "id": id.to_string() }));
    assert_eq!(over_rest(&gateway, "m", &json!(as_digits)).await, wanted);
    let answer = gateway
        .predict(rows("m", as_digits))
        .await
        .expect("an answer");
    let values: Vec<f64> = answer.outputs[0]
        .fp32_values
        .iter()
        .map(|x| f64::from(*x))
        .collect();
    assert_eq!(values, wanted);
    for wrong in ["9223372036854775808", "1e3", "1.5", ""] {
        let status = gateway
            .predict(rows("m", [json!({ "id": wrong })]))
            .await
            .expect_err(wrong);
        assert!(status.message().contains("id"), "{wrong}: {status:?}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn categories_are_integers_of_64_bits() {
    let mut gateway = TestGateway::start("", |root| {
        import(root, "xgb_categorical", "model.json", &xgboost());
        import(root, "lgb_categorical", "model.txt", &lightgbm());
    })
    .await;
    for model in ["xgb_categorical", "lgb_categorical"] {
        let case: Value = serde_json::from_str(&fixture(&format!("{model}.json"))).expect("JSON");
        let expected = case["expected"]["probability"].as_array().expect("answers");
        let expected: Vec<f64> = expected
            .iter()
            .map(|x| x.as_f64().expect("a number"))
            .collect();
        let inputs = case["inputs"].as_object().expect("inputs");
        let shop = |at: usize| case["inputs"]["shop"][at].as_i64().expect("a shop") + BASE;
        let row = |at: usize, shop: Value| {
            let mut row: serde_json::Map<_, _> = inputs
                .iter()
                .map(|(name, values)| (name.clone(), values[at].clone()))
                .collect();
            row.insert("shop".into(), shop);
            Value::Object(row)
        };
        let close = |got: &[f64], how: &str| {
            assert_eq!(got.len(), expected.len(), "{model} {how}");
            let differs = got
                .iter()
                .zip(&expected)
                .position(|(got, wanted)| (got - wanted).abs() > 1e-6);
            assert_eq!(differs, None, "{model} {how}: {got:?}");
        };
        let as_numbers: Vec<Value> = (0..expected.len())
            .map(|at| row(at, json!(shop(at))))
            .collect();
        close(
            &over_rest(&gateway, model, &json!(as_numbers)).await,
            "as numbers",
        );
        let request = v1::PredictRequest {
            rows: (0..expected.len())
                .map(|at| crate::harness::row(&row(at, json!(shop(at).to_string()))))
                .collect(),
            ..rows(model, [])
        };
        let answer = gateway.predict(request).await.expect("an answer");
        let output = &answer.outputs[0];
        let doubles = output.fp64_values.iter().copied();
        let got: Vec<f64> = output
            .fp32_values
            .iter()
            .map(|x| f64::from(*x))
            .chain(doubles)
            .collect();
        close(&got, "as digits");
    }
    gateway.drain().await;
}
