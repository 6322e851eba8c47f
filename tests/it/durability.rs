//! A process that is killed at any moment keeps all acknowledged changes and no partial change.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::harness::{connect, ends, good, policy, rows};
use crate::process::Process;
use crate::tiny;

const ROUNDS: u64 = 200;
const CLIENTS: u64 = 6;
/// Maximum number of acknowledged changes before a gateway is killed.
const MAX_CHANGES: u32 = 12;
/// Maximum number of times that the test yields to other tasks before it kills the gateway.
const MAX_YIELDS: u32 = 200;
/// The environment variable with the seed of all random choices. If it is not set, the seed is random.
const SEED: &str = "TAPER_TEST_SEED";
const MODELS: [&str; 2] = ["a", "b"];
const VERSIONS: u64 = 2;
/// The reason of the first change of each model, which taper makes itself.
const FIRST_VERSION: &str = "the model had no traffic policy";
const LABELS: [&str; 3] = ["stable", "canary", "shadow"];

/// One change request. Its reason is unique, so it can be found in the history and in the audit log.
#[derive(Clone, Debug)]
struct Request {
    model: &'static str,
    edit: Edit,
    dry_run: bool,
    /// `None` if the connection broke before a response arrived.
    answer: Option<Outcome>,
}

#[derive(Clone, Debug)]
enum Edit {
    Policy(v1::TrafficPolicy),
    Label(&'static str, u64),
    Promote(&'static str),
    Undo,
}

#[derive(Clone, Debug)]
enum Outcome {
    /// The request created this revision.
    Made(u64),
    /// The request changed nothing: there was no difference, or it was a dry run.
    Nothing,
    /// The request was refused with this error reason.
    Refused(String),
}

/// Policy and labels of one model according to the history.
#[derive(Clone, Debug, Default, PartialEq)]
struct Settings {
    policy: Option<v1::TrafficPolicy>,
    labels: BTreeMap<String, u64>,
}

/// One revision as the gateway returned it.
#[derive(Clone, Debug, PartialEq)]
struct StoredRevision {
    model: String,
    reason: String,
    undoes_to: u64,
    content: Settings,
}

/// All requests and all revisions that are known.
#[derive(Default)]
struct Ledger {
    /// Requests by reason.
    asked: HashMap<String, Request>,
    /// Changes by revision.
    kept: BTreeMap<u64, StoredRevision>,
}

/// Creates a folder with the registry, in memory if the system has a memory file system: a killed process leaves the same file
/// contents there as on a disk, and more rounds fit into the same time.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let dir = dir.expect("temporary folder");
    for model in MODELS {
        for version in 1..=VERSIONS {
            // Small batches warm up quickly. Warm-up is not the subject of this test.
            tiny::publish_with(&dir.path().join("models"), model, version, |manifest| {
                manifest["batching"]["max_rows"] = 2.into();
            });
        }
    }
    dir
}

type AdminClient = AdminServiceClient<Channel>;

/// Draws a random request. Some of them are refused.
async fn draw(admin: &mut AdminClient, rng: &mut StdRng) -> Result<(Request, Option<u64>), Status> {
    let model = MODELS[rng.random_range(0..MODELS.len())];
    let label = LABELS[rng.random_range(0..LABELS.len())];
    // One of the versions does not exist.
    let version = rng.random_range(1..=VERSIONS + 1);
    let mut expected = None;
    let edit = match rng.random_range(0..8) {
        0..3 => {
            let request = v1::GetTrafficPolicyRequest {
                model: model.into(),
            };
            let read = admin.get_traffic_policy(request).await?.into_inner();
            // Some clients expect an older revision.
            expected = Some(read.revision.saturating_sub(rng.random_range(0..5_u64) / 4));
            let share = rng.random_range(1..10_000);
            let rest = 10_000 - share - u32::from(rng.random_range(0..8) == 0);
            Edit::Policy(v1::TrafficPolicy {
                salt: format!("{}", rng.random_range(0..1_000_000)),
                ..policy(&[(1, share), (VERSIONS, rest)])
            })
        }
        3..6 => Edit::Label(label, version),
        6 => Edit::Promote(label),
        _ => Edit::Undo,
    };
    let asked = Request {
        model,
        edit,
        dry_run: rng.random_range(0..8) == 0,
        answer: None,
    };
    Ok((asked, expected))
}

async fn send(
    admin: &mut AdminClient,
    asked: &Request,
    expected_revision: Option<u64>,
    reason: &str,
) -> Result<v1::ChangeResponse, Status> {
    let model = asked.model.to_owned();
    let terms = Some(v1::ChangeTerms {
        expected_revision,
        dry_run: asked.dry_run,
        actor: "client".into(),
        reason: reason.into(),
        ..Default::default()
    });
    let changed = match asked.edit.clone() {
        Edit::Policy(policy) => {
            let policy = Some(policy);
            let request = v1::SetTrafficPolicyRequest {
                model,
                policy,
                terms,
            };
            admin.set_traffic_policy(request).await
        }
        Edit::Label(label, version) => {
            let label = label.to_owned();
            let request = v1::SetLabelRequest {
                model,
                label,
                version,
                terms,
            };
            admin.set_label(request).await
        }
        Edit::Promote(label) => {
            let request = v1::PromoteRequest {
                model,
                label: label.into(),
                to: String::new(),
                terms,
            };
            admin.promote(request).await
        }
        Edit::Undo => admin.undo(v1::UndoRequest { model, terms }).await,
    };
    changed.map(tonic::Response::into_inner)
}

/// Sends changes until the connection breaks. Adds a permit for each acknowledged change.
async fn client(
    mut admin: AdminClient,
    name: String,
    mut rng: StdRng,
    acknowledged: Arc<Semaphore>,
) -> Vec<(String, Request)> {
    let mut all = Vec::new();
    for turn in 0.. {
        let Ok((mut asked, expected)) = draw(&mut admin, &mut rng).await else {
            break;
        };
        let reason = format!("{name}, change {turn}");
        match send(&mut admin, &asked, expected, &reason).await {
            Ok(changed) => {
                let made = !asked.dry_run && !changed.differences.is_empty();
                asked.answer = Some(if made {
                    acknowledged.add_permits(1);
                    Outcome::Made(changed.revision)
                } else {
                    Outcome::Nothing
                });
            }
            Err(status) => {
                let info = status.get_details_error_info();
                asked.answer = info.map(|info| Outcome::Refused(info.reason));
            }
        }
        let broken = asked.answer.is_none();
        all.push((reason, asked));
        if broken {
            break;
        }
    }
    all
}

/// Returns the changes after revision `after`, oldest first.
async fn history(admin: &mut AdminClient, after: u64) -> Vec<v1::Revision> {
    let mut all = Vec::new();
    let mut before_revision = 0;
    loop {
        let request = v1::ListRevisionsRequest {
            before_revision,
            limit: if after == 0 { 1000 } else { 100 },
            ..Default::default()
        };
        let page = admin
            .list_revisions(request)
            .await
            .expect("history")
            .into_inner()
            .revisions;
        let last = page.last().map_or(0, |change| change.revision);
        all.extend(page.into_iter().filter(|change| change.revision > after));
        if last <= after + 1 {
            all.reverse();
            return all;
        }
        before_revision = last;
    }
}

fn kept(change: v1::Revision) -> StoredRevision {
    assert!(
        change.loaded.is_empty() && change.unloaded.is_empty(),
        "no client requested this: {change:?}"
    );
    let actor = if change.reason == FIRST_VERSION {
        "taper"
    } else {
        "client"
    };
    assert_eq!((change.confirm_by, &*change.actor), (None, actor));
    StoredRevision {
        model: change.model,
        reason: change.reason,
        undoes_to: change.undoes_to,
        content: Settings {
            policy: change.policy,
            labels: change.labels.into_iter().collect(),
        },
    }
}

impl Ledger {
    /// Returns the newest revision of `model` below `below`, or 0, and its policy and labels.
    fn newest(&self, model: &str, below: u64) -> (u64, Settings) {
        let newest = self
            .kept
            .range(..below)
            .rev()
            .find(|(_, kept)| kept.model == model);
        newest.map_or_else(Default::default, |(revision, kept)| {
            (*revision, kept.content.clone())
        })
    }

