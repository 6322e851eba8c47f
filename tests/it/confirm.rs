//! Changes that revert unless they are confirmed, in a process that is killed in between.
//!
//! No test waits for a long confirmation period: the test changes the deadline in the state folder while the gateway is down.

use std::path::Path;
use std::time::{Duration, SystemTime};

use redb::{Database, ReadableTable as _, TableDefinition};

use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::{connect, eventually, good, policy, reason, registry, rows};
use crate::process::{Process, serve};
use crate::tiny;

/// A gateway process with two versions of `m`.
struct ServeProcess {
    process: Process,
    data: PredictionServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
}

/// A registry with two versions, of which revision 1 gives the first all traffic.
fn two_versions() -> TempDir {
    let dir = registry(|root| (1..=2).for_each(|version| tiny::publish(root, "m", version)));
    configure(&dir, "[models.m]\nsplit = { 1 = 10000 }");
    dir
}

fn configure(dir: &TempDir, toml: &str) {
    std::fs::write(dir.path().join("taper.toml"), toml).expect("configuration");
}

impl ServeProcess {
    async fn start(dir: &Path) -> Self {
        let mut command = serve(dir);
        Self::of(Process::start(
            command.arg("--config").arg(dir.join("taper.toml")),
        ))
        .await
    }

    async fn of(mut process: Process) -> Self {
        let data = PredictionServiceClient::new(connect(process.address("data")).await);
        let admin = AdminServiceClient::new(connect(process.address("admin")).await);
        Self {
            process,
            data,
            admin,
        }
    }

    /// Returns the version that answers a request, and the policy revision.
    async fn answers(&mut self) -> (u64, u64) {
        let answer = self
            .data
            .predict(rows("m", [good()]))
            .await
            .expect("answer")
            .into_inner();
        (answer.version, answer.policy_revision)
    }

    /// Sends all traffic to `version`. Reverts after `seconds` unless confirmed; 0 means that it never reverts.
    async fn all_to(
        &mut self,
        version: u64,
        expected: u64,
        seconds: i64,
    ) -> Result<v1::ChangeResponse, Status> {
        let request = v1::SetTrafficPolicyRequest {
            model: "m".into(),
            policy: Some(policy(&[(version, 10_000)])),
            terms: Some(v1::ChangeTerms {
                expected_revision: Some(expected),
                confirm_within: (seconds > 0)
                    .then_some(prost_types::Duration { seconds, nanos: 0 }),
                actor: "ann".into(),
                ..Default::default()
            }),
        };
        self.admin
            .set_traffic_policy(request)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn model(&mut self) -> v1::GetModelResponse {
        let request = v1::GetModelRequest { model: "m".into() };
        self.admin
            .get_model(request)
            .await
            .expect("model")
            .into_inner()
    }

    /// Returns number, actor and action of each revision, newest first.
    async fn history(&mut self) -> Vec<(u64, String, String)> {
        let listed = self
            .admin
            .list_revisions(v1::ListRevisionsRequest::default())
            .await;
        let revisions = listed.expect("history").into_inner().revisions;
        let summary = |one: v1::Revision| (one.revision, one.actor, one.action);
        revisions.into_iter().map(summary).collect()
    }

    /// Checks that version 2 answers under revision 2. From `time` on, revision 1 may already be restored.
    async fn expect_in_force_until(&mut self, time: SystemTime) {
        let answer = self.answers().await;
        let is_over = SystemTime::now() >= time;
        assert!(
            answer == (2, 2) || is_over && answer == (1, 3),
            "{answer:?}"
        );
    }

    /// Waits until revision 2 has been reverted by revision 3.
    async fn reverted(&mut self) {
        let data = self.data.clone();
        eventually("the revert", || {
            let mut data = data.clone();
            async move {
                let answer = data
                    .predict(rows("m", [good()]))
                    .await
                    .expect("answer")
                    .into_inner();
                (answer.policy_revision == 3).then_some(())
            }
        })
        .await;
    }
}

/// Sets the time at which the unconfirmed change `revision` reverts, in the state folder of a gateway that does not run. Returns the
/// time as stored, in whole milliseconds.
pub fn revert_at(dir: &Path, revision: u64, time: SystemTime) -> SystemTime {
    const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
    let since = time.duration_since(SystemTime::UNIX_EPOCH).expect("later");
    let until_ms = u64::try_from(since.as_millis()).expect("a time");
    let database = Database::open(dir.join("state/state.redb")).expect("the database");
    let transaction = database.begin_write().expect("a transaction");
    {
        let mut changes = transaction.open_table(CHANGES).expect("the changes");
        let json = changes.get(revision).expect("read").expect("the change");
        let mut change: serde_json::Value = serde_json::from_slice(json.value()).expect("JSON");
        drop(json);
        let until = &mut change["wanted"]["pending"]["until_ms"];
        assert!(until.is_u64(), "the change is unconfirmed: {until}");
        *until = until_ms.into();
        let text = change.to_string();
        changes.insert(revision, text.as_bytes()).expect("written");
    }
    transaction.commit().expect("committed");
    SystemTime::UNIX_EPOCH + Duration::from_millis(until_ms)
}

/// Returns a time in the past.
pub fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1)
}

