//! Shadows that misbehave, and callers who do not notice.

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
use taper::serving::shadow::CrewSettings;
use tokio::time::Instant;

use crate::harness::eventually;
use crate::helpers::{Does, House, does, house, score, well};

/// A shadow that gets everything.
fn all(version: u64) -> RawShadow {
    RawShadow {
        target: version.into(),
        basis_points: 10_000,
        deadline_ms: 60_000,
        max_queue: 1_000,
        max_concurrent: 1,
    }
}

/// Version 1 answers; the others are shadows.
fn policy(shadows: Vec<RawShadow>) -> RawPolicy {
    RawPolicy {
        split: vec![(1.into(), 10_000)],
        shadows,
        ..RawPolicy::default()
    }
}

fn plenty() -> CrewSettings {
    CrewSettings {
        compute_share: 6_400,
        ..CrewSettings::default()
    }
}

/// A model that tells when it begins and hangs until it is let go, once for each; then answers 7.
fn hanging() -> (Does, Receiver<()>, Sender<()>) {
    let ((began, begun), (let_go, go)) = (mpsc::channel(), mpsc::channel());
    let go: Mutex<Receiver<()>> = Mutex::new(go);
    let model = does(move |_| {
        // Nobody listens any more in a test that is over.
        let _ = began.send(());
        let _ = go.lock().expect("lock").recv();
        Ok(7.0)
    });
    (model, begun, let_go)
}

/// Waits until a hanging model has begun.
async fn began(begun: Receiver<()>) -> Receiver<()> {
    let wait = move || begun.recv().map(|()| begun);
    let begun = tokio::task::spawn_blocking(wait).await;
    begun.expect("joins").expect("it began")
}

/// Asks `many` times; every answer is the primary's.
async fn ask(house: &House, many: u8) {
    for x in 0..many {
        let answer = house.ask(f64::from(x)).await.expect("the primary answers");
        assert_eq!(answer.role, Role::Primary);
        assert!((score(&answer) - f32::from(x)).abs() < f32::EPSILON);
    }
}

#[tokio::test]
async fn a_shadow_that_fails_in_any_way_costs_the_caller_nothing_and_is_counted() {
    let shadows = (2..=4).map(all).collect();
    let models = vec![
        well(),
        does(|_| panic!("a shadow")),
        does(|_| Ok(f32::NAN)),
        does(|_| Err(ForwardError::Failed("a shadow".into()))),
    ];
    let house = house(models, policy(shadows), plenty());
    ask(&house, 50).await;
    for version in 2..=4 {
        house.has_ended(version, "shadow", "INTERNAL", 50.0).await;
        assert!(house.ended(version, "primary", "INTERNAL") < 0.5);
    }
    assert!((house.ended(1, "primary", "OK") - 50.0).abs() < 0.5);
}

