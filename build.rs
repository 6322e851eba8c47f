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
/// The messages of model files in the format ONNX.
const ONNX: &str = "onnx/onnx.proto";
/// Messages and packages whose `bytes` fields become `Bytes`, so that they are passed on without a copy.
const BYTES: [&str; 3] = [".taper.v1.Tensor", ".inference", ".tensorflow"];
/// Large fields that are rarely set, boxed so that a tensor stays small: it is moved several times, and most clients send raw
/// bytes instead of these.
const BOXED: [&str; 2] = [
    ".inference.ModelInferRequest.InferInputTensor.contents",
    ".inference.ModelInferResponse.InferOutputTensor.contents",
];
/// Messages of `inference` that REST also returns as JSON, under the names of their fields.
const REST_JSON: [&str; 19] = [
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
/// Messages of `taper.v1` that the command line prints as JSON, under the names of their fields.
const CLI_JSON: &[&str] = &[
    ".taper.v1.Bar",
    ".taper.v1.CalibrationBin",
    ".taper.v1.ChangeResponse",
    ".taper.v1.ChiSquaredTest",
    ".taper.v1.ColumnDrift",
    ".taper.v1.CompareVersionsResponse",
    ".taper.v1.ConfusionCell",
    ".taper.v1.Difference",
    ".taper.v1.DifferentRow",
    ".taper.v1.Distribution",
    ".taper.v1.DriftRule",
    ".taper.v1.Fault",
    ".taper.v1.FeatureStats",
    ".taper.v1.GetModelResponse",
    ".taper.v1.GetOutcomesResponse",
    ".taper.v1.GetStatsResponse",
    ".taper.v1.HeaderRule",
    ".taper.v1.Interval",
    ".taper.v1.KolmogorovSmirnov",
    ".taper.v1.JudgedOutput",
    ".taper.v1.LabelQuality",
    ".taper.v1.ListModelsResponse",
    ".taper.v1.ListRevisionsResponse",
    ".taper.v1.MeasuredStatistic",
    ".taper.v1.ModelSummary",
    ".taper.v1.NamedCount",
    ".taper.v1.NamedDistribution",
    ".taper.v1.OutcomeFault",
    ".taper.v1.OutcomeWindow",
    ".taper.v1.PairedComparison",
    ".taper.v1.Rate",
    ".taper.v1.ReportOutcomesResponse",
    ".taper.v1.Revision",
    ".taper.v1.Shadow",
    ".taper.v1.Share",
    ".taper.v1.ShownInput",
    ".taper.v1.SplitComparison",
    ".taper.v1.TensorSignature",
    ".taper.v1.TooFew",
    ".taper.v1.TrafficPolicy",
    ".taper.v1.TwoDistributions",
    ".taper.v1.TwoRates",
    ".taper.v1.ValueQuality",
    ".taper.v1.VersionDrift",
    ".taper.v1.VersionOutcomes",
    ".taper.v1.VersionStats",
    ".taper.v1.VersionStatus",
    ".taper.v1.WatchResponse",
];
/// Fields of `taper.v1` that a function of `src/proto/json.rs` serializes. Neither these paths nor those of [`CLI_ATTRIBUTES`] begin
/// with a dot, so that they match only the field itself and not the types nested in it.
const CLI_SERIALIZED: &[(&str, &str)] = &[
    ("ChangeResponse.confirm_by", "time_to_second"),
    ("ColumnDrift.kind", "column_kind"),
    ("ColumnDrift.verdict", "drift_verdict"),
    ("CompareVersionsResponse.window", "window"),
    ("GetModelResponse.confirm_by", "time"),
    ("HeaderRule.target", "rule_target"),
    ("JudgedOutput.cosine", "shortest"),
    ("JudgedOutput.kind", "prediction_kind"),
    ("OutcomeWindow.length", "outcome_window"),
    ("PairedComparison.cosine", "compared"),
    ("PairedComparison.cosine_threshold", "shortest"),
    ("PairedComparison.inference_difference_seconds", "compared"),
    ("PairedComparison.length", "seconds"),
    ("PairedComparison.primary_inference_seconds", "compared"),
    ("PairedComparison.score_difference", "compared"),
    ("PairedComparison.shadow_inference_seconds", "compared"),
    ("Revision.confirm_by", "time"),
    ("Revision.time", "time_or_empty"),
    ("Shadow.deadline_ms", "zero_if_none"),
    ("Shadow.max_concurrent", "zero_if_none"),
    ("Shadow.max_queue", "zero_if_none"),
    ("Share.target", "share_target"),
    ("SplitComparison.baseline_length", "seconds"),
    ("SplitComparison.candidate_length", "seconds"),
    ("TensorSignature.datatype", "datatype"),
    ("TwoDistributions.baseline", "compared"),
    ("TwoDistributions.candidate", "compared"),
    ("TwoDistributions.test", "test"),
    ("VersionDrift.not_compared", "null_if_empty"),
    ("VersionDrift.role", "role"),
    ("VersionDrift.window", "window"),
    ("VersionOutcomes.role", "role"),
    ("VersionStats.length", "seconds"),
    ("VersionStats.role", "role"),
    ("VersionStats.to", "time"),
    ("VersionStats.window", "window"),
    ("VersionStatus.retry_at", "time"),
    ("VersionStatus.state", "version_state"),
];
/// Other attributes for serde of fields of `taper.v1`. Skipped fields are not part of the JSON.
const CLI_ATTRIBUTES: &[(&str, &str)] = &[
    ("NamedDistribution.name", "rename = \"output\""),
    ("OutcomeWindow.length", "rename = \"window\""),
    ("OutcomeWindow.quality", "flatten"),
    ("PairedComparison.length", "rename = \"length_seconds\""),
    ("Shadow.target", "skip"),
    (
        "SplitComparison.baseline_length",
        "rename = \"baseline_length_seconds\"",
    ),
    (
        "SplitComparison.candidate_length",
        "rename = \"candidate_length_seconds\"",
    ),
    ("TensorSignature.categories", "skip"),
    ("TensorSignature.range", "skip"),
    ("TrafficPolicy.fallback", "skip"),
    ("TrafficPolicy.shadows", "skip"),
    ("TwoDistributions.test", "flatten"),
    ("VersionStats.length", "rename = \"length_seconds\""),
    ("VersionStatus.failures", "skip"),
    ("VersionStatus.since", "skip"),
    ("VersionStatus.weight_bytes", "skip"),
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
    // The decoder finds the descriptor of a message by its name.
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    with_cli_json(with_rest_json(builder))
        // Sorted by name, so that the faults of several inputs are reported in a stable order.
        .btree_map(".tensorflow")
        // Few entries, whose keys need no hash.
        .btree_map(".inference.ModelInferResponse.parameters")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .codec_path("crate::proto::codec::Bounded")
        .compile_fds_with_config(descriptors, config)?;
    // Model files, not messages of a port: reflection does not describe them.
    let onnx = protox::compile([ONNX], ["proto"])?;
    prost_build::Config::new()
        .bytes([".onnx"])
        .compile_fds(onnx)?;
    Ok(())
}

fn with_rest_json(builder: Builder) -> Builder {
    let builder = REST_JSON.iter().fold(builder, |builder, path| {
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

fn with_cli_json(builder: Builder) -> Builder {
    let builder = CLI_JSON.iter().fold(builder, |builder, path| {
        builder.type_attribute(path, "#[derive(serde::Serialize)]")
    });
    let builder = CLI_SERIALIZED
        .iter()
        .fold(builder, |builder, (path, name)| {
            let serialize_with =
                format!("#[serde(serialize_with = \"crate::proto::json::{name}\")]");
            builder.field_attribute(path, serialize_with)
        });
    let builder = CLI_ATTRIBUTES
        .iter()
        .fold(builder, |builder, (path, attribute)| {
            builder.field_attribute(path, format!("#[serde({attribute})]"))
        });
    builder
        .enum_attribute("OutcomeWindow.quality", "#[serde(untagged)]")
        // An event is an object with one key, the name of its kind.
        .message_attribute("WatchResponse", "#[serde(transparent)]")
        .enum_attribute(
            "WatchResponse.event",
            "#[serde(rename_all = \"snake_case\")]",
        )
        // Sorted by name, so that equal messages give equal JSON.
        .btree_map(".taper.v1.GetModelResponse.labels")
        .btree_map(".taper.v1.Revision.labels")
        .btree_map(".taper.v1.VersionStats.codes")
        .btree_map(".taper.v1.VersionStatus.metrics")
}
