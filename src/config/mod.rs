//! The configuration: turns a TOML file, flags and environment variables into a checked [`Config`], and reports all faults at once.
//!
//! Nothing is bound here, and nothing is read from the registry. A `Config` needs no further checks, except those that depend on the
//! registry: whether the versions that labels and policies name are READY.

mod policy;
mod raw;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::control::{ModelSettings, Settings, VersionChoice, Wanted};
use crate::faults::{self, Faults};
use crate::ident::{Label, ModelName, VersionNumber};
use crate::insight::outcomes::OutcomeSettings;
use crate::insight::prediction_log::{HashKey, LogSettings};
use crate::insight::stats;
use crate::model::ContentStores;
use crate::registry::WatchSettings;
use crate::serving::admission::Limits;
use crate::serving::batch::BatchingHints;
use crate::serving::call_limit::{CallLimit, CallLimits};
use crate::serving::shadow::ShadowPoolSettings;
use raw::{
    RawConfig, RawLatest, RawLimits, RawListen, RawModel, RawPredictionLog, RawVersions,
    RawVersionsWord,
};

/// The checked configuration of a gateway.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder with all models and versions.
    pub registry: PathBuf,
    /// Folder for the changes of operators and for the audit log. It may not exist yet.
    pub state: PathBuf,
    /// Whether the gateway is ready only while every model can do what its policy wants.
    pub strict_readiness: bool,
    /// Address of the data port.
    pub data: SocketAddr,
    /// Address of the admin port, on loopback.
    pub admin: SocketAddr,
    /// Address of the HTTP port.
    pub http: SocketAddr,
    /// The largest message in either direction, in bytes.
    pub max_message_bytes: usize,
    /// The fewest bytes of an answer that is compressed for a client that accepts it; 0: none is.
    pub min_compressed_bytes: usize,
    /// Limits on all shadows together.
    pub shadows: ShadowPoolSettings,
    /// The most concurrent connections per port.
    pub max_connections: usize,
    /// How long a connection may be idle; `None`: without a limit.
    pub max_connection_idle: Option<Duration>,
    /// Time without a byte after which a gRPC client must answer a PING; `None`: never.
    pub ping_after: Option<Duration>,
    /// The age at which a connection takes no new requests; `None`: never.
    pub max_connection_age: Option<Duration>,
    /// How long requests that are open at that age may take to finish.
    pub connection_age_grace: Duration,
    /// The most concurrent requests per connection.
    pub max_concurrent_streams: u32,
    /// How long a prediction stream may be idle; `None`: without a limit.
    pub max_stream_idle: Option<Duration>,
    /// Limits on the calls of services without admission control.
    pub calls: CallLimits,
    /// Limits on requests in flight.
    pub limits: Limits,
    /// How long a client may take nothing of an answer that is ready.
    pub send_timeout: Duration,
    /// How long requests in flight may take to finish at shutdown.
    pub drain_deadline: Duration,
    /// The largest version that can be uploaded, in bytes.
    pub max_upload_bytes: u64,
    /// Size of one file of the audit log, in bytes.
    pub max_audit_bytes: u64,
    /// How the registry is watched.
    pub registry_watch: WatchSettings,
    /// Which statistics of requests are recorded.
    pub insight: stats::Settings,
    /// How often the drift gauges are updated; `None`: there are no such gauges.
    pub drift_interval: Option<Duration>,
    /// How many predictions are kept for outcomes.
    pub outcomes: OutcomeSettings,
    /// The prediction log; `None`: there is none.
    pub prediction_log: Option<LogSettings>,
    /// Which versions are loaded, and the initial labels and policies.
    pub control: Settings,
}

/// Settings from flags and environment variables. Each takes precedence over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Folder with all models and versions.
    pub registry: Option<PathBuf>,
    /// Folder for the changes of operators and for the audit log.
    pub state: Option<PathBuf>,
    /// Address of the data port.
    pub data: Option<String>,
    /// Address of the admin port.
    pub admin: Option<String>,
    /// Address of the HTTP port.
    pub http: Option<String>,
}

impl Config {
    /// Reads `file`, if there is one, and applies `overrides`.
    ///
    /// # Errors
    /// Returns every structural fault of the file; if there is none, every fault of the values in the file and in the overrides.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, Faults> {
        let (mut raw, name, base) = match file {
            Some(path) => {
                let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
                (read(path)?, path.to_path_buf(), base)
            }
            None => (RawConfig::default(), PathBuf::from("flags"), PathBuf::new()),
        };
        let in_file = raw.registry.take().map(|registry| base.join(registry));
        let registry = overrides
            .registry
            .or(in_file)
            .unwrap_or_else(|| base.join("models"));
        for store in &mut raw.content_stores {
            *store = base.join(&*store);
        }
        let log = &mut raw.prediction_log;
        for path in [&mut log.path, &mut log.hash_key_file] {
            *path = path.take().map(|path| base.join(path));
        }
        let in_file = raw.state.take().map(|state| base.join(state));
        let state = overrides.state.or(in_file);
        let state = state.unwrap_or_else(|| base.join("state"));
        for (setting, over) in [
            (&mut raw.listen.data, overrides.data),
            (&mut raw.listen.admin, overrides.admin),
            (&mut raw.listen.http, overrides.http),
        ] {
            if let Some(over) = over {
                *setting = over;
            }
        }
        check(raw, registry, state, &name)
    }

    /// Returns the JSON Schema of the file.
    #[must_use]
    pub fn schema() -> Value {
        faults::schema_of::<RawConfig>()
    }
}

