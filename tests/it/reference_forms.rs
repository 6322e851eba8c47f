//! Forms of requests that the protocols' reference servers accept and their clients send: names of single inputs, base64, words for floats
//! that are not finite, whole numbers with a point, columns of lists, paths that end with a slash.

use std::path::Path;

use serde_json::{Value, json};
use taper::proto::inference::infer_parameter::ParameterChoice;
use taper::proto::inference::{self, InferParameter};
use taper::proto::v1;

use crate::harness::{TestGateway, rows};
use crate::rest::{Reply, call, post};
use crate::{oip, tiny};

const INFER: &str = "/v2/models/m/infer";

/// Starts a gateway with the model `m`, `pairs` with one input, `numbers` with two inputs that are also a matrix, and `colors`, which
/// distinguishes its categories.
async fn gateway() -> TestGateway {
    TestGateway::start("", |root| {
        tiny::publish(root, "m", 1);
        publish_pairs(root);
        publish_numbers(root);
        publish_colors(root);
    })
    .await
}

/// Publishes a network of one column a value, whose answer is the first value and three times the second.
fn publish_two_columns(root: &Path, model: &str, inputs: Value, row: Value, answer: f64) {
    let weight = [1.0_f32, 3.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let tensors = [
        ("0.weight", (vec![1, 2], weight)),
        ("0.bias", (vec![1], vec![0; 4])),
    ];
    tiny::publish_tensors(root, model, 1, &tensors, |manifest| {
        let names = inputs.as_array().expect("inputs").iter();
        manifest["features"] = names.map(|input| input["name"].clone()).collect();
        manifest["inputs"] = inputs;
        manifest["golden"] = json!([{"row": row, "answer": [answer]}]);
        if model == "numbers" {
            manifest["manifest_version"] = 2.into();
            manifest["matrix"] = "all".into();
        }
    });
}

fn publish_pairs(root: &Path) {
    let inputs = json!([{"name": "pair", "datatype": "FP32", "shape": [-1, 2], "encoding": {"kind": "numeric"}}]);
    publish_two_columns(root, "pairs", inputs, json!({"pair": [1.0, 2.0]}), 7.0);
}

fn publish_numbers(root: &Path) {
    let number = |name: &str| {
        json!({"name": name, "datatype": "FP32", "shape": [-1],
            "encoding": {"kind": "numeric", "missing": "impute", "impute": 0}})
    };
    let inputs = json!([number("a"), number("b")]);
    publish_two_columns(root, "numbers", inputs, json!({"a": 1.0, "b": 2.0}), 7.0);
}

fn publish_colors(root: &Path) {
    let inputs = json!([{"name": "color", "datatype": "BYTES", "shape": [-1], "encoding": {
        "kind": "categorical", "categories": ["red", "green"], "unknown": "reject"}}]);
    publish_two_columns(root, "colors", inputs, json!({"color": "green"}), 3.0);
}

fn one(input: Value) -> Value {
    json!({"inputs": [input]})
}

/// Returns the elements of the only output.
fn values(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["outputs"][0]["data"].clone()
}

#[tokio::test]
async fn the_only_tensor_may_have_the_name_that_clients_give_it_without_a_model() {
    let gateway = gateway().await;
    let mut client = oip::data(&gateway).await;
    for model in ["pairs", "numbers"] {
        for name in ["input-0", "input-1"] {
            let input = json!({"name": name, "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 0.0, 1.0]});
            let path = format!("/v2/models/{model}/infer");
            let answer = post(&gateway, &path, &one(input)).await;
            assert_eq!(values(&answer), json!([7.0, 3.0]), "{model} {name}");
            let mut input = oip::input(name, "FP32", &[1, 2]);
            input.contents = Some(Box::new(inference::InferTensorContents {
                fp32_contents: vec![1.0, 2.0],
                ..Default::default()
            }));
            let request = inference::ModelInferRequest {
                model_name: model.into(),
                inputs: vec![input],
                ..Default::default()
            };
            client.model_infer(request).await.expect("an answer");
        }
        for name in ["pears", "input-", "input-x", "input"] {
            let input =
                json!({"name": name, "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]});
            let path = format!("/v2/models/{model}/infer");
            let refused = post(&gateway, &path, &one(input)).await;
            assert_eq!(refused.status, 400, "{refused:?}");
            assert_eq!(refused.fields()[0], format!("inputs[{name}]"));
        }
    }
    // Which of several inputs it would be is not known.
    let input = json!({"name": "input-0", "shape": [1], "datatype": "FP64", "data": [1.0]});
    let refused = post(&gateway, INFER, &one(input)).await;
    assert_eq!(refused.fields()[0], "inputs[input-0]");
    gateway.drain().await;
}

#[tokio::test]
async fn texts_in_base64_are_decoded_where_the_tensor_says_so() {
    let gateway = gateway().await;
    let path = "/v2/models/colors/infer";
    let of = |content_type: &str, data: [&str; 2]| {
        one(
            json!({"name": "color", "shape": [2], "datatype": "BYTES", "data": data,
            "parameters": {"content_type": content_type}}),
        )
    };
    for data in [["cmVk", "Z3JlZW4="], ["cmVk", "Z3Jl\nZW4"]] {
        let answer = post(&gateway, path, &of("base64", data)).await;
        assert_eq!(values(&answer), json!([1.0, 3.0]));
    }
    let answer = post(&gateway, path, &of("str", ["red", "green"])).await;
    assert_eq!(values(&answer), json!([1.0, 3.0]));
    let refused = post(&gateway, path, &of("base64", ["cmVk", "?"])).await;
    assert_eq!(refused.fields(), ["inputs[color].data[1]"]);

    let mut client = oip::data(&gateway).await;
    for is_raw in [false, true] {
        let mut input = oip::input("color", "BYTES", &[1]);
        let choice = ParameterChoice::StringParam("base64".into());
        let parameter = InferParameter {
            parameter_choice: Some(choice),
        };
        input.parameters.insert("content_type".into(), parameter);
        let mut raw = Vec::new();
        if is_raw {
            raw.push([&8_u32.to_le_bytes()[..], b"Z3JlZW4="].concat().into());
        } else {
            input.contents = Some(Box::new(inference::InferTensorContents {
                bytes_contents: vec!["Z3JlZW4=".into()],
                ..Default::default()
            }));
        }
        let request = inference::ModelInferRequest {
            model_name: "colors".into(),
            inputs: vec![input],
            raw_input_contents: raw,
            ..Default::default()
        };
        let answer = client.model_infer(request).await.expect("an answer");
        let answer = answer.into_inner();
        let green = 3.0_f32;
        let fp32 = answer.outputs[0]
            .contents
            .as_ref()
            .map(|contents| contents.fp32_contents.clone());
        let raw = answer.raw_output_contents.first().map(|raw| raw.to_vec());
        let is_green = fp32.is_some_and(|values| values == [green])
            || raw.is_some_and(|raw| raw == green.to_le_bytes());
        assert!(is_green, "{answer:?}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn words_for_floats_are_read_and_infinities_are_refused_by_place() {
    let gateway = gateway().await;
    let address = gateway.addresses().http;
    let infer =
        r#"{"inputs": [{"name": "a", "shape": [2], "datatype": "FP32", "data": [NaN, 1]}]}"#;
    let answer = call(
        address,
        "POST",
        "/v2/models/numbers/infer",
        &[],
        infer.as_bytes(),
    )
    .await;
    assert_eq!(values(&answer), json!([0.0, 1.0]));
    let predict = r#"{"rows": [{"a": NaN, "b": 1}]}"#;
    let answer = call(
        address,
        "POST",
        "/v2/models/numbers/predict",
        &[],
        predict.as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for (path, body, field) in [
        (
            "/v2/models/numbers/infer",
            infer.replace("NaN", "-Infinity"),
            "inputs[a].data[0]",
        ),
        (
            "/v2/models/numbers/predict",
            predict.replace("NaN", "Infinity"),
            "rows[0].a",
        ),
    ] {
        let refused = call(address, "POST", path, &[], body.as_bytes()).await;
        assert_eq!(
            (refused.status, refused.fields()),
            (400, vec![field.to_owned()])
        );
        let text = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(text.contains("finite number"), "{text}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn whole_numbers_columns_and_single_values_are_read() {
    let mut gateway = gateway().await;
    let good = |n: Value, x: Value| {
        json!({"inputs": [
            {"name": "x", "shape": [1], "datatype": "FP64", "data": x},
            {"name": "n", "shape": [1], "datatype": "INT64", "data": n},
            {"name": "color", "shape": [1], "datatype": "BYTES", "data": ["red"]},
            {"name": "pair", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.0]},
        ]})
    };
    for body in [
        good(json!([3.0]), json!([1.5])),
        good(json!([[3]]), json!(1.5)),
    ] {
        let answer = post(&gateway, INFER, &body).await;
        assert_eq!(values(&answer), json!([1.0]));
    }
    let refused = post(&gateway, INFER, &good(json!([3.5]), json!([1.5]))).await;
    assert_eq!(refused.fields(), ["inputs[n].data[0]"]);
    let row: [Value; 1] = [json!({"x": 1.5, "n": 3.0, "color": "red", "pair": [0.5, 1.0]})];
    let answer: v1::PredictResponse = gateway.predict(rows("m", row)).await.expect("an answer");
    assert_eq!(answer.version, 1);
    gateway.drain().await;
}

#[tokio::test]
async fn paths_that_end_with_a_slash_are_redirected_on_this_host_only() {
    let gateway = gateway().await;
    let address = gateway.addresses().http;
    for (path, want) in [
        ("/v2/models/m/", "/v2/models/m"),
        ("/v2/health/live/?a=b", "/v2/health/live?a=b"),
        ("/v1/models/m:predict/", "/v1/models/m:predict"),
    ] {
        let reply = call(address, "POST", path, &[], b"{}").await;
        let location = reply.headers.iter().find(|(name, _)| *name == "location");
        assert_eq!(
            (reply.status, location.map(|(_, to)| to.as_str())),
            (307, Some(want))
        );
    }
    for path in ["//other.example/", "/\\other.example/", "//", "/v2//"] {
        assert_eq!(
            call(address, "GET", path, &[], b"").await.status,
            404,
            "{path}"
        );
    }
    let alive = call(address, "GET", "/", &[], b"").await;
    assert_eq!(
        (alive.status, alive.json()),
        (200, json!({"status": "alive"}))
    );
    let empty = call(address, "POST", INFER, &[], b"").await;
    let text = String::from_utf8_lossy(&empty.body).into_owned();
    assert!(text.contains("it is empty"), "{text}");
    gateway.drain().await;
}
