//! Failing shadows do not affect clients.

use std::sync::{
    Arc, Condvar, Mutex,
    mpsc::{self, Receiver, Sender},
};
use std::time::Duration;

use taper::error::ForwardError;
use taper::ident::Role;
use taper::priority::cpu_time;
use taper::serving::live::Snapshot;
use taper::serving::route::{RawPolicy, RawShadow};
use taper::serving::shadow::ShadowPoolSettings;
use tokio::time::Instant;

use crate::harness::eventually;
use crate::test_server::{Behaviour, TestServer, behaviour, echo, score, test_server};

/// Returns a shadow that gets a copy of every request.
fn all(version: u64) -> RawShadow {
    RawShadow {
        target: version.into(),
        basis_points: 10_000,
        deadline_ms: 60_000,
        max_queue: 1_000,
        max_concurrent: 1,
    }
}

/// Returns a policy with version 1 as the primary and these shadows.
fn policy(shadows: Vec<RawShadow>) -> RawPolicy {
    RawPolicy {
        split: vec![(1.into(), 10_000)],
        shadows,
        ..RawPolicy::default()
    }
}

fn plenty() -> ShadowPoolSettings {
    ShadowPoolSettings {
        compute_share: 6_400,
        ..ShadowPoolSettings::default()
    }
}

/// Returns a model that signals each start and hangs until it is released once; then it answers 7.
fn hanging() -> (Behaviour, Receiver<()>, Sender<()>) {
    let ((began, begun), (let_go, go)) = (mpsc::channel(), mpsc::channel());
    let go: Mutex<Receiver<()>> = Mutex::new(go);
    let model = behaviour(move |_| {
        // The test has ended if the receiver is gone.
        let _ = began.send(());
        let _ = go.lock().expect("lock").recv();
        Ok(7.0)
    });
    (model, begun, let_go)
}

/// Waits until a hanging model has started.
async fn wait_for_start(begun: Receiver<()>) -> Receiver<()> {
    let wait = move || begun.recv().map(|()| begun);
    let begun = tokio::task::spawn_blocking(wait).await;
    begun.expect("joins").expect("it started")
}

/// Predicts `many` times. Every answer must be that of the primary.
async fn predict(server: &TestServer, many: u8) {
    for x in 0..many {
        let answer = server
            .predict(f64::from(x))
            .await
            .expect("the primary answers");
        assert_eq!(answer.role, Role::Primary);
        assert!((score(&answer) - f32::from(x)).abs() < f32::EPSILON);
    }
}

#[tokio::test]
async fn any_failure_of_a_shadow_is_counted_and_does_not_affect_clients() {
    let shadows = (2..=4).map(all).collect();
    let models = vec![
        echo(),
        behaviour(|_| panic!("a shadow")),
        behaviour(|_| Ok(f32::NAN)),
        behaviour(|_| Err(ForwardError::Failed("a shadow".into()))),
    ];
    let server = test_server(models, policy(shadows), plenty());
    predict(&server, 50).await;
    for version in 2..=4 {
        server
            .wait_until_ended(version, "shadow", "INTERNAL", 50.0)
            .await;
        assert!(server.ended(version, "primary", "INTERNAL") < 0.5);
    }
    assert!((server.ended(1, "primary", "OK") - 50.0).abs() < 0.5);
}

