//! `taper versions`: where each version of a model stands, and loading and unloading by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{
    change::{self, Changing, Who},
    model::Model,
    models::word,
};
use crate::client::{AdminPort, Failure};
use crate::proto::v1::{
    GetModelRequest, GetModelResponse, LoadVersionRequest, RetryVersionRequest,
    UnloadVersionRequest, VersionStatus,
};
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
    /// List the versions: state, age, memory, who holds them, what is wrong.
    List(ListArgs),
    /// Load a version, whatever the version policy says, and wait until it is READY.
    Load(ChangeArgs),
    /// Unload a version that no split, header rule or label names.
    Unload(ChangeArgs),
    /// Try a FAILED version again, now.
    Retry(RetryArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    model: Model,
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
    model: Model,
    #[command(flatten)]
    how: Changing,
}

/// A retry changes nothing that is wanted, so it has no terms.
#[derive(Debug, clap::Args)]
struct RetryArgs {
    /// The version.
    version: u64,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    who: Who,
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
        Some(Verb::Retry(args)) => retry(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(GetModelRequest { model });
    let listing = Listing::from(args.port.answer(client.get_model(request)).await?);
    if args.json {
        return output::print_json(&listing);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    output::print(&listing.readable(now.unwrap_or_default()))
}

async fn load(mut args: ChangeArgs) -> Result<(), Failure> {
    args.how.port.patience = args.how.port.patience.for_loading();
    let model = args.model.resolve(&args.how.port).await?;
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(LoadVersionRequest {
        model: model.clone(),
        version: args.version,
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.load_version(request)).await?;
    args.how.tell(&model, &changed)
}

async fn unload(args: ChangeArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.how.port).await?;
    let mut client = args.how.port.connect().await?;
    let request = args.how.port.patience.request(UnloadVersionRequest {
        model: model.clone(),
        version: args.version,
        terms: Some(args.how.change.terms()),
    });
    let changed = args.how.port.answer(client.unload_version(request)).await?;
    args.how.tell(&model, &changed)
}

async fn retry(mut args: RetryArgs) -> Result<(), Failure> {
    args.port.patience = args.port.patience.for_loading();
    let model = args.model.resolve(&args.port).await?;
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(RetryVersionRequest {
        model: model.clone(),
        version: args.version,
        terms: Some(args.who.terms()),
    });
    args.port.answer(client.retry_version(request)).await?;
    if args.json {
        output::print_json(&serde_json::json!({}))
    } else {
        output::print(&format!("{model}   version {} is READY", args.version))
    }
}

/// The versions of one model.
#[derive(Debug, Serialize)]
struct Listing {
    model: String,
    revision: u64,
    versions: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    version: u64,
    state: &'static str,
    /// RFC 3339.
    since: Option<String>,
    #[serde(skip)]
    since_second: Option<i64>,
    weight_bytes: u64,
    held_by: Vec<String>,
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
            versions: response.versions.into_iter().map(Line::from).collect(),
        }
    }
}

impl From<VersionStatus> for Line {
    fn from(status: VersionStatus) -> Self {
        let faults = status.faults.iter().map(|fault| {
            let places = [&fault.file, &fault.path, &fault.message];
            let told = places.into_iter().filter(|place| !place.is_empty());
            told.map(String::as_str).collect::<Vec<_>>().join(": ")
        });
        Self {
            version: status.version,
            state: word(status.state()),
            since: status.since.as_ref().and_then(change::time),
            since_second: status.since.as_ref().map(|since| since.seconds),
            weight_bytes: status.weight_bytes,
            faults: faults.collect(),
            held_by: status.held_by,
            failures: status.failures,
            retry_at: status.retry_at.as_ref().and_then(change::time),
            waits_for: status.waits_for,
        }
    }
}

impl Listing {
    /// A table, seen at `now`, in seconds of Unix time.
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

impl Line {
    /// What is wrong with it, or what it waits for.
    fn notes(&self) -> String {
        let mut notes = self.faults.clone();
        if !self.waits_for.is_empty() {
            notes.push(format!("waits for {}", self.waits_for));
        }
        if let Some(at) = &self.retry_at {
            notes.push(format!("tried {} times, again at {at}", self.failures));
        }
        notes.join("\n")
    }
}

/// `59s`, `3m`, `5h`, `2d`. Clocks that differ make no negative ages.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// `512 B`, `1.5 KiB`; `-` for nothing.
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
    use crate::proto::v1::{Fault, VersionState};

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
    fn a_version_shows_who_holds_it_and_what_is_wrong() {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
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
        let told = listing.readable(90);
        for part in [
            "1m",
            "2.0 KiB",
            "split, label stable",
            "weights: missing",
            "tried 2 times, again at 1970-01-01T00:01:00Z",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn json_has_times_to_the_second_and_faults_as_text() {
        let time = |seconds| {
            Some(prost_types::Timestamp {
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
