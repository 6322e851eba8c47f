//! Any fault of a new version makes it FAILED with a reason, and the old version keeps serving.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use taper::proto::v1::VersionState;

use crate::harness::{TestGateway, eventually, good, rows};
use crate::lifecycle::{FOLLOW, NEWEST, becomes, faults, status_of};
use crate::steady_requests::SteadyRequests;
use crate::tiny;

const WEIGHTS: &str = "weights.safetensors";

/// Damages the weights of a version.
fn damaged(root: &Path, version: u64, damage: impl FnOnce(&mut Vec<u8>)) {
    tiny::publish(root, "m", version);
    let file = root.join("m").join(version.to_string()).join(WEIGHTS);
    let mut bytes = fs::read(&file).expect("read");
    damage(&mut bytes);
    fs::write(&file, bytes).expect("written");
}

/// Publishes a version with `bytes` as its weights. The manifest has the correct digest of these invalid bytes.
fn with_bytes(root: &Path, version: u64, bytes: &[u8]) {
    let edit = |manifest: &mut Value| manifest["files"] = json!([tiny::file(WEIGHTS, bytes)]);
    tiny::publish_with(root, "m", version, edit);
    let dir = root.join("m").join(version.to_string());
    fs::write(dir.join(WEIGHTS), bytes).expect("written");
}

/// Publishes a version with other tensors and a manifest with the correct digest.
fn with_tensors(root: &Path, version: u64, change: impl FnOnce(&mut Vec<tiny::Named>)) {
    let mut tensors = tiny::tensors(version).to_vec();
    change(&mut tensors);
    tiny::publish_tensors(root, "m", version, &tensors, |_| {});
}

type Publish = fn(&Path, u64);

const FAULTS: [(&str, Publish, &str); 11] = [
    (
        "truncated weights",
        |root, version| damaged(root, version, |bytes| bytes.truncate(bytes.len() - 4)),
        "differs from the manifest: got 160 bytes, wants 164",
    ),
    (
        "a flipped bit",
        |root, version| {
            damaged(root, version, |bytes| {
                *bytes.last_mut().expect("bytes") ^= 1
            })
        },
        "differs from the manifest: got sha256 ",
    ),
    (
        "a wrong digest",
        |root, version| {
            tiny::publish_with(root, "m", version, |manifest| {
                manifest["files"][0]["sha256"] = "00".repeat(32).into();
            });
        },
        "wants 00000000",
    ),
    (
        "a tensor that is missing",
        |root, version| with_tensors(root, version, |tensors| drop(tensors.remove(0))),
        "0.weight: missing",
    ),
    (
        "a wrong shape",
        |root, version| {
            with_tensors(root, version, |tensors| {
                tensors[0].1 = (vec![1, 7], vec![0; 28])
            });
        },
        "0.weight: got shape [1, 7], wants [1, 6]",
    ),
    (
        "a weight that is NaN",
        |root, version| {
            with_tensors(root, version, |tensors| {
                tensors[0].1.1[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
            });
        },
        "0.weight: got NaN at element 2, wants finite weights",
    ),
    (
        "a golden request that is answered otherwise",
        |root, version| {
            tiny::publish_with(root, "m", version, |manifest| {
                manifest["golden"][0]["answer"] = json!([1000]);
            });
        },
        "$.golden[0].answer[0]: got 8, wants 1000 within",
    ),
    (
        "a link that leads out of the folder",
        |root, version| {
            tiny::publish(root, "m", version);
            let file = root.join("m").join(version.to_string()).join(WEIGHTS);
            let outside = root.parent().expect("a folder around").join("outside");
            fs::rename(&file, &outside).expect("moved");
            symlink(&outside, &file).expect("linked");
        },
        "leads out of the version's folder",
    ),
    (
        "a header that claims a gigabyte",
        |root, version| {
            with_bytes(
                root,
                version,
                &[&(1_u64 << 30).to_le_bytes()[..], b"{}"].concat(),
            )
        },
        "invalid safetensors: ",
    ),
    (
        "a file that cannot be read",
        |root, version| {
            tiny::publish(root, "m", version);
            let file = root.join("m").join(version.to_string()).join(WEIGHTS);
            fs::remove_file(&file).expect("removed");
            // Permissions do not restrict root, which may run this test.
            fs::create_dir(&file).expect("made");
        },
        "is not a regular file",
    ),
    (
        "a manifest that is not JSON",
        |root, version| {
            tiny::publish(root, "m", version);
            let dir = root.join("m").join(version.to_string());
            fs::write(dir.join("metadata.json"), "}").expect("written");
        },
        "invalid JSON",
    ),
];

#[tokio::test]
async fn a_faulty_version_fails_with_its_reason_while_the_old_one_keeps_serving() {
    let toml = format!("{NEWEST}{FOLLOW}");
    let gateway = TestGateway::start(&toml, |root| tiny::publish(root, "m", 1)).await;
    let stream = SteadyRequests::start(&gateway.data, "m");
    for (version, (what, publish, want)) in (2..).zip(FAULTS) {
        tiny::drop_in(&gateway.models(), "m", version, |root| {
            publish(root, version)
        });
        let failed = becomes(&gateway, version, VersionState::Failed).await;
        let found = faults(&failed);
        assert!(found.contains(want), "{what}: {found}, wants {want}");
        assert!(
            failed.failures >= 1 && failed.retry_at.is_some(),
            "{what}: {failed:?}"
        );
        let one = status_of(&gateway, 1).await.expect("known");
        assert_eq!(one.state(), VersionState::Ready, "{what}: {one:?}");
    }
    let (_, text) = gateway.http_get("/metrics").await;
    let failed = text
        .lines()
        .find_map(|line| line.strip_prefix("taper_loads_total{outcome=\"failed\"} "));
    let failed: usize = failed.expect("counted").parse().expect("a number");
    assert!(failed >= FAULTS.len(), "{failed}");
    // None of the faulty versions blocks a good one.
    let good = 2 + FAULTS.len() as u64;
    tiny::drop_in(&gateway.models(), "m", good, |root| {
        tiny::publish(root, "m", good)
    });
    stream.answered_by(good).await;
    stream.end().await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_folder_removed_while_it_loads_affects_no_other_version() {
    let mut gateway = TestGateway::start(NEWEST, |root| tiny::publish(root, "m", 1)).await;
    let stream = SteadyRequests::start(&gateway.data, "m");
    for version in 2..5 {
        let fill = |root: &Path| tiny::publish_wide(root, "m", version, 1500, 64);
        tiny::drop_in(&gateway.models(), "m", version, fill);
        eventually("it is being loaded", || async {
            let status = status_of(&gateway, version).await?;
            (status.state() != VersionState::Discovered).then_some(())
        })
        .await;
        fs::remove_dir_all(gateway.models().join("m").join(version.to_string())).expect("removed");
        eventually("it has gone", || async {
            status_of(&gateway, version).await.is_none().then_some(())
        })
        .await;
        let answer = gateway
            .predict(rows("m", [good()]))
            .await
            .expect("an answer");
        assert_eq!(answer.version, 1);
    }
    stream.end().await;
    gateway.drain().await;
}
