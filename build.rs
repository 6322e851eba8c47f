//! Compiles `proto/` without protoc: protox reads the files, tonic-prost-build writes the code.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const PROTOS: [&str; 2] = ["taper/v1/prediction.proto", "taper/v1/admin.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    // The same bytes answer reflection requests, so what it tells is what was compiled.
    let out = PathBuf::from(env::var("OUT_DIR")?).join("taper_descriptor.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".taper.v1.Tensor")
        .codec_path("crate::proto::codec::Bounded")
        .compile_fds(descriptors)?;
    Ok(())
}
