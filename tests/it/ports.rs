//! Health, reflection, readiness and shutdown of the ports.

use taper::app::{Gateway, StartError};
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tokio::sync::mpsc;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_types::StatusExt;

use crate::harness::{TestGateway, config, connect, ends, good, registry, rows};
use crate::tiny;

async fn one_version() -> TestGateway {
    TestGateway::start("", |root| tiny::publish(root, "m", 1)).await
}

#[tokio::test]
async fn health_is_serving_until_the_drain_and_watchers_are_notified() {
    let gateway = one_version().await;
    let mut health = HealthClient::new(connect(gateway.addresses().data).await);
    for service in [
        "",
        "taper.v1.PredictionService",
        "inference.GRPCInferenceService",
    ] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = health.check(request).await.expect("health").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = HealthCheckRequest {
        service: "nobody".into(),
    };
    assert_eq!(
        health.check(unknown).await.expect_err("unknown").code(),
        Code::NotFound
    );
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .expect("watch")
        .into_inner();
    let status = |update: Option<HealthCheckResponse>| update.map(|update| update.status());
    assert_eq!(
        status(watch.message().await.expect("first")),
        Some(ServingStatus::Serving)
    );
    let drained = tokio::task::spawn(gateway.drain());
    assert_eq!(
        status(watch.message().await.expect("second")),
        Some(ServingStatus::NotServing)
    );
    assert_eq!(status(watch.message().await.expect("the end")), None);
    drained
        .await
        .expect("the watcher does not hold up the drain");
}

