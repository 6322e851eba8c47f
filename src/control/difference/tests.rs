use super::*;
use crate::control::LatestLabel;
use crate::control::test_support::v;
use crate::serving::route::RawPolicy;

fn lines(before: &Wanted, after: &Wanted) -> Vec<String> {
    let differences = differences(before, after);
    let line = |one: Difference| format!("{}: {:?} -> {:?}", one.field, one.before, one.after);
    differences.into_iter().map(line).collect()
}

fn with_policy(policy: RawPolicy) -> Wanted {
    Wanted {
        policy: Some(policy),
        ..Wanted::default()
    }
}

#[test]
fn equal_states_have_no_differences_and_a_move_of_latest_is_one() {
    let following = |version| Wanted {
        latest: Some(LatestLabel::at(v(version))),
        ..Wanted::default().with_explicit_policy()
    };
    assert!(differences(&Wanted::default(), &Wanted::default()).is_empty());
    assert!(differences(&following(2), &following(2)).is_empty());
    assert_eq!(
        lines(&following(2), &following(3)),
        [r#"labels.latest: "2" -> "3""#]
    );
}

#[test]
fn every_field_of_a_policy_is_compared() {
    let rule = |value: &str, target: u64| RawHeaderRule {
        header: "team".into(),
        value: value.into(),
        target: target.into(),
    };
    let before = with_policy(RawPolicy {
        split: vec![(1.into(), 9_950), ("canary".into(), 50)],
        header_rules: vec![rule("blue", 1), rule("red", 2)],
        sticky_header: "user".into(),
        ..RawPolicy::default()
    });
    let after = with_policy(RawPolicy {
        split: vec![(1.into(), 10_000)],
        header_rules: vec![rule("red", 2)],
        salt: "s".into(),
        shadows: vec![RawShadow {
            target: 3.into(),
            basis_points: 2_500,
            ..RawShadow::default()
        }],
        fallback: Some(RawFallback {
            target: "stable".into(),
            within_ms: Some(20),
        }),
        ..RawPolicy::default()
    });
    assert_eq!(
        lines(&before, &after),
        [
            r#"fallback: "" -> "stable within 20 ms""#,
            r#"header_rules[0]: "team=blue to 1" -> "team=red to 2""#,
            r#"header_rules[1]: "team=red to 2" -> """#,
            r#"salt: "" -> "s""#,
            r#"shadows[3]: "" -> "25%, deadline 1000 ms, queue 64, concurrent 1""#,
            r#"split[1]: "99.5%" -> "100%""#,
            r#"split[canary]: "0.5%" -> """#,
            r#"sticky_header: "user" -> """#,
        ]
    );
}

#[test]
fn labels_and_versions_loaded_by_operators_are_compared() {
    let mut before = Wanted::default();
    before.labels.insert("canary".parse().unwrap(), v(2));
    before.load.insert(v(1));
    let mut after = Wanted::default();
    after.labels.insert("canary".parse().unwrap(), v(3));
    after.labels.insert("stable".parse().unwrap(), v(2));
    after.load.extend([v(1), v(2)]);
    after.unload.insert(v(4));
    assert_eq!(
        lines(&before, &after),
        [
            r#"labels.canary: "2" -> "3""#,
            r#"labels.stable: "" -> "2""#,
            r#"loaded: "1" -> "1, 2""#,
            r#"unloaded: "" -> "4""#,
        ]
    );
}
