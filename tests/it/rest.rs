//! REST over real sockets: requests, answers and refusals.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use taper::model::payload::{Cell, Datatype, Row};
use taper::proto::v1;
use taper::proto::v1::predict_request::Pin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixtures::Fixture;
use crate::flights;
use crate::harness::{TestGateway, good, rows};
use crate::python::python;
use crate::tiny;

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Headers by their lower-case names.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the fields that an error names.
    pub fn fields(&self) -> Vec<String> {
        let body = self.json();
        let fields = body["fields"].as_array().cloned().unwrap_or_default();
        let name = |field: &Value| field["field"].as_str().expect("a field").to_owned();
        fields.iter().map(name).collect()
    }

    pub fn reason(&self) -> String {
        self.json()["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Sends one request on a new connection.
pub async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| *name == "transfer-encoding") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    head += "\r\n";
    let sent = [head.as_bytes(), body].concat();
    socket.write_all(&sent).await.expect("written");
    reply(&mut socket).await
}

/// Reads the response until the connection ends.
pub async fn reply(socket: &mut TcpStream) -> Reply {
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.expect("read");
    let end = all.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&all)));
    let head = String::from_utf8(all[..end].to_vec()).expect("ASCII");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers = lines.filter_map(|line| line.split_once(": "));
    Reply {
        status: status.expect("a status").parse().expect("a number"),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: all[end + 4..].to_vec(),
    }
}

pub async fn post(gateway: &TestGateway, path: &str, body: &Value) -> Reply {
    call(
        gateway.addresses().http,
        "POST",
        path,
        &[],
        body.to_string().as_bytes(),
    )
    .await
}

async fn get(gateway: &TestGateway, path: &str) -> Reply {
    call(gateway.addresses().http, "GET", path, &[], b"").await
}

async fn two_versions() -> TestGateway {
    let toml = "[models.m]\nlabels = { stable = 1, next = 2 }\nsplit = { 1 = 5000, 2 = 5000 }";
    TestGateway::start(toml, |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version))
    })
    .await
}

/// Returns the tensors of one valid row.
pub fn tensors() -> Value {
    json!([
        {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]},
        {"name": "n", "shape": [1], "datatype": "INT64", "data": [3]},
        {"name": "color", "shape": [1], "datatype": "BYTES", "data": ["green"]},
        {"name": "pair", "shape": [1, 2], "datatype": "FP32", "data": [[0.5, -0.5]]},
    ])
}

