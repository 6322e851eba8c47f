//! What stands behind the gRPC ports.

use std::sync::Arc;

use tonic::service::Routes;
use tonic_health::pb::health_server::{self, HealthServer};

use super::StartError;
use super::door::{Call, Door};
use crate::api::grpc::{
    Admin, AdminPort, Admission, DataPort, Health, OpenInference, Predictions, Punctual,
    TensorFlowServing,
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
) -> Result<Door<impl Call, impl Call>, StartError> {
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
    let routes = Routes::new(behind.gate(predictions, &TENSORFLOW_SERVING))
        .add_service(behind.gate(models, &TENSORFLOW_SERVING))
        .add_service(Punctual(health));
    Ok(Door {
        native: behind.gate(native, &NATIVE),
        open: behind.gate(open, &OPEN_INFERENCE),
        rest: with_reflection(routes, &DATA)?,
        tells_who: false,
    })
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
) -> Result<Door<impl Call, impl Call>, StartError> {
    let most = config.max_message_bytes;
    let admin = Arc::new(admin);
    let open = OpenInference::new(catalog, AdminPort::new(Arc::clone(&admin)));
    let open = GrpcInferenceServiceServer::new(open)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let native = AdminServiceServer::from_arc(admin)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    Ok(Door {
        native: Punctual(native),
        open: Punctual(open),
        rest: with_reflection(Routes::default(), &ADMIN)?,
        tells_who: true,
    })
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
    let old = describe().build_v1alpha()?;
    let new = describe().build_v1()?;
    Ok(routes
        .add_service(Punctual(new.max_decoding_message_size(QUESTION)))
        .add_service(Punctual(old.max_decoding_message_size(QUESTION)))
        .prepare())
}
