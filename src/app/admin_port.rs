//! The admin port: the admin service, the Open Inference Protocol's calls for operators, reflection.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::Routes;

use super::StartError;
use super::connections;
use super::core::Core;
use super::grpc_router::{Call, GrpcRouter};
use super::reflection;
use crate::api::Stage;
use crate::api::endpoints::Port;
use crate::api::grpc::{Admin, AdminPort, AdminSettings, OpenInference};
use crate::control::Control;
use crate::proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::registry;

/// Serves `listener` in a task that is added to `tasks`. Changes go through `control`; uploads request a scan from `watch`.
///
/// # Errors
/// Returns an error if a service cannot be built.
pub(super) fn spawn(
    core: &Core,
    control: Control,
    watch: &Arc<registry::Watch>,
    listener: TcpListener,
    tasks: &mut JoinSet<&'static str>,
) -> Result<(), StartError> {
    let admin = Admin::new(Arc::clone(&core.live), control, settings(core, watch));
    tasks.spawn(connections::serve_until(
        Port::Admin.as_str(),
        core.connection_limiter.accept_and_open(listener),
        connections::grpc(router(core, admin)?, core.config.max_concurrent_streams),
        core.stage.clone(),
        Stage::Draining,
    ));
    Ok(())
}

fn settings(core: &Core, watch: &Arc<registry::Watch>) -> AdminSettings {
    // Weak, so that the drain can end the watch.
    let watch = Arc::downgrade(watch);
    AdminSettings {
        registry: core.config.registry.clone(),
        state: core.config.state.clone(),
        max_upload_bytes: core.config.max_upload_bytes,
        stage: core.stage.clone(),
        scan_registry: Arc::new(move || {
            if let Some(watch) = watch.upgrade() {
                watch.look_now();
            }
        }),
    }
}

fn router(core: &Core, admin: Admin) -> Result<GrpcRouter<impl Call, impl Call>, StartError> {
    let max_bytes = core.config.max_message_bytes;
    let stacks = core.stacks(Port::Admin);
    let admin = Arc::new(admin);
    let calls = AdminPort::new(Arc::clone(&admin));
    let native = AdminServiceServer::from_arc(admin)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    let open_inference = OpenInference::new(core.catalog.clone(), calls);
    let open_inference = GrpcInferenceServiceServer::new(open_inference)
        .max_decoding_message_size(max_bytes)
        .max_encoding_message_size(max_bytes);
    Ok(GrpcRouter {
        native: stacks.stack(native)?,
        open_inference: stacks.stack(open_inference)?,
        others: reflection::add(Routes::default(), &stacks)?,
    })
}
