//! Versions that clients upload.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use taper::proto::v1::upload_version_request::Part;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::harness::{TestGateway, connect, eventually, fields, good, reason, rows};
use crate::process::{self, Process};
use crate::tiny;

type Messages = Vec<v1::UploadVersionRequest>;

fn message(part: Part) -> v1::UploadVersionRequest {
    v1::UploadVersionRequest { part: Some(part) }
}

fn header(model: &str, version: u64) -> v1::UploadVersionRequest {
    message(Part::Header(v1::UploadHeader {
        model: model.into(),
        version,
        terms: Some(v1::ChangeTerms {
            actor: "ann".into(),
            ..Default::default()
        }),
    }))
}

fn chunk(path: &str, data: impl Into<Vec<u8>>) -> v1::UploadVersionRequest {
    message(Part::Chunk(v1::UploadChunk {
        path: path.into(),
        data: data.into(),
    }))
}

/// Returns the messages that upload a tiny version, with its weights in two pieces.
fn tiny_version(model: &str, version: u64) -> Messages {
    tiny_version_with(model, version, |_| {})
}

/// Like [`tiny_version`], with a manifest that `edit` may change.
fn tiny_version_with(model: &str, version: u64, edit: impl FnOnce(&mut Value)) -> Messages {
    let dir = tempfile::tempdir().expect("temporary folder");
    tiny::publish_with(dir.path(), model, version, edit);
    let read = |name: &str| {
        let path = dir.path().join(model).join(version.to_string()).join(name);
        fs::read(path).expect("a file")
    };
    let weights = read("weights.safetensors");
    let (one, two) = weights.split_at(weights.len() / 2);
    vec![
        header(model, version),
        chunk("metadata.json", read("metadata.json")),
        chunk("weights.safetensors", one),
        chunk("", two),
    ]
}

async fn upload(
    admin: &mut AdminServiceClient<Channel>,
    messages: Messages,
) -> Result<v1::UploadVersionResponse, Status> {
    let answer = admin.upload_version(tokio_stream::iter(messages)).await?;
    Ok(answer.into_inner())
}

