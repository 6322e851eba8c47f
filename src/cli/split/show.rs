//! A policy as text and as JSON, with the versions that its labels name. Pure functions.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use super::Labels;
use crate::client::v1::GetTrafficPolicyResponse;
use crate::ident::Target;
use crate::terminal::table::{per_cent, percentage, table, thousands};

/// A policy with the versions that its labels name.
#[derive(Debug, Serialize)]
pub(super) struct ResolvedPolicy {
    model: String,
    revision: u64,
    split: Vec<Share>,
    header_rules: Vec<Rule>,
    sticky_header: String,
    salt: String,
    shadows: Vec<Shadow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<ResolvedTarget>,
}

#[derive(Debug, Serialize)]
struct Shadow {
    #[serde(flatten)]
    target: ResolvedTarget,
    basis_points: u32,
}

/// A change of policy.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) before: ResolvedPolicy,
    pub(super) after: ResolvedPolicy,
    /// When the change reverts unless it is confirmed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirm_by: Option<String>,
}

#[derive(Debug, Serialize)]
struct Share {
    #[serde(flatten)]
    target: ResolvedTarget,
    basis_points: u32,
    /// Requests since this revision came into force.
    requests: u64,
}

#[derive(Debug, Serialize)]
struct Rule {
    header: String,
    value: String,
    #[serde(flatten)]
    target: ResolvedTarget,
}

/// A version, or a label with the version that it names. Ordered: versions before labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct ResolvedTarget {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// `None`: the label no longer exists.
    version: Option<u64>,
}

impl ResolvedTarget {
    fn new(target: Option<&Target>, labels: &Labels) -> Self {
        match target {
            Some(Target::Version(version)) => Self {
                label: None,
                version: Some(version.get()),
            },
            Some(Target::Label(label)) => Self {
                label: Some(label.to_string()),
                version: labels.get(label.as_str()).copied(),
            },
            None => Self {
                label: None,
                version: None,
            },
        }
    }
}

/// Writes `2` or `canary (2)`.
impl fmt::Display for ResolvedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.label, self.version) {
            (Some(label), Some(version)) => write!(f, "{label} ({version})"),
            (Some(label), None) => f.write_str(label),
            (None, Some(version)) => version.fmt(f),
            (None, None) => f.write_str("-"),
        }
    }
}

impl ResolvedPolicy {
    /// Returns the policy of `response` with the versions in `labels`.
    pub(super) fn new(response: &GetTrafficPolicyResponse, labels: &Labels) -> Self {
        let policy = response.policy.clone().unwrap_or_default();
        // A policy that was just set has no counts yet.
        let counted = response.counted.iter().map(|counted| counted.requests);
        let counted = counted.chain(std::iter::repeat(0));
        let split = policy
            .split
            .iter()
            .zip(counted)
            .map(|(share, requests)| Share {
                target: ResolvedTarget::new(share.valid_target().as_ref(), labels),
                basis_points: share.basis_points,
                requests,
            });
        let header_rules = policy.header_rules.iter().map(|rule| Rule {
            header: rule.header.clone(),
            value: rule.value.clone(),
            target: ResolvedTarget::new(rule.valid_target().as_ref(), labels),
        });
        let shadows = policy.shadows.iter().map(|shadow| Shadow {
            target: ResolvedTarget::new(shadow.valid_target().as_ref(), labels),
            basis_points: shadow.basis_points,
        });
        let fallback = policy.fallback.as_ref();
        let fallback = fallback.map(|one| ResolvedTarget::new(one.valid_target().as_ref(), labels));
        Self {
            shadows: shadows.collect(),
            fallback,
            model: response.model.clone(),
            revision: response.revision,
            split: split.collect(),
            header_rules: header_rules.collect(),
            sticky_header: policy.sticky_header,
            salt: policy.salt,
        }
    }
}