/// Checks that the last line of the audit log says that revision 3 restored revision 1, and that the hash chain is intact.
fn audited_as_reverted(dir: &Path) {
    let state = dir.join("state");
    taper::audit::verify(&taper::audit::files(&state).expect("state folder"))
        .expect("the chain holds");
    let lines = taper::audit::read(&state, 0).expect("state folder");
    let lines = lines.map(|line| serde_json::from_str(&line.expect("line")).expect("JSON"));
    let reverts: Vec<serde_json::Value> = lines
        .filter(|line: &serde_json::Value| line["revision"] == 3)
        .collect();
    let [line] = &reverts[..] else {
        panic!("one line: {reverts:?}")
    };
    assert_eq!(
        (&line["actor"], &line["action"]),
        (&"taper".into(), &"revert to revision 1".into())
    );
    assert_eq!(
        (&line["outcome"], &line["model"]),
        (&"done".into(), &"m".into())
    );
    assert_eq!(line["before"]["pending"]["restores"], 1);
    assert!(line["after"]["pending"].is_null(), "{line}");
}

fn revert() -> (u64, String, String) {
    (3, "taper".into(), "revert to revision 1".into())
}

#[tokio::test]
async fn an_unconfirmed_change_reverts_at_its_deadline() {
    let dir = two_versions();
    let mut gateway = ServeProcess::start(dir.path()).await;
    let changed = gateway.all_to(2, 1, 1).await.expect("for a second");
    let until = SystemTime::try_from(changed.confirm_by.expect("a time")).expect("a time");
    gateway.expect_in_force_until(until).await;
    gateway.reverted().await;
    assert!(SystemTime::now() >= until, "not before its time");
    assert_eq!(gateway.answers().await, (1, 3));
    assert_eq!(gateway.history().await[0], revert());
    audited_as_reverted(dir.path());
}

#[tokio::test]
async fn a_change_that_expired_while_the_gateway_was_down_is_never_served_again() {
    let dir = two_versions();
    let mut gateway = ServeProcess::start(dir.path()).await;
    gateway.all_to(2, 1, 3600).await.expect("for an hour");
    gateway.process.kill();
    revert_at(dir.path(), 2, long_ago());
    let mut gateway = ServeProcess::start(dir.path()).await;
    assert_eq!(gateway.answers().await, (1, 3), "the first request");
    assert_eq!(gateway.history().await[0], revert());
    assert_eq!(gateway.model().await.confirm_by, None);
    audited_as_reverted(dir.path());
    gateway.process.kill();
    let mut gateway = ServeProcess::start(dir.path()).await;
    assert_eq!(gateway.answers().await, (1, 3), "reverted once");
}

#[tokio::test]
async fn an_unconfirmed_change_reverts_at_its_deadline_after_a_restart() {
    let dir = two_versions();
    let mut gateway = ServeProcess::start(dir.path()).await;
    let changed = gateway.all_to(2, 1, 3600).await.expect("for an hour");
    gateway.process.kill();
    let mut gateway = ServeProcess::start(dir.path()).await;
    assert_eq!(
        gateway.model().await.confirm_by,
        changed.confirm_by,
        "the time stays"
    );
    assert_eq!(gateway.answers().await, (2, 2), "still in force");
    gateway.process.kill();
    let soon = SystemTime::now() + Duration::from_secs(1);
    let until = revert_at(dir.path(), 2, soon);
    let mut gateway = ServeProcess::start(dir.path()).await;
    gateway.expect_in_force_until(until).await;
    gateway.reverted().await;
    assert!(SystemTime::now() >= until, "not before its time");
    assert_eq!(gateway.history().await[0], revert());
    audited_as_reverted(dir.path());
}

