//! One key that is used repeatedly.

use proptest::prelude::*;

use super::*;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::samples;

/// Returns versions that predict one probability each.
fn versions(many: u64) -> Vec<VersionInsight> {
    let telemetry = Telemetry::new().unwrap();
    let insight = |number| {
        let manifest = samples::manifest(samples::document("m", number));
        VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap()
    };
    (1..=many).map(insight).collect()
}

fn push(shard: &mut Shard, key: u128, by: &VersionInsight, role: Role, rows: usize) -> LostRows {
    let answer = Answer {
        by: by.quality(),
        role,
        at: Duration::ZERO,
    };
    let scores = Scores::new(vec![0.75; rows], 1).unwrap();
    shard.push(key, answer, &scores, Duration::MAX)
}

fn accepted(shard: &mut Shard, key: u128) -> bool {
    let (ground_truth, now) = (GroundTruth::Class("yes".into()), Duration::ZERO);
    shard.join(key, 0, &ground_truth, now, Duration::MAX) == Ok(JoinStatus::Accepted)
}

/// Returns the roles of the entries that are linked from the newest.
fn walk(shard: &mut Shard, key: u128) -> Vec<Role> {
    let mut next = shard.newest.get(key, &shard.entries);
    let mut found = Vec::new();
    while let Some(entry) = next.and_then(|number| shard.entry(number)) {
        assert!(entry.rows > 0, "replaced entries are not linked");
        assert_eq!(entry.key, key);
        found.push(entry.role);
        next = entry.before;
    }
    found
}

#[test]
fn a_key_that_is_used_repeatedly_takes_one_entry_and_evicts_no_other_key() {
    let versions = versions(1);
    let mut shard = Shard::new(100);
    for key in 1..=99 {
        push(&mut shard, key, &versions[0], Role::Primary, 1);
    }
    for _ in 0..12_000 {
        let lost = push(&mut shard, 0, &versions[0], Role::Primary, 1);
        assert_eq!((lost.evicted, shard.held), (0, 100));
        assert!(shard.entries.len() <= shard.places());
    }
    assert_eq!(walk(&mut shard, 0), [Role::Primary]);
    assert!((0..=99).all(|key| accepted(&mut shard, key)));
}

#[test]
fn each_key_has_one_entry_for_the_client_and_one_for_each_shadow() {
    let versions = versions(3);
    let mut shard = Shard::new(1_000);
    for _ in 0..500 {
        for by in &versions {
            push(&mut shard, 7, by, Role::Shadow, 1);
        }
        push(&mut shard, 7, &versions[0], Role::Fallback, 2);
    }
    let mut found = walk(&mut shard, 7);
    found.sort_unstable_by_key(|role| *role as usize);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(shard.held, 5);
    push(&mut shard, 7, &versions[0], Role::Primary, 1);
    assert_eq!((walk(&mut shard, 7).len(), shard.held), (1, 1));
}

#[test]
fn a_shadow_that_was_reloaded_repeatedly_leaves_one_entry() {
    let mut shard = Shard::new(1_000);
    for _ in 0..5 {
        push(&mut shard, 7, &versions(1)[0], Role::Shadow, 1);
    }
    assert_eq!((walk(&mut shard, 7).len(), shard.held), (1, 1));
}

#[test]
fn the_first_row_allocates_the_memory_for_all() {
    let versions = versions(1);
    let mut shard = Shard::new(1_000);
    assert_eq!(shard.entries.capacity(), 0);
    push(&mut shard, 0, &versions[0], Role::Primary, 1);
    let capacities = |shard: &Shard| (shard.entries.capacity(), shard.newest.capacity());
    let first = capacities(&shard);
    assert_eq!(first.0, shard.places());
    for key in 0..4_000 {
        push(&mut shard, key % 1_500, &versions[0], Role::Primary, 1);
        assert_eq!(capacities(&shard), first);
    }
}

#[test]
fn few_values_are_stored_as_many_are() {
    for values in 1..=9_u8 {
        let scores: Vec<f32> = (0..values).map(f32::from).collect();
        let mut stored = Values::of(&Scores::new(scores.clone(), 1).unwrap());
        assert_eq!(*stored, *scores);
        stored[usize::from(values) - 1] = -1.0;
        assert_eq!(stored.last(), Some(&-1.0));
    }
}

proptest! {
    #[test]
    fn only_linked_entries_count_towards_the_capacity(
        pushes in prop::collection::vec((0_u128..6, 0_usize..3, 0_usize..3, 1_usize..5), 1..300),
        capacity in 1_usize..30,
    ) {
        let versions = versions(3);
        let mut shard = Shard::new(capacity);
        let mut lost = 0;
        let mut rows_in = 0;
        for (key, by, role, rows) in pushes {
            let role = [Role::Primary, Role::Fallback, Role::Shadow][role];
            let of_push = push(&mut shard, key, &versions[by], role, rows);
            lost += of_push.evicted + of_push.replaced + of_push.too_large;
            rows_in += rows as u64;
            prop_assert!(shard.held <= capacity);
            prop_assert!(shard.entries.len() <= shard.places());
            prop_assert_eq!(rows_in - lost, shard.held as u64, "every row is stored or counted as lost");
            let walked: usize = (0..6).map(|key| walk(&mut shard, key).len()).sum();
            let living = shard.entries.iter().filter(|entry| entry.rows > 0).count();
            prop_assert_eq!(walked, living);
        }
    }
}
