//! Many concurrent writers: each change is based on the revision that its writer read.

use std::collections::BTreeMap;

use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::harness::{TestGateway, connect, expecting_revision, reason};
use crate::tiny;

const WRITERS: u64 = 16;
const WINS: u64 = 12;

/// Results of one writer: the revision that it read and the one that it created, for each success, and the number of conflicts.
#[derive(Default)]
struct WriterRecord {
    wins: Vec<(u64, u64)>,
    losses: u64,
}

/// Increments the counter in the policy's salt repeatedly, until it has succeeded [`WINS`] times.
async fn count_up(mut admin: AdminServiceClient<Channel>, writer: u64) -> WriterRecord {
    let mut done = WriterRecord::default();
    while (done.wins.len() as u64) < WINS {
        let request = v1::GetTrafficPolicyRequest { model: "m".into() };
        let read = admin
            .get_traffic_policy(request)
            .await
            .expect("policy")
            .into_inner();
        let mut policy = read.policy.expect("a policy");
        policy.salt = salt(counter(&policy) + 1, writer);
        let request = v1::SetTrafficPolicyRequest {
            model: "m".into(),
            policy: Some(policy),
            terms: expecting_revision(read.revision),
        };
        match admin.set_traffic_policy(request).await {
            Ok(made) => done.wins.push((read.revision, made.into_inner().revision)),
            Err(status) => {
                assert_eq!(
                    (status.code(), &*reason(&status)),
                    (Code::Aborted, "REVISION_CONFLICT"),
                    "{status:?}"
                );
                let info = status.get_details_error_info().expect("info");
                let current: u64 = info.metadata["current_revision"]
                    .parse()
                    .expect("a revision");
                assert!(
                    current > read.revision,
                    "{current} is not after {}",
                    read.revision
                );
                done.losses += 1;
            }
        }
    }
    done
}

fn salt(count: u64, writer: u64) -> String {
    format!("{count} by {writer}")
}

fn counter(policy: &v1::TrafficPolicy) -> u64 {
    let count = policy.salt.split_once(' ').map(|(count, _)| count);
    count.map_or(0, |count| count.parse().expect("a counter"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_16_writers_succeeds_or_gets_the_current_revision_and_no_update_is_lost() {
    let mut gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let admin = AdminServiceClient::new(connect(gateway.addresses().admin).await);
        writers.push(tokio::spawn(count_up(admin, writer)));
    }
    // Writer and base revision, by created revision.
    let mut made = BTreeMap::new();
    let mut losses = 0;
    for (writer, task) in (0..).zip(writers) {
        let done = task.await.expect("no writer failed");
        losses += done.losses;
        for (read, revision) in done.wins {
            assert_eq!(
                made.insert(revision, (writer, read)),
                None,
                "revision {revision} was won twice"
            );
        }
    }
    assert!(
        losses > 0,
        "no writer ever had a conflict, so the test proved nothing"
    );
    let request = v1::ListRevisionsRequest {
        limit: 1000,
        ..Default::default()
    };
    let listed = gateway
        .admin
        .list_revisions(request)
        .await
        .expect("history")
        .into_inner();
    let mut history: Vec<_> = listed.revisions;
    history.reverse();
    let first = history.remove(0);
    assert_eq!((first.revision, &*first.actor), (1, "taper"));
    assert_eq!(history.len() as u64, WRITERS * WINS);
    for (count, change) in (1..).zip(&history) {
        let (writer, read) = made[&change.revision];
        let policy = change.policy.as_ref().expect("a policy");
        assert_eq!(policy.salt, salt(count, writer), "{change:?}");
        assert_eq!(
            read, change.undoes_to,
            "built on what its writer had read: {change:?}"
        );
        assert_eq!(read + 1, change.revision, "{change:?}");
    }
    gateway.drain().await;
}
