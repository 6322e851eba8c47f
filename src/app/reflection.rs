//! gRPC reflection, which both gRPC ports serve.

use tonic::service::Routes;

use super::StartError;
use crate::api::grpc::StackBuilder;
use crate::proto;
use crate::serving::call_limit::MAX_SHORT_BYTES;

/// Adds reflection, in both versions that clients use, of the services that the port serves.
///
/// # Errors
/// Returns an error if the compiled descriptors cannot be read.
pub(super) fn add(routes: Routes, stacks: &StackBuilder) -> Result<Routes, StartError> {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        let names = stacks.service_names();
        names.fold(builder, |builder, name| builder.with_service_name(name))
    };
    let v1 = builder().build_v1()?;
    let v1alpha = builder().build_v1alpha()?;
    Ok(routes
        .add_service(stacks.stack(v1.max_decoding_message_size(MAX_SHORT_BYTES))?)
        .add_service(stacks.stack(v1alpha.max_decoding_message_size(MAX_SHORT_BYTES))?)
        .prepare())
}
