//! Which shadows get copies.

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
fn every_shadow_gets_exactly_its_share_and_a_smaller_share_is_a_subset_of_a_larger_one() {
    let shares = [1, 2_500, 9_999, 10_000];
    let policy = shadows(&shares);
    let mut counted = [0; 4];
    for point in 0..10_000 {
        let chosen: Vec<_> = select_shadows(policy.shadows(), || point)
            .indices()
            .collect();
        assert!(chosen.is_sorted());
        for index in &chosen {
            counted[*index] += 1;
        }
        // The shares ascend, so every shadow after the first chosen one gets a copy too.
        assert_eq!(chosen.len(), 4 - chosen[0]);
    }
    assert_eq!(counted, shares);
}

#[test]
fn nothing_is_drawn_if_every_share_is_everything() {
    let draw = || -> u32 { panic!("drawn") };
    let all = shadows(&[10_000; 8]);
    assert_eq!(select_shadows(all.shadows(), draw).indices().count(), 8);
    assert!(select_shadows(shadows(&[]).shadows(), draw).is_empty());
}

#[test]
fn a_stored_policy_without_shadows_is_read_and_written_unchanged() {
    let stored = r#"{"split":[[1,10000]],"header_rules":[],"sticky_header":"","salt":""}"#;
    let raw: RawPolicy = serde_json::from_str(stored).unwrap();
    assert!(raw.shadows.is_empty() && raw.fallback.is_none());
    assert_eq!(serde_json::to_string(&raw).unwrap(), stored);
    let raw = shadows(&[7]).to_raw();
    let text = serde_json::to_string(&raw).unwrap();
    assert_eq!(serde_json::from_str::<RawPolicy>(&text).unwrap(), raw);
}
