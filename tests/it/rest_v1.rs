//! The REST of TensorFlow Serving and of KServe's first protocol, over real sockets.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::harness::{TestGateway, good};
use crate::python::python;
use crate::rest::{Reply, call, post};
use crate::tiny;

async fn get(gateway: &TestGateway, path: &str) -> Reply {
    call(gateway.addresses().http, "GET", path, &[], b"").await
}

/// Posts a body that need not be JSON.
async fn post_text(gateway: &TestGateway, path: &str, body: &str) -> Reply {
    call(gateway.addresses().http, "POST", path, &[], body.as_bytes()).await
}

/// Imports a model file of the fixtures.
fn import(root: &Path, file: &str, model: &str) {
    let file = Path::new("tests/fixtures/formats").join(file);
    let output = Command::new(env!("CARGO_BIN_EXE_taper"))
        .arg("import")
        .arg(file)
        .args(["--model", model, "--registry"])
        .arg(root)
        .output()
        .expect("taper runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// Returns the inputs and the expected answers of a case, each by name, with one entry per row.
fn case(name: &str) -> [Map<String, Value>; 2] {
    let path = format!("tests/fixtures/formats/{name}.json");
    let text = std::fs::read_to_string(path).expect("a case");
    let case: Value = serde_json::from_str(&text).expect("JSON");
    ["inputs", "expected"].map(|key| case[key].as_object().expect("an object").clone())
}

/// Returns columns as rows.
fn rows_of(columns: &Map<String, Value>) -> Vec<Value> {
    let first = columns.values().next().and_then(Value::as_array);
    let row = |at: usize| {
        let cells = columns
            .iter()
            .map(|(name, column)| (name.clone(), column[at].clone()));
        Value::Object(cells.collect())
    };
    (0..first.expect("a list").len()).map(row).collect()
}

/// Returns the numbers in nested lists.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![
            number
                .as_f64()
                .unwrap_or_else(|| panic!("a number, not {number}")),
        ],
    }
}

#[track_caller]
fn assert_near(got: &Value, expected: &Value, tolerance: f64) {
    let (got, expected) = (numbers(got), numbers(expected));
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() <= tolerance, "{got} for {expected}");
    }
}

/// Returns the value `name` of each prediction.
fn values(predictions: &Value, name: &str) -> Value {
    let predictions = predictions.as_array().expect("a list").iter();
    predictions.map(|one| one[name].clone()).collect()
}

