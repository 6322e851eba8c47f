//! How a policy looks on a terminal and as JSON. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use serde::Serialize;

use crate::client::wire;
use crate::ident::Target;
use crate::proto::v1::GetTrafficPolicyResponse;
use crate::terminal::table::{part_of, per_cent, table, thousands};

/// A policy in force.
#[derive(Debug, Serialize)]
pub(super) struct InForce {
    model: String,
    revision: u64,
    split: Vec<Line>,
    header_rules: Vec<RuleLine>,
    sticky_header: String,
    salt: String,
    shadows: Vec<ShadowLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<Named>,
}

#[derive(Debug, Serialize)]
struct ShadowLine {
    #[serde(flatten)]
    target: Named,
    basis_points: u32,
}

/// A change of policy.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) before: InForce,
    pub(super) after: InForce,
    /// When it reverts by itself, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) confirm_by: Option<String>,
}

/// What each label names.
pub(in crate::cli) type Labels = HashMap<String, u64>;

#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    target: Named,
    basis_points: u32,
    /// Requests since this revision came into force.
    requests: u64,
}

#[derive(Debug, Serialize)]
struct RuleLine {
    header: String,
    value: String,
    #[serde(flatten)]
    target: Named,
}

/// A version, or a label with the version that it names. Versions come before labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Named {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// `None` where the label names nothing any more.
    version: Option<u64>,
}

impl Named {
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

/// `2`, `canary (2)`.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.label, self.version) {
            (Some(label), Some(version)) => write!(f, "{label} ({version})"),
            (Some(label), None) => f.write_str(label),
            (None, Some(version)) => version.fmt(f),
            (None, None) => f.write_str("-"),
        }
    }
}

impl InForce {
    /// What `response` says, where labels name what `labels` says.
    pub(super) fn new(response: &GetTrafficPolicyResponse, labels: &Labels) -> Self {
        let policy = response.policy.clone().unwrap_or_default();
        // A policy that was only just set has no counts yet.
        let counted = response.counted.iter().map(|counted| counted.requests);
        let counted = counted.chain(std::iter::repeat(0));
        let split = policy
            .split
            .iter()
            .zip(counted)
            .map(|(share, requests)| Line {
                target: Named::new(wire::target_of_share(share).as_ref(), labels),
                basis_points: share.basis_points,
                requests,
            });
        let header_rules = policy.header_rules.iter().map(|rule| RuleLine {
            header: rule.header.clone(),
            value: rule.value.clone(),
            target: Named::new(wire::target_of_rule(rule).as_ref(), labels),
        });
        let shadows = policy.shadows.iter().map(|shadow| ShadowLine {
            target: Named::new(wire::target_of_shadow(shadow).as_ref(), labels),
            basis_points: shadow.basis_points,
        });
        let fallback = policy.fallback.as_ref();
        Self {
            shadows: shadows.collect(),
            fallback: fallback
                .map(|one| Named::new(wire::target_of_fallback(one).as_ref(), labels)),
            model: response.model.clone(),
            revision: response.revision,
            split: split.collect(),
            header_rules: header_rules.collect(),
            sticky_header: policy.sticky_header,
            salt: policy.salt,
        }
    }
}

/// The split with target and counted shares.
pub(super) fn in_force(now: &InForce) -> String {
    let all: u64 = now.split.iter().map(|line| line.requests).sum();
    let rows = now.split.iter().map(|line| {
        vec![
            line.target.to_string(),
            per_cent(line.basis_points),
            part_of(line.requests, all),
            thousands(line.requests),
        ]
    });
    format!(
        "{}   policy revision {}\n{}{}",
        now.model,
        now.revision,
        table(
            &["version", "target", "counted", "requests"],
            &[0, 1, 2, 3],
            rows
        ),
        beside(now)
    )
}

/// The split before and after.
pub(super) fn change(change: &Change) -> String {
    let Change { before, after, .. } = change;
    let all: u64 = before.split.iter().map(|line| line.requests).sum();
    let find = |lines: &[Line], target: &Named| {
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
            was.map_or_else(|| "-".into(), |(_, requests)| part_of(requests, all)),
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
        beside(after)
    )
}