/// Returns a table of the split with shares as set and as counted, and the rest of the policy.
pub(super) fn policy(policy: &ResolvedPolicy) -> String {
    let total: u64 = policy.split.iter().map(|line| line.requests).sum();
    let rows = policy.split.iter().map(|line| {
        vec![
            line.target.to_string(),
            per_cent(line.basis_points),
            percentage(line.requests, total),
            thousands(line.requests),
        ]
    });
    format!(
        "{}   policy revision {}\n{}{}",
        policy.model,
        policy.revision,
        table(
            &["version", "target", "counted", "requests"],
            &[0, 1, 2, 3],
            rows
        ),
        other_parts(policy)
    )
}

/// Returns a table of the split before and after a change, and the rest of the policy.
pub(super) fn change(change: &Change) -> String {
    let Change { before, after, .. } = change;
    let total: u64 = before.split.iter().map(|line| line.requests).sum();
    let find = |lines: &[Share], target: &ResolvedTarget| {
        let line = lines.iter().find(|line| line.target == *target);
        line.map(|line| (line.basis_points, line.requests))
    };
    let both = before.split.iter().chain(&after.split);
    let targets: BTreeSet<_> = both.map(|line| &line.target).collect();
    let rows = targets.into_iter().map(|target| {
        let was = find(&before.split, target);
        vec![
            target.to_string(),
            was.map_or_else(|| "-".into(), |(points, _)| per_cent(points)),
            was.map_or_else(|| "-".into(), |(_, requests)| percentage(requests, total)),
            find(&after.split, target).map_or_else(|| "-".into(), |(points, _)| per_cent(points)),
        ]
    });
    format!(
        "{}   policy revision {} -> {}\n{}{}",
        after.model,
        before.revision,
        after.revision,
        table(
            &["version", "before", "counted", "now"],
            &[0, 1, 2, 3],
            rows
        ),
        other_parts(after)
    )
}

