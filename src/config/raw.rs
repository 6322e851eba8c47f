//! The configuration as it stands in the TOML file. The doc comments are the descriptions in `taper schema config`.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::serving::shadow::ShadowPoolSettings;

/// Configuration of `taper serve`. Everything has a default; flags and environment variables come before the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "taper configuration")]
pub(super) struct RawConfig {
    /// Folder with all models and versions; relative paths are relative to this file. `models` where absent.
    pub(super) registry: Option<PathBuf>,
    /// Folder for what operators change and for the audit log; made where it is missing, and used by one gateway at a time.
    /// Relative paths are relative to this file. `state` where absent.
    pub(super) state: Option<PathBuf>,
    /// Which versions are loaded without being asked for: `"all"`, `{ latest = 2 }` or a list, `[1, 4]`. What a split, a label
    /// or an operator names is loaded all the same. `"all"` where absent.
    pub(super) versions: RawVersions,
    /// What listens where.
    pub(super) listen: RawListen,
    /// What one gateway takes at most.
    pub(super) limits: RawLimits,
    /// How the registry is looked at.
    pub(super) watch: RawWatch,
    /// What is recorded of requests.
    pub(super) insight: RawInsight,
    /// A sample of the requests as JSON lines. Off where it has no `path`.
    pub(super) prediction_log: RawPredictionLog,
    /// Labels and first traffic policies, by model. A model that is not listed sends everything to `latest`. They count at
    /// the first start; after that, what the state folder holds does.
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
    /// Bytes of weights in memory at one time, those of a version that is being loaded and of old ones that a request still
    /// holds among them: 1 MiB to 1 PiB. Three quarters of the machine's memory, or of the container's, where absent.
    #[schemars(range(min = 1_048_576, max = 1_125_899_906_842_624_u64))]
    pub(super) max_weight_bytes: Option<u64>,
    /// Largest version that can be uploaded, in bytes: 1024 to 1 TiB. 4 GiB where absent.
    #[schemars(range(min = 1024, max = 1_099_511_627_776_u64))]
    pub(super) max_upload_bytes: u64,
    /// Bytes of one file of the audit log, after which the next one begins: 64 KiB to 1 GiB. 64 MiB where absent. The last
    /// eight are kept.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub(super) max_audit_bytes: u64,
    /// Compute time that all shadows may take together, in per cent of one core: 1 to 6400. 100 where absent.
    #[schemars(range(min = 1, max = 6_400))]
    pub(super) shadow_compute_share: u32,
    /// Threads of all shadows together, 1 to 1024. 64 where absent.
    #[schemars(range(min = 1, max = 1_024))]
    pub(super) max_shadow_threads: usize,
    /// Bytes of the copies that wait for shadows, as they came over the wire: 1024 to 64 GiB. 16 MiB where absent.
    #[schemars(range(min = 1024, max = 68_719_476_736_u64))]
    pub(super) max_shadow_bytes: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        let shadows = ShadowPoolSettings::default();
        Self {
            max_message_bytes: 16 << 20,
            max_in_flight: 4096,
            max_in_flight_bytes: 64 << 20,
            max_connections: 1024,
            max_concurrent_streams: 1024,
            drain_seconds: 30,
            max_weight_bytes: None,
            max_upload_bytes: 4 << 30,
            max_audit_bytes: 64 << 20,
            shadow_compute_share: shadows.compute_share,
            max_shadow_threads: shadows.max_threads,
            max_shadow_bytes: shadows.max_bytes,
        }
    }
}

/// Which versions are loaded without being asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawVersions {
    /// Every one.
    Word(RawVersionsWord),
    /// These. Before the next, as which a list of one number could be read too.
    List(Vec<u64>),
    /// The highest so many.
    Latest(RawLatest),
}

impl Default for RawVersions {
    fn default() -> Self {
        Self::Word(RawVersionsWord::All)
    }
}

/// A version policy that is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawVersionsWord {
    /// Every version in the registry.
    All,
}

/// The highest versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLatest {
    /// How many, 1 to 1000. One that failed to load does not count.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) latest: NonZeroUsize,
}

/// How the registry is looked at. File events come at once where the file system has them; looking is what counts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWatch {
    /// Milliseconds between two looks, 100 to 3,600,000. 10,000 where absent.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(super) poll_ms: u64,
    /// Milliseconds after the last change in an incomplete version folder until it counts as broken, not as half-written:
    /// 100 to 3,600,000. 10,000 where absent.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(super) settle_ms: u64,
}

impl Default for RawWatch {
    fn default() -> Self {
        Self {
            poll_ms: 10_000,
            settle_ms: 10_000,
        }
    }
}

