//! The wire: code and descriptors made by `build.rs` from `proto/`. Used by the doors (`api`, `cli`) only.
//!
//! Messages go through [`codec`], which bounds what a small message can make of itself in memory.

pub mod codec;

mod json;

/// `taper.v1`: the native protocol.
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated; the .proto files hold the documentation"
)]
pub mod v1 {
    tonic::include_proto!("taper.v1");
}

/// `inference`: the Open Inference Protocol with Triton's extensions.
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated; the .proto files hold the documentation"
)]
pub mod inference {
    tonic::include_proto!("inference");
}

/// `tensorflow` and `tensorflow.serving`.
#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    reason = "generated; the .proto files hold the documentation"
)]
pub mod tensorflow {
    tonic::include_proto!("tensorflow");

    /// `tensorflow.serving`.
    pub mod serving {
        tonic::include_proto!("tensorflow.serving");
    }
}

/// All of `proto/` as an encoded `FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/taper_descriptor.bin"));
