//! `taper watch`: changes and states of a running gateway as they happen.
//!
//! After a lost connection the watch reconnects and resumes after the last revision seen; all states are printed again then.

use super::history;
use crate::client::v1::watch_response::Event;
use crate::client::v1::{GetModelResponse, Revision, WatchResponse};
use crate::client::{AdminPort, Failure, Watch};
use crate::terminal::{Signals, output};

/// Arguments of `taper watch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this model [default: all models].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Begin with every change after this revision [default: with the next change].
    #[arg(long, value_name = "REVISION")]
    after: Option<u64>,
    /// Stop after this many events [default: run until Ctrl-C].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        result = follow(args) => result,
        _ = signals.next() => Ok(()),
    }
}

async fn follow(args: Args) -> Result<(), Failure> {
    let mut watch = Watch::open(args.port, args.model.unwrap_or_default(), args.after).await?;
    let mut left = args.count;
    while left != Some(0) {
        let event = watch
            .next(|reason| output::print_to_stderr(&format!("{reason}; reconnecting")))
            .await?;
        let line = if args.json {
            as_json(event)
        } else {
            as_line(event)
        };
        if output::print_to_reader(&line)? == output::Reader::Gone {
            return Ok(());
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

fn as_json(event: Event) -> String {
    serde_json::json!(WatchResponse { event: Some(event) }).to_string()
}

fn as_line(event: Event) -> String {
    match event {
        Event::Change(change) => change_line(&change),
        Event::Model(model) => model_line(&model),
        Event::Gone(model) => format!("gone    {model}"),
    }
}

fn change_line(change: &Revision) -> String {
    let (revision, time, model) = (change.revision, history::time(change), &change.model);
    let mut line = format!("change  {model} revision {revision} at {time}");
    line.push_str(&format!(" by {}: {}", change.actor, change.action));
    if !change.reason.is_empty() {
        line.push_str(&format!(" ({})", change.reason));
    }
    for difference in history::differences(change) {
        line.push_str(&format!("; {difference}"));
    }
    line.replace('\n', " ")
}

fn model_line(model: &GetModelResponse) -> String {
    let versions = model.versions.iter();
    let versions = versions.map(|one| format!("{} {}", one.version, one.state().name()));
    let versions: Vec<_> = versions.collect();
    let (name, revision) = (&model.model, model.revision);
    let mut line = format!(
        "state   {name} revision {revision}: {}",
        versions.join(", ")
    );
    for (label, version) in &model.labels {
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
    use crate::client::v1::{Difference, VersionState, VersionStatus};
    use crate::client::well_known::Timestamp;

    #[test]
    fn every_event_is_one_line() {
        let change = Event::Change(Revision {
            revision: 3,
            model: "m".into(),
            time: Some(Timestamp::default()),
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
        let lines: Vec<_> = events.map(as_json).into();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
