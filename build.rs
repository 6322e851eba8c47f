//! Compiles `proto/` without protoc: protox reads the files, tonic-prost-build writes the code.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const PROTOS: [&str; 5] = [
    "taper/v1/prediction.proto",
    "taper/v1/admin.proto",
    "inference/grpc_service.proto",
    "tensorflow_serving/prediction_service.proto",
    "tensorflow_serving/model.proto",
];
/// Messages whose bytes are handed on as they came.
const BYTES: [&str; 3] = [".taper.v1.Tensor", ".inference", ".tensorflow"];

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
    builder
        // In the order of their names, so that what is wrong with several is told in the same order each time.
        .btree_map(".tensorflow")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .codec_path("crate::proto::codec::Bounded")
        .compile_fds(descriptors)?;
    Ok(())
}
