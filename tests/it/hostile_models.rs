//! Model files that were damaged, or made to harm: each is refused at load with its reason, and the version before serves on.

use std::fs;
use std::path::Path;

use serde_json::Value;
use taper::proto::v1::{self, VersionState};

use crate::harness::{TestGateway, eventually};
use crate::lifecycle::faults;
use crate::process::stdout_of;
use crate::tiny;

mod onnx;
mod trees;

/// Every version is loaded as soon as it is found.
const ALL: &str = "versions = \"all\"\n[watch]\npoll_ms = 100\nsettle_ms = 100\n";

/// A hostile file: what is wrong with it, its content, and a part of the reason.
struct Hostile {
    what: &'static str,
    bytes: Vec<u8>,
    reason: &'static str,
}

fn hostile(what: &'static str, bytes: impl Into<Vec<u8>>, reason: &'static str) -> Hostile {
    Hostile {
        what,
        bytes: bytes.into(),
        reason,
    }
}

/// Moves version `version` into the registry: the good version's folder with another content of its model file, and with the digests of
/// that content.
fn publish(registry: &Path, model: &str, version: u64, bytes: &[u8], beside: impl FnOnce(&Path)) {
    let good = registry.join(model).join("1");
    tiny::drop_in(registry, model, version, |root| {
        let dir = root.join(model).join(version.to_string());
        fs::create_dir_all(&dir).expect("a folder");
        let manifest = fs::read(good.join("metadata.json")).expect("a manifest");
        let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        manifest["version"] = version.into();
        let file = manifest["format"]["file"]
            .as_str()
            .expect("a name")
            .to_owned();
        fs::write(dir.join("metadata.json"), manifest.to_string()).expect("written");
        fs::write(dir.join(file), bytes).expect("written");
        beside(&dir);
        stdout_of(&["seal", dir.to_str().expect("a path")]);
    });
}

/// Imports `bytes` as version 1 of `model`.
fn import(registry: &Path, model: &str, file: &str, bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let file = dir.path().join(file);
    fs::write(&file, bytes).expect("written");
    let [file, registry] = [&*file, registry].map(|path| path.to_str().expect("a path"));
    stdout_of(&["import", file, "--model", model, "--registry", registry]);
}

async fn answer(gateway: &mut TestGateway, model: &str, tensor: v1::Tensor) -> v1::PredictResponse {
    let request = v1::PredictRequest {
        model: model.to_owned(),
        tensors: vec![tensor],
        pin: Some(v1::predict_request::Pin::Version(1)),
        ..v1::PredictRequest::default()
    };
    let mut answer = gateway.predict(request).await.expect("an answer");
    answer.response_id.clear();
    answer
}

/// Publishes every hostile file as a version of `model`, whose version 1 is `good`, and checks the reasons.
async fn refuses(file: &str, good: &[u8], columns: i64, all: &[Hostile]) {
    let model = "m";
    let mut gateway = TestGateway::start(ALL, |root| import(root, model, file, good)).await;
    let rows = v1::Tensor {
        name: "x".into(),
        datatype: v1::Datatype::Fp32.into(),
        shape: vec![1, columns],
        fp32_values: (0..columns).map(|_| 0.5).collect(),
        ..v1::Tensor::default()
    };
    let name = input_name(&mut gateway, model).await;
    let rows = v1::Tensor { name, ..rows };
    let before = answer(&mut gateway, model, rows.clone()).await;
    let ready = gateway.http_get("/readyz").await;
    assert_eq!(ready.0, "HTTP/1.1 200 OK");
    let models = gateway.models();
    let mut wrong = Vec::new();
    for (version, one) in (2..).zip(all) {
        publish(&models, model, version, &one.bytes, |_| {});
        let refused = tried(&gateway, model, version).await;
        // It is not tried again while the next one is.
        let dir = models.join(model).join(version.to_string());
        fs::remove_dir_all(dir).expect("removed");
        let found = faults(&refused);
        if refused.state() != VersionState::Failed || !found.contains(one.reason) {
            let state = refused.state();
            wrong.push(format!(
                "{}: {state:?}: {found:.400}; expected: {}",
                one.what, one.reason
            ));
        }
        if found.len() > 4096 {
            wrong.push(format!("{}: a reason of {} bytes", one.what, found.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let one = status_of(&gateway, model, 1).await.expect("known");
    assert_eq!(one.state(), VersionState::Ready, "{one:?}");
    assert_eq!(
        answer(&mut gateway, model, rows).await.outputs,
        before.outputs
    );
    assert_eq!(gateway.http_get("/readyz").await.0, "HTTP/1.1 200 OK");
    gateway.drain().await;
}

/// Waits until a version is READY or FAILED, and returns its status.
async fn tried(gateway: &TestGateway, model: &str, version: u64) -> v1::VersionStatus {
    eventually("the version is tried", || async {
        let status = status_of(gateway, model, version).await?;
        let decided = [VersionState::Failed, VersionState::Ready].contains(&status.state());
        decided.then_some(status)
    })
    .await
}

async fn status_of(gateway: &TestGateway, model: &str, version: u64) -> Option<v1::VersionStatus> {
    let request = v1::GetModelRequest {
        model: model.to_owned(),
    };
    let found = gateway
        .admin
        .clone()
        .get_model(request)
        .await
        .expect("the model");
    let mut versions = found.into_inner().versions.into_iter();
    versions.find(|status| status.version == version)
}

/// Returns the name of the first input of version 1, or of its matrix.
async fn input_name(gateway: &mut TestGateway, model: &str) -> String {
    let status = status_of(gateway, model, 1).await.expect("version 1");
    status.inputs[0].name.clone()
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new("tests/fixtures/formats").join(name)).expect("a fixture")
}
