//! The configuration: a TOML file, flags and environment variables become one checked [`Config`], with all faults at once.
//!
//! Nothing is bound or read from the registry here. Whoever holds a `Config` checks nothing again, except what only the
//! registry can tell: whether the versions that labels and policies name are READY.

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
use crate::registry::WatchSettings;
use crate::serving::admission::Limits;
use crate::serving::batch::BatchingHints;
use crate::serving::shadow::ShadowPoolSettings;
use raw::{RawConfig, RawLatest, RawModel, RawPredictionLog, RawVersions, RawVersionsWord};

/// Everything that a gateway needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder with all models and versions.
    pub registry: PathBuf,
    /// Folder for what operators change, and for the audit log. Need not exist yet.
    pub state: PathBuf,
    /// Data port.
    pub data: SocketAddr,
    /// Admin port; on loopback.
    pub admin: SocketAddr,
    /// HTTP port.
    pub http: SocketAddr,
    /// Largest message, in and out, in bytes.
    pub max_message_bytes: usize,
    /// What all shadows may take together.
    pub shadows: ShadowPoolSettings,
    /// Connections at one time on each port.
    pub max_connections: usize,
    /// Requests at one time on one connection.
    pub max_concurrent_streams: u32,
    /// What the request path takes at most.
    pub limits: Limits,
    /// How long requests in flight get to finish at shutdown.
    pub drain_deadline: Duration,
    /// Largest version that can be uploaded, in bytes.
    pub max_upload_bytes: u64,
    /// Bytes of one file of the audit log.
    pub max_audit_bytes: u64,
    /// How the registry is looked at.
    pub watch: WatchSettings,
    /// What is recorded of requests.
    pub insight: stats::Settings,
    /// How often the gauges of drift are brought up to date; `None`: there are none.
    pub drift_interval: Option<Duration>,
    /// How much of what was answered waits for its truth.
    pub outcomes: OutcomeSettings,
    /// The prediction log; `None`: there is none.
    pub prediction_log: Option<LogSettings>,
    /// Which versions are loaded, and the first labels and policies.
    pub control: Settings,
}

/// What flags and environment variables say; each comes before the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Folder with all models and versions.
    pub registry: Option<PathBuf>,
    /// Folder for what operators change.
    pub state: Option<PathBuf>,
    /// Data address.
    pub data: Option<String>,
    /// Admin address.
    pub admin: Option<String>,
    /// HTTP address.
    pub http: Option<String>,
}

impl Config {
    /// Reads `file`, if there is one, under `overrides`.
    ///
    /// # Errors
    /// Every fault of the file and of the overrides: first all of the file's form, then all of what its values mean.
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

    /// The JSON Schema of the file.
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
    let unbound = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut address = |name: &str, text: &str, loopback: bool| {
        let path = format!("$.listen.{name}");
        let parsed = text.parse::<SocketAddr>();
        match &parsed {
            Err(_) => faults.add(
                file,
                path,
                format!("got {text:?}, wants an IP address and a port, `127.0.0.1:8001`"),
            ),
            Ok(address) if loopback && !address.ip().is_loopback() => faults.add(
                file,
                path,
                format!(
                    "got {text:?}, wants a loopback address: the admin port has no authentication"
                ),
            ),
            Ok(_) => {}
        }
        parsed.unwrap_or(unbound)
    };
    let data = address("data", &raw.listen.data, false);
    let admin = address("admin", &raw.listen.admin, true);
    let http = address("http", &raw.listen.http, false);
    for (name, one, other) in [
        ("admin", admin, data),
        ("http", http, data),
        ("http", http, admin),
    ] {
        if one == other && one.port() != 0 {
            faults.add(
                file,
                format!("$.listen.{name}"),
                format!("{one} is taken by another face"),
            );
        }
    }
    if !registry.is_dir() {
        faults.add(
            file,
            "$.registry",
            format!("{} is not a folder", registry.display()),
        );
    }
    if raw.limits.max_in_flight_bytes < raw.limits.max_message_bytes {
        let (got, least) = (raw.limits.max_in_flight_bytes, raw.limits.max_message_bytes);
        let told = format!("got {got}, wants at least max_message_bytes, {least}");
        faults.add(file, "$.limits.max_in_flight_bytes", told);
    }
    if state.exists() && !state.is_dir() {
        let told = format!("{} is not a folder", state.display());
        faults.add(file, "$.state", told);
    }
    let versions = choice(raw.versions, file, "$.versions", &mut faults);
    let mut models = BTreeMap::new();
    for (name, model) in raw.models {
        let path = format!("$.models.{name}");
        match name.parse::<ModelName>() {
            Ok(name) => {
                let settings = settings(model, &name, file, &path, &mut faults);
                models.insert(name, settings);
            }
            Err(error) => faults.add(file, path, error.to_string()),
        }
    }
    let prediction_log = log_settings(raw.prediction_log, file, &mut faults);
    faults.into_result()?;
    Ok(Config {
        registry,
        state,
        data,
        admin,
        http,
        max_message_bytes: raw.limits.max_message_bytes,
        shadows: ShadowPoolSettings {
            compute_share: raw.limits.shadow_compute_share,
            max_threads: raw.limits.max_shadow_threads,
            max_bytes: raw.limits.max_shadow_bytes,
        },
        max_connections: raw.limits.max_connections,
        max_concurrent_streams: raw.limits.max_concurrent_streams,
        limits: Limits {
            max_in_flight: raw.limits.max_in_flight,
            max_in_flight_bytes: raw.limits.max_in_flight_bytes,
        },
        drain_deadline: Duration::from_secs(raw.limits.drain_seconds),
        max_upload_bytes: raw.limits.max_upload_bytes,
        max_audit_bytes: raw.limits.max_audit_bytes,
        watch: WatchSettings {
            poll: Duration::from_millis(raw.watch.poll_ms),
            stable_after: Duration::from_millis(raw.watch.settle_ms),
        },
        insight: stats::Settings {
            features: raw.insight.features,
            max_features: raw.insight.max_features,
            max_bytes: raw.insight.max_bytes_per_version,
        },
        drift_interval: (raw.insight.drift_interval_seconds > 0)
            .then(|| Duration::from_secs(raw.insight.drift_interval_seconds)),
        outcomes: OutcomeSettings {
            buffer_rows: raw.insight.outcome_buffer_rows,
            expires: Duration::from_secs(raw.insight.outcome_expires_seconds),
        },
        prediction_log,
        control: Settings {
            versions,
            max_weight_bytes: raw.limits.max_weight_bytes,
            models,
        },
    })
}

/// `None` where no path is given.
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

/// A version policy.
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
        let told = format!("got {got} labels, wants at most {most}");
        faults.add(file, format!("{path}.labels"), told);
    }
    settings.policy = policy::first(raw, model, file, path, faults);
    settings
}

#[cfg(test)]
mod tests;