/// What is recorded of requests, for `taper stats`, `taper outcomes` and what builds on them. Inputs that a manifest marks as
/// sensitive never are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInsight {
    /// Whether the distributions of inputs are. `true` where absent.
    pub(super) features: bool,
    /// Inputs of one version whose distributions are kept, 1 to 10,000: the first in the manifest's order. 256 where absent.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) max_features: usize,
    /// Bytes that all statistics of one version may take, 4,194,304 to 1,099,511,627,776; 67,108,864 where absent. They take that much
    /// only where values of very many sizes come; then quantiles are known less finely, as `taper stats` tells. Inputs for which
    /// there would be no room at all are not recorded.
    #[schemars(range(min = 4_194_304, max = 1_099_511_627_776_u64))]
    pub(super) max_bytes_per_version: usize,
    /// Answered rows that wait for the truth about them (`ReportOutcomes`), 0 to 100,000,000; 0: none. 100,000 where absent. Only
    /// scores are kept, no inputs; a row takes some 200 bytes, and one of more than four scores counts as several. When it is full,
    /// the oldest is overwritten.
    #[schemars(range(min = 0, max = 100_000_000))]
    pub(super) outcome_buffer_rows: usize,
    /// Seconds within which a truth must come, 1 to 31,536,000. 86,400 where absent.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub(super) outcome_expires_seconds: u64,
    /// Seconds between two looks at the drift of every version against its reference profile, for the gauges, 0 to 86,400; 0: no
    /// look and no gauges. 30 where absent. `taper drift` looks by itself.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) drift_interval_seconds: u64,
}

impl Default for RawInsight {
    fn default() -> Self {
        Self {
            features: true,
            max_features: 256,
            max_bytes_per_version: 67_108_864,
            outcome_buffer_rows: 100_000,
            outcome_expires_seconds: 86_400,
            drift_interval_seconds: 30,
        }
    }
}

/// A sample of the requests as JSON lines: inputs by name, answers, who answered, latency. Inputs that a manifest marks
/// sensitive are left out; of those marked `"hash"` keyed hashes are written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPredictionLog {
    /// The file; its folder must be there. Full files stand beside it, compressed: `PATH.000001.gz`, the highest number is the
    /// newest. Relative paths are relative to this file. No log where absent.
    pub(super) path: Option<PathBuf>,
    /// Share of the requests that are logged, 0 to 1. 0.01 where absent.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) sample: f64,
    /// Bytes after which a new file begins, 64 KiB to 1 TiB. 64 MiB where absent.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub(super) max_bytes: u64,
    /// Age in seconds at which a new file begins, counted from the start of the gateway or of the file: 1 to 31,536,000.
    /// 86,400 where absent.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub(super) max_age_seconds: u64,
    /// Full files that are kept, 0 to 10,000; the oldest are removed. 8 where absent.
    #[schemars(range(min = 0, max = 10_000))]
    pub(super) keep: usize,
    /// A file with a secret key of 16 to 4096 bytes, `openssl rand -hex 32`. A value of an input that is marked `"hash"` is
    /// written as the first 32 hexadecimal digits of HMAC-SHA-256(key, name of the input, a zero byte, value). Those inputs
    /// are left out where this is absent. Relative paths are relative to this file.
    pub(super) hash_key_file: Option<PathBuf>,
}

impl Default for RawPredictionLog {
    fn default() -> Self {
        Self {
            path: None,
            sample: 0.01,
            max_bytes: 64 << 20,
            max_age_seconds: 86_400,
            keep: 8,
            hash_key_file: None,
        }
    }
}

/// Labels and the first traffic policy of one model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModel {
    /// Which of its versions are loaded without being asked for; as above where absent.
    pub(super) versions: Option<RawVersions>,
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
    /// How requests that wait are computed together, for those whose forward pass is dear; before what manifests hint at.
    pub(super) batching: RawModelBatching,
    /// Versions that get copies of the traffic and whose answers nobody waits for. At most 8.
    pub(super) shadows: Vec<RawShadowed>,
    /// Who answers where another version fails or takes too long. Absent: nobody.
    pub(super) fallback: Option<RawBackup>,
}

/// A forward pass begins as soon as a thread is free, with what waits for its version then.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModelBatching {
    /// Rows of one forward pass, 1 to 65,536. As many as one request may hold where absent. A larger request goes alone.
    #[schemars(range(min = 1, max = 65_536))]
    pub(super) max_batch_rows: Option<usize>,
    /// Rows that wait for one version at most, 1 to 1,000,000. 65,536 where absent.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_queue_rows: Option<usize>,
    /// Milliseconds that the first request waits for others while a thread is free, 0 to 10,000. 0 where absent.
    #[schemars(range(min = 0, max = 10_000))]
    pub(super) max_queue_delay_ms: Option<u32>,
}

/// Copies for this version, or for the version that this label names: exactly one of the two.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShadowed {
    /// The version that gets copies.
    pub(super) version: Option<u64>,
    /// The label whose version gets copies.
    pub(super) label: Option<String>,
    /// Of the traffic, in basis points: 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) share: u32,
    /// Milliseconds after which a copy is dropped, 1 to 60,000. 1000 where absent.
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) deadline_ms: Option<u32>,
    /// Copies that may wait, 1 to 4096. 64 where absent.
    #[schemars(range(min = 1, max = 4_096))]
    pub(super) max_queue: Option<u32>,
    /// Copies that may be computed at one time, 1 to 16. 1 where absent.
    #[schemars(range(min = 1, max = 16))]
    pub(super) max_concurrent: Option<u32>,
}

/// This version, or the version that this label names, answers in another's place: exactly one of the two.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBackup {
    /// The version that answers.
    pub(super) version: Option<u64>,
    /// The label whose version answers.
    pub(super) label: Option<String>,
    /// Milliseconds that the other version gets, 1 to 60,000, but never more than half of what the caller's deadline leaves.
    /// That half where absent.
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) within_ms: Option<u32>,
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
