//! Traffic policies from and to the wire.

use crate::control::ModelView;
use crate::error::InputFaults;
use crate::proto::v1;
use crate::serving::live::Routing;
use crate::serving::route::{RawFallback, RawHeaderRule, RawPolicy, RawShadow};

/// Writes the policy of `model`, with the counted requests of `routing` if it follows that policy.
pub(super) fn write_in_force(
    model: &ModelView,
    routing: Option<&Routing>,
) -> v1::GetTrafficPolicyResponse {
    // The snapshot and the view are published one after the other, so they may differ.
    let current = routing.filter(|routing| routing.revision == model.revision);
    let counted = current
        .into_iter()
        .flat_map(|routing| routing.request_counts());
    let counted_shares = counted.map(|(version, requests)| v1::CountedShare {
        version: version.get(),
        requests,
    });
    let policy = match model.wanted.policy(&model.name) {
        Ok(policy) => policy.map(|policy| policy.to_raw()),
        // Not valid, as when it was written by hand: shown as it is.
        Err(_) => model.wanted.policy.clone(),
    };
    v1::GetTrafficPolicyResponse {
        model: model.name.to_string(),
        policy: Some(to_wire(policy.unwrap_or_default())),
        revision: model.revision.0,
        counted: counted_shares.collect(),
    }
}

/// Reads the parts that a change of the whole policy requires.
///
/// # Errors
/// Returns a fault for each part that is missing.
pub(super) fn read_required(
    policy: Option<v1::TrafficPolicy>,
    terms: Option<v1::ChangeTerms>,
) -> Result<(RawPolicy, v1::ChangeTerms), InputFaults> {
    let mut faults = InputFaults::default();
    if policy.is_none() {
        faults.add("policy", "nothing", "the whole new policy");
    }
    let terms = terms.unwrap_or_default();
    if terms.expected_revision.is_none() {
        let wanted = "the revision that the change is based on";
        faults.add("terms.expected_revision", "nothing", wanted);
    }
    faults.into_result()?;
    Ok((from_wire(policy.unwrap_or_default()), terms))
}

/// Writes a policy.
pub(super) fn to_wire(raw: RawPolicy) -> v1::TrafficPolicy {
    let split = raw.split.into_iter();
    let split = split.map(|(target, basis_points)| v1::Share {
        target: target.into(),
        basis_points,
    });
    let rules = raw.header_rules.into_iter();
    let rules = rules.map(|rule| v1::HeaderRule {
        header: rule.header,
        value: rule.value,
        target: rule.target.into(),
    });
    v1::TrafficPolicy {
        split: split.collect(),
        header_rules: rules.collect(),
        sticky_header: raw.sticky_header,
        salt: raw.salt,
        shadows: raw.shadows.into_iter().map(shadow_to_wire).collect(),
        fallback: raw.fallback.map(fallback_to_wire),
    }
}

fn shadow_to_wire(raw: RawShadow) -> v1::Shadow {
    v1::Shadow {
        target: raw.target.into(),
        basis_points: raw.basis_points,
        deadline_ms: Some(raw.deadline_ms),
        max_queue: Some(raw.max_queue),
        max_concurrent: Some(raw.max_concurrent),
    }
}

fn fallback_to_wire(raw: RawFallback) -> v1::Fallback {
    v1::Fallback {
        target: raw.target.into(),
        within_ms: raw.within_ms,
    }
}

fn shadow_from_wire(shadow: v1::Shadow) -> RawShadow {
    let default = RawShadow::default();
    RawShadow {
        target: shadow.target.into(),
        basis_points: shadow.basis_points,
        deadline_ms: shadow.deadline_ms.unwrap_or(default.deadline_ms),
        max_queue: shadow.max_queue.unwrap_or(default.max_queue),
        max_concurrent: shadow.max_concurrent.unwrap_or(default.max_concurrent),
    }
}

fn fallback_from_wire(fallback: v1::Fallback) -> RawFallback {
    RawFallback {
        target: fallback.target.into(),
        within_ms: fallback.within_ms,
    }
}

/// Reads a policy without checking it.
pub(super) fn from_wire(policy: v1::TrafficPolicy) -> RawPolicy {
    let split = policy.split.into_iter();
    let split = split.map(|share| (share.target.into(), share.basis_points));
    let rules = policy.header_rules.into_iter();
    let rules = rules.map(|rule| RawHeaderRule {
        header: rule.header,
        value: rule.value,
        target: rule.target.into(),
    });
    RawPolicy {
        split: split.collect(),
        header_rules: rules.collect(),
        sticky_header: policy.sticky_header,
        salt: policy.salt,
        shadows: policy.shadows.into_iter().map(shadow_from_wire).collect(),
        fallback: policy.fallback.map(fallback_from_wire),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::RawTarget;

    #[test]
    fn a_policy_survives_the_round_trip() {
        let rule = |target| RawHeaderRule {
            header: "x-team".into(),
            value: "qa".into(),
            target,
        };
        let raw = RawPolicy {
            split: vec![
                (3.into(), 9_000),
                ("canary".into(), 1_000),
                (RawTarget::None, 0),
            ],
            header_rules: vec![rule(3.into()), rule("canary".into()), rule(RawTarget::None)],
            sticky_header: "x-user".into(),
            salt: "s".into(),
            shadows: vec![RawShadow {
                target: "canary".into(),
                basis_points: 7,
                deadline_ms: 8,
                max_queue: 9,
                max_concurrent: 10,
            }],
            fallback: Some(RawFallback {
                target: 3.into(),
                within_ms: Some(11),
            }),
        };
        assert_eq!(from_wire(to_wire(raw.clone())), raw);
    }
}