#[tokio::test]
async fn a_prediction_over_curl_is_readable() {
    let gateway = two_versions().await;
    let body = json!({"rows": [good(), good()], "response_id": "mine"});
    let reply = post(&gateway, "/v2/models/m/versions/next/predict", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let want = r#"{"model":"m","version":2,"role":"primary","response_id":"mine","policy_revision":1,"predictions":[{"outputs":{"value":[2.0]}},{"outputs":{"value":[2.0]}}]}"#;
    assert_eq!(String::from_utf8_lossy(&reply.body), format!("{want}\n"));
    for (name, value) in [
        ("content-type", "application/json"),
        ("taper-model", "m"),
        ("taper-version", "2"),
        ("taper-role", "primary"),
        ("taper-response-id", "mine"),
        ("taper-policy-revision", "1"),
    ] {
        assert_eq!(
            reply.headers.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn an_inference_request_is_answered_as_the_protocol_specifies() {
    let gateway = two_versions().await;
    let body = json!({
        "id": "7", "inputs": tensors(), "outputs": [{"name": "value"}],
        "parameters": {"response_id": "mine", "routing_key": "k", "sequence_start": true, "what": {"ever": []}},
        "unknown": 1,
    });
    let reply = post(&gateway, "/v2/models/m/versions/1/infer", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let want = json!({
        "model_name": "m", "model_version": "1", "id": "7",
        "parameters": {"role": "primary", "response_id": "mine", "policy_revision": 1},
        "outputs": [{"name": "value", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}],
    });
    assert_eq!(reply.json(), want);
    assert_eq!(reply.headers["taper-version"], "1");
    gateway.drain().await;
}

#[tokio::test]
async fn a_null_field_is_treated_as_absent() {
    let gateway = two_versions().await;
    let mut inputs = tensors();
    inputs[0]["parameters"] = json!({"binary_data_size": null, "shared_memory_region": null});
    let parameters = json!({"routing_key": null, "response_id": null, "timeout": null, "binary_data_output": null});
    let outputs =
        json!([{"name": "value", "parameters": {"binary_data": null, "classification": null}}]);
    for infer in [
        json!({"id": null, "inputs": inputs, "outputs": null, "parameters": null}),
        json!({"inputs": inputs, "outputs": outputs, "parameters": parameters}),
        // The largest timeout that a client can set.
        json!({"inputs": inputs, "parameters": {"timeout": u64::MAX}}),
    ] {
        let reply = post(&gateway, "/v2/models/m/infer", &infer).await;
        assert_eq!(reply.status, 200, "{infer}: {reply:?}");
    }
    let predict =
        json!({"rows": [good()], "routing_key": null, "response_id": null, "timeout_ms": null});
    let reply = post(&gateway, "/v2/models/m/predict", &predict).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let reply = post(&gateway, "/v2/repository/index", &json!({"ready": null})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    gateway.drain().await;
}

#[tokio::test]
async fn pins_and_sticky_keys_select_the_versions_of_the_native_protocol() {
    let mut gateway = two_versions().await;
    let mut met = [false; 3];
    for key in 0..100 {
        let key = format!("key-{key}");
        let native = v1::PredictRequest {
            routing_key: key.clone(),
            ..rows("m", [good()])
        };
        let native = gateway
            .predict(native)
            .await
            .expect("answered")
            .version
            .to_string();
        met[native.parse::<usize>().expect("a number")] = true;
        let by_field = json!({"rows": [good()], "routing_key": key});
        let reply = post(&gateway, "/v2/models/m/predict", &by_field).await;
        assert_eq!(reply.headers["taper-version"], native, "{key}");
        let by_parameter = json!({"inputs": tensors(), "parameters": {"routing_key": key}});
        let reply = post(&gateway, "/v2/models/m/infer", &by_parameter).await;
        assert_eq!(reply.json()["model_version"], native, "{key}");
        let by_header = json!({"rows": [good()]}).to_string();
        let header = [("taper-routing-key", &*key)];
        let path = "/v2/models/m/predict";
        let address = gateway.addresses().http;
        let reply = call(address, "POST", path, &header, by_header.as_bytes()).await;
        assert_eq!(reply.headers["taper-version"], native, "{key}");
    }
    assert_eq!(met, [false, true, true], "both versions answer some keys");
    for (pin, text) in [
        (Pin::Version(2), "2"),
        (Pin::Label("stable".into()), "stable"),
    ] {
        let native = v1::PredictRequest {
            pin: Some(pin),
            ..rows("m", [good()])
        };
        let native = gateway.predict(native).await.expect("answered").version;
        for (end, body) in [
            ("predict", json!({"rows": [good()]})),
            ("infer", json!({"inputs": tensors()})),
        ] {
            let reply = post(
                &gateway,
                &format!("/v2/models/m/versions/{text}/{end}"),
                &body,
            )
            .await;
            assert_eq!(
                reply.headers["taper-version"],
                native.to_string(),
                "{text}/{end}"
            );
        }
    }
    gateway.drain().await;
}

fn cell(cell: &Cell) -> Value {
    match cell {
        Cell::Text(text) => json!(text),
        Cell::Number(number) => json!(number),
        other => panic!("flights have no {other:?}"),
    }
}

/// Name of an input, its type, and its value in each row.
type Column = (String, Datatype, Vec<Cell>);

/// Returns live flights as JSON rows and as tensors.
fn some_flights() -> (Vec<Value>, Vec<Column>) {
    let versions = flights::versions();
    let signature = versions[1].signature();
    let (all, _) = flights::live(signature);
    let some: Vec<Row> = all.into_iter().step_by(500).collect();
    let as_json = |row: &Row| {
        row.iter()
            .map(|(name, value)| (name.clone(), cell(value)))
            .collect()
    };
    let column = |at: usize| some.iter().map(|row| row[at].1.clone()).collect();
    let inputs = signature.inputs().iter().enumerate();
    let columns = inputs.map(|(at, input)| (input.name.clone(), input.datatype, column(at)));
    let columns = columns.collect();
    (
        some.iter().map(|row| Value::Object(as_json(row))).collect(),
        columns,
    )
}

/// Returns the cells as a block of bytes.
fn block(datatype: Datatype, cells: &[Cell]) -> Vec<u8> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "of whole numbers, or as FP32 wants it"
    )]
    let one = |cell: &Cell| match (datatype, cell) {
        (Datatype::Fp32, Cell::Number(x)) => (*x as f32).to_le_bytes().to_vec(),
        (Datatype::Fp64, Cell::Number(x)) => x.to_le_bytes().to_vec(),
        (Datatype::Int64, Cell::Number(x)) => (*x as i64).to_le_bytes().to_vec(),
        (Datatype::Int32, Cell::Number(x)) => (*x as i32).to_le_bytes().to_vec(),
        (Datatype::Bytes, Cell::Text(text)) => {
            let length = u32::try_from(text.len()).expect("short").to_le_bytes();
            [&length, text.as_bytes()].concat()
        }
        other => panic!("flights have no {other:?}"),
    };
    cells.iter().flat_map(one).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "they were 32-bit floats before"
)]
fn floats(values: &Value) -> Vec<u32> {
    let values = values.as_array().expect("a list").iter();
    values
        .map(|value| (value.as_f64().expect("a number") as f32).to_bits())
        .collect()
}

#[tokio::test]
async fn answers_equal_those_of_native_predict_to_the_last_bit() {
    let mut gateway = TestGateway::start("", flights::copy_models).await;
    let (as_rows, columns) = some_flights();
    let count = as_rows.len();
    for version in 1..=3 {
        let native = v1::PredictRequest {
            model: "flight-delay".into(),
            pin: Some(Pin::Version(version)),
            rows: as_rows.iter().map(crate::harness::row).collect(),
            ..Default::default()
        };
        let native = gateway.predict(native).await.expect("answered");
        let want: Vec<u32> = native.outputs[0]
            .fp32_values
            .iter()
            .map(|x| x.to_bits())
            .collect();
        assert_eq!(want.len(), count);
        let path = format!("/v2/models/flight-delay/versions/{version}");

        let reply = post(
            &gateway,
            &format!("{path}/predict"),
            &json!({"rows": as_rows}),
        )
        .await;
        let body = reply.json();
        for (at, top) in native.top_classes.iter().enumerate() {
            let prediction = &body["predictions"][at];
            assert_eq!(
                floats(&prediction["outputs"]["probability"]),
                [want[at]],
                "row {at}"
            );
            assert_eq!(prediction["class"], json!(top.label), "row {at}");
            assert_eq!(
                floats(&json!([prediction["probability"]])),
                [top.probability.to_bits()]
            );
        }

        let tensor = |(name, datatype, cells): &Column| {
            let whole = matches!(datatype, Datatype::Int64 | Datatype::Int32);
            #[expect(clippy::cast_possible_truncation, reason = "they are whole")]
            let data = |value: &Cell| match value {
                Cell::Number(x) if whole => json!(*x as i64),
                other => cell(other),
            };
            let data: Vec<_> = cells.iter().map(data).collect();
            json!({"name": name, "shape": [count], "datatype": datatype, "data": data})
        };
        let tensors: Vec<_> = columns.iter().map(tensor).collect();
        let reply = post(
            &gateway,
            &format!("{path}/infer"),
            &json!({"inputs": tensors}),
        )
        .await;
        let output = reply.json()["outputs"][0].clone();
        assert_eq!(output["shape"], json!([count, 1]));
        assert_eq!(floats(&output["data"]), want, "JSON, version {version}");

        let blocks: Vec<_> = columns
            .iter()
            .map(|(_, kind, cells)| block(*kind, cells))
            .collect();
        let tensor = |((name, datatype, _), block): (&Column, &Vec<u8>)| {
            let size = json!({"binary_data_size": block.len()});
            json!({"name": name, "shape": [count], "datatype": datatype, "parameters": size})
        };
        let tensors: Vec<_> = columns.iter().zip(&blocks).map(tensor).collect();
        let head =
            json!({"inputs": tensors, "parameters": {"binary_data_output": true}}).to_string();
        let length = head.len().to_string();
        let body = [head.as_bytes(), &blocks.concat()].concat();
        let header = [("inference-header-content-length", &*length)];
        let address = gateway.addresses().http;
        let reply = call(address, "POST", &format!("{path}/infer"), &header, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let end: usize = reply.headers["inference-header-content-length"]
            .parse()
            .expect("a number");
        let body: Value = serde_json::from_slice(&reply.body[..end]).expect("JSON");
        assert_eq!(
            body["outputs"][0]["parameters"]["binary_data_size"],
            json!(count * 4)
        );
        let (got, rest) = reply.body[end..].as_chunks::<4>();
        let got: Vec<u32> = got.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        assert_eq!((got, rest.len()), (want, 0), "bytes, version {version}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn models_and_versions_are_described_as_triton_describes_them() {
    let gateway = two_versions().await;
    post(
        &gateway,
        "/v2/models/m/versions/1/predict",
        &json!({"rows": [good(), good()]}),
    )
    .await;
    let server = get(&gateway, "/v2").await.json();
    assert_eq!(server["name"], "taper");
    assert_eq!(
        get(&gateway, "/v2/health/live").await.json(),
        json!({"live": true})
    );
    assert_eq!(
        get(&gateway, "/v2/health/ready").await.json(),
        json!({"ready": true})
    );
    let metadata = get(&gateway, "/v2/models/m").await.json();
    assert_eq!(metadata["versions"], json!(["1", "2"]));
    let pair = json!({"name": "pair", "datatype": "FP32", "shape": [-1, 2]});
    assert_eq!(metadata["inputs"][3], pair);
    assert_eq!(
        metadata["outputs"],
        json!([{"name": "value", "datatype": "FP32", "shape": [-1, 1]}])
    );
    let config = get(&gateway, "/v2/models/m/versions/stable/config")
        .await
        .json();
    assert_eq!(config["max_batch_size"], 64);
    assert_eq!(config["input"][2]["data_type"], "TYPE_STRING");
    assert_eq!(config["input"][3]["dims"], json!([2]));
    let ready = get(&gateway, "/v2/models/m/versions/2/ready").await;
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"name": "m", "ready": true}))
    );
    for path in ["/v2/models/m/versions/1/stats", "/v2/models/stats"] {
        let stats = get(&gateway, path).await.json();
        let first = &stats["model_stats"][0];
        assert_eq!(
            (&first["name"], &first["version"]),
            (&json!("m"), &json!("1"))
        );
        assert_eq!(first["inference_count"], 2, "{path}");
        assert_eq!(first["inference_stats"]["success"]["count"], 1, "{path}");
    }
    for body in [json!({}), json!({"ready": true})] {
        let index = post(&gateway, "/v2/repository/index", &body).await.json();
        let second = json!({"name": "m", "version": "2", "state": "READY", "reason": ""});
        assert_eq!(index[1], second);
    }
    let index = call(
        gateway.addresses().http,
        "POST",
        "/v2/repository/index",
        &[],
        b"",
    )
    .await;
    assert_eq!(index.status, 200, "{index:?}");
    for verb in ["load", "unload"] {
        let refused = post(
            &gateway,
            &format!("/v2/repository/models/m/{verb}"),
            &json!({}),
        )
        .await;
        assert_eq!((refused.status, &*refused.reason()), (403, "FORBIDDEN"));
        let error = refused.json()["error"].to_string();
        assert!(
            error.contains("admin port") && error.contains("taper versions load"),
            "{error}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn unknown_models_and_versions_are_refused_by_name() {
    let gateway = TestGateway::start("strict_readiness = true", |root| {
        tiny::publish(root, "m", 1);
        tiny::publish_with(root, "sick", 1, |manifest| {
            manifest["files"][0]["bytes"] = 1.into()
        });
    })
    .await;
    for (path, status, reason, field) in [
        ("/v2/models/nobody", 404, "UNKNOWN_MODEL", Some("model")),
        (
            "/v2/models/nobody/ready",
            404,
            "UNKNOWN_MODEL",
            Some("model"),
        ),
        (
            "/v2/models/m/versions/7",
            404,
            "UNKNOWN_VERSION",
            Some("version"),
        ),
        (
            "/v2/models/m/versions/canary/stats",
            404,
            "UNKNOWN_LABEL",
            Some("version"),
        ),
        ("/v2/models/sick/ready", 503, "VERSION_NOT_READY", None),
        ("/v2/health/ready", 503, "NOT_READY", None),
        ("/v2/nothing", 404, "UNKNOWN_PATH", Some("path")),
        ("/nothing", 404, "UNKNOWN_PATH", Some("path")),
        ("/v2/models/m/infer", 405, "UNKNOWN_METHOD", Some("method")),
        ("/v2/models/%ff/ready", 400, "INVALID_INPUT", Some("path")),
    ] {
        let reply = get(&gateway, path).await;
        assert_eq!((reply.status, &*reply.reason()), (status, reason), "{path}");
        assert_eq!(reply.fields().first().map(String::as_str), field, "{path}");
        assert_eq!(reply.headers["content-type"], "application/json", "{path}");
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{path}");
    }
    let body = json!({"rows": [good()]});
    let reply = post(&gateway, "/v2/models/nobody/predict", &body).await;
    assert_eq!((reply.status, &*reply.reason()), (404, "UNKNOWN_MODEL"));
    let reply = post(&gateway, "/v2/models/sick/predict", &body).await;
    assert_eq!((reply.status, &*reply.reason()), (503, "VERSION_NOT_READY"));
    gateway.drain().await;
}

/// Tests that call programs from Debian packages or PyPI. `make check` leaves them out.
mod peers {
    use super::*;

    #[tokio::test]
    async fn tritons_own_http_client_works_unchanged() {
        let toml = "[models.m]\nsplit = { 1 = 5000, 2 = 5000 }";
        let gateway = TestGateway::start(toml, |root| {
            (1..=2).for_each(|version| tiny::publish(root, "m", version));
            Fixture::read("breast_cancer_mlp").publish(root, 1);
        })
        .await;
        let address = gateway.addresses().http.to_string();
        let output = python("triton_http.py", &[&address]).await;
        assert!(output.contains("every call went well"), "{output}");
        gateway.drain().await;
    }

    #[tokio::test]
    async fn the_openapi_document_is_valid_and_matches_the_http_port() {
        let gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
        let address = gateway.addresses().http.to_string();
        let output = python("openapi.py", &[&address]).await;
        let paths: Vec<_> = output
            .lines()
            .filter(|line| line.starts_with('/'))
            .collect();
        let model = "/v2/models/{model}";
        let mut want = vec![];
        for begin in [model, "/v2/models/{model}/versions/{version}"] {
            want.push(begin.to_owned());
            let ends = ["config", "infer", "predict", "ready", "stats"];
            want.extend(ends.map(|end| format!("{begin}/{end}")));
        }
        for begin in [
            "/v1/models/{model}",
            "/v1/models/{model}/versions/{version}",
            "/v1/models/{model}/labels/{label}",
        ] {
            want.extend(["", ":predict", "/metadata"].map(|end| format!("{begin}{end}")));
        }
        want.extend(
            [
                "/",
                "/healthz",
                "/metrics",
                "/openapi.json",
                "/readyz",
                "/v1/models",
                "/v2",
                "/v2/health/live",
                "/v2/health/ready",
                "/v2/models/stats",
                "/v2/repository/index",
                "/v2/repository/models/{model}/load",
                "/v2/repository/models/{model}/unload",
            ]
            .map(str::to_owned),
        );
        want.sort();
        assert_eq!(paths, want);
        gateway.drain().await;
    }
}