#[tokio::test]
async fn reflection_lists_what_each_port_serves() {
    let gateway = one_version().await;
    let addresses = gateway.addresses();
    for (address, want, not) in [
        (
            addresses.data,
            vec![
                "taper.v1.PredictionService",
                "inference.GRPCInferenceService",
                "grpc.health.v1.Health",
            ],
            "Admin",
        ),
        (
            addresses.admin,
            vec!["taper.v1.AdminService", "inference.GRPCInferenceService"],
            "Prediction",
        ),
    ] {
        let channel = connect(address).await;
        let names = services(channel.clone()).await;
        for name in want {
            assert!(
                names.iter().any(|known| known == name),
                "{name} is not among {names:?}"
            );
        }
        assert!(
            !names.iter().any(|name| name.contains(not)),
            "{not} is not on this port: {names:?}"
        );
        let file = reflect(
            channel,
            MessageRequest::FileContainingSymbol("taper.v1.Tensor".into()),
        );
        let file = file.await.message_response;
        assert!(
            matches!(file, Some(MessageResponse::FileDescriptorResponse(_))),
            "{file:?}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn reflection_also_supports_v1alpha() {
    use tonic_reflection::pb::v1alpha::ServerReflectionRequest;
    use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest;
    let gateway = one_version().await;
    let mut client = ServerReflectionClient::new(connect(gateway.addresses().data).await);
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .expect("answers");
    let answer = answers
        .into_inner()
        .message()
        .await
        .expect("answer")
        .expect("one answer");
    assert!(format!("{answer:?}").contains("taper.v1.PredictionService"));
    gateway.drain().await;
}

async fn services(channel: tonic::transport::Channel) -> Vec<String> {
    let answer = reflect(channel, MessageRequest::ListServices(String::new())).await;
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect(),
        other => panic!("a list of services, got {other:?}"),
    }
}

async fn reflect(
    channel: tonic::transport::Channel,
    request: MessageRequest,
) -> ServerReflectionResponse {
    let mut client = ServerReflectionClient::new(channel);
    let request = ServerReflectionRequest {
        message_request: Some(request),
        ..Default::default()
    };
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .expect("answers");
    answers
        .into_inner()
        .message()
        .await
        .expect("answer")
        .expect("one answer")
}

#[tokio::test]
async fn readiness_reports_missing_versions() {
    let gateway = one_version().await;
    assert_eq!(gateway.http_get("/healthz").await.0, "HTTP/1.1 200 OK");
    assert_eq!(gateway.http_get("/readyz").await.0, "HTTP/1.1 200 OK");
    gateway.drain().await;
    for (toml, expected) in [
        (
            "",
            (
                "HTTP/1.1 200 OK",
                "ready\nmodel sick: no version is READY\n",
            ),
        ),
        (
            "strict_readiness = true",
            (
                "HTTP/1.1 503 Service Unavailable",
                "model sick: no version is READY\n",
            ),
        ),
    ] {
        let broken = TestGateway::start(toml, |root| {
            tiny::publish(root, "m", 1);
            tiny::publish_with(root, "sick", 1, |manifest| {
                manifest["files"][0]["bytes"] = 1.into()
            });
        })
        .await;
        let (status, body) = broken.http_get("/readyz").await;
        assert_eq!((&*status, &*body), expected, "{toml}");
        let (_, metrics) = broken.http_get("/metrics").await;
        for line in [
            "taper_model_problem{model=\"m\"} 0",
            "taper_model_problem{model=\"sick\"} 1",
        ] {
            assert!(metrics.lines().any(|have| have == line), "{line}");
        }
        broken.drain().await;
    }
    let alone = TestGateway::start("", |root| {
        tiny::publish_with(root, "sick", 1, |manifest| {
            manifest["files"][0]["bytes"] = 1.into()
        });
    })
    .await;
    let (status, _) = alone.http_get("/readyz").await;
    assert_eq!(
        status, "HTTP/1.1 503 Service Unavailable",
        "no model answers"
    );
    alone.drain().await;
}

#[tokio::test]
async fn a_drain_refuses_new_connections_and_frees_the_ports() {
    let mut gateway = one_version().await;
    gateway.predict(rows("m", [good()])).await.expect("answer");
    let address = gateway.addresses().data;
    gateway.drain().await;
    let again = PredictionServiceClient::connect(format!("http://{address}")).await;
    assert!(again.is_err(), "nothing listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_under_load_interrupts_no_accepted_request() {
    const CLIENTS: usize = 32;
    let dir = registry(|root| tiny::publish(root, "m", 1));
    let config = config(dir.path(), "");
    let gateway = Gateway::start(config).await.expect("the gateway starts");
    let channel = connect(gateway.addresses().data).await;
    let (first, mut firsts) = mpsc::channel(CLIENTS);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut data = PredictionServiceClient::new(channel.clone());
            let first = first.clone();
            tokio::task::spawn(async move {
                let mut answered = 0_u32;
                loop {
                    match data.predict(rows("m", [good()])).await {
                        Ok(_) => {
                            if answered == 0 {
                                first.send(()).await.expect("the test waits");
                            }
                            answered += 1;
                        }
                        Err(status) => return (answered, status),
                    }
                }
            })
        })
        .collect();
    drop(first);
    for _ in 0..CLIENTS {
        let answered = ends("the first answer of every client", firsts.recv()).await;
        answered.expect("no client has failed");
    }
    // Ends at once, although the harness allows a drain of ten minutes.
    let report = ends("the drain", gateway.drain()).await;
    assert_eq!((report.refused, report.cut), (0, 0), "{report}");
    for client in clients {
        let (answered, status) = client.await.expect("client");
        assert!(answered > 0);
        // The gateway did not process the last request of each client, so the client may send it again: the port was closed,
        // the client's transport held it back, or HTTP/2 reported that the gateway had not seen it. An interrupted request
        // would end with a broken stream.
        let text = format!("{status:?}");
        let not_taken = [
            "ConnectionRefused",
            "hyper::Error(Canceled,",
            "GoAway(b\"\", NO_ERROR, Remote)",
        ];
        assert!(not_taken.iter().any(|way| text.contains(way)), "{text}");
        assert!(status.get_details_error_info().is_none(), "{text}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_satisfied_after_a_restart_are_reported_and_other_models_serve() {
    let toml = "[models.m]\nlabels = { stable = 1 }\nsplit = { stable = 10000 }";
    let gateway = TestGateway::start(toml, |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
        tiny::publish(root, "other", 1);
    })
    .await;
    let dir = gateway.drain_and_keep().await;
    std::fs::remove_dir_all(dir.path().join("models/m/1")).expect("removed");
    let mut gateway = TestGateway::over(dir, "").await;
    let (status, reasons) = gateway.http_get("/readyz").await;
    assert!(status.contains("200"), "{status}");
    let want = "ready\nmodel m: revision 1 cannot be honoured: version 1 cannot take traffic";
    assert!(reasons.starts_with(want), "{reasons}");
    assert_eq!(reasons.lines().count(), 2, "{reasons}");
    let refused = gateway.predict(rows("m", [good()])).await;
    assert_eq!(
        refused.expect_err("never by another version").code(),
        Code::FailedPrecondition
    );
    gateway
        .predict(rows("other", [good()]))
        .await
        .expect("the others serve");
    gateway.drain().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_if_none_is_idle_and_the_others_continue() {
    let mut gateway = TestGateway::start("[limits]\nmax_connections = 1", |root| {
        tiny::publish(root, "m", 1);
    })
    .await;
    let stream = gateway.data.predict_stream(tokio_stream::pending());
    let _open = stream.await.expect("the first connection");
    let address = format!("http://{}", gateway.addresses().data);
    let second = tonic::transport::Endpoint::from_shared(address)
        .expect("endpoint")
        .connect_lazy();
    let refused = PredictionServiceClient::new(second)
        .predict(rows("m", [good()]))
        .await;
    refused.expect_err("the second connection is closed before it can ask anything");
    gateway
        .predict(rows("m", [good()]))
        .await
        .expect("the first connection continues");
    let (_, text) = gateway.http_get("/metrics").await;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("taper_refused_connections_total "));
    assert!(count.expect("counted").parse::<u64>().expect("a number") >= 1);
    gateway.drain().await;
}

#[tokio::test]
async fn every_port_in_use_is_named_and_nothing_is_left_running() {
    let gateway = one_version().await;
    let dir = registry(|root| tiny::publish(root, "m", 1));
    let taken = gateway.addresses();
    let mut second = config(dir.path(), "");
    (second.data, second.http) = (taken.data, taken.http);
    match Gateway::start(second).await {
        Err(StartError::Bind(errors)) => {
            let ports: Vec<_> = errors.iter().map(|error| error.port).collect();
            assert_eq!(ports, ["data", "http"]);
        }
        other => panic!("both ports in use are reported, got {other:?}"),
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_configuration_that_the_registry_cannot_satisfy_is_refused_with_all_faults() {
    let dir = registry(|root| {
        tiny::publish(root, "m", 1);
        tiny::publish(root, "other", 1);
    });
    let config = config(
        dir.path(),
        "[models.m]\nsplit = { 1 = 5000, 2 = 5000 }\n[models.other]\nlabels = { stable = 4 }\n[models.ghost]\n",
    );
    let error = Gateway::start(config)
        .await
        .expect_err("refused")
        .to_string();
    for part in [
        "$.models.m.split",
        "version 2",
        "$.models.other.labels.stable",
        "$.models.ghost",
    ] {
        assert!(error.contains(part), "{part} is not in:\n{error}");
    }
}
