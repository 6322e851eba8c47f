//! Who gets copies.

use super::super::*;

fn shadows(points: &[u32]) -> Policy {
    let shadow = |(version, points): (u64, &u32)| RawShadow {
        target: version.into(),
        basis_points: *points,
        ..RawShadow::default()
    };
    let raw = RawPolicy {
        split: vec![(1.into(), 10_000)],
        shadows: (2..).zip(points).map(shadow).collect(),
        ..RawPolicy::default()
    };
    Policy::check(raw, &"m".parse().unwrap()).unwrap()
}

#[test]
fn every_shadow_gets_exactly_its_share_and_the_smaller_share_lies_in_the_larger() {
    let shares = [1, 2_500, 9_999, 10_000];
    let policy = shadows(&shares);
    let mut counted = [0; 4];
    for point in 0..10_000 {
        let chosen: Vec<_> = copies(policy.shadows(), || point).indices().collect();
        assert!(chosen.is_sorted());
        for at in &chosen {
            counted[*at] += 1;
        }
        // The shares ascend, so who gets a copy with a small one gets it with every larger one.
        assert_eq!(chosen.len(), 4 - chosen[0]);
    }
    assert_eq!(counted, shares);
}

#[test]
fn where_every_share_is_everything_nothing_is_drawn() {
    let draw = || -> u32 { panic!("drawn") };
    let all = shadows(&[10_000; 8]);
    assert_eq!(copies(all.shadows(), draw).indices().count(), 8);
    assert!(copies(shadows(&[]).shadows(), draw).is_empty());
}

#[test]
fn a_policy_from_before_there_were_shadows_reads_and_is_written_as_it_was() {
    let stored = r#"{"split":[[1,10000]],"header_rules":[],"sticky_header":"","salt":""}"#;
    let raw: RawPolicy = serde_json::from_str(stored).unwrap();
    assert!(raw.shadows.is_empty() && raw.fallback.is_none());
    assert_eq!(serde_json::to_string(&raw).unwrap(), stored);
    let raw = shadows(&[7]).to_raw();
    let text = serde_json::to_string(&raw).unwrap();
    assert_eq!(serde_json::from_str::<RawPolicy>(&text).unwrap(), raw);
}
