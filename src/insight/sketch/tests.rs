use proptest::prelude::*;

use super::*;

fn of(values: &[f64]) -> Sketch {
    values.iter().copied().collect()
}

#[test]
fn an_empty_sketch_has_no_statistics() {
    let none = Sketch::default();
    assert_eq!((none.count(), none.quantile(0.5)), (0, None));
    assert_eq!((none.min(), none.max(), none.mean()), (None, None, None));
    assert_eq!((none.variance(), none.buckets().count()), (None, 0));
}

#[test]
fn whole_numbers_up_to_256_are_exact() {
    let numbers: Vec<f64> = (-256..=256).map(f64::from).collect();
    let sketch = of(&numbers);
    let lows: Vec<f64> = sketch
        .buckets()
        .map(|bucket| {
            if bucket.low < 0.0 {
                bucket.high
            } else {
                bucket.low
            }
        })
        .collect();
    assert_eq!(sketch.buckets().count(), 513);
    // A negative bucket contains its high end, a positive one its low end.
    assert!(lows.windows(2).all(|pair| pair[0] < pair[1]), "{lows:?}");
    assert_eq!(sketch.quantile(0.0), Some(-256.0));
    assert_eq!(sketch.quantile(1.0), Some(256.0));
}

#[test]
fn values_that_are_not_finite_are_not_counted_and_extremes_are_cut() {
    let mut sketch = Sketch::default();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!sketch.record(value), "{value}");
    }
    assert_eq!(sketch, Sketch::default());
    sketch.extend([1e-300, -1e-300, 0.0, -0.0]);
    let zeros: Vec<Bucket> = sketch.buckets().collect();
    assert_eq!(zeros.len(), 1, "{zeros:?}");
    sketch.extend([f64::MAX, LARGEST]);
    let last = sketch.buckets().last().unwrap();
    assert_eq!((last.low, last.count), (LARGEST, 2));
    assert_eq!(sketch.max(), Some(f64::MAX), "the maximum is exact");
}

#[test]
fn a_value_of_an_unusual_magnitude_makes_the_other_buckets_no_coarser() {
    let usual: Vec<f64> = (0..600).map(|at| 5.0 + 0.02 * f64::from(at)).collect();
    let known = of(&usual);
    for odd in [1e13, -1e13, 1e-11, -1e-11, 1e300, -f64::MAX, f64::MAX] {
        for sketch in [
            of(&[&usual[..], &[odd]].concat()),
            of(&[&[odd], &usual[..]].concat()),
        ] {
            assert_eq!(sketch.relative_error(), RELATIVE_ERROR, "{odd}");
            for q in [0.1, 0.5, 0.9] {
                let (want, got) = (known.quantile(q).unwrap(), sketch.quantile(q).unwrap());
                assert!((got / want - 1.0).abs() < 0.01, "{odd}: {got} wants {want}");
            }
            let held = known
                .buckets()
                .all(|one| sketch.buckets().any(|b| b == one));
            assert!(held, "{odd}");
        }
    }
}

#[test]
fn every_power_of_two_has_a_bucket_in_any_order() {
    let values: Vec<f64> = (-39..=63).map(|power| 2f64.powi(power)).collect();
    let sketch = of(&values);
    assert_eq!(sketch.buckets().count(), values.len());
    assert!(sketch.heap_bytes() <= MAX_BYTES);
    let mut backwards = Sketch::default();
    backwards.extend(values.iter().rev().copied());
    assert_eq!(backwards.store, sketch.store);
}

#[test]
fn mean_and_variance_stay_finite_for_extreme_values() {
    let extremes = of(&[f64::MAX, -f64::MAX, f64::MAX, 1.0]);
    assert_eq!(extremes.mean(), Some(LARGEST / 4.0), "cut");
    let std = extremes.variance().unwrap().sqrt();
    assert!((std / LARGEST - 0.83).abs() < 0.01, "{std}");
    assert_eq!(extremes.beyond(), 3);
    assert_eq!(of(&[1.0, -5e18, 0.0]).beyond(), 0);
    let mut merged = of(&[f64::MAX]);
    merged.merge(&of(&[-f64::MAX]));
    assert_eq!(merged.mean(), Some(0.0));
    assert_eq!(merged.variance(), Some(LARGEST * LARGEST));
}

#[test]
fn buckets_are_joined_past_the_limit_on_memory_and_the_error_is_reported() {
    // Every magnitude and both signs, a hundred times each.
    let mut values = Vec::new();
    for at in 0..10_400 {
        let value = (f64::from(at) / 100.0 - 40.0).exp2();
        values.extend([value, -value]);
    }
    values.sort_by(f64::total_cmp);
    for (bytes, want) in [
        (0, 0.5),
        (MIN_BYTES, 0.5),
        (4 * MIN_BYTES, 0.125),
        (MAX_BYTES, 1.0 / 64.0),
        (usize::MAX, 1.0 / 64.0),
    ] {
        let mut sketch = Sketch::within(bytes);
        sketch.extend(values.iter().copied());
        assert_eq!(sketch.relative_error(), want, "{bytes}");
        assert!(sketch.heap_bytes() <= bytes.clamp(MIN_BYTES, MAX_BYTES));
        assert_eq!(sketch.count(), values.len() as u64);
        for at in (0..values.len()).step_by(97) {
            let rank = as_f64(at as u64 + 1) / as_f64(values.len() as u64);
            let got = sketch.quantile(rank).unwrap();
            // Rounding may move the rank by one.
            let near = &values[at.saturating_sub(1)..(at + 2).min(values.len())];
            let off = near.iter().map(|x| (got - x).abs() / x.abs());
            let least = off.fold(f64::INFINITY, f64::min);
            assert!(least <= want + 1e-12, "{bytes}: {got} wants {near:?}");
        }
        let held: u64 = sketch.buckets().map(|bucket| bucket.count).sum();
        assert_eq!(held, values.len() as u64);
        sketch.clear();
        assert_eq!(sketch.relative_error(), RELATIVE_ERROR);
    }
}