    /// Returns the policy and labels that `asked` produces at `revision`, and the revision that an undo restores.
    fn expected(&self, asked: &Request, revision: u64) -> (u64, Settings) {
        let (previous, mut content) = self.newest(asked.model, revision);
        match &asked.edit {
            Edit::Policy(policy) => content.policy = Some(policy.clone()),
            Edit::Label(label, version) => drop(content.labels.insert((*label).into(), *version)),
            Edit::Promote(label) => {
                let version = content.labels[*label];
                content.labels.insert("stable".into(), version);
                content.policy.get_or_insert_default().split = vec![v1::Share {
                    target: Some(v1::share::Target::Label("stable".into())),
                    basis_points: 10_000,
                }];
            }
            Edit::Undo => {
                let back = self.kept.get(&previous).map_or(0, |kept| kept.undoes_to);
                let restored = self.kept.get(&back);
                return restored.map_or_else(Default::default, |kept| {
                    (kept.undoes_to, kept.content.clone())
                });
            }
        }
        (previous, content)
    }

    /// Compares the gateway with the ledger, and adds the changes that it stored without acknowledging them.
    async fn check(&mut self, admin: &mut AdminClient) {
        let known = self
            .kept
            .last_key_value()
            .map_or(0, |(revision, _)| *revision);
        for change in history(admin, known).await {
            let revision = change.revision;
            assert_eq!(
                revision,
                self.kept.len() as u64 + 1,
                "no revision is left out"
            );
            let kept = kept(change);
            if kept.reason == FIRST_VERSION {
                assert!(
                    self.kept.len() < MODELS.len(),
                    "at the first start: {kept:?}"
                );
                self.kept.insert(revision, kept);
                continue;
            }
            let asked = self.asked.get(&kept.reason);
            let asked = asked
                .unwrap_or_else(|| panic!("no client requested revision {revision}: {kept:?}"));
            assert!(!asked.dry_run, "a dry run: {kept:?}");
            match &asked.answer {
                None => {}
                Some(Outcome::Made(made)) => assert_eq!(*made, revision, "{asked:?}"),
                other => panic!("revision {revision} was answered with {other:?}"),
            }
            let (undoes_to, content) = self.expected(asked, revision);
            assert_eq!(
                (&*kept.model, kept.undoes_to),
                (asked.model, undoes_to),
                "{kept:?}"
            );
            assert_eq!(
                kept.content, content,
                "revision {revision} is what was requested: {asked:?}"
            );
            self.kept.insert(revision, kept);
        }
        for (reason, asked) in &self.asked {
            if let Some(Outcome::Made(revision)) = asked.answer {
                let kept = self.kept.get(&revision);
                assert!(
                    kept.is_some_and(|kept| kept.reason == *reason),
                    "{reason} made {revision}, which is {kept:?}"
                );
            }
        }
        for model in MODELS {
            let (revision, content) = self.newest(model, u64::MAX);
            let request = v1::GetModelRequest {
                model: model.into(),
            };
            let mut got = admin.get_model(request).await.expect("model").into_inner();
            assert_eq!(got.labels.remove("latest"), Some(VERSIONS));
            assert_eq!((got.revision, &*got.problem), (revision, ""), "{model}");
            assert_eq!(
                got.labels.into_iter().collect::<BTreeMap<_, _>>(),
                content.labels,
                "{model}"
            );
            let request = v1::GetTrafficPolicyRequest {
                model: model.into(),
            };
            let got = admin
                .get_traffic_policy(request)
                .await
                .expect("policy")
                .into_inner();
            if content.policy.is_some() {
                assert_eq!(
                    (got.revision, got.policy),
                    (revision, content.policy),
                    "{model}"
                );
            }
        }
    }