fn read(path: &Path) -> Result<RawConfig, Faults> {
    let text = fs::read_to_string(path)
        .map_err(|error| Faults::one(path, format!("cannot be read: {error}")))?;
    let document = faults::from_toml(path, &text)?;
    faults::parse(path, document)
}

fn check(raw: RawConfig, registry: PathBuf, state: PathBuf, file: &Path) -> Result<Config, Faults> {
    let mut faults = Faults::default();
    let RawConfig {
        limits,
        watch,
        insight,
        ..
    } = raw;
    let [data, admin, http] = addresses(&raw.listen, file, &mut faults);
    if !registry.is_dir() {
        let message = format!(
            "registry folder {} not found; set `registry` or pass --registry DIR",
            registry.display()
        );
        faults.add(file, "$.registry", message);
    }
    if limits.max_in_flight_bytes < limits.max_message_bytes {
        let (got, least) = (limits.max_in_flight_bytes, limits.max_message_bytes);
        let message = format!("got {got}, wants at least max_message_bytes, {least}");
        faults.add(file, "$.limits.max_in_flight_bytes", message);
    }
    if state.exists() && !state.is_dir() {
        let message = format!("{} is not a folder", state.display());
        faults.add(file, "$.state", message);
    }
    let content_stores = ContentStores::new(&raw.content_stores).unwrap_or_else(|(at, why)| {
        faults.add(file, format!("$.content_stores[{at}]"), why);
        ContentStores::default()
    });
    let versions = choice(raw.versions, file, "$.versions", &mut faults);
    let models = models(raw.models, file, &mut faults);
    let prediction_log = log_settings(raw.prediction_log, file, &mut faults);
    faults.into_result()?;
    Ok(Config {
        registry,
        state,
        strict_readiness: raw.strict_readiness,
        data,
        admin,
        http,
        max_message_bytes: limits.max_message_bytes,
        min_compressed_bytes: limits.min_compressed_bytes,
        shadows: ShadowPoolSettings {
            compute_share: limits.shadow_compute_share,
            max_threads: limits.max_shadow_threads,
            max_bytes: limits.max_shadow_bytes,
        },
        max_connections: limits.max_connections,
        max_connection_idle: unless_zero(limits.max_connection_idle_seconds),
        ping_after: unless_zero(limits.ping_seconds),
        max_connection_age: unless_zero(limits.max_connection_age_seconds),
        connection_age_grace: Duration::from_secs(limits.connection_age_grace_seconds),
        max_concurrent_streams: limits.max_concurrent_streams,
        max_stream_idle: unless_zero(limits.max_stream_idle_seconds),
        calls: call_limits(&limits),
        limits: Limits {
            max_in_flight: limits.max_in_flight,
            max_in_flight_bytes: limits.max_in_flight_bytes,
        },
        send_timeout: Duration::from_secs(limits.send_seconds),
        drain_deadline: Duration::from_secs(limits.drain_seconds),
        max_upload_bytes: limits.max_upload_bytes,
        max_audit_bytes: limits.max_audit_bytes,
        registry_watch: WatchSettings {
            poll: Duration::from_millis(watch.poll_ms),
            stable_after: Duration::from_millis(watch.settle_ms),
        },
        insight: stats::Settings {
            features: insight.features,
            max_features: insight.max_features,
            max_bytes: insight.max_bytes_per_version,
        },
        drift_interval: unless_zero(insight.drift_interval_seconds),
        outcomes: OutcomeSettings {
            buffer_rows: insight.outcome_buffer_rows,
            expires: Duration::from_secs(insight.outcome_expires_seconds),
        },
        prediction_log,
        control: Settings {
            versions,
            max_weight_bytes: limits.max_weight_bytes,
            content_stores,
            models,
        },
    })
}

