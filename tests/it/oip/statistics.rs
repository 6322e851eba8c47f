//! Exact counts of the requests of each version since it was loaded.

use std::time::{SystemTime, UNIX_EPOCH};

use taper::proto::inference::{ModelStatistics, ModelStatisticsRequest};
use tonic::Code;

use super::{Client, data, infer, raw, two_versions, typed};
use crate::harness::TestGateway;
use crate::tiny;

/// Returns the statistics of one version.
pub async fn statistics(client: &mut Client, model: &str, version: &str) -> ModelStatistics {
    let request = ModelStatisticsRequest {
        name: model.to_owned(),
        version: version.to_owned(),
    };
    let entry = client.model_statistics(request).await.expect("statistics");
    let [stats] = &entry.into_inner().model_stats[..] else {
        panic!("one version")
    };
    stats.clone()
}

#[tokio::test]
async fn statistics_count_the_requests_of_each_version_since_it_was_loaded() {
    let begin = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
    let (gateway, mut client) = two_versions("[models.m]\nsplit = { 1 = 10000 }").await;
    let fresh = statistics(&mut client, "m", "1").await;
    assert_eq!((fresh.last_inference, fresh.inference_count), (0, 0));
    for rows in [1, 1, 5] {
        infer(&mut client, raw(rows)).await.expect("an answer");
    }
    let mut wrong = typed(1);
    let contents = wrong.inputs[2].contents.as_mut().expect("typed");
    contents.bytes_contents = vec!["blue".into()];
    infer(&mut client, wrong)
        .await
        .expect_err("a colour that it does not know");
    let entry = statistics(&mut client, "m", "1").await;
    assert_eq!((entry.name.as_str(), entry.version.as_str()), ("m", "1"));
    assert_eq!((entry.inference_count, entry.execution_count), (7, 3));
    let begin = u64::try_from(begin.as_millis()).expect("soon");
    assert!(
        entry.last_inference >= begin,
        "{} since {begin}",
        entry.last_inference
    );
    let stats = entry.inference_stats.expect("statistics");
    let [success, fail, queue, infer_] =
        [stats.success, stats.fail, stats.queue, stats.compute_infer]
            .map(|duration| duration.expect("filled"));
    assert_eq!(
        [success.count, fail.count, queue.count, infer_.count],
        [3, 1, 3, 3]
    );
    assert!(
        success.ns >= queue.ns + infer_.ns && infer_.ns > 0 && fail.ns > 0,
        "{stats:?}"
    );
    let [memory] = &entry.memory_usage[..] else {
        panic!("one kind of memory")
    };
    let weights = gateway.models().join("m/1/weights.safetensors");
    let weights = std::fs::metadata(weights).expect("weights").len();
    assert_eq!((memory.r#type.as_str(), memory.byte_size), ("CPU", weights));
    let other = statistics(&mut client, "m", "2").await;
    assert_eq!((other.inference_count, other.execution_count), (0, 0));
    let all = client
        .model_statistics(ModelStatisticsRequest::default())
        .await;
    let all = all.expect("statistics").into_inner().model_stats;
    let versions: Vec<_> = all.iter().map(|stats| stats.version.as_str()).collect();
    assert_eq!(versions, ["1", "2"]);
    for (name, version) in [("nobody", ""), ("m", "7")] {
        let request = ModelStatisticsRequest {
            name: name.into(),
            version: version.into(),
        };
        let status = client.model_statistics(request).await.expect_err("unknown");
        assert_eq!(status.code(), Code::NotFound);
    }
    gateway.drain().await;
}

#[tokio::test]
async fn requests_in_one_batch_are_one_execution() {
    // Expensive enough for the compute pool, which computes queued requests in batches.
    let toml = "[models.m.batching]\nmax_queue_delay_ms = 50";
    let gateway = TestGateway::start(toml, |root| tiny::publish_wide(root, "m", 1, 256, 64)).await;
    let client = data(&gateway).await;
    let asked = (0..24).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { infer(&mut client, raw(16)).await.expect("an answer") })
    });
    for answer in asked.collect::<Vec<_>>() {
        answer.await.expect("joined");
    }
    let (_, metrics) = gateway.http_get("/metrics").await;
    let value = |name: &str| -> f64 {
        let series = format!(r#"{name}{{model="m",version="1"}} "#);
        let line = metrics.lines().find_map(|line| line.strip_prefix(&*series));
        line.unwrap_or_else(|| panic!("no {name}"))
            .parse()
            .expect("a number")
    };
    let stats = statistics(&mut client.clone(), "m", "1").await;
    assert_eq!(stats.inference_count, 24 * 16);
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let executions = stats.execution_count as f64;
    assert!(
        (value("taper_batch_requests_count") - executions).abs() < 0.5,
        "{executions}"
    );
    assert!(
        (value("taper_batch_requests_sum") - 24.0).abs() < 0.5,
        "all of them in the pool"
    );
    assert!(
        stats.execution_count < 24,
        "{} executions",
        stats.execution_count
    );
    gateway.drain().await;
}
