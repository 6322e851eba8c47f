use proptest::prelude::*;

use super::*;

fn of(values: &[f64]) -> Sketch {
    values.iter().copied().collect()
}

#[test]
fn without_values_nothing_is_known() {
    let none = Sketch::default();
    assert_eq!((none.count(), none.quantile(0.5)), (0, None));
    assert_eq!((none.min(), none.max(), none.mean()), (None, None, None));
    assert_eq!((none.variance(), none.buckets().count()), (None, 0));
}

#[test]
fn whole_numbers_up_to_256_are_kept_exactly() {
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
    // Of a negative bucket the far end is closed, of a positive one the near.
    assert!(lows.windows(2).all(|pair| pair[0] < pair[1]), "{lows:?}");
    assert_eq!(sketch.quantile(0.0), Some(-256.0));
    assert_eq!(sketch.quantile(1.0), Some(256.0));
}

#[test]
fn what_is_not_finite_is_not_counted_and_extremes_are_cut() {
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
    assert_eq!(sketch.max(), Some(f64::MAX), "known exactly all the same");
}

#[test]
fn values_that_span_too_much_leave_the_smallest_magnitudes_open() {
    let values: Vec<f64> = (-39..=63).map(|power| 2f64.powi(power)).collect();
    let sketch = of(&values);
    let buckets: Vec<Bucket> = sketch.buckets().collect();
    assert_eq!(buckets[0].low, 0.0);
    assert_eq!(buckets[0].count, 71, "up to 2^31: {:?}", buckets[0]);
    assert_eq!(buckets.len(), 33);
    assert!(sketch.heap_bytes() <= 16 * (MOST_BUCKETS + 16));
    let mut backwards = Sketch::default();
    backwards.extend(values.iter().rev().copied());
    assert!(backwards.buckets().eq(sketch.buckets()), "in any order");
}

#[test]
fn what_was_forgotten_is_gone() {
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
        // Within one span: where magnitudes are folded, only the bucket is known.
        let values: Vec<f64> = values.into_iter().filter(|value| (1e-3..1e6).contains(&value.abs())).collect();
        prop_assume!(!values.is_empty());
        let sketch = of(&values);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let (want, got) = (sorted[rank - 1], sketch.quantile(q).unwrap());
        prop_assert!((got - want).abs() <= want.abs() * RELATIVE_ERROR, "got {got}, wants {want}");
    }

    #[test]
    fn merging_is_counting_everything_in_one(one in numbers(), two in numbers(), three in numbers()) {
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
    fn what_is_taken_back_leaves_the_rest(one in numbers(), two in numbers()) {
        let mut sketch = of(&one);
        sketch.merge(&of(&two));
        sketch.take_back(&of(&two));
        let buckets: Vec<Bucket> = sketch.buckets().collect();
        prop_assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), one.len() as u64);
        prop_assert_eq!(sketch.count(), one.len() as u64);
        for value in one {
            prop_assert!(buckets.iter().any(|b| b.low <= value && value <= b.high), "{value}");
        }
    }

    #[test]
    fn buckets_ascend_and_hold_what_was_counted(values in numbers()) {
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
