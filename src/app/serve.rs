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
use crate::api::grpc::{
    Admin, AdminPort, Admission, DataPort, Health, OpenInference, Predictions, TensorFlowServing,
};
use crate::api::{Catalog, Dialect, NATIVE, OPEN_INFERENCE, Predictor, TENSORFLOW_SERVING};
use crate::config::Config;
use crate::control::Store;
use crate::insight::metrics::Telemetry;
use crate::proto;
use crate::proto::inference::grpc_inference_service_server::{self, GrpcInferenceServiceServer};
use crate::proto::tensorflow::serving::{
    model_service_server as tf_model, prediction_service_server as tf_prediction,
};
use crate::proto::v1::admin_service_server::{self, AdminServiceServer};
use crate::proto::v1::prediction_service_server::{self, PredictionServiceServer};
use crate::serving::gate::Gate;

/// What the data port serves, beside reflection.
const DATA: [&str; 5] = [
    prediction_service_server::SERVICE_NAME,
    OPEN,
    tf_prediction::SERVICE_NAME,
    tf_model::SERVICE_NAME,
    health_server::SERVICE_NAME,
];
/// What the admin port serves, beside reflection.
const ADMIN: [&str; 2] = [admin_service_server::SERVICE_NAME, OPEN];
const OPEN: &str = grpc_inference_service_server::SERVICE_NAME;

/// Bytes of a question about health or about services, which are short: who watches keeps his.
const QUESTION: usize = 4096;

/// The data port: predictions in each protocol behind the gate, health, reflection.
pub(super) fn data(
    config: &Config,
    predictor: Predictor,
    catalog: Catalog,
    telemetry: &Arc<Telemetry>,
) -> Result<Router, StartError> {
    let most = config.max_message_bytes;
    let gate = Arc::clone(predictor.gate());
    let data = DataPort::new(predictor.clone(), catalog.clone());
    let open = OpenInference::new(catalog.clone(), data);
    let tensorflow = TensorFlowServing::new(predictor.clone(), catalog.clone(), most);
    let native = PredictionServiceServer::new(Predictions::new(predictor))
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let open = GrpcInferenceServiceServer::new(open)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let predictions = tf_prediction::PredictionServiceServer::new(tensorflow.clone())
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let models = tf_model::ModelServiceServer::new(tensorflow)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let health = HealthServer::new(Health::new(catalog, &DATA)).max_decoding_message_size(QUESTION);
    let behind = Behind {
        gate: &gate,
        telemetry,
    };
    let routes = Routes::new(behind.gate(native, &NATIVE))
        .add_service(behind.gate(open, &OPEN_INFERENCE))
        .add_service(behind.gate(predictions, &TENSORFLOW_SERVING))
        .add_service(behind.gate(models, &TENSORFLOW_SERVING))
        .add_service(health);
    Ok(builder(config).add_routes(with_reflection(routes, &DATA)?))
}

/// What services of the data port stand behind.
struct Behind<'a> {
    gate: &'a Arc<Gate>,
    telemetry: &'a Arc<Telemetry>,
}

impl Behind<'_> {
    fn gate<S>(&self, service: S, dialect: &'static Dialect) -> Admission<S> {
        let (gate, telemetry) = (Arc::clone(self.gate), Arc::clone(self.telemetry));
        Admission::new(service, gate, telemetry).speaking(dialect)
    }
}

/// The admin port: the admin service, what the Open Inference Protocol has for operators, reflection.
pub(super) fn admin<S: Store>(
    config: &Config,
    admin: Admin<S>,
    catalog: Catalog,
) -> Result<Router, StartError> {
    let most = config.max_message_bytes;
    let admin = Arc::new(admin);
    let open = OpenInference::new(catalog, AdminPort::new(Arc::clone(&admin)));
    let open = GrpcInferenceServiceServer::new(open)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let native = AdminServiceServer::from_arc(admin)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let routes = Routes::new(native).add_service(open);
    Ok(builder(config).add_routes(with_reflection(routes, &ADMIN)?))
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
        .add_service(describe().build_v1()?.max_decoding_message_size(QUESTION))
        .add_service(
            describe()
                .build_v1alpha()?
                .max_decoding_message_size(QUESTION),
        ))
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
