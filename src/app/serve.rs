//! The services of the gRPC ports.

use std::sync::Arc;

use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::StartError;
use super::grpc_router::{Call, GrpcRouter};
use crate::api::endpoints::Port;
use crate::api::grpc::{
    Admin, AdminPort, DataPort, Health, OpenInference, Predictions, StackBuilder, TensorFlowServing,
};
use crate::api::{Catalog, Predictor};
use crate::config::Config;
use crate::control::Store;
use crate::insight::metrics::Telemetry;
use crate::proto;
use crate::proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use crate::proto::tensorflow::serving::{
    model_service_server as tf_model, prediction_service_server as tf_prediction,
};
use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::proto::v1::prediction_service_server::PredictionServiceServer;
use crate::serving::admission::AdmissionControl;

/// Limit on the bytes of a request for health or reflection. Such requests are short, and watchers keep theirs.
const MAX_SHORT_BYTES: usize = 4096;

/// The data port: predictions in each protocol behind admission control, health, reflection.
pub(super) fn data(
    config: &Config,
    predictor: Predictor,
    catalog: Catalog,
    telemetry: &Arc<Telemetry>,
) -> Result<GrpcRouter<impl Call, impl Call>, StartError> {
    let max_bytes = config.max_message_bytes;
    let admission = Arc::clone(predictor.admission());
    let stacks = StackBuilder::new(Port::Data, admission, Arc::clone(telemetry));
    let calls = DataPort::new(predictor.clone(), catalog.clone());
    let open_inference = OpenInference::new(catalog.clone(), calls);
    let tensorflow = TensorFlowServing::new(predictor.clone(), catalog.clone(), max_bytes);
    let native = PredictionServiceServer::new(Predictions::new(predictor))
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let open_inference = GrpcInferenceServiceServer::new(open_inference)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let predictions = tf_prediction::PredictionServiceServer::new(tensorflow.clone())
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let models = tf_model::ModelServiceServer::new(tensorflow)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let health = HealthServer::new(Health::new(catalog, stacks.service_names()))
        .max_decoding_message_size(MAX_SHORT_BYTES);
    let others = Routes::new(stacks.stack(predictions)?)
        .add_service(stacks.stack(models)?)
        .add_service(stacks.stack(health)?);
    Ok(GrpcRouter {
        native: stacks.stack(native)?,
        open_inference: stacks.stack(open_inference)?,
        others: with_reflection(others, &stacks)?,
    })
}

/// The admin port: the admin service, what the Open Inference Protocol has for operators, reflection.
pub(super) fn admin<S: Store>(
    config: &Config,
    admin: Admin<S>,
    catalog: Catalog,
    admission: &Arc<AdmissionControl>,
    telemetry: &Arc<Telemetry>,
) -> Result<GrpcRouter<impl Call, impl Call>, StartError> {
    let max_bytes = config.max_message_bytes;
    let stacks = StackBuilder::new(Port::Admin, Arc::clone(admission), Arc::clone(telemetry));
    let admin = Arc::new(admin);
    let open_inference = OpenInference::new(catalog, AdminPort::new(Arc::clone(&admin)));
    let open_inference = GrpcInferenceServiceServer::new(open_inference)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let native = AdminServiceServer::from_arc(admin)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    Ok(GrpcRouter {
        native: stacks.stack(native)?,
        open_inference: stacks.stack(open_inference)?,
        others: with_reflection(Routes::default(), &stacks)?,
    })
}

/// Adds reflection, in both versions that clients use, of the services that the port serves.
fn with_reflection(routes: Routes, stacks: &StackBuilder) -> Result<Routes, StartError> {
    let describe = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        stacks
            .service_names()
            .fold(builder, |builder, name| builder.with_service_name(name))
    };
    let v1 = describe().build_v1()?;
    let v1alpha = describe().build_v1alpha()?;
    Ok(routes
        .add_service(stacks.stack(v1.max_decoding_message_size(MAX_SHORT_BYTES))?)
        .add_service(stacks.stack(v1alpha.max_decoding_message_size(MAX_SHORT_BYTES))?)
        .prepare())
}