#[tokio::test]
async fn a_shadow_that_hangs_fills_its_own_queue_and_nobody_waits() {
    let (model, begun, let_go) = hanging();
    let hangs = RawShadow {
        max_queue: 4,
        ..all(2)
    };
    let models = vec![well(), model, well()];
    let house = house(models, policy(vec![hangs, all(3)]), plenty());
    ask(&house, 1).await;
    let _begun = began(begun).await;
    // All of these are answered while the shadow hangs, and the other shadow gets its copies.
    ask(&house, 50).await;
    assert!((house.dropped(2, "queue_full") - 46.0).abs() < 0.5);
    let queue = house.metric("taper_shadow_queue_requests", 2, "");
    assert!((queue - 4.0).abs() < 0.5, "{queue} wait");
    house.has_ended(3, "shadow", "OK", 51.0).await;
    let compared = || house.metric("taper_shadow_compared_rows_total", 3, r#"primary="1""#);
    eventually("every row is compared", || async {
        (compared() > 50.5).then_some(())
    })
    .await;
    drop(let_go);
    house.has_ended(2, "shadow", "OK", 5.0).await;
    assert!(house.metric("taper_shadow_queue_requests", 2, "") < 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_past_its_deadline_counts_once_and_gets_nothing_until_it_comes_back() {
    let (model, begun, let_go) = hanging();
    let shadow = all(2);
    let past = Duration::from_millis(shadow.deadline_ms.into()) + Duration::from_secs(1);
    let house = house(vec![well(), model], policy(vec![shadow]), plenty());
    ask(&house, 1).await;
    let _begun = began(begun).await;
    // This is the clock of the callers. The thread of the shadow keeps the real time.
    tokio::time::advance(past).await;
    ask(&house, 20).await;
    assert!((house.dropped(2, "stuck") - 20.0).abs() < 0.5);
    assert!((house.ended(2, "shadow", "DEADLINE_EXCEEDED") - 1.0).abs() < 0.5);
    tokio::time::resume();
    drop(let_go);
    eventually("it is asked again", || async {
        ask(&house, 1).await;
        (house.ended(2, "shadow", "OK") > 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn copies_whose_time_is_over_while_they_wait_are_dropped() {
    // On a slow machine the first copies may be late before any of them is computed. Then they get more time.
    for deadline_ms in [500, 5_000, 50_000] {
        let (model, begun, let_go) = hanging();
        let hangs = RawShadow {
            deadline_ms,
            ..all(2)
        };
        let house = house(vec![well(), model], policy(vec![hangs]), plenty());
        ask(&house, 6).await;
        let over = Instant::now() + Duration::from_millis(deadline_ms.into());
        let dropped = || house.dropped(2, "deadline");
        let hangs = eventually("a copy is computed or dropped", || async {
            let hangs = begun.try_recv().is_ok();
            (hangs || dropped() > 0.5).then_some(hangs)
        })
        .await;
        let waiting = house.metric("taper_shadow_queue_requests", 2, "");
        if !hangs || waiting < 0.5 || dropped() > 0.5 {
            continue;
        }
        eventually("the time of all copies is over", || async {
            (Instant::now() >= over).then_some(())
        })
        .await;
        drop(let_go);
        eventually("what waited is dropped", || async {
            (dropped() >= waiting).then_some(())
        })
        .await;
        assert!((dropped() - waiting).abs() < 0.5, "once each");
        assert!(house.ended(2, "shadow", "OK") < 0.5, "none was computed");
        return;
    }
    panic!("no copy was computed before its time was over");
}

#[tokio::test]
async fn copies_that_wait_when_their_shadow_is_taken_away_are_counted_as_draining() {
    let (model, begun, let_go) = hanging();
    let house = house(vec![well(), model], policy(vec![all(2)]), plenty());
    ask(&house, 6).await;
    let _begun = began(begun).await;
    let mut next = Snapshot::clone(&house.live.snapshot());
    let number = 2.try_into().expect("a version");
    // Held, so that its counters can still be read.
    let _version = std::sync::Arc::clone(&next.models["m"].ready[&number]);
    next.models.clear();
    house.live.publish(next);
    drop(let_go);
    eventually("what waited is dropped", || async {
        (house.dropped(2, "draining") > 4.5).then_some(())
    })
    .await;
    assert!((house.dropped(2, "draining") - 5.0).abs() < 0.5);
}

#[tokio::test]
async fn a_shadow_a_hundred_times_slower_keeps_its_queue_short_and_the_primary_right() {
    const ALL: u32 = 200;
    // Requests that the primary has answered; `ALL` once no more come.
    let answered = Arc::new((Mutex::new(0), Condvar::new()));
    let counts = {
        let answered = Arc::clone(&answered);
        does(move |x| {
            *answered.0.lock().expect("lock") += 1;
            answered.1.notify_all();
            Ok(x)
        })
    };
    let waits = {
        let answered = Arc::clone(&answered);
        does(move |x| {
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
    let house = house(vec![counts, waits], policy(vec![slow]), plenty());
    for _ in 0..20 {
        ask(&house, 10).await;
        let queue = house.metric("taper_shadow_queue_requests", 2, "");
        assert!(queue < 4.5, "{queue} wait");
    }
    assert!((house.ended(1, "primary", "OK") - 200.0).abs() < 0.5);
    let (scored, dropped) = (
        || house.ended(2, "shadow", "OK"),
        || house.dropped(2, "queue_full"),
    );
    eventually("every copy is scored or counted as dropped", || async {
        (scored() + dropped() > 199.5).then_some(())
    })
    .await;
    assert!((scored() + dropped() - 200.0).abs() < 0.5);
    assert!(scored() > 0.5 && dropped() > 0.5, "{} dropped", dropped());
}

#[tokio::test]
async fn past_the_compute_time_of_all_shadows_copies_are_dropped() {
    let burns = does(|x| {
        let begin = cpu_time();
        while cpu_time() - begin < Duration::from_millis(110) {
            std::hint::spin_loop();
        }
        Ok(x)
    });
    let settings = CrewSettings {
        compute_share: 1,
        ..CrewSettings::default()
    };
    let house = house(vec![well(), burns], policy(vec![all(2)]), settings);
    ask(&house, 1).await;
    house.has_ended(2, "shadow", "OK", 1.0).await;
    eventually("three are dropped", || async {
        ask(&house, 1).await;
        (house.dropped(2, "budget") > 2.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_version_in_the_split_can_be_a_shadow_too_and_pins_are_not_copied() {
    let house = house(vec![well()], policy(vec![all(1)]), plenty());
    ask(&house, 10).await;
    house.ask_pinned(1.0, Some(1)).await.expect("answer");
    house.has_ended(1, "shadow", "OK", 10.0).await;
    assert!((house.ended(1, "primary", "OK") - 11.0).abs() < 0.5);
}

#[tokio::test]
async fn a_shadow_that_is_taken_away_loses_its_queue_and_is_freed() {
    let (model, begun, let_go) = hanging();
    let house = house(vec![well(), model], policy(vec![all(2)]), plenty());
    ask(&house, 6).await;
    let _begun = began(begun).await;
    let queue = house.metric("taper_shadow_queue_requests", 2, "");
    assert!((queue - 5.0).abs() < 0.5, "{queue} wait");
    let mut next = Snapshot::clone(&house.live.snapshot());
    let number = 2.try_into().expect("a version");
    let version = std::sync::Arc::downgrade(&next.models["m"].ready[&number]);
    next.models.clear();
    house.live.publish(next);
    drop(let_go);
    eventually("nobody holds the version", || async {
        version.upgrade().is_none().then_some(())
    })
    .await;
    let text = house.telemetry.render();
    assert!(text.contains("taper_weights_bytes 0\n"), "{text}");
    assert!(
        !text.contains("taper_shadow"),
        "series outlived their version:\n{text}"
    );
}
