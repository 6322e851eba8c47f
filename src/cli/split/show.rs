//! How a policy looks on a terminal and as JSON. Pure.

use serde::Serialize;

use crate::cli::table::{part_of, per_cent, table, thousands};
use crate::proto::v1::{GetTrafficPolicyResponse, TrafficPolicy};

/// A policy in force.
#[derive(Debug, Serialize)]
pub(super) struct InForce {
    model: String,
    revision: u64,
    split: Vec<Line>,
    header_rules: Vec<RuleLine>,
    sticky_header: String,
    salt: String,
}

/// A change of policy.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) before: InForce,
    pub(super) after: InForce,
}

#[derive(Debug, Serialize)]
struct Line {
    version: u64,
    basis_points: u32,
    /// Requests since this revision came into force.
    requests: u64,
}

#[derive(Debug, Serialize)]
struct RuleLine {
    header: String,
    value: String,
    version: u64,
}

impl From<&GetTrafficPolicyResponse> for InForce {
    fn from(response: &GetTrafficPolicyResponse) -> Self {
        let policy = response.policy.clone().unwrap_or_default();
        let split = policy.split.iter().map(|share| Line {
            version: share.version,
            basis_points: share.basis_points,
            requests: counted(response, share.version),
        });
        let header_rules = policy.header_rules.iter().map(|rule| RuleLine {
            header: rule.header.clone(),
            value: rule.value.clone(),
            version: rule.version,
        });
        Self {
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
pub(super) fn in_force(response: &GetTrafficPolicyResponse) -> String {
    let now = InForce::from(response);
    let all: u64 = now.split.iter().map(|line| line.requests).sum();
    let rows = now.split.iter().map(|line| {
        vec![
            line.version.to_string(),
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
        beside(response.policy.as_ref())
    )
}

/// The split before and after.
pub(super) fn change(
    before: &GetTrafficPolicyResponse,
    after: &GetTrafficPolicyResponse,
) -> String {
    let (old, new) = (InForce::from(before), InForce::from(after));
    let all: u64 = old.split.iter().map(|line| line.requests).sum();
    let find = |lines: &[Line], version| {
        let line = lines.iter().find(|line| line.version == version);
        line.map(|line| (line.basis_points, line.requests))
    };
    let mut versions: Vec<_> = old
        .split
        .iter()
        .chain(&new.split)
        .map(|line| line.version)
        .collect();
    versions.sort_unstable();
    versions.dedup();
    let rows = versions.into_iter().map(|version| {
        let was = find(&old.split, version);
        vec![
            version.to_string(),
            was.map_or_else(|| "-".into(), |(points, _)| per_cent(points)),
            was.map_or_else(|| "-".into(), |(_, requests)| part_of(requests, all)),
            find(&new.split, version).map_or_else(|| "-".into(), |(points, _)| per_cent(points)),
        ]
    });
    format!(
        "{}   policy revision {} -> {}\n{}{}",
        new.model,
        old.revision,
        new.revision,
        table(
            &["version", "before", "counted", "now"],
            &[0, 1, 2, 3],
            rows
        ),
        beside(after.policy.as_ref())
    )
}

/// What else the policy says, a line each.
fn beside(policy: Option<&TrafficPolicy>) -> String {
    let mut text = String::new();
    let Some(policy) = policy else { return text };
    for rule in &policy.header_rules {
        text.push_str(&format!(
            "\nrule: {} = {} goes to version {}",
            rule.header, rule.value, rule.version
        ));
    }
    if !policy.sticky_header.is_empty() {
        text.push_str(&format!("\nsticky by header {}", policy.sticky_header));
    }
    if !policy.salt.is_empty() {
        text.push_str(&format!("\nsalt {:?}", policy.salt));
    }
    text
}

fn counted(response: &GetTrafficPolicyResponse, version: u64) -> u64 {
    let entry = response
        .counted
        .iter()
        .find(|counted| counted.version == version);
    entry.map_or(0, |counted| counted.requests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{CountedShare, HeaderRule, Share};

    fn response(revision: u64, split: &[(u64, u32, u64)]) -> GetTrafficPolicyResponse {
        GetTrafficPolicyResponse {
            model: "flight-delay".into(),
            revision,
            policy: Some(TrafficPolicy {
                split: split
                    .iter()
                    .map(|&(version, basis_points, _)| Share {
                        version,
                        basis_points,
                    })
                    .collect(),
                header_rules: vec![HeaderRule {
                    header: "x-cohort".into(),
                    value: "beta".into(),
                    version: 2,
                }],
                sticky_header: "x-user".into(),
                salt: String::new(),
            }),
            counted: split
                .iter()
                .map(|&(version, _, requests)| CountedShare { version, requests })
                .collect(),
        }
    }

    #[test]
    fn a_split_shows_target_beside_counted() {
        let now = response(3, &[(1, 9_500, 19_012), (2, 500, 988)]);
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
        let before = response(3, &[(1, 9_500, 950), (2, 500, 50)]);
        let after = response(4, &[(2, 5_000, 0), (3, 5_000, 0)]);
        insta::assert_snapshot!(change(&before, &after), @r"
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
}
