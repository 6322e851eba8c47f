//! State that a gateway restores from the state folder of an earlier process.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::{
    connect, eventually, expecting_revision, good, http_get, policy, registry, rows,
};
use crate::process::{Process, serve};
use crate::tiny;

struct ServeProcess {
    process: Process,
    data: PredictionServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
    addresses: [SocketAddr; 3],
}

/// Creates a registry with three versions of `m` and one of `other`.
fn two_models() -> TempDir {
    registry(|root| {
        (1..=3).for_each(|version| tiny::publish(root, "m", version));
        tiny::publish(root, "other", 1);
    })
}

impl ServeProcess {
    /// Starts a gateway with the configuration `toml`.
    async fn start(dir: &Path, toml: &str) -> Self {
        let file = dir.join("taper.toml");
        fs::write(&file, toml).expect("configuration");
        let mut process = Process::start(serve(dir).arg("--config").arg(&file));
        let addresses = ["data", "admin", "http"].map(|face| process.address(face));
        Self {
            process,
            data: PredictionServiceClient::new(connect(addresses[0]).await),
            admin: AdminServiceClient::new(connect(addresses[1]).await),
            addresses,
        }
    }

    async fn predict(&mut self, model: &str) -> Result<(u64, u64), Status> {
        let answer = self.data.predict(rows(model, [good()])).await?.into_inner();
        Ok((answer.version, answer.policy_revision))
    }

    async fn set_split(&mut self, split: &[(u64, u32)], expected: u64) -> u64 {
        let request = v1::SetTrafficPolicyRequest {
            model: "m".into(),
            policy: Some(policy(split)),
            terms: expecting_revision(expected),
        };
        self.admin
            .set_traffic_policy(request)
            .await
            .expect("set")
            .into_inner()
            .revision
    }

    /// Returns the state of `m` without the values that change with each start.
    async fn model(&mut self) -> v1::GetModelResponse {
        let request = v1::GetModelRequest { model: "m".into() };
        let mut model = self
            .admin
            .get_model(request)
            .await
            .expect("model")
            .into_inner();
        for version in &mut model.versions {
            version.since = None;
        }
        model
    }

    async fn policy(&mut self) -> Option<v1::TrafficPolicy> {
        let request = v1::GetTrafficPolicyRequest { model: "m".into() };
        self.admin
            .get_traffic_policy(request)
            .await
            .expect("policy")
            .into_inner()
            .policy
    }

    async fn readyz(&self) -> (String, String) {
        http_get(self.addresses[2], "/readyz").await
    }

    async fn history(&mut self) -> Vec<v1::Revision> {
        let listed = self
            .admin
            .list_revisions(v1::ListRevisionsRequest::default())
            .await;
        listed.expect("history").into_inner().revisions
    }
}

#[tokio::test]
async fn labels_policies_and_manually_loaded_versions_survive_a_restart() {
    let dir = two_models();
    let toml = "versions = { latest = 2 }";
    let mut gateway = ServeProcess::start(dir.path(), toml).await;
    let (model, terms) = (String::from("m"), None);
    let load = v1::LoadVersionRequest {
        model: model.clone(),
        version: 1,
        terms: terms.clone(),
    };
    gateway.admin.load_version(load).await.expect("loaded");
    let label = v1::SetLabelRequest {
        model: model.clone(),
        label: "stable".into(),
        version: 1,
        terms: terms.clone(),
    };
    gateway.admin.set_label(label).await.expect("made");
    let mut wanted = policy(&[(1, 10_000)]);
    wanted.split[0].target = Some(v1::share::Target::Label("stable".into()));
    wanted.salt = "spring".into();
    let set = v1::SetTrafficPolicyRequest {
        model: model.clone(),
        policy: Some(wanted.clone()),
        terms: expecting_revision(4),
    };
    gateway.admin.set_traffic_policy(set).await.expect("set");
    let unload = v1::UnloadVersionRequest {
        model,
        version: 2,
        terms,
    };
    gateway
        .admin
        .unload_version(unload)
        .await
        .expect("unloaded");
    let admin = gateway.admin.clone();
    eventually("version 2 is gone", || {
        let mut admin = admin.clone();
        async move {
            let request = v1::GetModelRequest { model: "m".into() };
            let model = admin.get_model(request).await.expect("model").into_inner();
            let state = model.versions[1].state();
            (state == v1::VersionState::Retired || state == v1::VersionState::Discovered)
                .then_some(())
        }
    })
    .await;
    let (before, history) = (gateway.model().await, gateway.history().await);
    gateway.process.kill();

    let mut gateway = ServeProcess::start(dir.path(), toml).await;
    let after = gateway.model().await;
    assert_eq!((after.revision, &after.labels), (6, &before.labels));
    let states = |model: &v1::GetModelResponse| -> Vec<_> {
        let ready = |version: &v1::VersionStatus| {
            (version.version, version.state() == v1::VersionState::Ready)
        };
        model.versions.iter().map(ready).collect()
    };
    assert_eq!(states(&before), [(1, true), (2, false), (3, true)]);
    assert_eq!(states(&after), states(&before));
    assert_eq!(gateway.policy().await, Some(wanted));
    assert_eq!(gateway.history().await, history);
    assert_eq!(gateway.predict("m").await.expect("answer"), (1, 6));
}