    /// Reads the whole history again, and the audit log on disk.
    async fn check_all(&self, admin: &mut AdminClient, state: &Path) {
        let listed: BTreeMap<_, _> = history(admin, 0)
            .await
            .into_iter()
            .map(|change| (change.revision, kept(change)))
            .collect();
        for model in MODELS {
            let of_model = |(_, kept): &(&u64, &StoredRevision)| kept.model == model;
            let mine: Vec<_> = self.kept.iter().filter(of_model).rev().take(1000).collect();
            let logged: Vec<_> = listed.iter().filter(of_model).rev().take(1000).collect();
            assert_eq!(mine, logged, "what was once in the history stays there");
        }
        let files = taper::audit::files(state).expect("state folder");
        taper::audit::verify(&files).expect("the chain holds");
        // Lines of the log by reason.
        let mut lines: HashMap<String, Vec<(Option<u64>, String)>> = HashMap::new();
        let mut newest = 0;
        for line in taper::audit::read(state, 0).expect("state folder") {
            let line: serde_json::Value = serde_json::from_str(&line.expect("line")).expect("JSON");
            let text = |name: &str| line[name].as_str().expect("text").to_owned();
            let revision = line["revision"].as_u64();
            if let Some(revision) = revision {
                assert_eq!(revision, newest + 1, "changes are in order");
                assert_eq!(text("reason"), self.kept[&revision].reason);
                newest = revision;
            }
            lines
                .entry(text("reason"))
                .or_default()
                .push((revision, text("outcome")));
        }
        assert_eq!(
            newest,
            self.kept.len() as u64,
            "each change is in the audit log"
        );
        let first = lines.remove(FIRST_VERSION).unwrap_or_default();
        assert_eq!(first.len(), MODELS.len(), "{first:?}");
        for (reason, asked) in &self.asked {
            let logged = lines.remove(reason).unwrap_or_default();
            let right = match &asked.answer {
                _ if asked.dry_run => logged.is_empty(),
                Some(Outcome::Made(revision)) => logged == [(Some(*revision), "done".into())],
                Some(Outcome::Refused(why)) => logged == [(None, why.clone())],
                Some(Outcome::Nothing) => logged.is_empty(),
                None => logged.len() <= 1,
            };
            assert!(
                right,
                "{reason}: {asked:?} is in the audit log as {logged:?}"
            );
        }
        assert!(lines.is_empty(), "no client requested {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::print_stdout,
    reason = "a failing test prints its seed and the number of its requests"
)]
async fn a_gateway_killed_200_times_during_changes_keeps_all_acknowledged_changes_and_no_partial_change()
 {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().expect("TAPER_TEST_SEED is a whole number"),
        Err(_) => rand::random(),
    };
    println!("to repeat with the same seed: {SEED}={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = folder();
    let mut ledger = Ledger::default();
    for round in 0..=ROUNDS {
        let mut gateway = Process::serve(dir.path());
        let data = gateway.address("data");
        let address = gateway.address("admin");
        let mut admin = AdminServiceClient::new(connect(address).await);
        ledger.check(&mut admin).await;
        if round % 20 == 0 {
            ledger
                .check_all(&mut admin, &dir.path().join("state"))
                .await;
        }
        let mut data = PredictionServiceClient::new(connect(data).await);
        for model in MODELS {
            let answer = data
                .predict(rows(model, [good()]))
                .await
                .expect("it serves")
                .into_inner();
            assert_eq!(answer.policy_revision, ledger.newest(model, u64::MAX).0);
        }
        let acknowledged = Arc::new(Semaphore::new(0));
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let admin = AdminServiceClient::new(connect(address).await);
            let name = format!("round {round}, client {number}");
            let rng = StdRng::seed_from_u64(rng.random());
            clients.push(tokio::spawn(client(
                admin,
                name,
                rng,
                Arc::clone(&acknowledged),
            )));
        }
        let changes = rng.random_range(1..=MAX_CHANGES);
        let made = ends("the changes of a round", acknowledged.acquire_many(changes)).await;
        made.expect("the semaphore is never closed").forget();
        // The kill can then hit the next change at any stage.
        for _ in 0..rng.random_range(0..MAX_YIELDS) {
            tokio::task::yield_now().await;
        }
        gateway.kill();
        for client in clients {
            ledger.asked.extend(client.await.expect("no client failed"));
        }
    }
    let count = |is: fn(&Request) -> bool| ledger.asked.values().filter(|asked| is(asked)).count();
    let made = count(|asked| matches!(asked.answer, Some(Outcome::Made(_))));
    let refused = count(|asked| matches!(asked.answer, Some(Outcome::Refused(_))));
    let lost = count(|asked| asked.answer.is_none());
    println!(
        "{made} made, {refused} refused, {lost} without an answer, {} in the history",
        ledger.kept.len()
    );
    assert!(
        made as u64 >= ROUNDS && refused > 0 && lost > 0,
        "{SEED}={seed}: {made} made, {refused} refused, {lost} lost"
    );
}
