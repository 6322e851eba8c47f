//! Policies on their way to and from the wire.

use crate::proto::v1;
use crate::serving::live::ServingModel;
use crate::serving::route::{RawHeaderRule, RawPolicy, RawTarget};

/// The policy of `model` and what it did; without one where nothing can be routed.
pub(super) fn in_force(model: &ServingModel) -> v1::GetTrafficPolicyResponse {
    let name = model.name.to_string();
    let Some(routing) = &model.routing else {
        return v1::GetTrafficPolicyResponse {
            model: name,
            ..v1::GetTrafficPolicyResponse::default()
        };
    };
    let counted = routing.counted().into_iter();
    let counted = counted.map(|(version, requests)| v1::CountedShare {
        version: version.get(),
        requests,
    });
    v1::GetTrafficPolicyResponse {
        model: name,
        policy: Some(to_wire(routing.policy.to_raw())),
        revision: routing.revision.0,
        counted: counted.collect(),
    }
}

/// A policy as the wire has it.
pub(super) fn to_wire(raw: RawPolicy) -> v1::TrafficPolicy {
    use v1::{header_rule, share};
    let split = raw.split.into_iter().map(|(target, basis_points)| {
        let target = match target {
            RawTarget::Version(version) => Some(share::Target::Version(version)),
            RawTarget::Label(label) => Some(share::Target::Label(label)),
            RawTarget::None => None,
        };
        v1::Share {
            target,
            basis_points,
        }
    });
    let rules = raw.header_rules.into_iter().map(|rule| {
        let target = match rule.target {
            RawTarget::Version(version) => Some(header_rule::Target::Version(version)),
            RawTarget::Label(label) => Some(header_rule::Target::Label(label)),
            RawTarget::None => None,
        };
        v1::HeaderRule {
            header: rule.header,
            value: rule.value,
            target,
        }
    });
    v1::TrafficPolicy {
        split: split.collect(),
        header_rules: rules.collect(),
        sticky_header: raw.sticky_header,
        salt: raw.salt,
    }
}

/// A policy that came over the wire, not yet checked.
pub(super) fn from_wire(policy: v1::TrafficPolicy) -> RawPolicy {
    use v1::{header_rule, share};
    let split = policy.split.into_iter().map(|share| {
        let target = match share.target {
            Some(share::Target::Version(version)) => RawTarget::Version(version),
            Some(share::Target::Label(label)) => RawTarget::Label(label),
            None => RawTarget::None,
        };
        (target, share.basis_points)
    });
    let rules = policy.header_rules.into_iter().map(|rule| {
        let target = match rule.target {
            Some(header_rule::Target::Version(version)) => RawTarget::Version(version),
            Some(header_rule::Target::Label(label)) => RawTarget::Label(label),
            None => RawTarget::None,
        };
        RawHeaderRule {
            header: rule.header,
            value: rule.value,
            target,
        }
    });
    RawPolicy {
        split: split.collect(),
        header_rules: rules.collect(),
        sticky_header: policy.sticky_header,
        salt: policy.salt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_from_the_wire_as_it_went() {
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
        };
        assert_eq!(from_wire(to_wire(raw.clone())), raw);
    }
}