#[test]
fn the_bucket_of_a_value_is_the_one_that_counts_it() {
    for value in [3.3, -3.3, 0.0, 1e-20, 1e-11, -LARGEST, 1e300] {
        let counted = of(&[value]).buckets().next().unwrap();
        assert_eq!(around(value, MANTISSA_BITS), counted);
        let coarse = around(value, 2);
        assert!(coarse.low <= counted.low && counted.high <= coarse.high);
    }
}

#[test]
fn a_cleared_sketch_is_empty() {
    let mut sketch = of(&[-3.0, 0.0, 1e-9, 1e9]);
    sketch.clear();
    assert_eq!(sketch, Sketch::default());
    sketch.record(2.0);
    assert_eq!(sketch, of(&[2.0]));
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    let number = prop_oneof![
        3 => -1e3..1e3_f64,
        2 => 0.0..1.0_f64,
        1 => (-30.0..30.0_f64).prop_map(f64::exp2),
        1 => (-20..20_i32).prop_map(f64::from),
    ];
    prop::collection::vec(number, 1..200)
}

proptest! {
    #[test]
    fn every_quantile_is_within_the_error_of_the_value_of_that_rank(
        values in numbers(),
        q in 0.0..=1.0_f64,
    ) {
        // Values closer to zero count as zero.
        let values: Vec<f64> = values.into_iter().filter(|value| value.abs() >= SMALLEST).collect();
        prop_assume!(!values.is_empty());
        let sketch = of(&values);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let (want, got) = (sorted[rank - 1], sketch.quantile(q).unwrap());
        prop_assert!((got - want).abs() <= want.abs() * RELATIVE_ERROR, "got {got}, wants {want}");
    }

    #[test]
    fn merging_sketches_equals_counting_all_values_in_one(one in numbers(), two in numbers(), three in numbers()) {
        let all = of(&[one.clone(), two.clone(), three.clone()].concat());
        for order in [[&one, &two, &three], [&three, &one, &two]] {
            let mut merged = Sketch::default();
            for values in order {
                merged.merge(&of(values));
            }
            prop_assert!(merged.buckets().eq(all.buckets()));
            prop_assert_eq!((merged.count(), merged.min(), merged.max()), (all.count(), all.min(), all.max()));
            let near = |one: Option<f64>, two: Option<f64>| {
                let (one, two) = (one.unwrap(), two.unwrap());
                (one - two).abs() <= 1e-9 * one.abs().max(two.abs()).max(1.0)
            };
            prop_assert!(near(merged.mean(), all.mean()));
            prop_assert!(near(merged.variance(), all.variance()));
        }
    }

    #[test]
    fn merging_small_sketches_equals_counting_all_values_in_a_small_one(
        one in numbers(),
        two in numbers(),
        three in numbers(),
        chunks in 14_usize..60,
    ) {
        let of = |values: &[f64]| {
            let mut sketch = Sketch::within(chunks * store::CHUNK_BYTES);
            sketch.extend(values.iter().copied());
            sketch
        };
        let all = of(&[one.clone(), two.clone(), three.clone()].concat());
        let (mut left, mut right) = (of(&one), of(&two));
        left.merge(&of(&two));
        left.merge(&of(&three));
        right.merge(&of(&three));
        let mut last = of(&one);
        last.merge(&right);
        prop_assert_eq!(&left.store, &all.store);
        prop_assert_eq!(&last.store, &all.store);
        prop_assert!(all.heap_bytes() <= chunks * store::CHUNK_BYTES);
        left.subtract(&last);
        prop_assert_eq!(left.count(), 0);
        last.subtract(&right);
        let held: u64 = last.buckets().map(|bucket| bucket.count).sum();
        prop_assert_eq!(held, one.len() as u64);
    }

    #[test]
    fn subtracting_a_sketch_leaves_the_other_values(one in numbers(), two in numbers()) {
        let mut sketch = of(&one);
        sketch.merge(&of(&two));
        sketch.subtract(&of(&two));
        let buckets: Vec<Bucket> = sketch.buckets().collect();
        prop_assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), one.len() as u64);
        prop_assert_eq!(sketch.count(), one.len() as u64);
        for value in one {
            prop_assert!(buckets.iter().any(|b| b.low <= value && value <= b.high), "{value}");
        }
    }

    #[test]
    fn buckets_ascend_and_contain_every_value(values in numbers()) {
        let sketch = of(&values);
        let buckets: Vec<Bucket> = sketch.buckets().collect();
        prop_assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), values.len() as u64);
        for pair in buckets.windows(2) {
            prop_assert!(pair[0].high <= pair[1].low);
        }
        for value in values {
            prop_assert!(buckets.iter().any(|b| b.low <= value && value <= b.high), "{value}");
        }
    }
}
