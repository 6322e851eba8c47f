//! The configuration file as serde reads it. The doc comments are the descriptions in `taper schema config`.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::serving::shadow::ShadowPoolSettings;

/// Configuration of `taper serve`. Every setting has a default. Flags and environment variables take precedence over the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "taper configuration")]
pub(super) struct RawConfig {
    /// Folder with all models and versions. A relative path is relative to this file. Default: `models`.
    pub(super) registry: Option<PathBuf>,
    /// Folders into which files of versions may be links, such as the cache of Hugging Face or of DVC. A relative path is relative to
    /// this file. Default: none, so every file is inside the folder of its version.
    pub(super) content_stores: Vec<PathBuf>,
    /// Folder for the changes of operators and for the audit log. It is created if it does not exist, and only one gateway may use it
    /// at a time. A relative path is relative to this file. Default: `state`.
    pub(super) state: Option<PathBuf>,
    /// The version policy, which selects the versions to load: `"all"`, `{ latest = 2 }` or a list, `[1, 4]`. Versions that a split, a
    /// label or an operator names are loaded in addition. Default: `"all"`.
    pub(super) versions: RawVersions,
    /// Whether the gateway is ready only while every model can do what its traffic policy wants. Otherwise it is ready while a model
    /// answers, and problems of single models are in the body of `/readyz`, in `taper models` and in the readiness of each model.
    /// Default: `false`.
    pub(super) strict_readiness: bool,
    /// Addresses of the ports.
    pub(super) listen: RawListen,
    /// Limits of the gateway.
    pub(super) limits: RawLimits,
    /// How the registry is watched.
    pub(super) watch: RawWatch,
    /// Which statistics of requests are recorded.
    pub(super) insight: RawInsight,
    /// The prediction log: a sample of the requests as JSON lines. Off unless `path` is set.
    pub(super) prediction_log: RawPredictionLog,
    /// Settings by model. Labels and traffic policy are initial values: once the state folder has a revision of the model, it takes
    /// precedence. `versions` and `batching` apply at every start. If no split is given, the first version that is READY gets all
    /// traffic, and later versions none, until an operator sets a policy.
    pub(super) models: BTreeMap<String, RawModel>,
}

/// Addresses as `IP:PORT`. With port 0 the system chooses a free one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawListen {
    /// Data port, gRPC for client applications: predictions, ground truth, health, reflection. Default: `127.0.0.1:8001`.
    pub(super) data: String,
    /// Admin port, gRPC for operators. It must be on loopback, because it has no authentication. Default: `127.0.0.1:8002`.
    pub(super) admin: String,
    /// HTTP port: predictions under `/v2`, `/metrics`, `/healthz`, `/readyz`. Default: `127.0.0.1:8000`.
    pub(super) http: String,
}

impl Default for RawListen {
    fn default() -> Self {
        let [data, admin, http] =
            ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8000"].map(String::from);
        Self { data, admin, http }
    }
}

