//! Requests without a sticky key.

use super::*;

#[test]
fn a_point_falls_on_the_rows_in_their_order() {
    let split = split_of(&[(5, 9_000), (2, 0), (9, 1_000)]);
    for (point, want, why) in [
        (0, 0, "the first row starts at zero"),
        (8_999, 0, "just below the edge"),
        (
            9_000,
            2,
            "the edge belongs to the next row; a share of zero is never drawn",
        ),
        (9_999, 2, "the last point"),
        (u32::MAX, 2, "past the end counts as the last point"),
    ] {
        assert_eq!(split.draw(point), want, "point {point}: {why}");
    }
    let split = split_of(&[(1, 0), (2, 10_000), (3, 0)]);
    assert_eq!((split.draw(0), split.draw(9_999)), (1, 1));
}

#[test]
fn unkeyed_requests_follow_the_shares_within_four_standard_deviations() {
    const REQUESTS: u32 = 200_000;
    let raw = RawPolicy {
        split: vec![row(1, 9_000), row("canary", 900), row(3, 100)],
        ..RawPolicy::default()
    };
    let policy = Policy::check(raw, &model()).unwrap();
    let mut rng = StdRng::seed_from_u64(7);
    let mut counted = [0_u32; 3];
    for _ in 0..REQUESTS {
        let draw = || rng.random_range(0..10_000);
        match route(&policy, &HeaderMap::new(), b"", draw) {
            Choice::Drawn(row) => counted[row] += 1,
            other => panic!("there is neither a key nor a rule, got {other:?}"),
        }
    }
    for (at, (target, share)) in policy.split().rows().iter().enumerate() {
        let p = f64::from(share.basis_points()) / 10_000.0;
        let off = f64::from(counted[at]) - f64::from(REQUESTS) * p;
        assert!(
            off.abs() <= four_sigma(REQUESTS, p),
            "{target} at {share} was drawn {} times",
            counted[at]
        );
    }
}

#[test]
fn random_points_cover_the_range_evenly() {
    const DRAWS: u32 = 100_000;
    let mut tenths = [0_u32; 10];
    for _ in 0..DRAWS {
        tenths[random_point() as usize / 1_000] += 1;
    }
    for (tenth, count) in tenths.into_iter().enumerate() {
        // Unseeded, so the bound is wider: eight standard deviations never occur by chance.
        let off = f64::from(count) - f64::from(DRAWS) / 10.0;
        assert!(
            off.abs() <= 2.0 * four_sigma(DRAWS, 0.1),
            "{tenth}: {count}"
        );
    }
}

proptest! {
    #[test]
    fn every_row_gets_exactly_as_many_points_as_it_has_basis_points(split in any_split()) {
        let mut counted = vec![0; split.rows().len()];
        let mut last = 0;
        for point in 0..10_000 {
            let at = split.draw(point);
            prop_assert!(at >= last, "rows are laid out in their order");
            last = at;
            counted[at] += 1;
        }
        let wanted: Vec<_> = split.rows().iter().map(|(_, share)| share.basis_points()).collect();
        prop_assert_eq!(counted, wanted);
    }
}
