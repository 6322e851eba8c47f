//! Shadows and the fallback, set by operators over real sockets and on the command line.

use std::path::Path;

use taper::proto::v1;

use crate::harness::{
    TestGateway, eventually, expecting_revision, fields, good, policy, reason, rows,
};
use crate::tiny;

fn three(root: &Path) {
    (1..=3).for_each(|version| tiny::publish(root, "m", version));
}

fn shadow(version: u64) -> v1::Shadow {
    v1::Shadow {
        target: Some(v1::shadow::Target::Version(version)),
        basis_points: 10_000,
        ..Default::default()
    }
}

/// Returns a policy with all traffic on 1, copies to `copied`, and 2 as the fallback.
pub fn with_shadows_and_fallback(copied: u64) -> v1::TrafficPolicy {
    v1::TrafficPolicy {
        shadows: vec![shadow(copied)],
        fallback: Some(v1::Fallback {
            target: Some(v1::fallback::Target::Version(2)),
            within_ms: None,
        }),
        ..policy(&[(1, 10_000)])
    }
}

fn set(policy: v1::TrafficPolicy, expected: u64) -> v1::SetTrafficPolicyRequest {
    v1::SetTrafficPolicyRequest {
        model: "m".into(),
        policy: Some(policy),
        terms: expecting_revision(expected),
    }
}

#[tokio::test]
async fn a_shadow_scores_copies_keeps_its_version_loaded_and_ends_when_it_is_removed() {
    let mut gateway = TestGateway::start("", three).await;
    let changed = gateway
        .admin
        .set_traffic_policy(set(with_shadows_and_fallback(3), 0))
        .await;
    let changed = changed.expect("set").into_inner();
    let differences: Vec<_> = changed
        .differences
        .iter()
        .map(|one| (&*one.field, &*one.after))
        .collect();
    assert!(
        differences.contains(&(
            "shadows[3]",
            "100%, deadline 1000 ms, queue 64, concurrent 1"
        )) && differences.contains(&("fallback", "2")),
        "{differences:?}"
    );
    for _ in 0..10 {
        let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
        assert_eq!((answer.version, answer.failed_version), (1, 0));
    }
    let compared = r#"taper_shadow_compared_rows_total{model="m",version="3",primary="1"} 10"#;
    eventually("ten copies are compared", || async {
        gateway
            .http_get("/metrics")
            .await
            .1
            .contains(compared)
            .then_some(())
    })
    .await;
    for (version, held) in [(3, "shadow (3: 100%)"), (2, "fallback (2)")] {
        let unload = v1::UnloadVersionRequest {
            model: "m".into(),
            version,
            terms: None,
        };
        let refused = gateway
            .admin
            .unload_version(unload)
            .await
            .expect_err("held");
        assert_eq!(reason(&refused), "VERSION_HELD");
        assert!(refused.message().contains(held), "{refused:?}");
    }
    let read = v1::GetTrafficPolicyRequest { model: "m".into() };
    let read = gateway.admin.get_traffic_policy(read).await.expect("read");
    let read = read.into_inner().policy.expect("a policy");
    assert_eq!(read.shadows[0].max_queue, Some(64));
    let bare = set(policy(&[(1, 10_000)]), changed.revision);
    gateway.admin.set_traffic_policy(bare).await.expect("set");
    let unload = v1::UnloadVersionRequest {
        model: "m".into(),
        version: 3,
        terms: None,
    };
    gateway
        .admin
        .unload_version(unload)
        .await
        .expect("nothing refers to it");
    eventually("its series have gone", || async {
        let text = gateway.http_get("/metrics").await.1;
        (!text.contains(r#"version="3""#)).then_some(())
    })
    .await;
    gateway.drain().await;
}

#[tokio::test]
async fn every_fault_of_shadows_and_fallback_is_named() {
    let mut gateway = TestGateway::start("", three).await;
    let wrong = v1::TrafficPolicy {
        shadows: vec![
            v1::Shadow {
                basis_points: 0,
                deadline_ms: Some(0),
                max_queue: Some(5_000),
                max_concurrent: Some(17),
                ..shadow(3)
            },
            shadow(3),
            v1::Shadow {
                target: None,
                basis_points: 10_001,
                ..Default::default()
            },
        ],
        fallback: Some(v1::Fallback {
            target: None,
            within_ms: Some(0),
        }),
        ..policy(&[(1, 10_000)])
    };
    let refused = gateway.admin.set_traffic_policy(set(wrong, 0)).await;
    let refused = refused.expect_err("wrong");
    assert_eq!(
        fields(&refused),
        [
            "shadows[1].version",
            "shadows[0].basis_points",
            "shadows[0].deadline_ms",
            "shadows[0].max_queue",
            "shadows[0].max_concurrent",
            "shadows[2].target",
            "shadows[2].basis_points",
            "fallback.target",
            "fallback.within_ms",
        ]
    );
    let many = v1::TrafficPolicy {
        shadows: (1..=9).map(shadow).collect(),
        ..policy(&[(1, 10_000)])
    };
    let refused = gateway.admin.set_traffic_policy(set(many, 0)).await;
    assert_eq!(fields(&refused.expect_err("too many")), ["shadows"]);
    let unknown = v1::TrafficPolicy {
        shadows: vec![shadow(9)],
        ..policy(&[(1, 10_000)])
    };
    let refused = gateway.admin.set_traffic_policy(set(unknown, 0)).await;
    assert_eq!(
        reason(&refused.expect_err("no such version")),
        "VERSION_NOT_READY"
    );
    gateway.drain().await;
}

#[tokio::test]
async fn a_missing_shadow_after_a_restart_fails_no_request() {
    let mut gateway = TestGateway::start("", three).await;
    let changed = gateway
        .admin
        .set_traffic_policy(set(with_shadows_and_fallback(3), 0))
        .await;
    changed.expect("set");
    let dir = gateway.drain_and_keep().await;
    let broken = dir.path().join("models/m/3/weights.safetensors");
    std::fs::write(broken, b"not weights").expect("broken");
    let mut gateway = TestGateway::over(dir, "").await;
    let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
    assert_eq!(answer.version, 1);
    let model = v1::GetModelRequest { model: "m".into() };
    let model = gateway
        .admin
        .get_model(model)
        .await
        .expect("model")
        .into_inner();
    assert!(
        model.problem.contains("cannot be honoured"),
        "{}",
        model.problem
    );
    gateway.drain().await;
}
