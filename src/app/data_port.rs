//! The data port: predictions in each protocol behind admission control, health, reflection.

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::StartError;
use super::grpc_router::{Call, GrpcRouter};
use super::reflection;
use super::shared::Shared;
use super::socket::Protocol;
use super::{connections, threads};
use crate::api::endpoints::Port;
use crate::api::grpc::{DataPort, Health, OpenInference, Predictions, TensorFlowServing};
use crate::proto::tensorflow::serving::model_service_server::ModelServiceServer;
use crate::proto::tensorflow::serving::prediction_service_server as tensorflow;
use crate::serving::call_limit::MAX_SHORT_BYTES;

/// Serves `listener` on threads of its own, whose tasks are added to `tasks`.
///
/// # Errors
/// Returns an error if a service cannot be built or a thread cannot be started.
pub(super) fn spawn(
    shared: &Shared,
    listener: TcpListener,
    tasks: &mut JoinSet<&'static str>,
) -> Result<(), StartError> {
    let serve = connections::grpc(router(shared)?, shared.call_settings());
    let table = shared.connection_limiter.table(Protocol::Http2);
    let incoming = shared
        .connection_limiter
        .accept(&table, listener, Protocol::Http2);
    let name = Port::Data.as_str();
    threads::spread(name, &serve, incoming, &table, &shared.stage, tasks)?;
    Ok(())
}

fn router(shared: &Shared) -> Result<GrpcRouter<impl Call, impl Call>, StartError> {
    let max_bytes = shared.config.max_message_bytes;
    let (predictor, catalog) = (&shared.predictor, &shared.catalog);
    let stacks = shared.stacks(Port::Data);
    let native = Predictions::new(predictor.clone()).into_service(max_bytes);
    let calls = DataPort::new(predictor.clone(), catalog.clone());
    let open_inference = OpenInference::new(catalog.clone(), calls).into_service(max_bytes);
    let tensorflow = TensorFlowServing::new(predictor.clone(), catalog.clone(), max_bytes);
    let predictions = tensorflow::PredictionServiceServer::new(tensorflow.clone())
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let models = ModelServiceServer::new(tensorflow)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let health = Health::new(catalog.clone(), stacks.service_names());
    let health = HealthServer::new(health).max_decoding_message_size(MAX_SHORT_BYTES);
    let others = Routes::new(stacks.stack(predictions)?)
        .add_service(stacks.stack(models)?)
        .add_service(stacks.stack(health)?);
    Ok(GrpcRouter {
        native: stacks.stack(native)?,
        open_inference: stacks.stack(open_inference)?,
        others: reflection::add(others, &stacks)?,
    })
}
