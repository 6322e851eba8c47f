//! Requests that REST refuses, by field.

use serde_json::{Value, json};

use crate::harness::{TestGateway, good};
use crate::rest::{Reply, call, post, tensors};
use crate::tiny;

async fn one_version() -> TestGateway {
    TestGateway::start("", |root| tiny::publish(root, "m", 1)).await
}

/// Returns the valid tensors with one of them changed.
fn changed(at: usize, change: Value) -> Value {
    let mut all = tensors();
    for (name, value) in change.as_object().expect("an object") {
        all[at][name] = value.clone();
    }
    json!({"inputs": all})
}

/// Checks that the error names these fields, in this order, and contains `text`.
fn check(reply: &Reply, fields: &[&str], text: &str, what: &str) {
    assert_eq!(
        (reply.status, &*reply.reason()),
        (400, "INVALID_INPUT"),
        "{what}: {reply:?}"
    );
    assert_eq!(reply.fields(), fields, "{what}: {reply:?}");
    let fields = reply.json()["fields"].to_string();
    assert!(fields.contains(text), "{what}: {text} is not in {fields}");
}

#[tokio::test]
async fn tensors_that_cannot_be_read_are_named() {
    let gateway = one_version().await;
    let shared = json!({"shared_memory_region": "r", "shared_memory_byte_size": 8});
    for (body, fields, text) in [
        (json!({}), &["inputs"][..], "one tensor for each input"),
        (
            json!({"inputs": []}),
            &["inputs"],
            "one tensor for each input",
        ),
        (json!({"inputs": 7}), &["inputs"], "the number 7"),
        (json!({"inputs": [7]}), &["inputs[0]"], "the number 7"),
        (
            json!({"inputs": null}),
            &["inputs"],
            "one tensor for each input",
        ),
        (json!({"inputs": [[]]}), &["inputs[0]"], "a list"),
        (
            json!({"inputs": [{"data": []}]}),
            &["inputs[0].name"],
            "nothing",
        ),
        (
            changed(0, json!({"datatype": "FP8"})),
            &["inputs[x].datatype"],
            "FP8",
        ),
        (
            changed(0, json!({"datatype": "STRING"})),
            &["inputs[x].datatype"],
            "one of BOOL",
        ),
        (
            changed(0, json!({"datatype": null})),
            &["inputs[x].datatype"],
            r#""got":"nothing""#,
        ),
        (
            changed(0, json!({"datatype": "BOOL", "data": [true]})),
            &["inputs[x].datatype"],
            "FP64",
        ),
        (
            changed(0, json!({"shape": null})),
            &["inputs[x].shape"],
            "nothing",
        ),
        (
            changed(0, json!({"shape": ["a"]})),
            &["inputs[0].shape[0]"],
            "a string",
        ),
        (
            changed(0, json!({"shape": vec![1; 17]})),
            &["inputs[0].shape"],
            "at most 16",
        ),
        (
            changed(0, json!({"shape": [1, 1, 1], "data": [[["secret"]]]})),
            &["inputs[x].data[0]"],
            "a string",
        ),
        (
            changed(0, json!({"shape": [1, 1, 1], "data": [[[0.5]]]})),
            &["inputs[x].shape"],
            "[1, 1, 1]",
        ),
        (
            changed(0, json!({"shape": [2]})),
            &["inputs[x].shape"],
            "as many elements",
        ),
        (
            changed(0, json!({"data": null})),
            &["inputs[x].data"],
            "neither",
        ),
        (
            changed(0, json!({"data": {"a": 1.0}})),
            &["inputs[x].data"],
            "a list",
        ),
        (
            changed(0, json!({"data": ["secret"]})),
            &["inputs[x].data[0]"],
            "a string",
        ),
        (
            changed(0, json!({"data": [1000.0]})),
            &["inputs[x][0]"],
            "1000",
        ),
        (
            changed(1, json!({"data": [1.5]})),
            &["inputs[n].data[0]"],
            "a whole number",
        ),
        (
            changed(2, json!({"data": [7]})),
            &["inputs[color].data[0]"],
            "a string",
        ),
        (
            changed(2, json!({"data": ["blue"]})),
            &["inputs[color][0]"],
            "blue",
        ),
        (
            changed(3, json!({"data": [[0.5], [0.5]]})),
            &[
                "inputs[pair].data[0]",
                "inputs[pair].data[1]",
                "inputs[pair].data[0]",
            ],
            "as the shape says",
        ),
        (
            changed(3, json!({"parameters": shared})),
            &["inputs[pair].parameters.shared_memory_region"],
            "no memory is shared",
        ),
        (
            changed(3, json!({"parameters": {"binary_data_size": 8}})),
            &["inputs[pair].parameters.binary_data_size"],
            "inference-header-content-length",
        ),
        (
            changed(3, json!({"parameters": {"binary_data_size": -8}})),
            &["inputs[3].parameters.binary_data_size"],
            "-8",
        ),
        (
            changed(3, json!({"parameters": 8})),
            &["inputs[3].parameters"],
            "the number 8",
        ),
    ] {
        let reply = post(&gateway, "/v2/models/m/infer", &body).await;
        check(&reply, fields, text, &body.to_string());
        assert!(
            !String::from_utf8_lossy(&reply.body).contains("secret"),
            "{reply:?}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn faults_outside_the_tensors_are_named() {
    let gateway = one_version().await;
    let with = |name: &str, value: Value| {
        let mut body = json!({"inputs": tensors()});
        body[name] = value;
        body
    };
    for (body, fields, text) in [
        (with("id", json!(7)), &["id"][..], "the number 7"),
        (
            with("parameters", json!({"routing_key": 7})),
            &["parameters[routing_key]"],
            "a string",
        ),
        (
            with("parameters", json!({"routing_key": "k".repeat(2000)})),
            &["parameters[routing_key]"],
            "2000 bytes",
        ),
        (
            with("parameters", json!({"response_id": "a b"})),
            &["parameters[response_id]"],
            "visible",
        ),
        (
            with("parameters", json!({"routing_key": []})),
            &["parameters.routing_key"],
            "a list",
        ),
        (
            with("parameters", json!({"timeout": {"in": 5}})),
            &["parameters.timeout"],
            "an object",
        ),
        (
            with("parameters", json!({"timeout": -5})),
            &["parameters[timeout]"],
            "-5",
        ),
        (
            with("parameters", json!({"timeout": "soon"})),
            &["parameters[timeout]"],
            "microseconds",
        ),
        (
            with("parameters", json!({"binary_data_output": 1})),
            &["parameters.binary_data_output"],
            "true or false",
        ),
        (
            with("outputs", json!([{"name": "nothing"}])),
            &["outputs[0].name"],
            "nothing",
        ),
        (
            with("outputs", json!([{"name": "value"}, {"name": "value"}])),
            &["outputs[1].name"],
            "once",
        ),
        (
            with("outputs", json!([{}])),
            &["outputs[0].name"],
            "nothing",
        ),
        (
            with(
                "outputs",
                json!([{"name": "value", "parameters": {"classification": 0}}]),
            ),
            &["outputs[0].parameters[classification]"],
            "0",
        ),
        (
            with(
                "outputs",
                json!([{"name": "value", "parameters": {"shared_memory_region": "r"}}]),
            ),
            &["outputs[0].parameters.shared_memory_region"],
            "no memory",
        ),
    ] {
        let reply = post(&gateway, "/v2/models/m/infer", &body).await;
        check(&reply, fields, text, &body.to_string());
    }
    let address = gateway.addresses().http;
    let body = json!({"inputs": tensors()}).to_string();
    for (name, value) in [
        ("inference-header-content-length", "100000"),
        ("inference-header-content-length", "-1"),
        ("taper-response-id", "a b"),
    ] {
        let reply = call(
            address,
            "POST",
            "/v2/models/m/infer",
            &[(name, value)],
            body.as_bytes(),
        )
        .await;
        check(&reply, &[name], value, name);
    }
    // Bytes after the JSON that no input uses.
    let length = body.len().to_string();
    let header = [("inference-header-content-length", &*length)];
    let sent = [body.as_bytes(), b"rest"].concat();
    let reply = call(address, "POST", "/v2/models/m/infer", &header, &sent).await;
    check(&reply, &["body"], "4 bytes", "surplus");
    gateway.drain().await;
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_named() {
    let gateway = one_version().await;
    let with = |name: &str, value: Value| {
        let mut row = good();
        row[name] = value;
        json!({"rows": [good(), row]})
    };
    for (body, fields, text) in [
        (json!({}), &["rows"][..], "at least one row"),
        (json!({"rows": []}), &["rows"], "at least one row"),
        (json!([]), &["body"], "an object"),
        (json!({"rows": {"x": 1}}), &["rows"], "a list"),
        (json!({"rows": [good(), 7]}), &["rows[1]"], "an object"),
        (
            json!({"rows": [good()], "routing_keys": "k"}),
            &["routing_keys"],
            "`routing_key`",
        ),
        (
            json!({"rows": [good()], "routing_key": 7}),
            &["routing_key"],
            "the number 7",
        ),
        (
            json!({"rows": [good()], "response_id": "a b"}),
            &["response_id"],
            "visible",
        ),
        (
            json!({"rows": [good()], "timeout_ms": -1}),
            &["timeout_ms"],
            "-1",
        ),
        (json!({"rows": null}), &["rows"], "at least one row"),
        (
            json!({"rows": [good()], "timeout_ms": 1.5}),
            &["timeout_ms"],
            "a whole number from 0",
        ),
        (with("x", json!("one")), &["rows[1].x"], "one"),
        (with("x", json!(null)), &["rows[1].x"], "nothing"),
        (with("x", json!(101)), &["rows[1].x"], "101"),
        (with("x", json!({"a": [1]})), &["rows[1].x"], "an object"),
        (with("n", json!(1.5)), &["rows[1].n"], "1.5"),
        (with("color", json!("blue")), &["rows[1].color"], "blue"),
        (with("pair", json!([1])), &["rows[1].pair"], "a list of 1"),
        (with("pair", json!([1, "a"])), &["rows[1].pair[1]"], "a"),
        (
            with("pair", json!([1, [2]])),
            &["rows[1].pair[1]"],
            "a list of 1",
        ),
        (with("why", json!(1)), &["rows[1].why"], "an unknown name"),
        (json!({"rows": vec![good(); 65]}), &["rows"], "65 rows"),
        (
            json!({"rows": vec![json!({}); 66_001]}),
            &["rows"],
            "at most 66000",
        ),
    ] {
        let reply = post(&gateway, "/v2/models/m/predict", &body).await;
        let what: String = body.to_string().chars().take(200).collect();
        check(&reply, fields, text, &what);
    }
    let twice = r#"{"rows": [{"x": 1, "n": 3, "color": "green", "pair": [0, 0], "x": 2}]}"#;
    let address = gateway.addresses().http;
    let reply = call(
        address,
        "POST",
        "/v2/models/m/predict",
        &[],
        twice.as_bytes(),
    )
    .await;
    check(&reply, &["rows[0].x"], "a repeated name", twice);
    let large = r#"{"rows": [{"x": 1, "pair": [0, -1e999]}]}"#;
    let path = "/v2/models/m/predict";
    let reply = call(address, "POST", path, &[], large.as_bytes()).await;
    check(&reply, &["rows[0].pair[1]"], "64-bit float", large);
    let large = r#"{"rows": [{"x": 1e999}]}"#;
    let reply = call(address, "POST", path, &[], large.as_bytes()).await;
    check(&reply, &["rows[0].x"], "64-bit float", large);
    let body = json!({"rows": [good()]}).to_string();
    let long = "k".repeat(2000);
    for (name, value, text) in [
        ("taper-routing-key", &*long, "2000 bytes"),
        ("taper-response-id", "a b", "visible"),
    ] {
        let reply = call(address, "POST", path, &[(name, value)], body.as_bytes()).await;
        check(&reply, &[name], text, name);
    }
    let twice = r#"{"rows": [], "rows": []}"#;
    let reply = call(
        address,
        "POST",
        "/v2/models/m/predict",
        &[],
        twice.as_bytes(),
    )
    .await;
    check(&reply, &["rows"], "a repeated name", twice);
    gateway.drain().await;
}

#[tokio::test]
async fn the_position_of_a_json_error_is_reported() {
    let gateway = one_version().await;
    let address = gateway.addresses().http;
    for (body, place) in [
        ("", "it is empty"),
        ("{\"rows\": [\n  {\"x\": 1,}\n]}", "line 2 column 1"),
        ("{\"rows\": [{\"x\": nan}]}", "line 1 column 1"),
        ("{\"rows\": []} and", "line 1 column 1"),
        ("{\"rows\": [{\"x\": \"\u{1}\"}]}", "line 1"),
        ("not JSON", "line 1 column "),
    ] {
        for end in ["predict", "infer"] {
            let path = format!("/v2/models/m/{end}");
            let reply = call(address, "POST", &path, &[], body.as_bytes()).await;
            let is_broken_there = end == "predict" || !body.contains("rows");
            if is_broken_there {
                assert_eq!(
                    (reply.status, &*reply.reason()),
                    (400, "MALFORMED_MESSAGE"),
                    "{body}"
                );
                assert_eq!(reply.fields(), ["body"]);
                let error = reply.json()["error"].to_string();
                assert!(error.contains(place), "{body}: {error}");
            } else {
                assert_eq!(reply.status, 400, "{body}");
            }
        }
    }
    let deep = format!("{{\"rows\": [{{\"x\": {}", "[".repeat(100_000));
    let reply = call(
        address,
        "POST",
        "/v2/models/m/predict",
        &[],
        deep.as_bytes(),
    )
    .await;
    assert_eq!(reply.status, 400);
    let deep = format!(
        "{{\"inputs\": [{{\"name\": \"x\", \"data\": {}",
        "[".repeat(100_000)
    );
    let reply = call(address, "POST", "/v2/models/m/infer", &[], deep.as_bytes()).await;
    assert_eq!(reply.status, 400);
    gateway.drain().await;
}

#[tokio::test]
async fn unknown_paths_are_refused_by_name() {
    let gateway = one_version().await;
    let address = gateway.addresses().http;
    let infer = json!({"inputs": tensors()}).to_string();
    let predict = json!({"rows": [good()]}).to_string();
    for (method, end, body) in [
        ("POST", "/infer", &*infer),
        ("POST", "/predict", &predict),
        ("GET", "", ""),
        ("GET", "/ready", ""),
        ("GET", "/config", ""),
        ("GET", "/stats", ""),
    ] {
        for (begin, field) in [("", "model"), ("m/versions/", "version")] {
            if end.is_empty() {
                // Without a suffix, this is another path.
                continue;
            }
            let path = format!("/v2/models/{begin}{end}");
            let reply = call(address, method, &path, &[], body.as_bytes()).await;
            check(&reply, &[field], "nothing", &path);
        }
        // Unusual forms of a version number.
        for odd in ["+1", "01"] {
            let path = format!("/v2/models/m/versions/{odd}{end}");
            let reply = call(address, method, &path, &[], body.as_bytes()).await;
            assert_eq!(
                (reply.status, &*reply.reason()),
                (404, "UNKNOWN_LABEL"),
                "{path}: {reply:?}"
            );
            assert_eq!(reply.fields(), ["version"], "{path}");
        }
    }
    gateway.drain().await;
}