/// Returns every file and folder below `root`, with its length.
fn everything(root: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let about = path.symlink_metadata().expect("there");
            let length = if about.is_dir() { 0 } else { about.size() };
            found.push((path.display().to_string(), length));
            if about.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Returns actor and outcome of each upload of version `version`, from the audit log.
async fn audited(gateway: &TestGateway, version: u64) -> Vec<(String, String)> {
    let mut admin = gateway.admin.clone();
    let request = v1::ReadAuditRequest::default();
    let mut stream = admin.read_audit(request).await.expect("audit").into_inner();
    let mut outcomes = Vec::new();
    while let Some(some) = stream.message().await.expect("no error") {
        for line in some.lines {
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            if line["action"] == format!("upload version {version}") {
                let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
                outcomes.push((text("actor"), text("outcome")));
            }
        }
    }
    outcomes
}

async fn one_version(toml: &str) -> TestGateway {
    TestGateway::start(toml, |root| tiny::publish(root, "m", 1)).await
}

#[tokio::test]
async fn an_uploaded_version_is_published_and_answers() {
    // The registry is not polled: the upload triggers a scan.
    let mut gateway = one_version("[watch]\npoll_ms = 3600000").await;
    for (model, version) in [("m", 2), ("new", 7)] {
        let messages = tiny_version(model, version);
        let uploaded = upload(&mut gateway.admin, messages)
            .await
            .expect("uploaded");
        let folder = gateway.models().join(model).join(version.to_string());
        let bytes: u64 = everything(&folder).iter().map(|(_, length)| length).sum();
        assert_eq!((uploaded.version, uploaded.bytes), (version, bytes));
        let data = gateway.data.clone();
        eventually("the version answers", || {
            let mut data = data.clone();
            async move {
                let mut request = rows(model, [good()]);
                request.pin = Some(v1::predict_request::Pin::Label("latest".into()));
                let answer = data.predict(request).await.ok()?.into_inner();
                (answer.version == version).then_some(())
            }
        })
        .await;
        let [(actor, outcome)] = &audited(&gateway, version).await[..] else {
            panic!("one line")
        };
        assert_eq!(actor, "ann");
        assert!(
            !outcome.chars().any(char::is_uppercase),
            "no reason to refuse: {outcome}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_that_cannot_load_is_refused_and_its_number_stays_free() {
    let mut gateway = one_version("versions = [1]\n[watch]\npoll_ms = 3600000").await;
    for version in 2..12 {
        let wrong = tiny_version_with("m", version, |manifest| {
            manifest["golden"][0]["answer"] = json!([99]);
        });
        let refused = upload(&mut gateway.admin, wrong).await.expect_err("wrong");
        assert_eq!(reason(&refused), "INVALID_CHANGE", "{refused:?}");
        let fields = fields(&refused);
        assert!(
            fields
                .iter()
                .any(|field| field.starts_with("metadata.json $.golden[0]")),
            "{fields:?}"
        );
        let uploaded = upload(&mut gateway.admin, tiny_version("m", version)).await;
        assert_eq!(uploaded.expect("uploaded").version, version);
        // The response was sent, so the version exists.
        let request = v1::LoadVersionRequest {
            model: "m".into(),
            version,
            ..Default::default()
        };
        gateway.admin.load_version(request).await.expect("known");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn an_invalid_upload_is_refused_by_name_and_leaves_no_files() {
    let mut gateway = one_version("[limits]\nmax_upload_bytes = 4096").await;
    let before = everything(&gateway.models());
    let good = || tiny_version("m", 2);
    let with = |at: usize, other: v1::UploadVersionRequest| {
        let mut messages = good();
        messages[at] = other;
        messages
    };
    let cut = |length: usize| good().into_iter().take(length).collect::<Messages>();
    let mut flipped = good();
    if let Some(Part::Chunk(chunk)) = &mut flipped[3].part {
        let mut data = std::mem::take(&mut chunk.data);
        data[0] ^= 1;
        chunk.data = data;
    }
    let mut author = good();
    if let Some(Part::Header(header)) = &mut author[0].part {
        header.terms = Some(v1::ChangeTerms {
            reason: "x".repeat(513),
            ..Default::default()
        });
    }
    for (messages, why, field) in [
        (vec![], "INVALID_CHANGE", "header"),
        (good().split_off(1), "INVALID_CHANGE", "header"),
        (with(0, header("", 2)), "INVALID_CHANGE", "header.model"),
        (with(0, header("m", 0)), "INVALID_CHANGE", "header.version"),
        (author, "INVALID_CHANGE", "header.terms.reason"),
        (
            with(0, v1::UploadVersionRequest { part: None }),
            "INVALID_CHANGE",
            "part",
        ),
        (
            with(2, v1::UploadVersionRequest { part: None }),
            "INVALID_CHANGE",
            "part",
        ),
        (with(2, header("m", 2)), "INVALID_CHANGE", "header"),
        (with(0, header("m", 1)), "VERSION_EXISTS", ""),
        (
            with(0, header("m", 3)),
            "INVALID_CHANGE",
            "metadata.json $.version",
        ),
        (
            with(0, header("other", 2)),
            "INVALID_CHANGE",
            "metadata.json $.model_name",
        ),
        (cut(1), "INVALID_CHANGE", "metadata.json"),
        (cut(2), "INVALID_CHANGE", "weights.safetensors"),
        (cut(3), "INVALID_CHANGE", "weights.safetensors"),
        (flipped, "INVALID_CHANGE", "weights.safetensors"),
        (
            with(2, chunk("../../out", [0; 8])),
            "INVALID_CHANGE",
            "../../out",
        ),
        (
            with(1, chunk("metadata.json", "{}")),
            "INVALID_CHANGE",
            "metadata.json $.model_name",
        ),
        (
            with(1, chunk("metadata.json", vec![b' '; 5000])),
            "UPLOAD_TOO_LARGE",
            "",
        ),
    ] {
        let upload_text = format!("{messages:?}")
            .chars()
            .take(200)
            .collect::<String>();
        let status = upload(&mut gateway.admin, messages).await.expect_err(why);
        assert_eq!(reason(&status), why, "{upload_text}: {status:?}");
        let fields = fields(&status);
        assert!(
            field.is_empty() || fields.iter().any(|one| one == field),
            "{field} is not among {fields:?}"
        );
        assert_eq!(everything(&gateway.models()), before, "after {upload_text}");
    }
    let refused = audited(&gateway, 2).await;
    assert!(refused.len() >= 5, "{refused:?}");
    assert!(
        refused
            .iter()
            .all(|(_, outcome)| outcome == "INVALID_CHANGE" || outcome == "UPLOAD_TOO_LARGE"),
        "{refused:?}"
    );
    gateway.drain().await;
}

/// Starts an upload and returns a sender for the rest of it.
async fn begun(
    gateway: &TestGateway,
    version: u64,
) -> (
    mpsc::Sender<v1::UploadVersionRequest>,
    tokio::task::JoinHandle<Result<(), Status>>,
) {
    let (rest, messages) = mpsc::channel(8);
    let mut admin = gateway.admin.clone();
    let call = tokio::task::spawn(async move {
        admin
            .upload_version(ReceiverStream::new(messages))
            .await
            .map(drop)
    });
    let mut messages = tiny_version("m", version).into_iter();
    for message in messages.by_ref().take(3) {
        rest.send(message).await.expect("taken");
    }
    let models = gateway.models();
    let staging = format!(".staging-{version}-");
    eventually("the gateway has begun to write", || {
        let begun = everything(&models)
            .iter()
            .any(|(path, _)| path.contains(&staging));
        async move { begun.then_some(()) }
    })
    .await;
    (rest, call)
}

#[tokio::test]
async fn a_cancelled_upload_leaves_only_a_line_in_the_audit_log() {
    let gateway = one_version("").await;
    let before = everything(&gateway.models());
    let (rest, call) = begun(&gateway, 2).await;
    call.abort();
    drop(rest);
    eventually("the line", || async { audited(&gateway, 2).await.pop() }).await;
    assert_eq!(everything(&gateway.models()), before);
    gateway.drain().await;
}

#[tokio::test]
async fn a_third_concurrent_upload_is_refused_and_the_drain_ends_the_others() {
    let gateway = one_version("").await;
    let before = everything(&gateway.models());
    let (_one, first) = begun(&gateway, 2).await;
    let (_other, second) = begun(&gateway, 3).await;
    let mut admin = gateway.admin.clone();
    let refused = upload(&mut admin, tiny_version("m", 4)).await;
    let status = refused.expect_err("one too many");
    assert_eq!(reason(&status), "OVERLOADED", "{status:?}");
    assert!(
        status.message().contains("too many uploads (limit 2)"),
        "{status:?}"
    );
    let models = gateway.models();
    let dir = gateway.drain_and_keep().await;
    for call in [first, second] {
        let status = call.await.expect("no panic").expect_err("ended");
        assert_eq!(reason(&status), "DRAINING", "{status:?}");
    }
    assert_eq!(everything(&models), before);
    drop(dir);
}

/// Runs the binary in its own namespace, where it may mount a disk of 1 MiB over its registry.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fills_the_disk_is_refused_and_serving_continues() {
    let may = Command::new("unshare").args(["-Urm", "true"]).output();
    let may = may.expect("unshare, which is part of util-linux");
    assert!(
        may.status.success(),
        "this system does not allow a new namespace, so there is no small disk: {may:?}"
    );
    let dir = tempfile::tempdir().expect("temporary folder");
    tiny::publish(&dir.path().join("models"), "m", 1);
    let models = dir.path().join("models");
    let serve = process::serve(dir.path());
    let script = "cp -a \"$1\" \"$1.kept\" && mount -t tmpfs -o size=1m tmpfs \"$1\" && cp -a \"$1.kept/.\" \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["-Urm", "sh", "-c", script, "sh"])
        .arg(&models);
    command.arg(serve.get_program()).args(serve.get_args());
    let mut gateway = Process::start(&mut command);
    let data = gateway.address("data");
    let mut admin = AdminServiceClient::new(connect(gateway.address("admin")).await);
    let big = vec![7u8; 4 << 20];
    let digest = HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&big));
    let mut messages = tiny_version("m", 2);
    if let Some(Part::Chunk(chunk)) = &mut messages[1].part {
        let mut manifest: serde_json::Value = serde_json::from_slice(&chunk.data).expect("JSON");
        manifest["files"][0]["sha256"] = digest.into();
        manifest["files"][0]["bytes"] = big.len().into();
        chunk.data = manifest.to_string().into_bytes();
    }
    messages.truncate(2);
    let pieces = big.chunks(256 << 10).enumerate();
    messages.extend(pieces.map(|(at, piece)| {
        let path = if at == 0 { "weights.safetensors" } else { "" };
        chunk(path, piece)
    }));
    let status = upload(&mut admin, messages).await.expect_err("no room");
    assert_eq!(reason(&status), "DISK_FULL", "{status:?}");
    assert!(status.message().contains("registry"), "{status:?}");
    // The space is free again: no file was left behind.
    upload(&mut admin, tiny_version("m", 2))
        .await
        .expect("a small one fits");
    let mut client = taper::proto::v1::prediction_service_client::PredictionServiceClient::new(
        connect(data).await,
    );
    client
        .predict(rows("m", [good()]))
        .await
        .expect("it serves on");
    gateway.signal("TERM");
    assert_eq!(gateway.end().code, Some(0));
}
