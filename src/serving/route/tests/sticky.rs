//! Requests with a sticky key.

use std::fmt::Write;

use super::*;

/// Returns the target that `key` belongs to.
fn picked(rows: &[(Target, Share)], salt: &str, key: &[u8]) -> Target {
    rows[Rendezvous::new(rows, salt.as_bytes()).pick(key)]
        .0
        .clone()
}

fn share_in(rows: &[(Target, Share)], target: &Target) -> Share {
    rows.iter()
        .find(|(other, _)| other == target)
        .map(|(_, share)| *share)
        .unwrap_or_default()
}

/// Lines of `salt <tab> key <tab> target:basis points, ... <tab> target`.
///
/// A key written `@n` is the first n bytes of `0123456789` repeated, so that every length class of the hash occurs. The
/// targets were computed independently of this code, by the formula of [`Rendezvous`] in Python with its `xxhash` package and
/// `math.log`. A line that fails means that clients in production change their version: never change the table.
const TABLE: &str = include_str!("sticky.tsv");

#[test]
fn keys_keep_their_versions_across_builds() {
    let (mut lines, mut labels) = (0, 0);
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let [salt, key, shares, target] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let key: Vec<u8> = match key.strip_prefix('@') {
            Some(length) => (b'0'..=b'9')
                .cycle()
                .take(length.parse().unwrap())
                .collect(),
            None => key.into(),
        };
        let rows: Vec<(Target, Share)> = shares
            .split(',')
            .map(|row| row.split_once(':').unwrap())
            .map(|(target, points)| {
                let points: u32 = points.parse().unwrap();
                (target.parse().unwrap(), points.try_into().unwrap())
            })
            .collect();
        let split = Split::new(rows).unwrap();
        assert_eq!(
            picked(split.rows(), salt, &key).to_string(),
            target,
            "{line}"
        );
        labels += usize::from(target.parse::<u64>().is_err());
        lines += 1;
    }
    assert!(lines >= 40, "the table has {lines} lines");
    assert!(labels >= 30, "{labels} of them give a label");
}

#[test]
fn a_share_of_zero_has_no_keys_and_the_order_of_rows_does_not_matter() {
    let written = rows(&[(7, 0), (3, 4_000), (1, 6_000)]);
    let reversed = rows(&[(1, 6_000), (3, 4_000), (7, 0)]);
    for key in 0..2_000_u32 {
        let version = picked(&written, "s", &key.to_le_bytes());
        assert_ne!(version, v(7));
        assert_eq!(version, picked(&reversed, "s", &key.to_le_bytes()));
    }
}

#[test]
fn versions_get_their_share_of_similar_keys() {
    const KEYS: u32 = 100_000;
    for shares in [
        &[(1, 9_000), (2, 900), (3, 100)][..],
        &[(1, 5_000), (2, 5_000)],
        &[(10, 2_500), (11, 2_500), (12, 2_500), (13, 2_500)],
    ] {
        let rows = rows(shares);
        let rendezvous = Rendezvous::new(&rows, b"flight-delay");
        let mut counted = vec![0_u32; rows.len()];
        let mut key = String::new();
        for number in 0..KEYS {
            key.clear();
            write!(key, "user-{number}").unwrap();
            counted[rendezvous.pick(key.as_bytes())] += 1;
        }
        for (count, (version, share)) in counted.into_iter().zip(&rows) {
            let p = f64::from(share.basis_points()) / 10_000.0;
            let off = f64::from(count) - f64::from(KEYS) * p;
            assert!(
                off.abs() <= four_sigma(KEYS, p),
                "{version} at {share}: {count}"
            );
        }
    }
}

#[test]
fn another_salt_reassigns_all_clients() {
    const KEYS: u32 = 10_000;
    let rows = rows(&[(1, 5_000), (2, 5_000)]);
    let unmoved = (0..KEYS)
        .map(u32::to_le_bytes)
        .filter(|key| picked(&rows, "a", key) == picked(&rows, "b", key))
        .count();
    let off = unmoved as f64 - f64::from(KEYS) / 2.0;
    assert!(
        off.abs() <= four_sigma(KEYS, 0.5),
        "{unmoved} of {KEYS} keep their version"
    );
}

proptest! {
    #[test]
    fn raising_one_weight_moves_keys_only_to_that_version(
        split in any_split(), which in any::<prop::sample::Index>(), by in 1_u32..10_000, salt in ".{0,20}",
    ) {
        let old = split.rows().to_vec();
        let at = which.index(old.len());
        let mut new = old.clone();
        new[at].1 = Share::try_from((old[at].1.basis_points() + by).min(10_000)).unwrap();
        for key in 0..200_u32 {
            let (before, after) =
                (picked(&old, &salt, &key.to_le_bytes()), picked(&new, &salt, &key.to_le_bytes()));
            prop_assert!(after == before || after == new[at].0, "{key} went from {before} to {after}");
        }
    }

    #[test]
    fn lowering_one_weight_moves_keys_only_away_from_that_version(
        split in any_split(), which in any::<prop::sample::Index>(), salt in ".{0,20}",
    ) {
        let old = split.rows().to_vec();
        let at = which.index(old.len());
        // One more weight, so that a row is left to pick if the only share is removed.
        let old = [old, rows(&[(1_000, 100)])].concat();
        let mut new = old.clone();
        new[at].1 = Share::try_from(old[at].1.basis_points() / 2).unwrap();
        for key in 0..200_u32 {
            let (before, after) =
                (picked(&old, &salt, &key.to_le_bytes()), picked(&new, &salt, &key.to_le_bytes()));
            prop_assert!(after == before || before == new[at].0, "{key} went from {before} to {after}");
        }
    }

    #[test]
    fn between_two_splits_a_client_moves_only_from_a_lowered_or_to_a_raised_version(
        old in any_split(), new in any_split(), salt in ".{0,20}",
    ) {
        for key in 0..200_u32 {
            let key = key.to_le_bytes();
            let (before, after) = (picked(old.rows(), &salt, &key), picked(new.rows(), &salt, &key));
            let lowered = share_in(new.rows(), &before) < share_in(old.rows(), &before);
            let raised = share_in(new.rows(), &after) > share_in(old.rows(), &after);
            prop_assert!(after == before || lowered || raised, "from {before} to {after}");
        }
    }

    #[test]
    fn between_two_versions_raising_one_moves_clients_only_to_it(
        a in 0_u32..=10_000, b in 0_u32..=10_000, salt in ".{0,20}", key in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let canary_at = |points| rows(&[(1, 10_000 - points), (2, points)]);
        if picked(&canary_at(a.min(b)), &salt, &key) == v(2) {
            prop_assert_eq!(picked(&canary_at(a.max(b)), &salt, &key), v(2));
        }
    }
}

#[test]
fn raising_a_share_at_the_proportional_expense_of_others_moves_clients_only_to_it() {
    let before = rows(&[(1, 2_000), (2, 6_000), (3, 2_000)]);
    let after = rows(&[(1, 6_000), (2, 3_000), (3, 1_000)]);
    let mut moved = 0;
    for key in 0..20_000_u32 {
        let (old, new) = (
            picked(&before, "s", &key.to_le_bytes()),
            picked(&after, "s", &key.to_le_bytes()),
        );
        assert!(new == old || new == v(1), "{key} went from {old} to {new}");
        moved += u32::from(new != old);
    }
    // From 20 % to 60 %: two in five clients, and not one more.
    let off = f64::from(moved) - 20_000.0 * 0.4;
    assert!(off.abs() <= four_sigma(20_000, 0.4), "{moved} moved");
}
