//! What a policy means once its labels are resolved.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::error::ForwardError;
use crate::ident::RawTarget;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::{Batch, Model, Outputs, Version, samples};
use crate::serving::route::{Choice, RawHeaderRule, RawPolicy, RawShadow, route};
use crate::serving::version::ServingVersion;

/// A model that no test runs.
struct Unused;

impl Model for Unused {
    fn cost_per_row(&self) -> usize {
        0
    }

    fn forward(&self, _: &Batch) -> Result<Outputs, ForwardError> {
        Err(ForwardError::Failed("no test runs this model".into()))
    }
}

type Ready = BTreeMap<VersionNumber, Arc<VersionRuntime>>;

/// Versions 1 to `last`.
fn ready(last: u64) -> Ready {
    let telemetry = Telemetry::new().unwrap();
    (1..=last)
        .map(|number| {
            let manifest = samples::manifest(samples::document("m", number));
            let insight =
                VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
            let model = Version::new(manifest, Box::new(Unused));
            let version = ServingVersion::new(model, telemetry.weights(0));
            (v(number), Arc::new(VersionRuntime::new(version, insight)))
        })
        .collect()
}

fn v(number: u64) -> VersionNumber {
    number.try_into().unwrap()
}

fn labels(named: &[(&str, u64)]) -> BTreeMap<Label, VersionNumber> {
    let label = |(label, version): &(&str, u64)| (label.parse().unwrap(), v(*version));
    named.iter().map(label).collect()
}

/// A split of `rows`, and a rule that sends `x-team: qa` to `rule`.
fn policy(rows: &[(RawTarget, u32)], rule: impl Into<RawTarget>) -> Policy {
    let raw = RawPolicy {
        split: rows.to_vec(),
        header_rules: vec![RawHeaderRule {
            header: "x-team".into(),
            value: "qa".into(),
            target: rule.into(),
        }],
        ..RawPolicy::default()
    };
    Policy::check(raw, &"m".parse().unwrap()).unwrap()
}

#[test]
fn a_policy_is_resolved_only_if_every_version_that_it_names_can_answer() {
    let (ready, labels) = (ready(2), labels(&[("canary", 2), ("gone", 3)]));
    for (row, rule, ok, why) in [
        ("canary".into(), RawTarget::from(1), true, "all are ready"),
        (2.into(), "canary".into(), true, "the rule by a label"),
        (
            "unknown".into(),
            1.into(),
            false,
            "no such label in the split",
        ),
        (
            "gone".into(),
            1.into(),
            false,
            "the label's version is not ready",
        ),
        (3.into(), 1.into(), false, "the version is not ready"),
        (2.into(), "unknown".into(), false, "no such label in a rule"),
        (2.into(), 3.into(), false, "a rule's version is not ready"),
    ] {
        let policy = policy(&[(1.into(), 9_500), (row, 500)], rule);
        let routing = Routing::resolve(Revision(1), policy, &labels, &ready);
        assert_eq!(routing.is_some(), ok, "{why}");
    }
}

#[test]
fn rows_of_one_version_share_its_gauge_and_keep_their_own_counts() {
    let (ready, labels) = (
        ready(3),
        labels(&[("stable", 1), ("old", 1), ("canary", 2)]),
    );
    let rows = [
        ("stable".into(), 6_000),
        ("canary".into(), 1_000),
        ("old".into(), 2_000),
        (1.into(), 1_000),
    ];
    let policy = policy(&rows, "canary");
    let routing = Routing::resolve(Revision(1), policy, &labels, &ready).unwrap();
    let share = |points: u32| Share::try_from(points).unwrap();
    assert_eq!(
        routing.shares(),
        [(v(1), share(9_000)), (v(2), share(1_000))]
    );
    for row in [0, 2, 2, 3] {
        assert_eq!(routing.split_target(row).number(), v(1));
    }
    assert_eq!(routing.split_target(1).number(), v(2));
    assert_eq!(routing.rule_target(0).number(), v(2));
    assert_eq!(
        routing.request_counts(),
        [(v(1), 1), (v(2), 1), (v(1), 2), (v(1), 1)],
        "the rule is not counted"
    );
}

#[test]
fn a_version_that_several_shadows_mean_is_one_shadow_with_the_largest_share() {
    let ready = ready(3);
    let shadow = |(target, basis_points): (RawTarget, u32)| RawShadow {
        target,
        basis_points,
        deadline_ms: 1_000,
        max_queue: 64,
        max_concurrent: 1,
    };
    let raw = RawPolicy {
        split: vec![(1.into(), 10_000)],
        shadows: [
            (1.into(), 1_000),
            ("stable".into(), 5_000),
            ("canary".into(), 2_000),
        ]
        .map(shadow)
        .to_vec(),
        ..RawPolicy::default()
    };
    let policy = Policy::check(raw, &"m".parse().unwrap()).unwrap();
    let with = |stable, canary| {
        let labels = labels(&[("stable", stable), ("canary", canary)]);
        Routing::resolve(Revision(1), policy.clone(), &labels, &ready).unwrap()
    };
    // The versions that get a copy of the request at `point`.
    let copied = |routing: &Routing, point| {
        let shadows = routing.select_shadows(|| point).indices();
        shadows
            .map(|index| routing.shadow_queue(index).version().number())
            .collect::<Vec<_>>()
    };
    for (stable, canary, point, want, why) in [
        (2, 3, 0, vec![1, 2, 3], "three versions"),
        (2, 3, 1_500, vec![2, 3], "each with its share"),
        (1, 3, 0, vec![1, 3], "once, though twice in the policy"),
        (1, 3, 4_999, vec![1], "the larger share"),
        (1, 1, 0, vec![1], "all three"),
        (2, 2, 3_000, vec![2], "by two labels"),
        (2, 1, 1_500, vec![1, 2], "the first takes the third's share"),
    ] {
        let want: Vec<_> = want.into_iter().map(v).collect();
        assert_eq!(copied(&with(stable, canary), point), want, "{why}");
    }
    assert!(with(1, 3).is_equivalent(&with(1, 3)));
    assert!(
        !with(1, 2).is_equivalent(&with(2, 2)),
        "the same versions, other shares"
    );
}

/// Returns the version that answers requests with this sticky key.
fn sticky_target(routing: &Routing, key: &[u8]) -> VersionNumber {
    match route(&routing.policy, &HeaderMap::new(), key, || 0) {
        Choice::Sticky(row) => routing.split_target(row).number(),
        other => panic!("a key decides, not {other:?}"),
    }
}

proptest! {
    #[test]
    fn moving_one_label_moves_only_the_clients_of_its_row(
        stable in 1_u64..=4, from in 1_u64..=4, to in 1_u64..=4, points in 0_u32..=9_000, salt in ".{0,20}",
    ) {
        let ready = ready(4);
        let raw = RawPolicy {
            split: vec![("stable".into(), 9_000 - points), ("canary".into(), points), (3.into(), 1_000)],
            salt,
            ..RawPolicy::default()
        };
        let policy = Policy::check(raw, &"m".parse().unwrap()).unwrap();
        let with = |canary| {
            let labels = labels(&[("stable", stable), ("canary", canary)]);
            Routing::resolve(Revision(1), policy.clone(), &labels, &ready).unwrap()
        };
        let (before, after) = (with(from), with(to));
        for key in 0..200_u32 {
            let key = key.to_le_bytes();
            let row = policy.rendezvous().pick(&key);
            let want = |canary| [v(stable), v(canary), v(3)][row];
            prop_assert_eq!(sticky_target(&before, &key), want(from));
            prop_assert_eq!(sticky_target(&after, &key), want(to));
        }
    }
}
