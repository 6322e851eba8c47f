//! `taper watch`: changes and states of a running gateway as they come.
//!
//! A connection that breaks is made again, and the watch goes on after the last revision seen; states are told anew then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Code, Request, Status, Streaming};

use super::{history::Change, models};
use crate::client::{AdminPort, Failure};
use crate::proto::v1::watch_response::Event;
use crate::proto::v1::{GetModelResponse, WatchRequest, WatchResponse};
use crate::terminal::{Signals, output};

/// How long the first attempt to connect again waits; each next one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// How long any of them waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Arguments of `taper watch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this model [default: all models].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Begin with every change after this revision [default: only what comes from now on].
    #[arg(long, value_name = "REVISION")]
    after: Option<u64>,
    /// End after so many events [default: go on until Ctrl-C].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print a JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        ended = follow(&args) => ended,
        _ = signals.next() => Ok(()),
    }
}

async fn follow(args: &Args) -> Result<(), Failure> {
    let (mut seen, mut left) = (args.after, args.count);
    let mut wait = FIRST_WAIT;
    let mut stream = open(args, seen).await.map_err(Refused::into_failure)?;
    loop {
        let why = match stream.message().await {
            Ok(Some(WatchResponse { event: Some(event) })) => {
                wait = FIRST_WAIT;
                seen = seen.max(revision(&event));
                let line = if args.json {
                    as_json(event).to_string()
                } else {
                    as_line(event)
                };
                if output::tell(&line)? == output::Reader::Gone {
                    return Ok(());
                }
                left = left.map(|left| left - 1);
                if left == Some(0) {
                    return Ok(());
                }
                continue;
            }
            Ok(Some(WatchResponse { event: None })) => continue,
            Ok(None) => "the gateway ended the watch".to_owned(),
            Err(status) if is_final(&status) => return Err(status.into()),
            Err(status) => Failure::from(status).to_string(),
        };
        output::complain(&format!("{why}; connecting again"));
        stream = loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            match open(args, seen).await {
                Ok(stream) => break stream,
                Err(Refused::Status(status)) if is_final(&status) => return Err(status.into()),
                Err(refused) => tracing::debug!("{}", refused.into_failure()),
            }
        };
    }
}

/// Why a watch did not begin.
enum Refused {
    /// Nothing answers there.
    Unreachable(Failure),
    /// The gateway said so.
    Status(Status),
}

impl Refused {
    fn into_failure(self) -> Failure {
        match self {
            Self::Unreachable(failure) => failure,
            Self::Status(status) => status.into(),
        }
    }
}

/// A watch has no deadline: it is to last.
async fn open(args: &Args, seen: Option<u64>) -> Result<Streaming<WatchResponse>, Refused> {
    let mut client = args.port.connect().await.map_err(Refused::Unreachable)?;
    let request = Request::new(WatchRequest {
        model: args.model.clone().unwrap_or_default(),
        after_revision: seen,
    });
    // What is to last is the stream; that it begins is to come in time.
    let begun = args.port.within(client.watch(request)).await;
    let begun = begun.map_err(Refused::Unreachable)?;
    Ok(begun.map_err(Refused::Status)?.into_inner())
}

/// Whether asking again would be refused again.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::OutOfRange | Code::InvalidArgument | Code::NotFound | Code::Unimplemented
    )
}

/// The revision that is known after `event`: a state comes after all the changes that made it.
fn revision(event: &Event) -> Option<u64> {
    match event {
        Event::Change(change) => Some(change.revision),
        Event::Model(model) => Some(model.revision),
        Event::Gone(_) => None,
    }
}

fn as_json(event: Event) -> Value {
    match event {
        Event::Change(change) => json!({ "change": Change::from(change) }),
        Event::Model(model) => json!({ "model": models::Model::from(model) }),
        Event::Gone(model) => json!({ "gone": model }),
    }
}

fn as_line(event: Event) -> String {
    match event {
        Event::Change(change) => change_line(&Change::from(change)),
        Event::Model(model) => model_line(&model),
        Event::Gone(model) => format!("gone    {model}"),
    }
}

fn change_line(change: &Change) -> String {
    let (revision, time, model) = (change.revision, &change.time, &change.model);
    let mut line = format!("change  {model} revision {revision} at {time}");
    line.push_str(&format!(" by {}: {}", change.actor, change.action));
    if !change.reason.is_empty() {
        line.push_str(&format!(" ({})", change.reason));
    }
    for difference in change.differences() {
        line.push_str(&format!("; {difference}"));
    }
    line.replace('\n', " ")
}

fn model_line(model: &GetModelResponse) -> String {
    let versions = model.versions.iter().map(|one| {
        let state = models::word(one.state());
        format!("{} {state}", one.version)
    });
    let versions: Vec<_> = versions.collect();
    let (name, revision) = (&model.model, model.revision);
    let mut line = format!(
        "state   {name} revision {revision}: {}",
        versions.join(", ")
    );
    let labels: BTreeMap<_, _> = model.labels.iter().collect();
    for (label, version) in labels {
        line.push_str(&format!(", {label} = {version}"));
    }
    if !model.problem.is_empty() {
        line.push_str(&format!("; problem: {}", model.problem));
    }
    line.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{Difference, Revision, VersionState, VersionStatus};

    #[test]
    fn every_event_is_one_line() {
        let change = Event::Change(Revision {
            revision: 3,
            model: "m".into(),
            time: Some(prost_types::Timestamp::default()),
            actor: "ann".into(),
            action: "set policy".into(),
            reason: "two\nlines".into(),
            differences: vec![Difference {
                field: "split".into(),
                before: "1=100%".into(),
                after: "2=100%".into(),
            }],
            ..Revision::default()
        });
        assert_eq!(
            as_line(change),
            "change  m revision 3 at 1970-01-01T00:00:00Z by ann: set policy (two lines); split: 1=100% -> 2=100%"
        );
        let version = |version, state: VersionState| VersionStatus {
            version,
            state: state.into(),
            ..VersionStatus::default()
        };
        let model = Event::Model(GetModelResponse {
            model: "m".into(),
            revision: 3,
            labels: [("stable".into(), 1), ("latest".into(), 1)].into(),
            versions: vec![
                version(1, VersionState::Ready),
                version(2, VersionState::Loading),
            ],
            ..GetModelResponse::default()
        });
        assert_eq!(revision(&model), Some(3));
        assert_eq!(
            as_line(model),
            "state   m revision 3: 1 READY, 2 LOADING, latest = 1, stable = 1"
        );
        assert_eq!(as_line(Event::Gone("m".into())), "gone    m");
    }

    #[test]
    fn json_has_one_key_that_names_the_kind_of_event() {
        let events = [
            Event::Change(Revision {
                revision: 3,
                model: "m".into(),
                ..Revision::default()
            }),
            Event::Model(GetModelResponse {
                model: "m".into(),
                revision: 3,
                ..GetModelResponse::default()
            }),
            Event::Gone("m".into()),
        ];
        let lines: Vec<_> = events.map(|event| as_json(event).to_string()).into();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