/// Returns the rest of the policy, one line for each part.
fn other_parts(policy: &ResolvedPolicy) -> String {
    let mut text = String::new();
    for rule in &policy.header_rules {
        let kind = rule.target.label.as_ref().map_or("version", |_| "label");
        text.push_str(&format!(
            "\nrule: {} = {} goes to {kind} {}",
            rule.header, rule.value, rule.target
        ));
    }
    for shadow in &policy.shadows {
        let share = per_cent(shadow.basis_points);
        text.push_str(&format!(
            "\nshadow: {} gets copies of {share}",
            shadow.target
        ));
    }
    if let Some(fallback) = &policy.fallback {
        text.push_str(&format!("\nfallback: {fallback}"));
    }
    if !policy.sticky_header.is_empty() {
        text.push_str(&format!("\nsticky by header {}", policy.sticky_header));
    }
    if !policy.salt.is_empty() {
        text.push_str(&format!("\nsalt {:?}", policy.salt));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::message;
    use crate::client::v1::{CountedShare, TrafficPolicy};

    fn resolved(revision: u64, split: &[(&str, u32, u64)], rule: &str) -> ResolvedPolicy {
        let labels = Labels::from([("stable".to_owned(), 1), ("canary".to_owned(), 2)]);
        let share = |&(target, points, _): &(&str, u32, u64)| {
            message::share(&target.parse().unwrap(), points)
        };
        let rule = rule.parse().unwrap();
        let response = GetTrafficPolicyResponse {
            model: "flight-delay".into(),
            revision,
            policy: Some(TrafficPolicy {
                split: split.iter().map(share).collect(),
                header_rules: vec![message::header_rule(
                    "x-cohort".into(),
                    "beta".into(),
                    &rule,
                )],
                sticky_header: "x-user".into(),
                salt: String::new(),
                ..TrafficPolicy::default()
            }),
            counted: split
                .iter()
                .map(|&(_, _, requests)| CountedShare {
                    requests,
                    ..CountedShare::default()
                })
                .collect(),
        };
        ResolvedPolicy::new(&response, &labels)
    }

    #[test]
    fn a_split_shows_shares_as_set_and_as_counted() {
        let current = resolved(3, &[("1", 9_500, 19_012), ("2", 500, 988)], "2");
        insta::assert_snapshot!(policy(&current), @r"
        flight-delay   policy revision 3
        ┌─────────┬────────┬─────────┬──────────┐
        │ version ┆ target ┆ counted ┆ requests │
        ╞═════════╪════════╪═════════╪══════════╡
        │       1 ┆    95% ┆  95.06% ┆   19,012 │
        │       2 ┆     5% ┆   4.94% ┆      988 │
        └─────────┴────────┴─────────┴──────────┘
        rule: x-cohort = beta goes to version 2
        sticky by header x-user
        ");
    }

    #[test]
    fn a_change_shows_versions_of_both_splits() {
        let before = resolved(3, &[("1", 9_500, 950), ("2", 500, 50)], "2");
        let after = resolved(4, &[("2", 5_000, 0), ("3", 5_000, 0)], "2");
        insta::assert_snapshot!(change(&Change { before, after, confirm_by: None }), @r"
        flight-delay   policy revision 3 -> 4
        ┌─────────┬────────┬─────────┬─────┐
        │ version ┆ before ┆ counted ┆ now │
        ╞═════════╪════════╪═════════╪═════╡
        │       1 ┆    95% ┆  95.00% ┆   - │
        │       2 ┆     5% ┆   5.00% ┆ 50% │
        │       3 ┆      - ┆       - ┆ 50% │
        └─────────┴────────┴─────────┴─────┘
        rule: x-cohort = beta goes to version 2
        sticky by header x-user
        ");
    }

    #[test]
    fn labels_are_shown_with_their_versions() {
        let split = [("stable", 9_000, 90), ("canary", 900, 9), ("gone", 100, 1)];
        let current = resolved(5, &split, "canary");
        insta::assert_snapshot!(policy(&current), @r"
        flight-delay   policy revision 5
        ┌────────────┬────────┬─────────┬──────────┐
        │    version ┆ target ┆ counted ┆ requests │
        ╞════════════╪════════╪═════════╪══════════╡
        │ stable (1) ┆    90% ┆  90.00% ┆       90 │
        │ canary (2) ┆     9% ┆   9.00% ┆        9 │
        │       gone ┆     1% ┆   1.00% ┆        1 │
        └────────────┴────────┴─────────┴──────────┘
        rule: x-cohort = beta goes to label canary (2)
        sticky by header x-user
        ");
        assert_eq!(
            serde_json::to_value(&current.split).unwrap(),
            serde_json::json!([
                {"label": "stable", "version": 1, "basis_points": 9_000, "requests": 90},
                {"label": "canary", "version": 2, "basis_points": 900, "requests": 9},
                {"label": "gone", "version": null, "basis_points": 100, "requests": 1},
            ])
        );
    }

    #[test]
    fn json_has_the_policy_with_resolved_labels() {
        let labels = Labels::from([("stable".to_owned(), 1), ("canary".to_owned(), 2)]);
        let response = GetTrafficPolicyResponse {
            model: "m".into(),
            revision: 3,
            policy: Some(TrafficPolicy {
                split: vec![message::share(&"stable".parse().unwrap(), 10_000)],
                header_rules: vec![message::header_rule(
                    "x-cohort".into(),
                    "beta".into(),
                    &"gone".parse().unwrap(),
                )],
                sticky_header: "x-user".into(),
                salt: "s".into(),
                shadows: vec![message::shadow(&"3".parse().unwrap(), 50)],
                fallback: Some(message::fallback(&"canary".parse().unwrap(), Some(5))),
            }),
            counted: vec![CountedShare {
                version: 1,
                requests: 12,
            }],
        };
        let empty = GetTrafficPolicyResponse::default();
        let change = Change {
            before: ResolvedPolicy::new(&empty, &labels),
            after: ResolvedPolicy::new(&response, &labels),
            confirm_by: Some("1970-01-01T00:00:00Z".into()),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&change).unwrap());
    }
}