#[tokio::test]
async fn a_hanging_shadow_fills_only_its_own_queue_and_delays_no_client() {
    let (model, begun, let_go) = hanging();
    let hangs = RawShadow {
        max_queue: 4,
        ..all(2)
    };
    let models = vec![echo(), model, echo()];
    let server = test_server(models, policy(vec![hangs, all(3)]), plenty());
    predict(&server, 1).await;
    let _begun = wait_for_start(begun).await;
    // All of these requests are answered while one shadow hangs, and the other shadow gets its copies.
    predict(&server, 50).await;
    assert!((server.dropped(2, "queue_full") - 46.0).abs() < 0.5);
    let queue = server.metric("taper_shadow_queue_requests", 2, "");
    assert!((queue - 4.0).abs() < 0.5, "{queue} wait");
    server.wait_until_ended(3, "shadow", "OK", 51.0).await;
    let compared = || server.metric("taper_shadow_compared_rows_total", 3, r#"primary="1""#);
    eventually("every row is compared", || async {
        (compared() > 50.5).then_some(())
    })
    .await;
    drop(let_go);
    server.wait_until_ended(2, "shadow", "OK", 5.0).await;
    assert!(server.metric("taper_shadow_queue_requests", 2, "") < 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_past_its_deadline_is_counted_once_and_gets_no_copies_until_it_returns() {
    let (model, begun, let_go) = hanging();
    let shadow = all(2);
    let past = Duration::from_millis(shadow.deadline_ms.into()) + Duration::from_secs(1);
    let server = test_server(vec![echo(), model], policy(vec![shadow]), plenty());
    predict(&server, 1).await;
    let _begun = wait_for_start(begun).await;
    // Only the clock of the clients is paused. The thread of the shadow uses the real time.
    tokio::time::advance(past).await;
    predict(&server, 20).await;
    assert!((server.dropped(2, "stuck") - 20.0).abs() < 0.5);
    assert!((server.ended(2, "shadow", "DEADLINE_EXCEEDED") - 1.0).abs() < 0.5);
    tokio::time::resume();
    drop(let_go);
    eventually("it gets copies again", || async {
        predict(&server, 1).await;
        (server.ended(2, "shadow", "OK") > 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn copies_that_expire_in_the_queue_are_dropped() {
    // On a slow machine the first copies may expire before any of them is computed. The next attempt gives them more time.
    for deadline_ms in [500, 5_000, 50_000] {
        let (model, begun, let_go) = hanging();
        let hangs = RawShadow {
            deadline_ms,
            ..all(2)
        };
        let server = test_server(vec![echo(), model], policy(vec![hangs]), plenty());
        predict(&server, 6).await;
        let all_expired_at = Instant::now() + Duration::from_millis(deadline_ms.into());
        let dropped = || server.dropped(2, "deadline");
        let hangs = eventually("a copy is computed or dropped", || async {
            let hangs = begun.try_recv().is_ok();
            (hangs || dropped() > 0.5).then_some(hangs)
        })
        .await;
        let waiting = server.metric("taper_shadow_queue_requests", 2, "");
        if !hangs || waiting < 0.5 || dropped() > 0.5 {
            continue;
        }
        eventually("all copies have expired", || async {
            (Instant::now() >= all_expired_at).then_some(())
        })
        .await;
        drop(let_go);
        eventually("the queued copies are dropped", || async {
            (dropped() >= waiting).then_some(())
        })
        .await;
        assert!((dropped() - waiting).abs() < 0.5, "once each");
        assert!(server.ended(2, "shadow", "OK") < 0.5, "none was computed");
        return;
    }
    panic!("every attempt ended with expired copies before one was computed");
}

#[tokio::test]
async fn queued_copies_of_a_removed_shadow_are_counted_as_draining() {
    let (model, begun, let_go) = hanging();
    let server = test_server(vec![echo(), model], policy(vec![all(2)]), plenty());
    predict(&server, 6).await;
    let _begun = wait_for_start(begun).await;
    let mut next = Snapshot::clone(&server.live.snapshot());
    let number = 2.try_into().expect("a version");
    // Kept, so that its counters can still be read.
    let _version = std::sync::Arc::clone(&next.models["m"].ready[&number]);
    next.models.clear();
    server.live.publish(next);
    drop(let_go);
    eventually("what waited is dropped", || async {
        (server.dropped(2, "draining") > 4.5).then_some(())
    })
    .await;
    assert!((server.dropped(2, "draining") - 5.0).abs() < 0.5);
}

#[tokio::test]
async fn a_shadow_a_hundred_times_slower_keeps_its_queue_short_and_does_not_affect_the_primary() {
    const ALL: u32 = 200;
    // The number of requests that the primary has answered.
    let answered = Arc::new((Mutex::new(0), Condvar::new()));
    let counts = {
        let answered = Arc::clone(&answered);
        behaviour(move |x| {
            *answered.0.lock().expect("lock") += 1;
            answered.1.notify_all();
            Ok(x)
        })
    };
    // Each pass of the shadow takes as long as 100 answers of the primary, or until all requests are answered.
    let waits = {
        let answered = Arc::clone(&answered);
        behaviour(move |x| {
            let count = answered.0.lock().expect("lock");
            let until = ALL.min(*count + 100);
            let ended = answered.1.wait_while(count, |count| *count < until);
            drop(ended.expect("lock"));
            Ok(x)
        })
    };
    let slow = RawShadow {
        max_queue: 4,
        ..all(2)
    };
    let server = test_server(vec![counts, waits], policy(vec![slow]), plenty());
    for _ in 0..20 {
        predict(&server, 10).await;
        let queue = server.metric("taper_shadow_queue_requests", 2, "");
        assert!(queue < 4.5, "{queue} wait");
    }
    assert!((server.ended(1, "primary", "OK") - 200.0).abs() < 0.5);
    let (scored, dropped) = (
        || server.ended(2, "shadow", "OK"),
        || server.dropped(2, "queue_full"),
    );
    eventually("every copy is scored or counted as dropped", || async {
        (scored() + dropped() > 199.5).then_some(())
    })
    .await;
    assert!((scored() + dropped() - 200.0).abs() < 0.5);
    assert!(scored() > 0.5 && dropped() > 0.5, "{} dropped", dropped());
}

#[tokio::test]
async fn copies_beyond_the_compute_time_of_all_shadows_are_dropped() {
    let burns = behaviour(|x| {
        let begin = cpu_time();
        while cpu_time() - begin < Duration::from_millis(110) {
            std::hint::spin_loop();
        }
        Ok(x)
    });
    let settings = ShadowPoolSettings {
        compute_share: 1,
        ..ShadowPoolSettings::default()
    };
    let server = test_server(vec![echo(), burns], policy(vec![all(2)]), settings);
    predict(&server, 1).await;
    server.wait_until_ended(2, "shadow", "OK", 1.0).await;
    eventually("three are dropped", || async {
        predict(&server, 1).await;
        (server.dropped(2, "budget") > 2.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_version_in_the_split_can_also_be_a_shadow_and_pinned_requests_are_not_copied() {
    let server = test_server(vec![echo()], policy(vec![all(1)]), plenty());
    predict(&server, 10).await;
    server.predict_pinned(1.0, Some(1)).await.expect("answer");
    server.wait_until_ended(1, "shadow", "OK", 10.0).await;
    assert!((server.ended(1, "primary", "OK") - 11.0).abs() < 0.5);
}

#[tokio::test]
async fn a_removed_shadow_loses_its_queue_and_is_freed() {
    let (model, begun, let_go) = hanging();
    let server = test_server(vec![echo(), model], policy(vec![all(2)]), plenty());
    predict(&server, 6).await;
    let _begun = wait_for_start(begun).await;
    let queue = server.metric("taper_shadow_queue_requests", 2, "");
    assert!((queue - 5.0).abs() < 0.5, "{queue} wait");
    let mut next = Snapshot::clone(&server.live.snapshot());
    let number = 2.try_into().expect("a version");
    let version = std::sync::Arc::downgrade(&next.models["m"].ready[&number]);
    next.models.clear();
    server.live.publish(next);
    drop(let_go);
    eventually("nothing holds the version", || async {
        version.upgrade().is_none().then_some(())
    })
    .await;
    let text = server.telemetry.render();
    assert!(text.contains("taper_weights_bytes 0\n"), "{text}");
    assert!(
        !text.contains("taper_shadow"),
        "series outlived their version:\n{text}"
    );
}