/// Returns a time limit; `None` for 0, which means that there is none.
fn unless_zero(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn call_limits(limits: &RawLimits) -> CallLimits {
    let limit = |total, per_connection| CallLimit {
        total,
        per_connection,
    };
    CallLimits {
        health: limit(
            limits.max_health_calls,
            limits.max_health_calls_per_connection,
        ),
        reflection: limit(
            limits.max_reflection_calls,
            limits.max_reflection_calls_per_connection,
        ),
        admin: limit(
            limits.max_admin_calls,
            limits.max_admin_calls_per_connection,
        ),
        max_message_bytes: limits.max_message_bytes,
    }
}

/// Checks the addresses of the data, admin and HTTP port. An invalid address becomes port 0 of loopback, which conflicts with none.
fn addresses(listen: &RawListen, file: &Path, faults: &mut Faults) -> [SocketAddr; 3] {
    let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut address = |name: &str, text: &str, loopback: bool| {
        let parsed = text.parse::<SocketAddr>();
        let wanted = match &parsed {
            Err(_) => "an IP address and a port, `127.0.0.1:8001`",
            Ok(address) if loopback && !address.ip().is_loopback() => {
                "a loopback address: the admin port has no authentication"
            }
            Ok(_) => "",
        };
        if !wanted.is_empty() {
            let message = format!("got {text:?}, wants {wanted}");
            faults.add(file, format!("$.listen.{name}"), message);
        }
        parsed.unwrap_or(unbound)
    };
    let data = address("data", &listen.data, false);
    let admin = address("admin", &listen.admin, true);
    let http = address("http", &listen.http, false);
    for (name, one, other) in [
        ("admin", admin, data),
        ("http", http, data),
        ("http", http, admin),
    ] {
        if one == other && one.port() != 0 {
            let message =
                format!("{one} is the address of another port too; each port needs its own");
            faults.add(file, format!("$.listen.{name}"), message);
        }
    }
    [data, admin, http]
}

/// Checks the settings of every model.
fn models(
    raw: BTreeMap<String, RawModel>,
    file: &Path,
    faults: &mut Faults,
) -> BTreeMap<ModelName, ModelSettings> {
    let mut models = BTreeMap::new();
    for (name, model) in raw {
        let path = format!("$.models.{name}");
        match name.parse::<ModelName>() {
            Ok(name) => {
                let settings = settings(model, &name, file, &path, faults);
                models.insert(name, settings);
            }
            Err(error) => faults.add(file, path, error.to_string()),
        }
    }
    models
}

/// Returns the settings of the prediction log, or `None` if it has no path.
fn log_settings(raw: RawPredictionLog, file: &Path, faults: &mut Faults) -> Option<LogSettings> {
    let key = raw.hash_key_file.and_then(|key| {
        let read = HashKey::read(&key);
        read.map_err(|why| faults.add(file, "$.prediction_log.hash_key_file", why))
            .ok()
    });
    let settings = LogSettings {
        path: raw.path?,
        sample: raw.sample,
        max_bytes: raw.max_bytes,
        max_age: Duration::from_secs(raw.max_age_seconds),
        keep: raw.keep,
        key,
    };
    if let Err(why) = settings.check() {
        faults.add(file, "$.prediction_log.path", why);
    }
    Some(settings)
}

/// Checks a version policy.
fn choice(raw: RawVersions, file: &Path, path: &str, faults: &mut Faults) -> VersionChoice {
    match raw {
        RawVersions::Word(RawVersionsWord::All) => VersionChoice::All,
        RawVersions::Latest(RawLatest { latest }) => VersionChoice::Latest(latest),
        RawVersions::List(list) => {
            let mut versions = BTreeSet::new();
            for (at, version) in list.into_iter().enumerate() {
                match VersionNumber::try_from(version) {
                    Ok(version) => drop(versions.insert(version)),
                    Err(error) => faults.add(file, format!("{path}[{at}]"), error.to_string()),
                }
            }
            VersionChoice::List(versions)
        }
    }
}

/// Checks the settings of one model.
fn settings(
    mut raw: RawModel,
    model: &ModelName,
    file: &Path,
    path: &str,
    faults: &mut Faults,
) -> ModelSettings {
    let versions = raw.versions.take().map(|versions| {
        let path = format!("{path}.versions");
        choice(versions, file, &path, faults)
    });
    let mut settings = ModelSettings {
        versions,
        batching: BatchingHints {
            max_batch_rows: raw.batching.max_batch_rows,
            max_queue_rows: raw.batching.max_queue_rows,
            max_queue_delay: raw
                .batching
                .max_queue_delay_ms
                .map(|ms| Duration::from_millis(ms.into())),
        },
        ..ModelSettings::default()
    };
    for (label, version) in std::mem::take(&mut raw.labels) {
        let path = format!("{path}.labels.{label}");
        if label == Label::LATEST {
            faults.add(
                file,
                path,
                "`latest` is built in: it names the highest READY version",
            );
            continue;
        }
        match (label.parse::<Label>(), VersionNumber::try_from(version)) {
            (Ok(label), Ok(version)) => {
                settings.labels.insert(label, version);
            }
            (Err(error), _) | (_, Err(error)) => faults.add(file, path, error.to_string()),
        }
    }
    let most = Wanted::MOST_LABELS;
    if settings.labels.len() > most {
        let got = settings.labels.len();
        let message = format!("got {got} labels, wants at most {most}");
        faults.add(file, format!("{path}.labels"), message);
    }
    settings.policy = policy::initial(raw, model, file, path, faults);
    settings
}

#[cfg(test)]
mod tests;
