//! What stands behind the gRPC ports.

use std::sync::Arc;

use tonic::service::Routes;
use tonic_health::pb::health_server::{self, HealthServer};

use super::StartError;
use super::grpc_router::{Call, GrpcRouter};
use crate::api::grpc::{
    Admin, AdminPort, Admission, DataPort, DeadlineService, Health, OpenInference, Predictions,
    TensorFlowServing,
};
use crate::api::{Catalog, ErrorMapping, NATIVE, OPEN_INFERENCE, Predictor, TENSORFLOW_SERVING};
use crate::config::Config;
use crate::insight::metrics::Telemetry;
use crate::proto;
use crate::proto::inference::grpc_inference_service_server::{self, GrpcInferenceServiceServer};
use crate::proto::tensorflow::serving::{
    model_service_server as tf_model, prediction_service_server as tf_prediction,
};
use crate::proto::v1::admin_service_server::{self, AdminServiceServer};
use crate::proto::v1::prediction_service_server::{self, PredictionServiceServer};
use crate::serving::admission::AdmissionControl;

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

/// The data port: predictions in each protocol behind admission control, health, reflection.
pub(super) fn data(
    config: &Config,
    predictor: Predictor,
    catalog: Catalog,
    telemetry: &Arc<Telemetry>,
) -> Result<GrpcRouter<impl Call, impl Call>, StartError> {
    let most = config.max_message_bytes;
    let admission = Arc::clone(predictor.admission());
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
        admission: &admission,
        telemetry,
    };
    let routes = Routes::new(behind.admission(predictions, &TENSORFLOW_SERVING))
        .add_service(behind.admission(models, &TENSORFLOW_SERVING))
        .add_service(DeadlineService(health));
    Ok(GrpcRouter {
        native: behind.admission(native, &NATIVE),
        open: behind.admission(open, &OPEN_INFERENCE),
        rest: with_reflection(routes, &DATA)?,
        tells_who: false,
    })
}

/// What services of the data port stand behind.
struct Behind<'a> {
    admission: &'a Arc<AdmissionControl>,
    telemetry: &'a Arc<Telemetry>,
}

impl Behind<'_> {
    fn admission<S>(&self, service: S, error_mapping: &'static ErrorMapping) -> Admission<S> {
        let (admission, telemetry) = (Arc::clone(self.admission), Arc::clone(self.telemetry));
        Admission::new(service, admission, telemetry).speaking(error_mapping)
    }
}

/// The admin port: the admin service, what the Open Inference Protocol has for operators, reflection.
pub(super) fn admin(
    config: &Config,
    admin: Admin,
    catalog: Catalog,
) -> Result<GrpcRouter<impl Call, impl Call>, StartError> {
    let most = config.max_message_bytes;
    let admin = Arc::new(admin);
    let open = OpenInference::new(catalog, AdminPort::new(Arc::clone(&admin)));
    let open = GrpcInferenceServiceServer::new(open)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    let native = AdminServiceServer::from_arc(admin)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most);
    Ok(GrpcRouter {
        native: DeadlineService(native),
        open: DeadlineService(open),
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
        .add_service(DeadlineService(new.max_decoding_message_size(QUESTION)))
        .add_service(DeadlineService(old.max_decoding_message_size(QUESTION)))
        .prepare())
}