/// Limits of one gateway.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    /// The largest message in either direction, in bytes: 1024 to 1 GiB. Default: 16 MiB.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub(super) max_message_bytes: usize,
    /// The fewest bytes of an answer that is compressed with gzip for a client that accepts it, 0 to 1 GiB; 0: none is. Default: 4096.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub(super) min_compressed_bytes: usize,
    /// The most requests in flight, 1 to 1,000,000. Default: 4096. At the limit, a connection below its share is still admitted while
    /// another one holds more than its share, which then must end a request.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_in_flight: usize,
    /// The most bytes of requests in flight, as received and inflated; at least `max_message_bytes`. Default: 64 MiB. A request may take
    /// 8 times as much memory once it is decoded, and 16 MiB in addition; one that would take more is refused.
    #[schemars(range(min = 1024, max = 68_719_476_736_u64))]
    pub(super) max_in_flight_bytes: usize,
    /// The most concurrent connections per port, 1 to 100,000. Default: 1024. At the limit, an idle connection is closed to make
    /// room for a new one, or one that waits long for an answer; if there is none, the new one is closed. A connection is idle while none of its requests and
    /// streams is open.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_connections: usize,
    /// Seconds that a connection may be idle, whatever its client sends apart from complete requests: 0 to 31,536,000; 0: without a limit.
    /// Default: 300. The gateway closes it with GOAWAY, and clients connect again with their next request. HTTP/1.1 connections are closed
    /// after 75 seconds at the latest.
    #[schemars(range(min = 0, max = 31_536_000))]
    pub(super) max_connection_idle_seconds: u64,
    /// Age in seconds, give or take 10 %, at which a connection is closed with GOAWAY: it takes no new requests, and open ones may finish.
    /// 0 to 31,536,000; 0: never. Default: 86,400.
    #[schemars(range(min = 0, max = 31_536_000))]
    pub(super) max_connection_age_seconds: u64,
    /// Seconds that requests and streams that are open at that age may take to finish before the connection is cut, 0 to 31,536,000.
    /// Default: 3600.
    #[schemars(range(min = 0, max = 31_536_000))]
    pub(super) connection_age_grace_seconds: u64,
    /// Seconds without a byte of a gRPC client after which it must answer a PING within `send_seconds`, at least 20 seconds, or is
    /// disconnected, 0 to 86,400; 0: never. Default: 60.
    #[schemars(range(min = 0, max = 86_400))]
    pub(super) ping_seconds: u64,
    /// The most concurrent requests per connection, 1 to 100,000. Default: 256. A connection that begins while many are open may have
    /// fewer: 16,384 divided by their number, but at least 32.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_concurrent_streams: u32,
    /// Seconds without a message after which a prediction stream ends with DEADLINE_EXCEEDED, 0 to 31,536,000; 0: never. It ends before
    /// twice that time has passed. Default: 3600.
    #[schemars(range(min = 0, max = 31_536_000))]
    pub(super) max_stream_idle_seconds: u64,
    /// The most concurrent health calls, `Check` and `Watch` together, 1 to 1,000,000. Default: 1024. The first two of each connection
    /// are always answered, so that health checks work at the limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_health_calls: usize,
    /// The most concurrent health calls per connection, 1 to 100,000. Default: 16.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_health_calls_per_connection: usize,
    /// The most concurrent reflection calls, 1 to 1,000,000. Default: 32.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_reflection_calls: usize,
    /// The most concurrent reflection calls per connection, 1 to 100,000. Default: 4.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_reflection_calls_per_connection: usize,
    /// The most concurrent calls of the admin port without reflection, 1 to 1,000,000. Default: 256.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_admin_calls: usize,
    /// The most of these calls per connection, 1 to 100,000. Default: 128.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_admin_calls_per_connection: usize,
    /// Seconds that a client may take nothing of an answer that is ready, 1 to 3600. Then the gRPC call is reset, or the connection is
    /// closed. Default: 30.
    #[schemars(range(min = 1, max = 3600))]
    pub(super) send_seconds: u64,
    /// Seconds that requests in flight may take to finish at shutdown, 0 to 3600. Default: 30.
    #[schemars(range(min = 0, max = 3600))]
    pub(super) drain_seconds: u64,
    /// The most bytes of weights in memory: 1 MiB to 1 PiB. Includes a version that is being loaded and retired versions that requests
    /// still use. Default: three quarters of the memory of the machine or container.
    #[schemars(range(min = 1_048_576, max = 1_125_899_906_842_624_u64))]
    pub(super) max_weight_bytes: Option<u64>,
    /// The largest version that can be uploaded, in bytes: 1024 to 1 TiB. Default: 4 GiB.
    #[schemars(range(min = 1024, max = 1_099_511_627_776_u64))]
    pub(super) max_upload_bytes: u64,
    /// Size of one file of the audit log in bytes, after which a new file is started: 64 KiB to 1 GiB. Default: 64 MiB. The last eight
    /// files are kept.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub(super) max_audit_bytes: u64,
    /// CPU time for all shadows together, in per cent of one core: 1 to 6400. Default: 100.
    #[schemars(range(min = 1, max = 6_400))]
    pub(super) shadow_compute_share: u32,
    /// The most threads of all shadows together, 1 to 1024. Default: 64.
    #[schemars(range(min = 1, max = 1_024))]
    pub(super) max_shadow_threads: usize,
    /// The most bytes of copies that wait for shadows, as received: 1024 to 64 GiB. Default: 16 MiB.
    #[schemars(range(min = 1024, max = 68_719_476_736_u64))]
    pub(super) max_shadow_bytes: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        let shadows = ShadowPoolSettings::default();
        Self {
            max_message_bytes: 16 << 20,
            min_compressed_bytes: 4096,
            max_in_flight: 4096,
            max_in_flight_bytes: 64 << 20,
            max_connections: 1024,
            max_connection_idle_seconds: 300,
            max_connection_age_seconds: 86_400,
            connection_age_grace_seconds: 3600,
            ping_seconds: 60,
            max_concurrent_streams: 256,
            max_stream_idle_seconds: 3600,
            max_health_calls: 1024,
            max_health_calls_per_connection: 16,
            max_reflection_calls: 32,
            max_reflection_calls_per_connection: 4,
            max_admin_calls: 256,
            max_admin_calls_per_connection: 128,
            send_seconds: 30,
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

/// The version policy: which versions are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawVersions {
    /// Every version.
    Word(RawVersionsWord),
    // Must precede `Latest`: serde would accept a list of one number as that struct.
    /// These versions.
    List(Vec<u64>),
    /// The highest versions.
    Latest(RawLatest),
}