#[tokio::test]
async fn a_second_process_on_the_state_folder_is_refused_before_it_binds_a_port_and_names_the_owner()
 {
    let dir = two_models();
    let mut gateway = ServeProcess::start(dir.path(), "").await;
    // It has the addresses of the first process. If it tried to bind them, it would report that error instead.
    let mut second = crate::process::taper(&["serve"]);
    for (face, address) in ["--data", "--admin", "--http"]
        .iter()
        .zip(gateway.addresses)
    {
        second.arg(face).arg(address.to_string());
    }
    second.arg("--registry").arg(dir.path().join("models"));
    second.arg("--state").arg(dir.path().join("state"));
    let ended = Process::start(&mut second).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let pid = gateway.process.id().to_string();
    assert!(
        ended.stderr.contains(&pid),
        "process {pid}: {}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("cannot listen"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("://"), "{}", ended.stdout);
    assert_eq!(
        gateway.predict("m").await.expect("the first serves on").0,
        3
    );
    gateway.process.kill();
    let mut third = ServeProcess::start(dir.path(), "").await;
    assert_eq!(
        third
            .predict("m")
            .await
            .expect("the folder is free again")
            .0,
        3
    );
}

/// Serves version 1 of `m`, stops, applies `spoil` to the registry, restarts, and applies `mend` to the registry.
async fn comes_back_by_itself(spoil: impl FnOnce(&Path), why: &str, mend: impl FnOnce(&Path)) {
    let dir = two_models();
    let mut gateway = ServeProcess::start(dir.path(), "").await;
    assert_eq!(gateway.set_split(&[(1, 10_000)], 0).await, 3);
    gateway.process.kill();
    spoil(dir.path());

    let mut gateway = ServeProcess::start(dir.path(), "").await;
    let (status, body) = gateway.readyz().await;
    assert!(status.contains("200"), "{status}: {body}");
    for part in ["model m:", "revision 3", "version 1", why] {
        assert!(body.contains(part), "{part:?} is not in {body:?}");
    }
    let refused = gateway
        .predict("m")
        .await
        .expect_err("not by another version");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert_eq!(
        gateway.predict("other").await.expect("other models serve"),
        (1, 2)
    );
    assert_eq!(
        gateway.policy().await,
        Some(policy(&[(1, 10_000)])),
        "the policy is not changed"
    );

    mend(dir.path());
    let http = gateway.addresses[2];
    eventually("without a problem by itself", || async move {
        let (_, body) = http_get(http, "/readyz").await;
        (body == "ready\n").then_some(())
    })
    .await;
    assert_eq!(
        gateway.predict("m").await.expect("answer"),
        (1, 3),
        "under the same revision"
    );
    assert_eq!(gateway.history().await.len(), 3);
}

#[tokio::test]
async fn a_version_removed_while_the_gateway_was_down_is_reported_until_it_is_back() {
    let away = |dir: &Path| (dir.join("models/m/1"), dir.join("away"));
    let remove = |dir: &Path| {
        let (version, away) = away(dir);
        fs::rename(version, away).expect("moved away");
    };
    let put_back = |dir: &Path| {
        let (version, away) = away(dir);
        fs::rename(away, version).expect("moved back");
    };
    comes_back_by_itself(remove, "it is not in the registry", put_back).await;
}

#[tokio::test]
async fn a_version_damaged_while_the_gateway_was_down_is_reported_until_it_is_repaired() {
    let damage = |dir: &Path| {
        let weights = dir.join("models/m/1/weights.safetensors");
        let mut bytes = fs::read(&weights).expect("weights");
        *bytes.last_mut().expect("a byte") ^= 1;
        fs::write(&weights, bytes).expect("weights");
    };
    let replace = |dir: &Path| {
        let fresh = dir.join("fresh");
        tiny::publish(&fresh, "m", 1);
        fs::rename(dir.join("models/m/1"), dir.join("damaged")).expect("moved away");
        fs::rename(fresh.join("m/1"), dir.join("models/m/1")).expect("moved in");
    };
    comes_back_by_itself(damage, "differs from the manifest", replace).await;
}

#[tokio::test]
async fn the_first_policy_of_the_configuration_does_not_override_the_stored_one() {
    let dir = two_models();
    let toml = "[models.m]\nlabels = { stable = 1 }\nsplit = { stable = 10000 }";
    let mut gateway = ServeProcess::start(dir.path(), toml).await;
    assert_eq!(
        gateway.predict("m").await.expect("answer"),
        (1, 1),
        "first, what the configuration says"
    );
    assert_eq!(gateway.set_split(&[(2, 10_000)], 1).await, 3);
    gateway.process.kill();
    let other = "[models.m]\nlabels = { stable = 3 }\nsplit = { stable = 10000 }";
    for toml in [toml, other] {
        let mut gateway = ServeProcess::start(dir.path(), toml).await;
        assert_eq!(
            gateway.predict("m").await.expect("answer"),
            (2, 3),
            "then what was stored"
        );
        let labels = gateway.model().await.labels;
        assert_eq!(labels["stable"], 1);
        assert_eq!(gateway.history().await.len(), 3);
        gateway.process.kill();
    }
}

#[tokio::test]
async fn a_check_works_beside_a_running_gateway_and_changes_nothing() {
    let dir = two_models();
    let mut gateway = ServeProcess::start(dir.path(), "").await;
    assert_eq!(gateway.set_split(&[(2, 10_000)], 0).await, 3);
    let file = dir.path().join("taper.toml");
    let check = || {
        let mut command = serve(dir.path());
        Process::start(command.arg("--check").arg("--config").arg(&file)).end()
    };
    let good = check();
    assert_eq!(good.code, Some(0), "{good:?}");
    fs::write(&file, "[models.other]\nsplit = { 9 = 10000 }").expect("configuration");
    let bad = check();
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(
        bad.stderr.contains("$.models.other.split"),
        "{}",
        bad.stderr
    );
    assert_eq!(gateway.predict("m").await.expect("answer"), (2, 3));
    assert_eq!(
        gateway.set_split(&[(1, 10_000)], 3).await,
        4,
        "it still has its folder"
    );
    assert_eq!(gateway.history().await.len(), 4);
}
