//! A client that knows only an address can discover models and services, and watch their health.

use std::fs;

use taper::proto::v1;
use tonic::Streaming;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::harness::{TestGateway, connect, eventually, good, rows, single_score};
use crate::lifecycle::NEWEST;
use crate::python::python;
use crate::tiny;

/// Services of the data port, apart from reflection.
const SERVICES: [&str; 5] = [
    "grpc.health.v1.Health",
    "inference.GRPCInferenceService",
    "taper.v1.PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
];

/// Watches the health of one service name.
struct HealthWatch(Streaming<HealthCheckResponse>);

impl HealthWatch {
    async fn of(gateway: &TestGateway, name: &str) -> Self {
        let request = HealthCheckRequest {
            service: name.into(),
        };
        let mut client = HealthClient::new(connect(gateway.addresses().data).await);
        Self(client.watch(request).await.expect("watches").into_inner())
    }

    async fn next(&mut self) -> ServingStatus {
        let next = self.0.message().await.expect("continues");
        next.expect("does not end").status()
    }

    /// Returns the next status that is not `passing`. Only the newest status is sent, so `passing` may be skipped.
    async fn next_past(&mut self, passing: ServingStatus) -> ServingStatus {
        match self.next().await {
            status if status == passing => self.next().await,
            status => status,
        }
    }
}

#[tokio::test]
async fn health_watchers_of_an_unknown_model_are_notified_once_it_serves() {
    let gateway = TestGateway::start(NEWEST, |root| tiny::publish(root, "other", 1)).await;
    let mut watched = HealthWatch::of(&gateway, "m").await;
    assert_eq!(watched.next().await, ServingStatus::ServiceUnknown);
    tiny::drop_in(&gateway.models(), "m", 1, |root| {
        tiny::publish(root, "m", 1)
    });
    let then = watched.next_past(ServingStatus::NotServing).await;
    assert_eq!(then, ServingStatus::Serving);
    gateway.drain().await;
}

#[tokio::test]
async fn health_watchers_are_notified_when_a_model_stops_and_resumes_serving() {
    let mut gateway = TestGateway::start(NEWEST, |root| {
        tiny::publish(root, "m", 1);
        tiny::publish(root, "other", 1);
    })
    .await;
    let (mut watched, mut other, mut all) = (
        HealthWatch::of(&gateway, "m").await,
        HealthWatch::of(&gateway, "other").await,
        HealthWatch::of(&gateway, "").await,
    );
    for watched in [&mut watched, &mut other, &mut all] {
        assert_eq!(watched.next().await, ServingStatus::Serving);
    }
    let (folder, beside) = (gateway.models().join("m"), gateway.models().join("../m"));
    fs::rename(&folder, &beside).expect("taken away");
    eventually("the missing folder is reported", || async {
        let (_, body) = gateway.http_get("/readyz").await;
        body.contains("taper models forget m").then_some(())
    })
    .await;
    // It answers from memory until an operator says that it is gone.
    let forget = v1::ForgetModelRequest {
        model: "m".into(),
        terms: None,
    };
    gateway.admin.forget_model(forget).await.expect("forgotten");
    assert_eq!(watched.next().await, ServingStatus::NotServing);
    assert_eq!(watched.next().await, ServingStatus::ServiceUnknown);
    fs::rename(&beside, &folder).expect("put back");
    assert_eq!(
        watched.next_past(ServingStatus::NotServing).await,
        ServingStatus::Serving
    );
    let drained = tokio::task::spawn(gateway.drain());
    for watched in [&mut watched, &mut other, &mut all] {
        assert_eq!(watched.next().await, ServingStatus::NotServing);
        assert!(matches!(watched.0.message().await, Ok(None)));
    }
    drained.await.expect("watchers hold up no drain");
}

#[tokio::test]
async fn a_model_is_healthy_while_its_policy_can_be_served_even_if_other_settings_cannot() {
    let toml = "[models.m]\nlabels = { stable = 1, old = 2 }\nsplit = { stable = 10000 }\n\
        [models.n]\nlabels = { stable = 2 }\nsplit = { stable = 10000 }";
    let gateway = TestGateway::start(toml, |root| {
        for model in ["m", "n"] {
            (1..=2).for_each(|version| tiny::publish(root, model, version));
        }
    })
    .await;
    let dir = gateway.drain_and_keep().await;
    for model in ["m", "n"] {
        let folder = dir.path().join("models").join(model).join("2");
        fs::remove_dir_all(folder).expect("removed");
    }
    let mut gateway = TestGateway::over(dir, "").await;
    let (_, reasons) = gateway.http_get("/readyz").await;
    assert_eq!(
        reasons.lines().count(),
        3,
        "ready, and two problems: {reasons}"
    );
    // For `m`, the label `old` names a missing version, but no traffic goes to it. For the other model, traffic goes to it.
    for (model, want) in [
        ("m", ServingStatus::Serving),
        ("n", ServingStatus::NotServing),
    ] {
        let mut watched = HealthWatch::of(&gateway, model).await;
        assert_eq!(watched.next().await, want, "{model}");
        let answer = gateway.predict(rows(model, [good()])).await;
        assert_eq!(answer.is_ok(), want == ServingStatus::Serving, "{model}");
    }
    gateway.drain().await;
}

/// Tests that call programs from Debian packages or PyPI. `make check` leaves them out.
mod peers {
    use super::*;

    #[tokio::test]
    async fn clients_of_health_and_reflection_find_and_call_every_service() {
        let mut gateway = TestGateway::start("", |root| {
            tiny::publish(root, "m", 1);
            tiny::publish(root, "other.model", 4);
        })
        .await;
        let native = gateway.predict(rows("m", [good()])).await.expect("native");
        let (address, score) = (gateway.addresses().data.to_string(), single_score(&native));
        let output = python(
            "health_and_reflection.py",
            &[
                &address,
                &SERVICES.join(","),
                "m,other.model",
                &score.to_bits().to_string(),
            ],
        )
        .await;
        let want = format!("{} services, 2 models\n", SERVICES.len());
        assert_eq!(output, want);
        gateway.drain().await;
    }
}
