//! `taper history`: the changes of a model, with time, author and reason.

use crate::client::v1::{Difference, ListRevisionsRequest, ListRevisionsResponse, Revision};
use crate::client::{AdminPort, Failure};
use crate::terminal::{output, table::table};

/// Most changes that one call may request.
const PAGE: u32 = 1000;

/// Arguments of `taper history`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only changes of this model [default: all models].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Show at most this many changes, the newest first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE)))]
    limit: u32,
    /// Show every change that the gateway keeps.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let limit = if args.all {
        usize::MAX
    } else {
        args.limit as usize
    };
    let mut client = args.port.connect().await?;
    let mut revisions: Vec<Revision> = Vec::new();
    // A page may have fewer changes than requested. The end is an empty page, or one that does not go back in time.
    while revisions.len() < limit {
        let before = revisions.last().map_or(0, |last| last.revision);
        let left = limit - revisions.len();
        let request = ListRevisionsRequest {
            model: args.model.clone().unwrap_or_default(),
            before_revision: before,
            limit: u32::try_from(left).map_or(PAGE, |left| left.min(PAGE)),
        };
        let page = args.port.call_on(&mut client, request).await?.revisions;
        let is_earlier = |one: &Revision| before == 0 || one.revision < before;
        if page.is_empty() || !page.iter().all(is_earlier) {
            break;
        }
        revisions.extend(page);
    }
    if args.json {
        output::print_json(&as_json(revisions))?;
    } else {
        output::print(&readable(&revisions))?;
    }
    Ok(())
}

fn as_json(revisions: Vec<Revision>) -> serde_json::Value {
    serde_json::json!(ListRevisionsResponse { revisions })
}

/// Returns the time of a change in RFC 3339; empty without one.
pub(super) fn time(revision: &Revision) -> String {
    let time = revision.time.as_ref();
    time.map_or_else(String::new, ToString::to_string)
}

/// Returns each difference as text: `split: 1=100% -> 2=100%`.
pub(super) fn differences(revision: &Revision) -> Vec<String> {
    let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
    let line = |one: &Difference| {
        let (before, after) = (or_dash(&one.before), or_dash(&one.after));
        format!("{}: {before} -> {after}", one.field)
    };
    revision.differences.iter().map(line).collect()
}

fn readable(revisions: &[Revision]) -> String {
    if revisions.is_empty() {
        return "no changes: the initial state is in force".into();
    }
    let rows = revisions.iter().map(|revision| {
        vec![
            revision.revision.to_string(),
            time(revision),
            revision.model.clone(),
            revision.actor.clone(),
            revision.action.clone(),
            revision.reason.clone(),
            differences(revision).join("\n"),
        ]
    });
    table(
        &[
            "revision",
            "when",
            "model",
            "who",
            "action",
            "why",
            "what differs",
        ],
        &[0],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::message;
    use crate::client::v1::TrafficPolicy;
    use crate::client::well_known::Timestamp;

    #[test]
    fn a_change_has_a_row_and_every_difference_a_line() {
        let difference = |field: &str, before: &str, after: &str| Difference {
            field: field.into(),
            before: before.into(),
            after: after.into(),
        };
        let change = Revision {
            revision: 7,
            model: "m".into(),
            time: Some(Timestamp::default()),
            actor: "ann".into(),
            reason: "why".into(),
            action: "promote".into(),
            differences: vec![
                difference("split", "1=100%", "2=100%"),
                difference("labels.stable", "", "2"),
            ],
            ..Revision::default()
        };
        insta::assert_snapshot!(readable(&[change]), @r"
        ┌──────────┬──────────────────────┬───────┬─────┬─────────┬─────┬─────────────────────────┐
        │ revision ┆ when                 ┆ model ┆ who ┆ action  ┆ why ┆ what differs            │
        ╞══════════╪══════════════════════╪═══════╪═════╪═════════╪═════╪═════════════════════════╡
        │        7 ┆ 1970-01-01T00:00:00Z ┆ m     ┆ ann ┆ promote ┆ why ┆ split: 1=100% -> 2=100% │
        │          ┆                      ┆       ┆     ┆         ┆     ┆ labels.stable: - -> 2   │
        └──────────┴──────────────────────┴───────┴─────┴─────────┴─────┴─────────────────────────┘
        ");
    }

    #[test]
    fn json_has_the_policy_and_labels_in_force_since() {
        let json = as_json(vec![Revision {
            revision: 7,
            policy: Some(TrafficPolicy {
                split: vec![message::share(&"stable".parse().unwrap(), 10_000)],
                header_rules: vec![message::header_rule(
                    "x-who".into(),
                    "me".into(),
                    &"2".parse().unwrap(),
                )],
                ..TrafficPolicy::default()
            }),
            labels: [("stable".into(), 2)].into(),
            undoes_to: 6,
            ..Revision::default()
        }]);
        let json = &json["revisions"][0];
        let split = &json["policy"]["split"][0];
        assert_eq!(
            (&split["target"], &split["basis_points"]),
            (&"stable".into(), &10_000.into())
        );
        assert_eq!(json["policy"]["header_rules"][0]["target"], "2");
        assert_eq!(
            (&json["labels"]["stable"], &json["undoes_to"]),
            (&2.into(), &6.into())
        );
    }

    #[test]
    fn an_empty_history_says_so() {
        assert!(readable(&[]).starts_with("no changes"));
    }

    #[test]
    fn json_has_every_field_of_a_revision() {
        let time = Some(Timestamp {
            seconds: 60,
            nanos: 250_000_000,
        });
        let full = Revision {
            revision: 7,
            model: "m".into(),
            time,
            actor: "ann".into(),
            reason: "why".into(),
            action: "promote".into(),
            undoes_to: 6,
            policy: Some(TrafficPolicy {
                split: vec![
                    message::share(&"stable".parse().unwrap(), 9_000),
                    message::share(&"3".parse().unwrap(), 1_000),
                ],
                header_rules: vec![message::header_rule(
                    "x-who".into(),
                    "me".into(),
                    &"2".parse().unwrap(),
                )],
                sticky_header: "x-user".into(),
                salt: "s".into(),
                shadows: vec![message::shadow(&"3".parse().unwrap(), 10_000)],
                fallback: Some(message::fallback(&"1".parse().unwrap(), None)),
            }),
            labels: [("stable".into(), 2), ("canary".into(), 3)].into(),
            loaded: vec![1],
            unloaded: vec![4],
            confirm_by: time,
            differences: vec![Difference {
                field: "split".into(),
                before: String::new(),
                after: "2=100%".into(),
            }],
        };
        let json = as_json(vec![full, Revision::default()]);
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
