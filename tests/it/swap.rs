//! During a swap no request fails and none gets the answer of another version. Old weights are freed after their last request.

use std::fs;

use taper::proto::v1::{self, VersionState};
use tokio::task::JoinSet;

use crate::harness::{TestGateway, eventually, good, rows, single_score};
use crate::lifecycle::{FOLLOW, NEWEST, becomes, status_of};
use crate::steady_requests::SteadyRequests;
use crate::tiny;

/// Number of rows of a slow request.
const MOST_ROWS: usize = 512;

/// Publishes `version` of `model`.
fn swap_in(gateway: &TestGateway, model: &str, version: u64) {
    tiny::drop_in(&gateway.models(), model, version, |root| {
        tiny::publish(root, model, version)
    });
}

/// Returns the value of a series of `/metrics`, or 0 if it is missing.
async fn gauge(gateway: &TestGateway, series: &str) -> f64 {
    let (_, text) = gateway.http_get("/metrics").await;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

/// Waits until only the weights of serving versions are in memory.
async fn all_is_freed(gateway: &TestGateway) {
    for series in ["taper_draining_versions", "taper_draining_weights_bytes"] {
        eventually(series, || async {
            (gauge(gateway, series).await == 0.0).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_swaps_fail_no_request_and_give_no_wrong_answer() {
    let gateway = TestGateway::start(&format!("{NEWEST}{FOLLOW}"), |root| {
        tiny::publish(root, "m", 1)
    })
    .await;
    let stream = SteadyRequests::start(&gateway.data, "m");
    stream.answered_by(1).await;
    for version in 2..=51 {
        swap_in(&gateway, "m", version);
        stream.answered_by(version).await;
        fs::remove_dir_all(gateway.models().join("m").join((version - 1).to_string()))
            .expect("removed");
    }
    let tally = stream.end().await;
    assert!(tally.sent > 50, "{tally:?}");
    all_is_freed(&gateway).await;
    let weights = status_of(&gateway, 51).await.expect("known").weight_bytes;
    #[expect(clippy::cast_precision_loss, reason = "tiny weights")]
    let weights = weights as f64;
    assert_eq!(
        gauge(&gateway, "taper_weights_bytes").await,
        weights,
        "only the last is in memory"
    );
    gateway.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn swaps_fail_no_request_while_a_large_model_loads() {
    let gateway = TestGateway::start(&format!("{NEWEST}{FOLLOW}"), |root| {
        tiny::publish(root, "m", 1)
    })
    .await;
    let stream = SteadyRequests::start(&gateway.data, "m");
    let mut version = 1;
    for large in 1..=2 {
        // 16 MB.
        let fill = |root: &std::path::Path| tiny::publish_wide(root, "large", large, 2000, 8);
        tiny::drop_in(&gateway.models(), "large", large, fill);
        let loads = async {
            eventually("the large model answers", || {
                let mut data = gateway.data.clone();
                async move {
                    let mut request = rows("large", [good()]);
                    request.pin = Some(v1::predict_request::Pin::Label("latest".into()));
                    let answer = data.predict(request).await.ok()?.into_inner();
                    (answer.version == large).then_some(())
                }
            })
            .await;
        };
        tokio::pin!(loads);
        // Swaps continue while the large model loads, and at least ten times.
        let (least, mut loaded) = (version + 10, false);
        while !loaded || version < least {
            version += 1;
            swap_in(&gateway, "m", version);
            tokio::select! {
                () = &mut loads, if !loaded => loaded = true,
                () = stream.answered_by(version) => {}
            }
            stream.answered_by(version).await;
        }
    }
    stream.end().await;
    all_is_freed(&gateway).await;
    gateway.drain().await;
}

/// Slow requests to the serving version are in flight while it is replaced. Their duration depends on the machine, so the number of
/// concurrent requests grows until the last of them outlives the swap.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn old_weights_are_freed_with_the_last_request_that_uses_them_and_not_before() {
    let mut gateway = TestGateway::start(&format!("{NEWEST}{FOLLOW}"), |root| {
        tiny::publish_wide(root, "m", 1, 1024, MOST_ROWS)
    })
    .await;
    let wide = status_of(&gateway, 1).await.expect("known").weight_bytes;
    let mut held = false;
    for round in 0..10 {
        let (old, new) = (2 * round + 1, 2 * round + 2);
        let mut slow = JoinSet::new();
        for _ in 0..(4 << round) {
            let mut data = gateway.data.clone();
            let request = rows("m", [(); MOST_ROWS].map(|()| good()));
            slow.spawn(async move { data.predict(request).await });
        }
        let series = format!("taper_in_flight_requests{{model=\"m\",version=\"{old}\"}}");
        eventually("they are in flight", || async {
            (slow.is_empty() || gauge(&gateway, &series).await > 0.0).then_some(())
        })
        .await;
        // It accepts as many rows as the old one, because some of the requests may arrive after the swap.
        tiny::drop_in(&gateway.models(), "m", new, |root| {
            tiny::publish_wide(root, "m", new, 1, MOST_ROWS);
        });
        eventually("the new version answers", || {
            let mut data = gateway.data.clone();
            async move {
                let answer = data
                    .predict(rows("m", [good()]))
                    .await
                    .expect("an answer")
                    .into_inner();
                (answer.version == new).then_some(())
            }
        })
        .await;
        let mut answers = Vec::new();
        while let Some(answer) = slow.try_join_next() {
            answers.push(answer);
        }
        let (draining, bytes) = (
            gauge(&gateway, "taper_draining_versions").await,
            gauge(&gateway, "taper_draining_weights_bytes").await,
        );
        let state = status_of(&gateway, old).await.expect("known").state();
        while let Some(answer) = slow.try_join_next() {
            answers.push(answer);
        }
        // Only values that were read while the old version still had a request count.
        if gauge(&gateway, &series).await > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
            let wide = wide as f64;
            assert_eq!(
                (draining, bytes, state),
                (1.0, wide, VersionState::Draining)
            );
            held = true;
        }
        while let Some(answer) = slow.join_next().await {
            answers.push(answer);
        }
        for answer in answers {
            let answer = answer.expect("joins").expect("answered").into_inner();
            assert!([old, new].contains(&answer.version), "{}", answer.version);
            let scores = &answer.outputs[0].fp32_values;
            #[expect(clippy::cast_precision_loss, reason = "versions in tests are small")]
            let right = |score: &f32| (score - answer.version as f32).abs() < f32::EPSILON;
            assert!(
                scores.len() == MOST_ROWS && scores.iter().all(right),
                "{scores:?}"
            );
        }
        all_is_freed(&gateway).await;
        becomes(&gateway, old, VersionState::Retired).await;
        let new = status_of(&gateway, new).await.expect("known").weight_bytes;
        #[expect(clippy::cast_precision_loss, reason = "tiny weights")]
        let new = new as f64;
        assert_eq!(
            gauge(&gateway, "taper_weights_bytes").await,
            new,
            "the new version's only"
        );
        if held {
            break;
        }
        let next = old + 2;
        tiny::drop_in(&gateway.models(), "m", next, |root| {
            tiny::publish_wide(root, "m", next, 1024, MOST_ROWS)
        });
        becomes(&gateway, next, VersionState::Ready).await;
    }
    assert!(held, "no request was slow enough");
    let answer = gateway
        .predict(rows("m", [good()]))
        .await
        .expect("an answer");
    assert!(single_score(&answer) > 1.0, "{answer:?}");
    gateway.drain().await;
}
