//! The configuration as it stands in the TOML file. The doc comments are the descriptions in `taper schema config`.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Configuration of `taper serve`. Everything has a default; flags and environment variables come before the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "taper configuration")]
pub(super) struct RawConfig {
    /// Folder with all models and versions; relative paths are relative to this file. `models` where absent.
    pub(super) registry: Option<PathBuf>,
    /// What listens where.
    pub(super) listen: RawListen,
    /// What one gateway takes at most.
    pub(super) limits: RawLimits,
    /// Labels and first traffic policies, by model. A model that is not listed sends everything to `latest`.
    pub(super) models: BTreeMap<String, RawModel>,
}

/// Addresses as `host:port`; port 0 lets the system choose.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawListen {
    /// gRPC for services: `Predict`, health, reflection.
    pub(super) data: String,
    /// gRPC for operators. Loopback only: this version has no authentication.
    pub(super) admin: String,
    /// HTTP: `/metrics`, `/healthz`, `/readyz`.
    pub(super) http: String,
}

impl Default for RawListen {
    fn default() -> Self {
        let [data, admin, http] =
            ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8000"].map(String::from);
        Self { data, admin, http }
    }
}

/// What one gateway takes at most.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    /// Largest message, in and out, in bytes: 1024 to 1 GiB. 16 MiB where absent.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub(super) max_message_bytes: usize,
    /// Requests that are answered at one time, 1 to 1,000,000. 4096 where absent.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_in_flight: usize,
    /// Bytes of requests in flight, as they come over the wire; not less than `max_message_bytes`. 64 MiB where absent. In
    /// memory a request of many small values may take some 30 times its bytes.
    #[schemars(range(min = 1024, max = 68_719_476_736_u64))]
    pub(super) max_in_flight_bytes: usize,
    /// Connections at one time on each port, 1 to 100,000. 1024 where absent.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_connections: usize,
    /// Requests at one time on one connection, 1 to 100,000. 1024 where absent.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_concurrent_streams: u32,
    /// Seconds that requests in flight get to finish at shutdown, 0 to 3600. 30 where absent.
    #[schemars(range(min = 0, max = 3600))]
    pub(super) drain_seconds: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 16 << 20,
            max_in_flight: 4096,
            max_in_flight_bytes: 64 << 20,
            max_connections: 1024,
            max_concurrent_streams: 1024,
            drain_seconds: 30,
        }
    }
}

/// Labels and the first traffic policy of one model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModel {
    /// Movable names: `{ stable = 1, canary = 2 }`.
    pub(super) labels: BTreeMap<String, u64>,
    /// Shares in basis points by version or label, adding up to 10000: `{ 1 = 9500, 2 = 500 }`,
    /// `{ stable = 9500, canary = 500 }`. A label's share moves with the label. Absent: everything to `latest`.
    pub(super) split: Option<BTreeMap<String, u32>>,
    /// Sent to one version or label by header. First match wins.
    pub(super) header_rules: Vec<RawRule>,
    /// Header whose value is the sticky key where a request carries no `routing_key`.
    pub(super) sticky_header: String,
    /// Mixed into the hash of sticky keys; the model's name where absent.
    pub(super) salt: String,
}

/// Requests with this header value go to this version, or to the version that this label names: exactly one of the two.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    /// Name of the header, lower case.
    pub(super) header: String,
    /// Its exact value.
    pub(super) value: String,
    /// The version that answers.
    pub(super) version: Option<u64>,
    /// The label whose version answers.
    pub(super) label: Option<String>,
}