async fn two_versions() -> TestGateway {
    let toml = "[models.m]\nlabels = { stable = 1, next = 2 }\nsplit = { 1 = 5000, 2 = 5000 }";
    TestGateway::start(toml, |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await
}

#[tokio::test]
async fn several_inputs_and_outputs_are_named_in_both_forms() {
    let gateway = TestGateway::start("", |root| import(root, "torch_two_ts.onnx", "two")).await;
    let [inputs, expected] = case("torch_two_ts");
    let body = json!({"signature_name": "serving_default", "instances": rows_of(&inputs)});
    let reply = post(&gateway, "/v1/models/two:predict", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let rows = reply.json()["predictions"].clone();
    assert_near(&values(&rows, "score"), &expected["score"], 1e-5);
    assert_eq!(values(&rows, "kind"), expected["kind"]);

    let body = json!({"signature_name": "", "inputs": inputs});
    let reply = post(&gateway, "/v1/models/two/versions/1:predict", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let columns = reply.json();
    assert_eq!(columns["outputs"]["kind"], expected["kind"]);
    assert_eq!(columns["outputs"]["score"], values(&rows, "score"));

    // Integers are exact, and faults name their place in the body.
    for (form, field) in [
        (
            json!({"instances": [{"x": [0, 0, 0, 0], "ids": 1.5}]}),
            "instances[0].ids",
        ),
        (
            json!({"inputs": {"x": [[0, 0, 0, 0]], "ids": [9_007_199_254_740_993_u64 * 1024]}}),
            "inputs.ids[0]",
        ),
        (
            json!({"inputs": {"x": [[0, 0, 0, 0], [0, 0, 0, null]], "ids": [1, 2]}}),
            "inputs.x[1][3]",
        ),
        (
            json!({"inputs": {"x": [[0, 0, 0]], "ids": [1]}}),
            "inputs.x.shape",
        ),
        (json!({"inputs": {"x": [[0, 0, 0, 0]]}}), "inputs.ids"),
        (
            json!({"inputs": {"x": [[0, 0, 0, 0]], "ids": [1, 2]}}),
            "inputs.x.shape",
        ),
        (json!({"inputs": [[0, 0, 0, 0]]}), "inputs"),
        (json!({"instances": [[0, 0, 0, 0]]}), "instances[0]"),
    ] {
        let reply = post(&gateway, "/v1/models/two:predict", &form).await;
        assert_eq!(
            (reply.status, reply.fields()),
            (400, vec![field.to_owned()]),
            "{form}: {reply:?}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn texts_integers_and_missing_values_reach_a_model_of_columns() {
    let gateway = TestGateway::start("", |root| import(root, "skl_columns.onnx", "columns")).await;
    let [inputs, expected] = case("skl_columns");
    let instances = post(
        &gateway,
        "/v1/models/columns:predict",
        &json!({"instances": rows_of(&inputs)}),
    )
    .await;
    assert_eq!(instances.status, 200, "{instances:?}");
    let rows = instances.json()["predictions"].clone();
    assert_near(
        &values(&rows, "probabilities"),
        &expected["probability"],
        1e-5,
    );
    assert_eq!(values(&rows, "label"), expected["class"]);
    let columns = post(
        &gateway,
        "/v1/models/columns:predict",
        &json!({"inputs": inputs}),
    )
    .await;
    assert_eq!(
        columns.json()["outputs"]["probabilities"],
        values(&rows, "probabilities")
    );

    // Scalars stand for lists of one, `NaN` for `null`, and base64 for a text.
    let first = |name: &str, at: usize| inputs[name][at][0].clone();
    let row = format!(
        r#"{{"instances": [{{"color": {{"b64": "dmlvbGV0"}}, "shop": {}, "age": NaN, "income": {}}}]}}"#,
        first("shop", 2),
        first("income", 2)
    );
    assert_eq!(
        (first("color", 2), first("age", 2)),
        (json!("violet"), Value::Null)
    );
    let reply = post_text(&gateway, "/v1/models/columns:predict", &row).await;
    assert_eq!(reply.json()["predictions"][0], rows[2], "{reply:?}");
    gateway.drain().await;
}

#[tokio::test]
async fn a_model_of_one_input_takes_bare_values() {
    let gateway = TestGateway::start("", |root| {
        import(root, "xgb_binary.model.json", "one");
        import(root, "xgb_categorical.model.json", "categories");
    })
    .await;
    let [inputs, expected] = case("xgb_binary");
    let rows = &inputs["rows"];
    let instances = post(
        &gateway,
        "/v1/models/one:predict",
        &json!({"instances": rows}),
    )
    .await;
    assert_eq!(instances.status, 200, "{instances:?}");
    let predictions = instances.json()["predictions"].clone();
    assert_near(&predictions, &expected["probability"], 1e-6);
    let shape = predictions[0].as_array().map(Vec::len);
    assert_eq!(shape, Some(1), "as the output's shape [-1, 1] says");
    let named: Vec<_> = numbers_by_row(rows)
        .map(|row| json!({"rows": row}))
        .collect();
    for (body, key) in [
        (json!({"instances": named}), "predictions"),
        (json!({"inputs": rows}), "outputs"),
        (json!({"inputs": {"rows": rows}}), "outputs"),
    ] {
        let reply = post(&gateway, "/v1/models/one:predict", &body).await;
        assert_eq!(reply.json()[key], predictions, "{key}");
    }
    let mut wrong = rows.clone();
    wrong[1][3] = json!("a");
    for (key, rows, field) in [
        ("instances", wrong.clone(), "instances[1].rows[3]"),
        ("inputs", wrong, "inputs[1][3]"),
        ("instances", json!([[1.0, 2.0]]), "instances.shape"),
        ("instances", json!([]), "instances"),
    ] {
        let reply = post(&gateway, "/v1/models/one:predict", &json!({key: rows})).await;
        assert_eq!(
            (reply.status, reply.fields()),
            (400, vec![field.to_owned()]),
            "{reply:?}"
        );
    }
    gateway.drain().await;
}

fn numbers_by_row(rows: &Value) -> impl Iterator<Item = &Value> {
    rows.as_array().expect("a list").iter()
}

#[tokio::test]
async fn a_matrix_stands_for_all_inputs() {
    let matrix = |manifest: &mut Value| {
        let number = |name: &str, datatype: &str| {
            let encoding = json!({"kind": "numeric", "missing": "impute", "impute": 0});
            json!({"name": name, "datatype": datatype, "shape": [-1], "encoding": encoding})
        };
        let names = ["a", "b", "c", "d", "e"];
        manifest["manifest_version"] = 2.into();
        manifest["matrix"] = "all".into();
        manifest["features"] = json!(["a", "b", "c", "d", "e", "f"]);
        let mut inputs = names.map(|name| number(name, "FP64")).to_vec();
        inputs.push(number("f", "INT64"));
        manifest["inputs"] = inputs.into();
        manifest["golden"] = json!([]);
    };
    let gateway = TestGateway::start("", |root| tiny::publish_with(root, "m", 1, matrix)).await;
    let row = json!([1.5, 2, null, -4, 5, 6]);
    let whole = json!([1.5, 2, null, -4, 5, 9_007_199_254_740_993_u64]);
    for (body, key) in [
        (json!({"instances": [row, row]}), "predictions"),
        (json!({"instances": [row, whole]}), "predictions"),
        (
            json!({"instances": [{"all": row}, {"a": 1, "b": 2}]}),
            "predictions",
        ),
        (json!({"inputs": [row, whole]}), "outputs"),
        (json!({"inputs": {"all": [row, row]}}), "outputs"),
        (json!({"inputs": {"a": [1, 2], "f": [3, 4]}}), "outputs"),
    ] {
        let reply = post(&gateway, "/v1/models/m:predict", &body).await;
        assert_eq!(reply.status, 200, "{body}: {reply:?}");
        assert_eq!(reply.json(), json!({key: [[1.0], [1.0]]}), "{body}");
    }
    for (body, field) in [
        (json!({"instances": [[1, 2, 3]]}), "instances.shape"),
        (
            json!({"instances": [row, [1, 2, 3, 4, 5, 0.5]]}),
            "instances[1][5]",
        ),
        (
            json!({"instances": [row, [1, 2, 3, 4, "5", 6]]}),
            "instances[1].e",
        ),
        (json!({"inputs": [row, [1, 2, 3, 4, "5", 6]]}), "inputs[1]"),
        (json!({"inputs": 3}), "inputs"),
    ] {
        let reply = post(&gateway, "/v1/models/m:predict", &body).await;
        assert_eq!(
            (reply.status, reply.fields()),
            (400, vec![field.to_owned()]),
            "{reply:?}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn versions_and_labels_are_pinned_and_headers_say_who_answered() {
    let gateway = two_versions().await;
    let body = json!({"instances": [good(), good()]});
    for (target, version) in [
        ("versions/1", 1),
        ("versions/2", 2),
        ("labels/stable", 1),
        ("labels/next", 2),
        ("labels/latest", 2),
    ] {
        let reply = post(&gateway, &format!("/v1/models/m/{target}:predict"), &body).await;
        let answer = f64::from(version);
        assert_eq!(
            reply.json(),
            json!({"predictions": [[answer], [answer]]}),
            "{target}"
        );
        assert_eq!(reply.headers["taper-version"], version.to_string());
        assert_eq!(reply.headers["taper-role"], "primary");
    }
    let mut met = [false; 3];
    for key in 0..50 {
        let key = format!("key-{key}");
        let headers = [("taper-routing-key", &*key), ("taper-response-id", "mine")];
        let address = gateway.addresses().http;
        let text = body.to_string();
        let reply = call(
            address,
            "POST",
            "/v1/models/m:predict",
            &headers,
            text.as_bytes(),
        )
        .await;
        assert_eq!(reply.headers["taper-response-id"], "mine");
        let over_v2 = json!({"rows": [good()], "routing_key": key});
        let over_v2 = post(&gateway, "/v2/models/m/predict", &over_v2).await;
        assert_eq!(
            reply.headers["taper-version"], over_v2.headers["taper-version"],
            "{key}"
        );
        met[reply.headers["taper-version"]
            .parse::<usize>()
            .expect("a number")] = true;
    }
    assert_eq!(met, [false, true, true], "both versions answer some keys");
    gateway.drain().await;
}

#[tokio::test]
async fn models_their_states_and_signatures_are_described() {
    let gateway = two_versions().await;
    assert_eq!(
        get(&gateway, "/v1/models").await.json(),
        json!({"models": ["m"]})
    );
    let state = |version: &str| json!({"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}});
    for (target, versions) in [
        ("", vec![state("2"), state("1")]),
        ("/versions/1", vec![state("1")]),
        ("/labels/next", vec![state("2")]),
    ] {
        let reply = get(&gateway, &format!("/v1/models/m{target}")).await;
        let want = json!({"name": "m", "ready": true, "model_version_status": versions});
        assert_eq!((reply.status, reply.json()), (200, want), "{target}");
    }
    let metadata = get(&gateway, "/v1/models/m/labels/stable/metadata")
        .await
        .json();
    let spec = json!({"name": "m", "signature_name": "", "version": "1"});
    assert_eq!(metadata["model_spec"], spec);
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(signature["method_name"], "tensorflow/serving/predict");
    let info = |name: &str, dtype: &str, dims: &[&str]| {
        let dim: Vec<_> = dims
            .iter()
            .map(|size| json!({"size": size, "name": ""}))
            .collect();
        json!({"name": name, "dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": false}})
    };
    let inputs = json!({
        "x": info("x", "DT_DOUBLE", &["-1"]),
        "n": info("n", "DT_INT64", &["-1"]),
        "color": info("color", "DT_STRING", &["-1"]),
        "pair": info("pair", "DT_FLOAT", &["-1", "2"]),
    });
    assert_eq!(signature["inputs"], inputs);
    let outputs = json!({"value": info("value", "DT_FLOAT", &["-1", "1"])});
    assert_eq!(signature["outputs"], outputs);
    for target in ["", "/versions/2"] {
        let metadata = get(&gateway, &format!("/v1/models/m{target}/metadata"))
            .await
            .json();
        assert_eq!(metadata["model_spec"]["version"], "2", "{target}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_that_failed_is_not_ready_and_the_cause_is_not_shown() {
    let gateway = TestGateway::start("", |root| {
        tiny::publish_with(root, "sick", 1, |manifest| {
            manifest["files"][0]["bytes"] = 1.into()
        });
    })
    .await;
    let reply = get(&gateway, "/v1/models/sick").await;
    let message = "version 1 failed to load; `GetModel` says why";
    let status = json!({"error_code": "FAILED_PRECONDITION", "error_message": message});
    let versions = json!([{"version": "1", "state": "END", "status": status}]);
    let want = json!({"name": "sick", "ready": false, "model_version_status": versions});
    assert_eq!((reply.status, reply.json()), (200, want));
    for reply in [
        get(&gateway, "/v1/models/sick/metadata").await,
        post(
            &gateway,
            "/v1/models/sick:predict",
            &json!({"instances": [1]}),
        )
        .await,
    ] {
        assert_eq!((reply.status, &*reply.reason()), (503, "VERSION_NOT_READY"));
    }
    gateway.drain().await;
}

#[tokio::test]
async fn unknown_names_and_verbs_are_refused() {
    let gateway = two_versions().await;
    for (path, reason) in [
        ("/v1/models/absent", "UNKNOWN_MODEL"),
        ("/v1/models/m/versions/7", "UNKNOWN_VERSION"),
        ("/v1/models/m/labels/canary", "UNKNOWN_LABEL"),
        ("/v1/models/m/labels/2", "UNKNOWN_LABEL"),
    ] {
        for reply in [
            get(&gateway, path).await,
            get(&gateway, &format!("{path}/metadata")).await,
            post(
                &gateway,
                &format!("{path}:predict"),
                &json!({"instances": [good()]}),
            )
            .await,
        ] {
            assert_eq!((reply.status, &*reply.reason()), (404, reason), "{path}");
            assert!(
                reply.json()["error"].is_string(),
                "the key that clients read: {reply:?}"
            );
        }
    }
    for verb in ["classify", "regress", "explain", ""] {
        let reply = post(&gateway, &format!("/v1/models/m:{verb}"), &json!({})).await;
        assert_eq!(
            (reply.status, &*reply.reason()),
            (404, "UNKNOWN_PATH"),
            "{verb}"
        );
        let field = &reply.json()["fields"][0];
        assert_eq!(
            (&field["got"], &field["wanted"]),
            (&json!(format!(":{verb}")), &json!(":predict"))
        );
    }
    for (method, path, allow) in [
        ("POST", "/v1/models/m", "GET,HEAD"),
        ("GET", "/v1/models/m:predict", "POST"),
        ("DELETE", "/v1/models/m", "POST,GET,HEAD"),
    ] {
        let reply = call(gateway.addresses().http, method, path, &[], b"{}").await;
        assert_eq!(
            (reply.status, &*reply.reason()),
            (405, "UNKNOWN_METHOD"),
            "{method} {path}"
        );
        assert_eq!(reply.headers["allow"], allow, "{method} {path}");
    }
    for path in ["/v1", "/v1/models/m/versions", "/v1/models/m/1:predict"] {
        assert_eq!(get(&gateway, path).await.status, 404, "{path}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn faults_name_their_place_in_the_body() {
    let gateway = two_versions().await;
    let row = |name: &str, value: Value| {
        let mut row = good();
        row[name] = value;
        row
    };
    let column = |name: &str, value: Value| {
        let mut columns =
            json!({"x": [1, 2], "n": [3, 4], "color": ["red", "green"], "pair": [[0, 1], [2, 3]]});
        columns[name] = value;
        json!({"inputs": columns})
    };
    assert_eq!(
        post(
            &gateway,
            "/v1/models/m:predict",
            &column("n", json!([i64::MAX, null]))
        )
        .await
        .status,
        200
    );
    for (body, fields) in [
        (json!({}), vec!["instances"]),
        (json!({"instances": [good()], "inputs": {}}), vec!["inputs"]),
        (
            json!({"instances": [good()], "signature_name": "other"}),
            vec!["signature_name"],
        ),
        (json!({"instances": [good(), 7]}), vec!["instances[1]"]),
        (
            json!({"instances": [good(), row("nope", json!(1))]}),
            vec!["instances[1].nope"],
        ),
        (
            json!({"instances": [row("n", json!(u64::MAX))]}),
            vec!["instances[0].n"],
        ),
        (
            json!({"instances": [row("pair", json!([0, "a"]))]}),
            vec!["instances[0].pair[1]"],
        ),
        (json!({"instances": vec![good(); 65]}), vec!["instances"]),
        (column("nope", json!([1])), vec!["inputs.nope"]),
        (column("x", json!([1, 1000])), vec!["inputs.x[1]"]),
        (column("x", json!(1)), vec!["inputs.x"]),
        (column("pair", json!([[0, 1], [2]])), vec!["inputs.pair[1]"]),
        (
            column("pair", json!([[0, 1], [2, "a"]])),
            vec!["inputs.pair[1][1]"],
        ),
        (
            json!({"inputs": {"color": vec!["red"; 65]}}),
            vec!["inputs"],
        ),
    ] {
        let reply = post(&gateway, "/v1/models/m:predict", &body).await;
        let got = reply.fields();
        assert_eq!(
            (reply.status, &*reply.reason()),
            (400, "INVALID_INPUT"),
            "{body}"
        );
        assert_eq!(got, fields, "{body}");
    }
    let differing = r#"{"inputs": {"color": ["red", "green"], "x": [1, 2, 3]}}"#;
    let reply = post_text(&gateway, "/v1/models/m:predict", differing).await;
    let fault = "inputs.x: got 3 rows, wants 2 rows, like `color`";
    assert_eq!(reply.json()["error"], fault);
    let reply = post_text(&gateway, "/v1/models/m:predict", "{\"instances\": [").await;
    assert_eq!((reply.status, &*reply.reason()), (400, "MALFORMED_MESSAGE"));
    let infinite = r#"{"instances": [{"x": -Infinity}]}"#;
    let reply = post_text(&gateway, "/v1/models/m:predict", infinite).await;
    assert_eq!(
        (reply.status, reply.fields()),
        (400, vec!["instances[0].x".to_owned()])
    );
    gateway.drain().await;
}

/// Tests that call programs from Debian packages or PyPI. `make check` leaves them out.
mod peers {
    use super::*;

    #[tokio::test]
    async fn a_python_client_of_tensorflow_serving_and_kserve_works_unchanged() {
        let gateway = TestGateway::start("", |root| {
            import(root, "xgb_binary.model.json", "one");
            import(root, "torch_two_ts.onnx", "two");
        })
        .await;
        let address = gateway.addresses().http.to_string();
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats");
        let output = python("rest_v1.py", &[&address, fixtures]).await;
        assert!(output.ends_with("every call went well\n"), "{output}");
        gateway.drain().await;
    }
}
