//! `taper history`: what was changed, when, by whom and why.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::{AdminPort, Failure, wire};
use crate::ident::Target;
use crate::proto::v1::{ListRevisionsRequest, Revision, TrafficPolicy};
use crate::terminal::{output, table::table};

/// Changes that one call may ask for.
const PAGE: u32 = 1000;

/// Arguments of `taper history`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only changes of this model [default: all models].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// At most so many changes, the newest first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(PAGE)))]
    limit: u32,
    /// Every change that is kept.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let wanted = if args.all {
        usize::MAX
    } else {
        args.limit as usize
    };
    let mut client = args.port.connect().await?;
    let mut changes: Vec<Change> = Vec::new();
    // A page may be shorter than asked for; an empty one is the end, and so is one that does not go back in time.
    while changes.len() < wanted {
        let before = changes.last().map_or(0, |last| last.revision);
        let request = args.port.patience.request(ListRevisionsRequest {
            model: args.model.clone().unwrap_or_default(),
            before_revision: before,
            limit: u32::try_from(wanted - changes.len()).map_or(PAGE, |left| left.min(PAGE)),
        });
        let page = args.port.answer(client.list_revisions(request)).await?;
        let goes_back = |one: &Revision| before == 0 || one.revision < before;
        if page.revisions.is_empty() || !page.revisions.iter().all(goes_back) {
            break;
        }
        changes.extend(page.revisions.into_iter().map(Change::from));
    }
    if args.json {
        output::print_json(&serde_json::json!({ "revisions": changes }))
    } else {
        output::print(&readable(&changes))
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
    /// The revision that an undo would bring back.
    undoes_to: u64,
    /// What is wanted since; `null`: everything to `latest`.
    policy: Option<Policy>,
    labels: BTreeMap<String, u64>,
    /// Versions that are loaded, and unloaded, by hand.
    loaded: Vec<u64>,
    unloaded: Vec<u64>,
    pub(super) confirm_by: Option<String>,
    pub(super) differences: Vec<Differs>,
}

#[derive(Debug, Serialize)]
struct Policy {
    split: Vec<Share>,
    header_rules: Vec<Rule>,
    sticky_header: String,
    salt: String,
}

#[derive(Debug, Serialize)]
struct Share {
    /// A version, or a label.
    target: String,
    basis_points: u32,
}

#[derive(Debug, Serialize)]
struct Rule {
    header: String,
    value: String,
    /// A version, or a label.
    target: String,
}

/// One field that differs from the revision before.
#[derive(Debug, Serialize)]
pub(super) struct Differs {
    field: String,
    before: String,
    after: String,
}

impl From<TrafficPolicy> for Policy {
    fn from(policy: TrafficPolicy) -> Self {
        let named = |target: Option<Target>| target.map_or_else(String::new, |one| one.to_string());
        let split = policy.split.iter().map(|share| Share {
            target: named(wire::target_of_share(share)),
            basis_points: share.basis_points,
        });
        let header_rules = policy.header_rules.iter().map(|rule| Rule {
            header: rule.header.clone(),
            value: rule.value.clone(),
            target: named(wire::target_of_rule(rule)),
        });
        Self {
            split: split.collect(),
            header_rules: header_rules.collect(),
            sticky_header: policy.sticky_header,
            salt: policy.salt,
        }
    }
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
            undoes_to: revision.undoes_to,
            policy: revision.policy.map(Policy::from),
            labels: revision.labels.into_iter().collect(),
            loaded: revision.loaded,
            unloaded: revision.unloaded,
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
    fn json_says_what_is_wanted_since() {
        let change = Change::from(Revision {
            revision: 7,
            policy: Some(TrafficPolicy {
                split: vec![wire::share(&"stable".parse().unwrap(), 10_000)],
                header_rules: vec![wire::header_rule(
                    "x-who".into(),
                    "me".into(),
                    &"2".parse().unwrap(),
                )],
                ..TrafficPolicy::default()
            }),
            labels: [("stable".into(), 2)].into(),
            undoes_to: 6,
            ..Revision::default()
        });
        let json = serde_json::to_value(&change).unwrap();
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
    fn no_changes_are_said_to_be_none() {
        assert!(readable(&[]).starts_with("no changes"));
    }

    #[test]
    fn json_has_every_field_of_a_revision() {
        let second = Some(prost_types::Timestamp {
            seconds: 60,
            nanos: 250_000_000,
        });
        let full = Revision {
            revision: 7,
            model: "m".into(),
            time: second,
            actor: "ann".into(),
            reason: "why".into(),
            action: "promote".into(),
            undoes_to: 6,
            policy: Some(TrafficPolicy {
                split: vec![
                    wire::share(&"stable".parse().unwrap(), 9_000),
                    wire::share(&"3".parse().unwrap(), 1_000),
                ],
                header_rules: vec![wire::header_rule(
                    "x-who".into(),
                    "me".into(),
                    &"2".parse().unwrap(),
                )],
                sticky_header: "x-user".into(),
                salt: "s".into(),
                shadows: vec![wire::shadow(&"3".parse().unwrap(), 10_000)],
                fallback: Some(wire::fallback(&"1".parse().unwrap(), None)),
            }),
            labels: [("stable".into(), 2), ("canary".into(), 3)].into(),
            loaded: vec![1],
            unloaded: vec![4],
            confirm_by: second,
            differences: vec![Difference {
                field: "split".into(),
                before: String::new(),
                after: "2=100%".into(),
            }],
        };
        let changes = [Change::from(full), Change::from(Revision::default())];
        let json = serde_json::json!({ "revisions": changes });
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