impl Default for RawVersions {
    fn default() -> Self {
        Self::Word(RawVersionsWord::All)
    }
}

/// A version policy that is a single word.
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
    /// How many, 1 to 1000. A version that failed to load does not count.
    #[schemars(range(min = 1, max = 1000))]
    pub(super) latest: NonZeroUsize,
}

/// How the registry is watched. Changes are seen immediately if the file system reports them, and at the next poll otherwise.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWatch {
    /// Milliseconds between two polls, 100 to 3,600,000. Default: 10,000.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub(super) poll_ms: u64,
    /// Milliseconds without a change after which an incomplete version folder counts as faulty instead of half-written: 100 to
    /// 3,600,000. Default: 10,000.
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

/// Which statistics of requests are recorded, for `taper stats`, `taper compare`, `taper drift` and `taper outcomes`. Inputs that a
/// manifest marks as sensitive are never recorded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawInsight {
    /// Whether the distributions of inputs are recorded. Default: `true`.
    pub(super) features: bool,
    /// The most inputs per version whose distributions are recorded, 1 to 10,000: the first ones in the manifest. Default: 256.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) max_features: usize,
    /// The most bytes of all statistics of one version, 4,194,304 to 1,099,511,627,776. Default: 67,108,864. Inputs with a wide range of
    /// magnitudes need more memory. At the limit, quantiles lose precision, which `taper stats` shows. Inputs that do not fit within the
    /// limit are not recorded.
    #[schemars(range(min = 4_194_304, max = 1_099_511_627_776_u64))]
    pub(super) max_bytes_per_version: usize,
    /// The most scored rows that are kept until their ground truth is reported (`ReportOutcomes`), 0 to 100,000,000; 0: none. Default:
    /// 100,000. Only scores are kept, no inputs. A row takes about 200 bytes; a row of more than four scores counts as several. A full buffer
    /// overwrites the oldest row.
    #[schemars(range(min = 0, max = 100_000_000))]
    pub(super) outcome_buffer_rows: usize,
    /// Seconds after a prediction within which its ground truth must be reported, 1 to 31,536,000. Default: 86,400.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub(super) outcome_expires_seconds: u64,
    /// Seconds between two updates of the drift gauges, which compare every version with its reference profile: 0 to 86,400; 0: no
    /// gauges. Default: 30. `taper drift` does not depend on it.
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

/// The prediction log: a sample of the requests as JSON lines, with inputs by name, predictions, the version that responded, and the
/// latency. Inputs that a manifest marks as sensitive are left out; for inputs marked `"hash"`, keyed hashes are written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPredictionLog {
    /// The log file. Its folder must exist. Rotated files are compressed and kept next to it as `PATH.000001.gz`; the highest number is the
    /// newest. A relative path is relative to this file. Unset: no log.
    pub(super) path: Option<PathBuf>,
    /// Share of the requests that are logged, 0 to 1. Default: 0.01.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(super) sample: f64,
    /// Size in bytes after which a new file is started, 64 KiB to 1 TiB. Default: 64 MiB.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub(super) max_bytes: u64,
    /// Age in seconds after which a new file is started, counted from the time at which this gateway opened or created the
    /// file: 1 to 31,536,000. Default: 86,400.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub(super) max_age_seconds: u64,
    /// Number of rotated files that are kept, 0 to 10,000; the oldest are removed. Default: 8.
    #[schemars(range(min = 0, max = 10_000))]
    pub(super) keep: usize,
    /// A file with a secret key of 16 to 4096 bytes, for example from `openssl rand -hex 32`. Values of inputs marked `"hash"` are
    /// written as the first 32 hexadecimal digits of HMAC-SHA-256(key, name of the input, a zero byte, value). Unset: these inputs are
    /// left out. A relative path is relative to this file.
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

