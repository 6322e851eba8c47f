//! The doors as servers.

use std::{io, sync::Arc};

use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::pb::health_server::{self, HealthServer};

use super::StartError;
use super::accept::Connection;
use crate::api::grpc::{Admin, Admission, Health, Predictions};
use crate::api::{Catalog, Predictor};
use crate::config::Config;
use crate::control::Store;
use crate::insight::metrics::Telemetry;
use crate::proto;
use crate::proto::v1::admin_service_server::{self, AdminServiceServer};
use crate::proto::v1::prediction_service_server::{self, PredictionServiceServer};

/// What the data port serves, beside reflection.
const DATA: [&str; 2] = [prediction_service_server::SERVICE_NAME, HEALTH];
const HEALTH: &str = health_server::SERVICE_NAME;

/// The data port: predictions behind the gate, health, reflection.
pub(super) fn data(
    config: &Config,
    predictor: Predictor,
    catalog: Catalog,
    telemetry: &Arc<Telemetry>,
) -> Result<Router, StartError> {
    let most = config.max_message_bytes;
    let gate = Arc::clone(predictor.gate());
    let native = PredictionServiceServer::new(Predictions::new(predictor))
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let native = Admission::new(native, gate, Arc::clone(telemetry));
    let health = HealthServer::new(Health::new(catalog, &DATA));
    let routes = Routes::new(native).add_service(health);
    Ok(builder(config).add_routes(with_reflection(routes, &DATA)?))
}

/// The admin port: the admin service and reflection.
pub(super) fn admin<S: Store>(config: &Config, admin: Admin<S>) -> Result<Router, StartError> {
    let admin = AdminServiceServer::new(admin)
        .max_decoding_message_size(config.max_message_bytes)
        .max_encoding_message_size(config.max_message_bytes);
    let routes = with_reflection(Routes::new(admin), &[admin_service_server::SERVICE_NAME])?;
    Ok(builder(config).add_routes(routes))
}

/// Reflection in both versions that clients use, for what this port really serves.
fn with_reflection(routes: Routes, services: &[&str]) -> Result<Routes, StartError> {
    let describe = || {
        let described = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        services.iter().fold(described, |described, name| {
            described.with_service_name(*name)
        })
    };
    Ok(routes
        .add_service(describe().build_v1()?)
        .add_service(describe().build_v1alpha()?))
}

fn builder(config: &Config) -> Server {
    Server::builder().max_concurrent_streams(config.max_concurrent_streams)
}

/// Serves a gRPC door until `closing`, then until its last request has been answered.
pub(super) async fn until(
    name: &'static str,
    door: Router,
    incoming: impl Stream<Item = io::Result<Connection>> + Send + 'static,
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
