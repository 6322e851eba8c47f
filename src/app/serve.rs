//! The doors as servers.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch};
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::StartError;
use super::accept::Connection;
use crate::api::grpc::{Admin, Predictions};
use crate::api::http::{Faces, router};
use crate::config::Config;
use crate::control::Control;
use crate::insight::metrics::Telemetry;
use crate::proto;
use crate::proto::v1::admin_service_server::{self, AdminServiceServer};
use crate::proto::v1::prediction_service_server::{self, PredictionServiceServer};
use crate::serving::Pipeline;
use crate::serving::live::Live;

/// A connection that is silent this long is asked whether it is still there, ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// ... and closed when it does not answer in this time.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The names that health answers for on the data port: the server as a whole, and its service.
pub(super) const HEALTH_NAMES: [&str; 2] = ["", prediction_service_server::SERVICE_NAME];

/// The data port: predictions, health, reflection.
pub(super) async fn data(
    config: &Config,
    pipeline: Arc<Pipeline>,
) -> Result<(HealthReporter, Router), StartError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    for name in HEALTH_NAMES {
        health
            .set_service_status(name, ServingStatus::Serving)
            .await;
    }
    let predictions = PredictionServiceServer::new(Predictions::new(pipeline))
        .max_decoding_message_size(config.max_message_bytes)
        .max_encoding_message_size(config.max_message_bytes);
    let mut routes = Routes::new(predictions).add_service(health_service);
    routes = with_reflection(routes, prediction_service_server::SERVICE_NAME)?;
    Ok((health, builder(config).add_routes(routes)))
}

/// The admin port: the admin service and reflection.
pub(super) fn admin(
    config: &Config,
    live: Arc<Live>,
    control: Control,
) -> Result<Router, StartError> {
    let admin = AdminServiceServer::new(Admin::new(live, control))
        .max_decoding_message_size(config.max_message_bytes)
        .max_encoding_message_size(config.max_message_bytes);
    let routes = with_reflection(Routes::new(admin), admin_service_server::SERVICE_NAME)?;
    Ok(builder(config).add_routes(routes))
}

/// Reflection in both versions that clients use, for what this port really serves.
fn with_reflection(routes: Routes, service: &str) -> Result<Routes, StartError> {
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(service)
    };
    let health = "grpc.health.v1.Health";
    let on_data = service == prediction_service_server::SERVICE_NAME;
    let describe = || {
        if on_data {
            describe().with_service_name(health)
        } else {
            describe()
        }
    };
    Ok(routes
        .add_service(describe().build_v1()?)
        .add_service(describe().build_v1alpha()?))
}

fn builder(config: &Config) -> Server {
    Server::builder()
        .max_concurrent_streams(config.max_concurrent_streams)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

/// Serves a gRPC door until `closing`, then until its last request has been answered.
pub(super) async fn until(
    name: &'static str,
    door: Router,
    incoming: impl Stream<Item = std::io::Result<Connection>> + Send + 'static,
    mut closing: watch::Receiver<bool>,
) -> &'static str {
    let closed = async move {
        // An error means that the gateway itself is gone, which is a reason to close too.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    if let Err(error) = door.serve_with_incoming_shutdown(incoming, closed).await {
        tracing::error!(door = name, %error, "door failed");
    }
    name
}

/// Serves the HTTP door until `ending`.
pub(super) async fn http(
    listener: TcpListener,
    live: Arc<Live>,
    telemetry: Arc<Telemetry>,
    draining: Arc<AtomicBool>,
    mut ending: watch::Receiver<bool>,
) -> &'static str {
    let app = router(Faces {
        live,
        telemetry,
        draining,
    });
    let ended = async move {
        let _ = ending.wait_for(|ending| *ending).await;
    };
    if let Err(error) = axum::serve(listener, app)
        .with_graceful_shutdown(ended)
        .await
    {
        tracing::error!(door = "http", %error, "door failed");
    }
    "http"
}