/// What else the policy says, a line each.
fn beside(now: &InForce) -> String {
    let mut text = String::new();
    for rule in &now.header_rules {
        let kind = rule.target.label.as_ref().map_or("version", |_| "label");
        text.push_str(&format!(
            "\nrule: {} = {} goes to {kind} {}",
            rule.header, rule.value, rule.target
        ));
    }
    for shadow in &now.shadows {
        let share = per_cent(shadow.basis_points);
        text.push_str(&format!(
            "\nshadow: {} gets copies of {share}",
            shadow.target
        ));
    }
    if let Some(fallback) = &now.fallback {
        text.push_str(&format!("\nfallback: {fallback}"));
    }
    if !now.sticky_header.is_empty() {
        text.push_str(&format!("\nsticky by header {}", now.sticky_header));
    }
    if !now.salt.is_empty() {
        text.push_str(&format!("\nsalt {:?}", now.salt));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{CountedShare, TrafficPolicy};

    fn shown(revision: u64, split: &[(&str, u32, u64)], rule: &str) -> InForce {
        let labels = HashMap::from([("stable".to_owned(), 1), ("canary".to_owned(), 2)]);
        let share =
            |&(target, points, _): &(&str, u32, u64)| wire::share(&target.parse().unwrap(), points);
        let rule = rule.parse().unwrap();
        let response = GetTrafficPolicyResponse {
            model: "flight-delay".into(),
            revision,
            policy: Some(TrafficPolicy {
                split: split.iter().map(share).collect(),
                header_rules: vec![wire::header_rule("x-cohort".into(), "beta".into(), &rule)],
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
        InForce::new(&response, &labels)
    }

    #[test]
    fn a_split_shows_target_beside_counted() {
        let now = shown(3, &[("1", 9_500, 19_012), ("2", 500, 988)], "2");
        insta::assert_snapshot!(in_force(&now), @r"
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
    fn a_change_shows_what_comes_and_what_goes() {
        let before = shown(3, &[("1", 9_500, 950), ("2", 500, 50)], "2");
        let after = shown(4, &[("2", 5_000, 0), ("3", 5_000, 0)], "2");
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
    fn labels_are_shown_with_the_versions_that_they_name() {
        let split = [("stable", 9_000, 90), ("canary", 900, 9), ("gone", 100, 1)];
        let now = shown(5, &split, "canary");
        insta::assert_snapshot!(in_force(&now), @r"
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
            serde_json::to_value(&now.split).unwrap(),
            serde_json::json!([
                {"label": "stable", "version": 1, "basis_points": 9_000, "requests": 90},
                {"label": "canary", "version": 2, "basis_points": 900, "requests": 9},
                {"label": "gone", "version": null, "basis_points": 100, "requests": 1},
            ])
        );
    }

    #[test]
    fn json_has_the_policy_with_resolved_labels() {
        let labels = HashMap::from([("stable".to_owned(), 1), ("canary".to_owned(), 2)])
            .into_iter()
            .collect();
        let response = GetTrafficPolicyResponse {
            model: "m".into(),
            revision: 3,
            policy: Some(TrafficPolicy {
                split: vec![wire::share(&"stable".parse().unwrap(), 10_000)],
                header_rules: vec![wire::header_rule(
                    "x-cohort".into(),
                    "beta".into(),
                    &"gone".parse().unwrap(),
                )],
                sticky_header: "x-user".into(),
                salt: "s".into(),
                shadows: vec![wire::shadow(&"3".parse().unwrap(), 50)],
                fallback: Some(wire::fallback(&"canary".parse().unwrap(), Some(5))),
            }),
            counted: vec![CountedShare {
                version: 1,
                requests: 12,
            }],
        };
        let empty = GetTrafficPolicyResponse::default();
        let change = Change {
            before: InForce::new(&empty, &labels),
            after: InForce::new(&response, &labels),
            confirm_by: Some("1970-01-01T00:00:00Z".into()),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&change).unwrap());
    }
}
