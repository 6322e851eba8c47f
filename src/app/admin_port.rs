//! The admin port: the admin service, the Open Inference Protocol's calls for operators, reflection.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::Routes;

use super::StartError;
use super::connections;
use super::grpc_router::{Call, GrpcRouter};
use super::reflection;
use super::shared::Shared;
use super::socket::Protocol;
use crate::api::Stage;
use crate::api::endpoints::Port;
use crate::api::grpc::{Admin, AdminPort, AdminSettings, OpenInference};
use crate::control::Control;
use crate::proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::registry::RegistryWatcher;

/// Serves `listener` in a task that is added to `tasks`. Changes go through `control`; uploads request a scan from `registry_watcher`.
///
/// # Errors
/// Returns an error if a service cannot be built.
pub(super) fn spawn(
    shared: &Shared,
    control: Control,
    registry_watcher: &Arc<RegistryWatcher>,
    listener: TcpListener,
    tasks: &mut JoinSet<&'static str>,
) -> Result<(), StartError> {
    let admin = Admin::new(
        Arc::clone(&shared.live),
        control,
        settings(shared, registry_watcher),
    );
    let table = shared.connection_limiter.table(Protocol::Http2);
    tasks.spawn(connections::serve_until(
        Port::Admin.as_str(),
        shared
            .connection_limiter
            .accept_and_open(&table, listener, Protocol::Http2),
        connections::grpc(router(shared, admin)?, shared.call_settings()),
        table,
        shared.stage.clone(),
        Stage::Draining,
    ));
    Ok(())
}

fn settings(shared: &Shared, registry_watcher: &Arc<RegistryWatcher>) -> AdminSettings {
    // Weak, so that the drain can end the watcher.
    let weak_watcher = Arc::downgrade(registry_watcher);
    AdminSettings {
        registry: shared.config.registry.clone(),
        state: shared.config.state.clone(),
        max_upload_bytes: shared.config.max_upload_bytes,
        max_weight_bytes: shared.config.control.max_weight_bytes,
        stage: shared.stage.clone(),
        scan_registry: Arc::new(move || {
            if let Some(watcher) = weak_watcher.upgrade() {
                watcher.look_now();
            }
        }),
    }
}

fn router(shared: &Shared, admin: Admin) -> Result<GrpcRouter<impl Call, impl Call>, StartError> {
    let max_bytes = shared.config.max_message_bytes;
    let stacks = shared.stacks(Port::Admin);
    let admin = Arc::new(admin);
    let calls = AdminPort::new(Arc::clone(&admin));
    let native = AdminServiceServer::from_arc(admin)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let open_inference = OpenInference::new(shared.catalog.clone(), calls);
    let open_inference = GrpcInferenceServiceServer::new(open_inference)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    Ok(GrpcRouter {
        native: stacks.stack(native)?,
        open_inference: stacks.stack(open_inference)?,
        others: reflection::add(Routes::default(), &stacks)?,
    })
}
