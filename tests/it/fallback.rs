//! A version that fails or hangs, and its fallback.

use std::sync::{Arc, Mutex, mpsc};

use futures_util::future::join_all;
use taper::error::ForwardError;
use taper::ident::Role;
use taper::serving::route::{RawFallback, RawPolicy};
use taper::serving::shadow::ShadowPoolSettings;

use crate::test_server::{Behaviour, behaviour, echo, score, test_server};

/// Version 2 has all traffic.
fn policy(fallback: Option<u32>) -> RawPolicy {
    RawPolicy {
        split: vec![(2.into(), 10_000)],
        fallback: fallback.map(|within_ms| RawFallback {
            target: 1.into(),
            within_ms: Some(within_ms),
        }),
        ..RawPolicy::default()
    }
}

/// Of ten requests, six return minus `x`, one fails, one panics, one is not finite, and one hangs until the sender is dropped.
fn bad() -> (Behaviour, mpsc::Sender<()>, Arc<Mutex<u32>>) {
    let (let_go, go) = mpsc::channel::<()>();
    let go = Mutex::new(go);
    let hung = Arc::new(Mutex::new(0));
    let hangs = Arc::clone(&hung);
    let model = behaviour(move |x| match x % 10.0 {
        0.0 => Err(ForwardError::Failed("a canary".into())),
        1.0 => panic!("a canary"),
        2.0 => Ok(f32::NAN),
        3.0 => {
            *hangs.lock().expect("lock") += 1;
            // The test never sends. `recv` returns when the test drops the sender.
            let _ = go.lock().expect("lock").recv();
            Ok(0.0)
        }
        _ => Ok(-x),
    });
    (model, let_go, hung)
}

#[tokio::test]
async fn clients_of_a_failing_and_hanging_canary_see_no_failure_and_its_failures_are_counted() {
    let (canary, let_go, _) = bad();
    let server = test_server(
        vec![echo(), canary],
        policy(Some(5_000)),
        ShadowPoolSettings::default(),
    );
    let asked = (0..100_u8).map(|x| {
        let server = Arc::clone(&server);
        async move { (x, server.predict(f64::from(x)).await.expect("answered")) }
    });
    for (x, answer) in join_all(asked).await {
        let by_canary = x % 10 > 3;
        let sign = if by_canary { -1.0 } else { 1.0 };
        assert!(
            (score(&answer) - sign * f32::from(x)).abs() < f32::EPSILON,
            "{x}"
        );
        let role = if by_canary {
            Role::Primary
        } else {
            Role::Fallback
        };
        assert_eq!(answer.role, role, "{x}");
        let failed = answer.failed.map(taper::ident::VersionNumber::get);
        assert_eq!(failed, (!by_canary).then_some(2), "{x}");
    }
    drop(let_go);
    for (version, role, code, many) in [
        (2, "primary", "OK", 60.0),
        (2, "primary", "INTERNAL", 30.0),
        (2, "primary", "DEADLINE_EXCEEDED", 10.0),
        (1, "fallback", "OK", 40.0),
        (1, "primary", "OK", 0.0),
    ] {
        let got: f64 = server.ended(version, role, code);
        assert!(
            (got - many).abs() < 0.5,
            "version {version} {role} {code}: {got}"
        );
    }
    for reason in ["error", "panic", "not_finite", "timeout"] {
        let labels = format!(r#"reason="{reason}""#);
        let got = server.metric("taper_fallbacks_total", 2, &labels);
        assert!((got - 10.0).abs() < 0.5, "{reason}: {got}");
    }
}

#[tokio::test]
async fn a_canary_that_always_hangs_occupies_a_bounded_number_of_threads() {
    let (canary, let_go, hung) = bad();
    let server = test_server(
        vec![echo(), canary],
        policy(Some(20)),
        ShadowPoolSettings::default(),
    );
    for _ in 0..40 {
        let answer = server.predict(3.0).await.expect("answered");
        assert_eq!(answer.role, Role::Fallback);
    }
    let hung = *hung.lock().expect("lock");
    assert!(hung <= 16, "{hung} hang");
    drop(let_go);
}

#[tokio::test]
async fn without_a_fallback_and_with_a_pin_the_client_gets_the_error() {
    for fallback in [None, Some(5_000)] {
        let (canary, _let_go, _) = bad();
        let server = test_server(
            vec![echo(), canary],
            policy(fallback),
            ShadowPoolSettings::default(),
        );
        for x in [0.0, 1.0, 2.0] {
            let pin = fallback.map(|_| 2);
            let error = server.predict_pinned(x, pin).await.expect_err("fails");
            assert_eq!(error.reason(), "FORWARD_FAILED", "{x}");
        }
        let error = server.predict(1_000.0).await.expect_err("out of range");
        assert_eq!(
            error.reason(),
            "INVALID_INPUT",
            "the caller's fault is no reason"
        );
        assert!(server.metric("taper_fallbacks_total", 2, r#"reason="error""#) < 0.5);
    }
}