/// Initial labels and traffic policy of one model, and settings for its versions.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModel {
    /// Version policy of this model. Default: the policy for all models.
    pub(super) versions: Option<RawVersions>,
    /// Labels with the versions that they name: `{ stable = 1, canary = 2 }`.
    pub(super) labels: BTreeMap<String, u64>,
    /// Shares in basis points by version or label, which must add up to 10000: `{ 1 = 9500, 2 = 500 }`,
    /// `{ stable = 9500, canary = 500 }`. A label's share moves with the label, and that of `latest` with every
    /// new version. Unset: all traffic to the highest version at the first start.
    pub(super) split: Option<BTreeMap<String, u32>>,
    /// Rules that route by header; the first match wins.
    pub(super) header_rules: Vec<RawRule>,
    /// Request header that holds the sticky key of requests without `routing_key`.
    pub(super) sticky_header: String,
    /// Mixed into the hash of sticky keys. Default: the name of the model.
    pub(super) salt: String,
    /// How requests are batched if their forward pass is expensive. Takes precedence over the hints in manifests.
    pub(super) batching: RawModelBatching,
    /// Versions that receive copies of the traffic, for which clients never wait. At most 8.
    pub(super) shadows: Vec<RawShadowEntry>,
    /// The version that responds if another version fails or takes too long. Unset: none.
    pub(super) fallback: Option<RawFallbackEntry>,
}

/// Batching of one model. A forward pass starts as soon as a thread is free, with the requests that wait for the version by then.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModelBatching {
    /// The most rows of one forward pass, 1 to 65,536. A larger request is computed alone. Default: the most rows of one request.
    #[schemars(range(min = 1, max = 65_536))]
    pub(super) max_batch_rows: Option<usize>,
    /// The most rows that wait for one version, 1 to 1,000,000. Default: 65,536.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_queue_rows: Option<usize>,
    /// Milliseconds that the first request waits for others although a thread is free, 0 to 10,000. Default: 0.
    #[schemars(range(min = 0, max = 10_000))]
    pub(super) max_queue_delay_ms: Option<u32>,
}

/// A shadow of the model. Set exactly one of `version` and `label`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShadowEntry {
    /// The version that receives the copies.
    pub(super) version: Option<u64>,
    /// The label whose version receives the copies.
    pub(super) label: Option<String>,
    /// Share of the traffic in basis points, 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) share: u32,
    /// Milliseconds after the primary's response until a copy is dropped, 1 to 60,000. Default: 1000.
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) deadline_ms: Option<u32>,
    /// The most copies that may wait, 1 to 4096. Default: 64.
    #[schemars(range(min = 1, max = 4_096))]
    pub(super) max_queue: Option<u32>,
    /// The most copies that may be computed at the same time, 1 to 16. Default: 1.
    #[schemars(range(min = 1, max = 16))]
    pub(super) max_concurrent: Option<u32>,
}

/// The fallback of the model. Set exactly one of `version` and `label`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFallbackEntry {
    /// The version that responds.
    pub(super) version: Option<u64>,
    /// The label whose version responds.
    pub(super) label: Option<String>,
    /// Milliseconds until the fallback takes over, 1 to 60,000, but at most half of the time until the request's deadline. Default: that
    /// half.
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) within_ms: Option<u32>,
}

/// One header rule. Set exactly one of `version` and `label`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    /// Name of the header in lower case.
    pub(super) header: String,
    /// The exact value of the header.
    pub(super) value: String,
    /// The version that responds.
    pub(super) version: Option<u64>,
    /// The label whose version responds.
    pub(super) label: Option<String>,
}