#[tokio::test]
async fn a_confirmed_change_survives_restarts() {
    let dir = two_versions();
    let mut gateway = ServeProcess::start(dir.path()).await;
    gateway.all_to(2, 1, 3600).await.expect("for an hour");
    gateway.process.kill();
    let mut gateway = ServeProcess::start(dir.path()).await;
    let request = v1::ConfirmRequest {
        model: "m".into(),
        terms: None,
    };
    gateway.admin.confirm(request).await.expect("confirmed");
    assert_eq!(gateway.model().await.confirm_by, None);
    assert_eq!(gateway.answers().await, (2, 3));
    gateway.process.kill();
    revert_at(dir.path(), 2, long_ago());
    let mut gateway = ServeProcess::start(dir.path()).await;
    assert_eq!(gateway.answers().await, (2, 3));
    let history = gateway.history().await;
    assert_eq!((history.len(), &*history[0].2), (3, "confirm"));
}

#[tokio::test]
async fn undoing_an_unconfirmed_change_ends_the_wait() {
    let dir = two_versions();
    let mut gateway = ServeProcess::start(dir.path()).await;
    gateway.all_to(2, 1, 3600).await.expect("for an hour");
    let request = v1::UndoRequest {
        model: "m".into(),
        terms: None,
    };
    gateway.admin.undo(request).await.expect("undone");
    assert_eq!(gateway.answers().await, (1, 3));
    assert_eq!(gateway.model().await.confirm_by, None);
    let changed = gateway
        .all_to(2, 3, 0)
        .await
        .expect("changes are taken again");
    assert_eq!(changed.revision, 4);
    gateway.process.kill();
    revert_at(dir.path(), 2, long_ago());
    let mut gateway = ServeProcess::start(dir.path()).await;
    assert_eq!(gateway.answers().await, (2, 4), "nothing reverts any more");
    assert_eq!(gateway.history().await.len(), 4);
}

#[tokio::test]
async fn an_unconfirmed_change_blocks_other_changes_and_keeps_the_earlier_version_loaded() {
    let dir = two_versions();
    let mut gateway = ServeProcess::start(dir.path()).await;
    gateway.all_to(2, 1, 3600).await.expect("for an hour");
    gateway.process.kill();
    // From now on only the state that a revert restores needs version 1.
    configure(&dir, "versions = { latest = 1 }");
    let mut gateway = ServeProcess::start(dir.path()).await;
    let status = gateway.all_to(1, 2, 0).await.expect_err("not now");
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::FailedPrecondition, "UNCONFIRMED_CHANGE"),
        "{status:?}"
    );
    let label = v1::SetLabelRequest {
        model: "m".into(),
        label: "stable".into(),
        version: 2,
        terms: None,
    };
    let status = gateway.admin.set_label(label).await.expect_err("not now");
    assert_eq!(reason(&status), "UNCONFIRMED_CHANGE", "{status:?}");
    let model = gateway.model().await;
    let first = &model.versions[0];
    assert_eq!((first.version, first.state()), (1, v1::VersionState::Ready));
    assert!(
        first.held_by.iter().any(|who| who.contains("revision 2")),
        "{first:?}"
    );
    let unload = v1::UnloadVersionRequest {
        model: "m".into(),
        version: 1,
        terms: None,
    };
    let status = gateway
        .admin
        .unload_version(unload)
        .await
        .expect_err("it may come back");
    assert_eq!(reason(&status), "UNCONFIRMED_CHANGE", "{status:?}");
    assert_eq!(
        gateway.model().await.versions[0].state(),
        v1::VersionState::Ready
    );
    assert_eq!(gateway.answers().await, (2, 2), "nothing has moved");
    let request = v1::UndoRequest {
        model: "m".into(),
        terms: None,
    };
    gateway.admin.undo(request).await.expect("undone");
    assert_eq!(gateway.answers().await, (1, 3), "at once");
}
