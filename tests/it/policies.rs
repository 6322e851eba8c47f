//! Changes of the traffic policy during requests, and policies that are refused.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use taper::proto::v1;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{TestGateway, expecting_revision, good, policy, rows, single_score};
use crate::tiny;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_changes_under_64_clients_leave_every_request_on_one_snapshot() {
    let mut gateway = TestGateway::start("[models.m]\nsplit = { 1 = 5000, 2 = 5000 }", |root| {
        (1..=4).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    // Versions that each revision may select. A revision is added before any client can see it.
    let allowed: Arc<Mutex<HashMap<u64, Vec<u64>>>> = Arc::default();
    allowed.lock().expect("lock").insert(1, vec![1, 2]);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..64)
        .map(|client| {
            let (mut data, stop) = (gateway.data.clone(), Arc::clone(&stop));
            let allowed = Arc::clone(&allowed);
            tokio::task::spawn(async move {
                let mut answered = 0_u64;
                let mut newest = 0;
                while !stop.load(Ordering::Relaxed) {
                    let mut request = rows("m", [good()]);
                    if client % 2 == 0 {
                        request.routing_key = format!("{client}-{answered}");
                    }
                    let answer = data.predict(request).await.expect("no error").into_inner();
                    let may = allowed.lock().expect("lock")[&answer.policy_revision].clone();
                    assert!(
                        may.contains(&answer.version),
                        "{answer:?} is not of {may:?}"
                    );
                    #[expect(clippy::cast_precision_loss, reason = "four versions")]
                    let weights = answer.version as f32;
                    assert!(
                        (single_score(&answer) - weights).abs() < f32::EPSILON,
                        "{answer:?}"
                    );
                    assert!(answer.policy_revision >= newest, "revisions never go back");
                    newest = answer.policy_revision;
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for change in 1..=1000_u64 {
        let (one, other) = (change % 4 + 1, (change + 1) % 4 + 1);
        let share = u32::try_from(change % 99 + 1).expect("small") * 100;
        allowed
            .lock()
            .expect("lock")
            .insert(change + 1, vec![one, other]);
        let split = [(one, share), (other, 10_000 - share)];
        let revision = gateway
            .set_split("m", &split, change)
            .await
            .expect("changed");
        assert_eq!(revision, change + 1);
    }
    stop.store(true, Ordering::Relaxed);
    let mut total = 0;
    for client in clients {
        total += client.await.expect("no client failed");
    }
    assert!(
        total > 1000,
        "only {total} requests were answered meanwhile"
    );
    gateway.drain().await;
}

#[tokio::test]
async fn only_one_of_two_changes_from_one_revision_succeeds() {
    let mut gateway = TestGateway::start("", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    assert_eq!(
        gateway
            .set_split("m", &[(1, 10_000)], 0)
            .await
            .expect("first"),
        2,
        "revision 0 is expected until an operator changes the model"
    );
    let status = gateway
        .set_split("m", &[(2, 10_000)], 0)
        .await
        .expect_err("second");
    assert_eq!(status.code(), Code::Aborted);
    let details = status.get_error_details();
    assert_eq!(
        details.error_info().expect("info").reason,
        "REVISION_CONFLICT"
    );
    assert!(status.message().contains("revision 2"), "{status:?}");
    assert_eq!(
        gateway
            .predict(rows("m", [good()]))
            .await
            .expect("answer")
            .version,
        1
    );
    gateway.drain().await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_satisfied_is_refused_with_the_reason_and_changes_nothing() {
    let mut gateway = TestGateway::start("", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
        tiny::publish_with(root, "m", 3, |manifest| {
            let other = &mut manifest["inputs"][1];
            other["datatype"] = "INT32".into();
        });
        tiny::publish_with(root, "m", 4, |manifest| manifest["version"] = 40.into());
    })
    .await;
    let set = |policy| v1::SetTrafficPolicyRequest {
        model: "m".into(),
        policy: Some(policy),
        terms: expecting_revision(0),
    };
    let ruled = v1::TrafficPolicy {
        header_rules: vec![v1::HeaderRule {
            header: "X-Upper".into(),
            value: "a b".into(),
            target: Some(v1::header_rule::Target::Version(1)),
        }],
        sticky_header: "grpc-timeout".into(),
        ..policy(&[(1, 9_000), (1, 999)])
    };
    let second = |share, rule| {
        let mut policy = policy(&[(1, 5_000), (2, 5_000)]);
        policy.split[1].target = share;
        policy.header_rules.push(v1::HeaderRule {
            header: "x-team".into(),
            value: "qa".into(),
            target: rule,
        });
        policy
    };
    let unnamed = second(None, None);
    let unknown = second(
        Some(v1::share::Target::Label("nobody".into())),
        Some(v1::header_rule::Target::Label("nobody".into())),
    );
    for (policy, code, reason, subjects) in [
        (
            policy(&[]),
            Code::InvalidArgument,
            "INVALID_POLICY",
            vec!["split"],
        ),
        (
            policy(&[(1, 9_999)]),
            Code::InvalidArgument,
            "INVALID_POLICY",
            vec!["split"],
        ),
        (
            policy(&[(0, 5_000), (1, 20_000)]),
            Code::InvalidArgument,
            "INVALID_POLICY",
            vec!["split[0].version", "split[1].basis_points"],
        ),
        (
            ruled,
            Code::InvalidArgument,
            "INVALID_POLICY",
            vec![
                "split[1].version",
                "header_rules[0].header",
                "header_rules[0].value",
                "sticky_header",
            ],
        ),
        (
            unnamed,
            Code::InvalidArgument,
            "INVALID_POLICY",
            vec!["split[1].target", "header_rules[0].target"],
        ),
        (unknown, Code::NotFound, "UNKNOWN_LABEL", vec!["label"]),
        (
            policy(&[(1, 5_000), (4, 2_500), (9, 2_500)]),
            Code::FailedPrecondition,
            "VERSION_NOT_READY",
            vec!["version 4", "version 9"],
        ),
        (
            policy(&[(1, 5_000), (3, 5_000)]),
            Code::FailedPrecondition,
            "SIGNATURE_MISMATCH",
            vec!["policy"],
        ),
    ] {
        let status = gateway
            .admin
            .set_traffic_policy(set(policy))
            .await
            .expect_err(reason);
        assert_eq!(status.code(), code, "{status:?}");
        let details = status.get_error_details();
        assert_eq!(
            details.error_info().expect("info").reason,
            reason,
            "{status:?}"
        );
        let fields = details
            .bad_request()
            .into_iter()
            .flat_map(|bad| &bad.field_violations);
        let fields = fields.map(|violation| violation.field.clone());
        let states = details
            .precondition_failure()
            .into_iter()
            .flat_map(|failure| &failure.violations);
        let states = states.map(|violation| violation.subject.clone());
        let named: Vec<_> = fields.chain(states).collect();
        for subject in subjects {
            assert!(
                named.iter().any(|name| name == subject),
                "{subject} is not among {named:?}"
            );
        }
    }
    let nothing = v1::SetTrafficPolicyRequest {
        model: "m".into(),
        ..Default::default()
    };
    let status = gateway
        .admin
        .set_traffic_policy(nothing)
        .await
        .expect_err("no policy");
    assert_eq!(status.code(), Code::InvalidArgument);
    let blind = v1::SetTrafficPolicyRequest {
        terms: None,
        ..set(policy(&[(1, 10_000)]))
    };
    let status = gateway
        .admin
        .set_traffic_policy(blind)
        .await
        .expect_err("no revision");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("terms.expected_revision"),
        "{status:?}"
    );
    let nobody = v1::SetTrafficPolicyRequest {
        model: "nobody".into(),
        ..set(policy(&[(1, 10_000)]))
    };
    let status = gateway
        .admin
        .set_traffic_policy(nobody)
        .await
        .expect_err("unknown model");
    assert_eq!(status.code(), Code::NotFound);
    let request = v1::GetTrafficPolicyRequest { model: "m".into() };
    let now = gateway
        .admin
        .get_traffic_policy(request)
        .await
        .expect("policy")
        .into_inner();
    assert_eq!(now.revision, 1, "nothing was changed");
    gateway.drain().await;
}

#[tokio::test]
async fn a_policy_is_returned_as_it_was_set() {
    let mut gateway = TestGateway::start("", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    let wanted = v1::TrafficPolicy {
        header_rules: vec![v1::HeaderRule {
            header: "x-tester".into(),
            value: "yes".into(),
            target: Some(v1::header_rule::Target::Label("latest".into())),
        }],
        sticky_header: "x-user-id".into(),
        salt: "spring".into(),
        ..policy(&[(2, 1), (1, 9_999)])
    };
    let request = v1::SetTrafficPolicyRequest {
        model: "m".into(),
        policy: Some(wanted.clone()),
        terms: expecting_revision(0),
    };
    gateway
        .admin
        .set_traffic_policy(request)
        .await
        .expect("set");
    let request = v1::GetTrafficPolicyRequest { model: "m".into() };
    let got = gateway
        .admin
        .get_traffic_policy(request)
        .await
        .expect("get")
        .into_inner();
    assert_eq!(got.policy, Some(wanted));
    assert_eq!(got.revision, 2);
    let counted: Vec<_> = got
        .counted
        .iter()
        .map(|c| (c.version, c.requests))
        .collect();
    assert_eq!(
        counted,
        [(2, 0), (1, 0)],
        "counting starts anew with each revision"
    );
    gateway.drain().await;
}
