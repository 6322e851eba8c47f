//! Compiles `proto/` without protoc: protox parses the files, tonic-prost-build generates the code.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use tonic_prost_build::Builder;

const PROTOS: [&str; 5] = [
    "taper/v1/prediction.proto",
    "taper/v1/admin.proto",
    "inference/grpc_service.proto",
    "tensorflow_serving/prediction_service.proto",
    "tensorflow_serving/model.proto",
];
/// Messages and packages whose `bytes` fields become `Bytes`, so that they are passed on without a copy.
const BYTES: [&str; 3] = [".taper.v1.Tensor", ".inference", ".tensorflow"];
/// Large fields that are rarely set, boxed so that a tensor stays small: it is moved several times, and most clients send raw
/// bytes instead of these.
const BOXED: [&str; 2] = [
    ".inference.ModelInferRequest.InferInputTensor.contents",
    ".inference.ModelInferResponse.InferOutputTensor.contents",
];
/// Messages that REST also returns as JSON, under the names of their fields.
const JSON: [&str; 19] = [
    ".inference.InferBatchStatistics",
    ".inference.InferParameter",
    ".inference.InferResponseStatistics",
    ".inference.InferStatistics",
    ".inference.MemoryUsage",
    ".inference.ModelConfig",
    ".inference.ModelDynamicBatching",
    ".inference.ModelInput",
    ".inference.ModelMetadataResponse",
    ".inference.ModelOutput",
    ".inference.ModelParameter",
    ".inference.ModelResponseCache",
    ".inference.ModelStatistics",
    ".inference.ModelStatisticsResponse",
    ".inference.ModelTransactionPolicy",
    ".inference.ModelVersionPolicy",
    ".inference.RepositoryIndexResponse",
    ".inference.ServerMetadataResponse",
    ".inference.StatisticDuration",
];
/// Enum fields: the message holds the value's number, JSON its name.
const NAMED: [(&str, &str); 3] = [
    (".inference.ModelInput.data_type", "data_type"),
    (".inference.ModelInput.format", "format"),
    (".inference.ModelOutput.data_type", "data_type"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    // Reflection serves these bytes, so it always describes the protocol that was compiled.
    let out = PathBuf::from(env::var("OUT_DIR")?).join("taper_descriptor.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    let builder = BYTES
        .iter()
        .fold(tonic_prost_build::configure(), |builder, path| {
            builder.bytes(path)
        });
    let builder = BOXED
        .iter()
        .fold(builder, |builder, path| builder.boxed(path));
    with_json(builder)
        // Sorted by name, so that the faults of several inputs are reported in a stable order.
        .btree_map(".tensorflow")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .codec_path("crate::proto::codec::Bounded")
        .compile_fds(descriptors)?;
    Ok(())
}

fn with_json(builder: Builder) -> Builder {
    let builder = JSON.iter().fold(builder, |builder, path| {
        builder.type_attribute(path, "#[derive(serde::Serialize, schemars::JsonSchema)]")
    });
    let builder = NAMED.iter().fold(builder, |builder, (path, name)| {
        let serialize_with = format!("#[serde(serialize_with = \"crate::proto::json::{name}\")]");
        builder
            .field_attribute(path, serialize_with)
            .field_attribute(path, "#[schemars(with = \"String\")]")
    });
    // A path without a leading dot matches only that message, not the types nested in it.
    let (policy, parameter) = ("ModelVersionPolicy", "InferParameter");
    builder
        .message_attribute(policy, "#[serde(transparent)]")
        .enum_attribute("policy_choice", "#[serde(rename_all = \"snake_case\")]")
        // A parameter is written as its bare value.
        .message_attribute(parameter, "#[serde(transparent)]")
        .enum_attribute("InferParameter.parameter_choice", "#[serde(untagged)]")
        // Sorted by name, so that equal messages give equal JSON.
        .btree_map(".inference.ModelConfig.parameters")
        .btree_map(".inference.ModelMetadataResponse.properties")
}
