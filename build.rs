//! Compiles `proto/` without protoc: protox reads the files, tonic-prost-build writes the code.

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
/// Messages whose bytes are handed on as they came.
const BYTES: [&str; 3] = [".taper.v1.Tensor", ".inference", ".tensorflow"];
/// Fields that are seldom there and large: a tensor is moved a few times, and has either these or raw bytes.
const BOXED: [&str; 2] = [
    ".inference.ModelInferRequest.InferInputTensor.contents",
    ".inference.ModelInferResponse.InferOutputTensor.contents",
];
/// Messages that are told as JSON too, under the names of their fields.
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
/// Fields that hold the number of an enum's value; JSON has its name.
const NAMED: [(&str, &str); 3] = [
    (".inference.ModelInput.data_type", "data_type"),
    (".inference.ModelInput.format", "format"),
    (".inference.ModelOutput.data_type", "data_type"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    // The same bytes answer reflection requests, so what it tells is what was compiled.
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
        // In the order of their names, so that what is wrong with several is told in the same order each time.
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
        let by = format!("#[serde(serialize_with = \"crate::proto::json::{name}\")]");
        builder
            .field_attribute(path, by)
            .field_attribute(path, "#[schemars(with = \"String\")]")
    });
    // Without a dot in front a path means itself only, and nothing in it.
    let (policy, parameter) = ("ModelVersionPolicy", "InferParameter");
    builder
        .message_attribute(policy, "#[serde(transparent)]")
        .enum_attribute("policy_choice", "#[serde(rename_all = \"snake_case\")]")
        // A parameter is its value.
        .message_attribute(parameter, "#[serde(transparent)]")
        .enum_attribute("InferParameter.parameter_choice", "#[serde(untagged)]")
        // The same answer is the same text each time.
        .btree_map(".inference.ModelConfig.parameters")
        .btree_map(".inference.ModelMetadataResponse.properties")
}
