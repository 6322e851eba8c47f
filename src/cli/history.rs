//! `taper history`: what was changed, when, by whom and why.

use serde::Serialize;

use super::{client::AdminPort, failure::Failure, out, table::table};
use crate::proto::v1::{ListRevisionsRequest, Revision};

/// Arguments of `taper history`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only changes of this model [default: all models].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// At most so many changes, the newest first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let wanted = args.limit as usize;
    let mut client = args.port.connect().await?;
    let mut changes: Vec<Change> = Vec::new();
    // A page may be shorter than asked for; an empty one is the end.
    while changes.len() < wanted {
        let request = args.port.patience.request(ListRevisionsRequest {
            model: args.model.clone().unwrap_or_default(),
            before_revision: changes.last().map_or(0, |last| last.revision),
            limit: u32::try_from(wanted - changes.len()).unwrap_or(u32::MAX),
        });
        let page = args.port.answer(client.list_revisions(request)).await?;
        if page.revisions.is_empty() {
            break;
        }
        changes.extend(page.revisions.into_iter().map(Change::from));
    }
    if args.json {
        out::print_json(&serde_json::json!({ "revisions": changes }))
    } else {
        out::print(&readable(&changes))
    }
}

/// One change, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) time: String,
    pub(super) model: String,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) reason: String,
    pub(super) confirm_by: Option<String>,
    pub(super) differences: Vec<Differs>,
}

/// One field that differs from the revision before.
#[derive(Debug, Serialize)]
pub(super) struct Differs {
    field: String,
    before: String,
    after: String,
}

impl From<Revision> for Change {
    fn from(revision: Revision) -> Self {
        let differences = revision.differences.into_iter().map(|one| Differs {
            field: one.field,
            before: one.before,
            after: one.after,
        });
        Self {
            revision: revision.revision,
            time: revision
                .time
                .map_or_else(String::new, |time| time.to_string()),
            model: revision.model,
            actor: revision.actor,
            action: revision.action,
            reason: revision.reason,
            confirm_by: revision.confirm_by.map(|time| time.to_string()),
            differences: differences.collect(),
        }
    }
}

impl Change {
    /// `split: 1=100% -> 2=100%`, one text a field.
    pub(super) fn differences(&self) -> Vec<String> {
        let shown = |text: &str| match text {
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        let lines = self.differences.iter().map(|one| {
            let (before, after) = (shown(&one.before), shown(&one.after));
            format!("{}: {before} -> {after}", one.field)
        });
        lines.collect()
    }
}

fn readable(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no changes: everything is as it was at the beginning".into();
    }
    let rows = changes.iter().map(|change| {
        vec![
            change.revision.to_string(),
            change.time.clone(),
            change.model.clone(),
            change.actor.clone(),
            change.action.clone(),
            change.reason.clone(),
            change.differences().join("\n"),
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
    use crate::proto::v1::Difference;

    #[test]
    fn a_change_has_a_row_and_every_difference_a_line() {
        let difference = |field: &str, before: &str, after: &str| Difference {
            field: field.into(),
            before: before.into(),
            after: after.into(),
        };
        let change = Change::from(Revision {
            revision: 7,
            model: "m".into(),
            time: Some(prost_types::Timestamp::default()),
            actor: "ann".into(),
            reason: "why".into(),
            action: "promote".into(),
            differences: vec![
                difference("split", "1=100%", "2=100%"),
                difference("labels.stable", "", "2"),
            ],
            ..Revision::default()
        });
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
    fn no_changes_are_said_to_be_none() {
        assert!(readable(&[]).starts_with("no changes"));
    }
}
