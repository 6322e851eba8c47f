//! `taper versions`: the state of each version of a model, and loading and unloading by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::change::{AuthorFlags, MutationFlags};
use super::model::ModelFlag;
use crate::client::v1::{
    AcceptVersionRequest, Fault, GetModelRequest, GetModelResponse, LoadVersionRequest,
    RetryVersionRequest, UnloadVersionRequest, VersionState, VersionStatus,
};
use crate::client::{AdminPort, Failure, names};
use crate::terminal::{output, table::table};

/// Arguments of `taper versions`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArgs,
}

/// What to do with versions.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the versions: state, age, memory, references and faults.
    List(ListArgs),
    /// Load a version regardless of the version policy, and wait until it is READY.
    Load(ChangeArgs),
    /// Unload a version that no split, header rule or label names.
    Unload(ChangeArgs),
    /// Take the files of a version as they are now, although they were replaced after it was READY.
    Accept(ChangeArgs),
    /// Retry a FAILED version now.
    Retry(RetryArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    model: ModelFlag,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

#[derive(Debug, clap::Args)]
struct ChangeArgs {
    /// The version.
    version: u64,
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    flags: MutationFlags,
}

/// Arguments of `taper versions retry`. A retry changes no revision, so it has no terms but the author.
#[derive(Debug, clap::Args)]
struct RetryArgs {
    /// The version.
    version: u64,
    #[command(flatten)]
    model: ModelFlag,
    #[command(flatten)]
    author: AuthorFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        None => list(args.list).await,
        Some(Verb::List(args)) => list(args).await,
        Some(Verb::Load(args)) => load(args).await,
        Some(Verb::Unload(args)) => unload(args).await,
        Some(Verb::Accept(args)) => accept(args).await,
        Some(Verb::Retry(args)) => retry(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let listing = Listing::from(args.port.call(GetModelRequest { model }).await?);
    if args.json {
        output::print_json(&listing)?;
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.ok().and_then(|now| i64::try_from(now.as_secs()).ok());
        output::print(&listing.readable(now.unwrap_or_default()))?;
    }
    Ok(())
}

async fn load(args: ChangeArgs) -> Result<(), Failure> {
    let request = |model, terms| LoadVersionRequest {
        model,
        version: args.version,
        terms,
    };
    let flags = args.flags.for_loading();
    flags.apply(&args.model, request).await
}

async fn unload(args: ChangeArgs) -> Result<(), Failure> {
    let request = |model, terms| UnloadVersionRequest {
        model,
        version: args.version,
        terms,
    };
    args.flags.apply(&args.model, request).await
}

async fn accept(args: ChangeArgs) -> Result<(), Failure> {
    let request = |model, terms| AcceptVersionRequest {
        model,
        version: args.version,
        terms,
    };
    args.flags.apply(&args.model, request).await
}

async fn retry(args: RetryArgs) -> Result<(), Failure> {
    let port = args.port.for_loading();
    let model = args.model.resolve(&port).await?;
    let request = RetryVersionRequest {
        model: model.clone(),
        version: args.version,
        terms: Some(args.author.terms()),
    };
    port.call(request).await?;
    if args.json {
        output::print_json(&serde_json::json!({}))?;
    } else {
        output::print(&format!("{model}   version {} is READY", args.version))?;
    }
    Ok(())
}

/// The versions of one model. Unlike the JSON of `taper models`, times are to the second and a fault is one text.
#[derive(Debug, Serialize)]
struct Listing {
    model: String,
    revision: u64,
    versions: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    version: u64,
    state: &'static str,
    /// RFC 3339.
    since: Option<String>,
    #[serde(skip)]
    since_second: Option<i64>,
    weight_bytes: u64,
    held_by: Vec<String>,
    #[serde(skip)]
    gets_no_traffic: bool,
    /// How its files differ from what is in memory; empty if they do not.
    replaced: Vec<String>,
    faults: Vec<String>,
    failures: u32,
    retry_at: Option<String>,
    waits_for: String,
}

impl From<GetModelResponse> for Listing {
    fn from(response: GetModelResponse) -> Self {
        Self {
            model: response.model,
            revision: response.revision,
            versions: response.versions.into_iter().map(Row::from).collect(),
        }
    }
}

impl From<VersionStatus> for Row {
    fn from(status: VersionStatus) -> Self {
        let faults = status.faults.iter().map(fault_text);
        Self {
            version: status.version,
            state: status.state().name(),
            since: status.since.as_ref().map(names::to_second),
            since_second: status.since.as_ref().map(|since| since.seconds),
            weight_bytes: status.weight_bytes,
            faults: faults.collect(),
            replaced: status.replaced.iter().map(fault_text).collect(),
            gets_no_traffic: status.state() == VersionState::Ready && !takes_traffic(&status),
            held_by: status.held_by,
            failures: status.failures,
            retry_at: status.retry_at.as_ref().map(names::to_second),
            waits_for: status.waits_for,
        }
    }
}

fn fault_text(fault: &Fault) -> String {
    let places = [&fault.file, &fault.path, &fault.message];
    let parts = places.into_iter().filter(|place| !place.is_empty());
    parts.map(String::as_str).collect::<Vec<_>>().join(": ")
}

/// Returns whether the split or a header rule sends requests to the version.
pub(super) fn takes_traffic(status: &VersionStatus) -> bool {
    let mut held_by = status.held_by.iter();
    held_by.any(|by| by.starts_with("split") || by.starts_with("header rule"))
}

impl Listing {
    /// Returns a table with ages at `now`, in seconds of Unix time.
    fn readable(&self, now: i64) -> String {
        let head = format!("{}   revision {}", self.model, self.revision);
        if self.versions.is_empty() {
            return format!("{head}\nno versions: the registry has none of this model");
        }
        let rows = self.versions.iter().map(|line| {
            vec![
                line.version.to_string(),
                line.state.to_owned(),
                line.since_second
                    .map_or_else(|| "-".into(), |since| age(now - since)),
                bytes(line.weight_bytes),
                line.held_by.join(", "),
                line.notes(),
            ]
        });
        let header = ["version", "state", "since", "weights", "held by", "notes"];
        format!("{head}\n{}", table(&header, &[0, 2, 3], rows))
    }
}

impl Row {
    /// Returns the faults of the version, what it waits for, and whether it gets no traffic although it could answer.
    fn notes(&self) -> String {
        let mut notes = self.faults.clone();
        if self.gets_no_traffic {
            notes.push("no traffic".to_owned());
        }
        if !self.replaced.is_empty() {
            notes.push(format!(
                "replaced in the registry; answers as it was loaded: {}",
                self.replaced.join("; ")
            ));
        }
        if !self.waits_for.is_empty() {
            notes.push(format!("waits for {}", self.waits_for));
        }
        if let Some(at) = &self.retry_at {
            notes.push(format!("tried {} times, next at {at}", self.failures));
        }
        notes.join("\n")
    }
}

/// Returns an age in one unit: `59s`, `3m`, `5h`, `2d`. Negative ages, which differing clocks cause, are `0s`.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Returns a size in one unit: `512 B`, `1.5 KiB`; `-` for 0.
fn bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "-".into();
    }
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|&(power, _)| bytes >> power > 0) {
        Some((power, unit)) => format!("{:.1} {unit}", bytes as f64 / (1u64 << power) as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::well_known::Timestamp;

    #[test]
    fn sizes_and_ages_have_one_unit() {
        for (seconds, text) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (7_300, "2h"),
            (200_000, "2d"),
        ] {
            assert_eq!(age(seconds), text);
        }
        for (size, text) in [
            (0, "-"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn a_version_shows_its_references_and_faults() {
        let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let ready = VersionStatus {
            version: 1,
            state: VersionState::Ready.into(),
            since: time(0),
            weight_bytes: 2_048,
            held_by: vec!["split".into(), "label stable".into()],
            ..VersionStatus::default()
        };
        let failed = VersionStatus {
            version: 2,
            state: VersionState::Failed.into(),
            faults: vec![Fault {
                file: "weights".into(),
                path: String::new(),
                message: "missing".into(),
            }],
            failures: 2,
            retry_at: time(60),
            ..VersionStatus::default()
        };
        let listing = Listing::from(GetModelResponse {
            model: "m".into(),
            revision: 4,
            versions: vec![ready, failed],
            ..GetModelResponse::default()
        });
        let text = listing.readable(90);
        for part in [
            "1m",
            "2.0 KiB",
            "split, label stable",
            "weights: missing",
            "tried 2 times, next at 1970-01-01T00:01:00Z",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn json_has_times_to_the_second_and_faults_as_text() {
        let time = |seconds| {
            Some(Timestamp {
                seconds,
                nanos: 250_000_000,
            })
        };
        let failed = VersionStatus {
            version: 2,
            state: VersionState::Failed.into(),
            since: time(0),
            weight_bytes: 2_048,
            held_by: vec!["split".into()],
            faults: vec![Fault {
                file: "metadata.json".into(),
                path: "$.head".into(),
                message: "missing".into(),
            }],
            failures: 2,
            retry_at: time(60),
            waits_for: "its turn".into(),
            ..VersionStatus::default()
        };
        let listing = Listing::from(GetModelResponse {
            model: "m".into(),
            revision: 4,
            versions: vec![failed, VersionStatus::default()],
            ..GetModelResponse::default()
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&listing).unwrap());
    }
}
