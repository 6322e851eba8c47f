use std::time::Duration;

use serde_json::json;
use tokio::time;

use super::*;
use crate::model::payload::{Cell, Payload, Row, Tensor, TensorData};
use crate::model::{Manifest, Observe, Observed, Scores, TopClass, samples};

/// Two numbers (`a` clipped to 0..=10, `b` imputed), a category with more values than are counted, and a sensitive number.
fn manifest() -> Manifest {
    let mut document = samples::document("m", 1);
    let categories: Vec<_> = (0..70).map(|at| format!("c{at}")).collect();
    document["features"] = json!(["a", "b", "c", "secret"]);
    document["inputs"] = json!([
        {"name": "a", "datatype": "FP32", "shape": [-1], "encoding": {
            "kind": "numeric", "range": {"min": 0.0, "max": 10.0, "outside": "clip"}}},
        {"name": "b", "datatype": "FP64", "shape": [-1], "encoding": {
            "kind": "numeric", "missing": "impute", "impute": 1.0}},
        {"name": "c", "datatype": "BYTES", "shape": [-1], "encoding": {
            "kind": "categorical", "categories": categories, "unknown": "bucket"}},
        {"name": "secret", "datatype": "FP32", "shape": [-1], "sensitive": true, "encoding": {"kind": "numeric"}},
    ]);
    document["golden"] = json!([]);
    samples::manifest(document)
}

fn stats() -> VersionStats {
    VersionStats::new(&manifest().signature, Settings::default())
}

const PRIMARY: Role = Role::Primary;

/// One row whose `a` is `a` and whose score is 0.75.
fn score(stats: &VersionStats, a: f64) {
    let mut observer = stats.observe_inputs();
    observer.cell(0, Observed::Number(a));
    answer(stats, &observer);
}

fn answer(stats: &VersionStats, observer: &InputObserver<'_>) {
    let scores = Scores::new(vec![0.75], 1).unwrap();
    let top = [TopClass {
        index: 1,
        probability: 0.75,
    }];
    let scoring = Scoring {
        queue: Duration::from_millis(1),
        inference: Duration::from_millis(2),
        scores: &scores,
        top: &top,
        is_first: true,
    };
    stats.scored(PRIMARY, observer, scoring);
    stats.ended(PRIMARY, Code::Ok, Duration::from_millis(4));
}

fn requests(stats: &VersionStats) -> [u64; 4] {
    Window::ALL.map(|window| stats.read(PRIMARY, window).unwrap().summary.requests())
}

#[tokio::test(start_paused = true)]
async fn a_request_leaves_the_windows_one_after_another() {
    let stats = stats();
    assert!(stats.read(PRIMARY, Window::Minute).is_none(), "no role yet");
    score(&stats, 1.0);
    assert_eq!(requests(&stats), [1, 1, 1, 1]);
    for (after, want) in [
        (49, [1, 1, 1, 1]),
        (11, [0, 1, 1, 1]),
        (239, [0, 1, 1, 1]),
        (2, [0, 0, 1, 1]),
        (3_298, [0, 0, 1, 1]),
        (2, [0, 0, 0, 1]),
        (1_000_000, [0, 0, 0, 1]),
    ] {
        time::advance(Duration::from_secs(after)).await;
        assert_eq!(requests(&stats), want, "{after} s later");
    }
    score(&stats, 1.0);
    assert_eq!(requests(&stats), [1, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_window_is_no_longer_than_the_age_of_the_version_and_up_to_a_slice_shorter_than_its_name()
{
    let stats = stats();
    score(&stats, 1.0);
    let lengths =
        || Window::ALL.map(|window| stats.read(PRIMARY, window).unwrap().length.as_secs());
    for (after, want) in [
        (5, [5, 5, 5, 5]),
        (60, [55, 65, 65, 65]),
        (10_000, [55, 285, 3_465, 10_065]),
    ] {
        time::advance(Duration::from_secs(after)).await;
        assert_eq!(lengths(), want, "{after} s later");
    }
}

#[test]
fn nothing_is_lost_when_many_threads_record_at_once() {
    let stats = stats();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|a| score(&stats, f64::from(a))));
        }
        // Until the first has recorded there is nothing to read.
        for _ in 0..50 {
            let _ = stats.read(PRIMARY, Window::SinceLoad);
        }
    });
    let all = stats.read(PRIMARY, Window::SinceLoad).unwrap().summary;
    assert_eq!(
        (all.requests(), all.rows, &all.classes[..]),
        (4_000, 4_000, &[0, 4_000][..])
    );
    assert_eq!(all.codes[Code::Ok as usize], 4_000);
    assert_eq!(
        (all.total.count(), all.queue.count(), all.scores[0].count()),
        (4_000, 4_000, 4_000)
    );
    let Values::Numbers(a) = &all.features[0].values else {
        panic!("a is a number")
    };
    assert_eq!(
        (a.count(), a.min(), a.max()),
        (4_000, Some(0.0), Some(499.0))
    );
    assert!((a.mean().unwrap() - 249.5).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn memory_does_not_grow_with_time_or_with_the_values_recorded() {
    let stats = stats();
    let mut x = 1_u64;
    let mut round = async |rounds: usize| {
        for _ in 0..rounds {
            for _ in 0..60 {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Every magnitude and both signs.
                score(&stats, f64::from_bits(x & 0xbfff_ffff_ffff_ffff));
            }
            time::advance(Duration::from_secs(7)).await;
        }
        stats.heap_bytes()
    };
    // Longer than an hour, so that every slice has been used.
    let warm = round(700).await;
    let later = round(1_400).await;
    let most = Settings::default().max_bytes;
    assert!(
        later <= warm + warm / 10 && later < most,
        "{warm} {later} {most}"
    );
}

/// A manifest with this many numeric inputs and two classes.
fn wide(numbers: usize) -> Manifest {
    let mut document = samples::document("m", 1);
    let names: Vec<_> = (0..numbers).map(|at| format!("x{at}")).collect();
    let inputs = names.iter().map(|name| {
        json!({"name": name, "datatype": "FP64", "shape": [-1], "encoding": {"kind": "numeric"}})
    });
    document["inputs"] = inputs.collect();
    document["features"] = json!(names);
    document["golden"] = json!([]);
    samples::manifest(document)
}

#[tokio::test(start_paused = true)]
async fn the_statistics_of_a_version_stay_within_max_bytes() {
    for (numbers, max_bytes, counted) in
        [(40, 16 << 20, 40), (400, 16 << 20, 400), (400, 4 << 20, 1)]
    {
        let settings = Settings {
            max_features: 1_000,
            max_bytes,
            ..Settings::default()
        };
        let stats = VersionStats::new(&wide(numbers).signature, settings);
        let layout = Arc::clone(stats.layout());
        assert_eq!(layout.features.len() + layout.left_out, numbers);
        // The number that fits also depends on the number of cores.
        assert!(
            layout.features.len() >= counted.min(numbers / 10),
            "{layout:?}"
        );
        for _ in 0..80 {
            for role in [Role::Primary, Role::Shadow, Role::Fallback] {
                let mut observer = stats.observe_inputs();
                for input in 0..layout.features.len() {
                    for power in -40..=63 {
                        let x = f64::from(power).exp2();
                        observer.cell(input, Observed::Number(x));
                        observer.cell(input, Observed::Number(-x));
                    }
                }
                let score = Scores::new(vec![0.75], 1).unwrap();
                let scoring = Scoring {
                    queue: Duration::from_millis(1),
                    inference: Duration::from_millis(2),
                    scores: &score,
                    top: &[],
                    is_first: true,
                };
                stats.scored(role, &observer, scoring);
            }
            time::advance(Duration::from_secs(50)).await;
        }
        let bytes = stats.heap_bytes();
        assert!(bytes <= max_bytes, "{numbers}: {bytes} of {max_bytes}");
        let read = stats.read(PRIMARY, Window::SinceLoad).unwrap();
        let Values::Numbers(x) = &read.summary.features[0].values else {
            panic!("a number")
        };
        assert_eq!(x.count(), 80 * 208);
        assert!(x.relative_error() <= 0.5);
    }
}

#[test]
fn by_default_the_sketches_of_a_version_with_twenty_inputs_have_the_smallest_error() {
    let stats = VersionStats::new(&wide(20).signature, Settings::default());
    // Two signs, eight powers of two each.
    let mut sketch = crate::insight::sketch::Sketch::within(stats.layout().budget.input);
    let values = (0..8_000).map(|at| (f64::from(at) / 1_000.0).exp2());
    sketch.extend(values.clone().chain(values.map(|x| -x)));
    assert_eq!(
        sketch.relative_error(),
        1.0 / 256.0,
        "{:?}",
        stats.layout().budget
    );
}

fn rows() -> Vec<Row> {
    let row = |a: f64, b: Option<f64>, c: &str| -> Row {
        vec![
            ("a".into(), Cell::Number(a)),
            ("b".into(), b.map_or(Cell::Missing, Cell::Number)),
            ("c".into(), Cell::Text(c.into())),
            ("secret".into(), Cell::Number(123_456.0)),
        ]
    };
    vec![
        row(0.1, Some(2.5), "c1"),
        row(99.0, None, "c1"),
        row(5.0, Some(-3.0), "c69"),
        row(5.0, Some(-3.0), "never observer"),
    ]
}

fn tensors() -> Vec<Tensor> {
    let tensor = |name: &str, data| Tensor {
        name: name.into(),
        shape: vec![4],
        data,
    };
    let texts = ["c1", "c1", "c69", "never observer"];
    vec![
        tensor("a", TensorData::Fp32(vec![0.1, 99.0, 5.0, 5.0])),
        tensor("b", TensorData::Fp64(vec![2.5, f64::NAN, -3.0, -3.0])),
        tensor("c", TensorData::Bytes(texts.map(Into::into).to_vec())),
        tensor("secret", TensorData::Fp32(vec![123_456.0; 4])),
    ]
}

fn features_of(payload: &Payload) -> Vec<Inputs> {
    let (manifest, stats) = (manifest(), stats());
    let mut observer = stats.observe_inputs();
    manifest
        .signature
        .encode_with(payload, &mut observer)
        .unwrap();
    answer(&stats, &observer);
    stats
        .read(PRIMARY, Window::Minute)
        .unwrap()
        .summary
        .features
}

#[test]
fn inputs_are_counted_alike_from_rows_and_from_tensors() {
    let features = features_of(&Payload::Rows(rows()));
    assert_eq!(features_of(&Payload::Tensors(tensors())), features);
    let [a, b, c] = &features[..] else {
        panic!("three inputs that are not sensitive, not {features:?}")
    };
    let Values::Numbers(sketch) = &a.values else {
        panic!("{a:?}")
    };
    assert_eq!(
        (sketch.max(), a.clipped, a.missing),
        (Some(10.0), 1, 0),
        "99 was moved to the end of the range"
    );
    assert_eq!((b.count(), b.missing, b.clipped), (4, 1, 0));
    let Values::Categories {
        counts,
        other,
        unknown,
    } = &c.values
    else {
        panic!("{c:?}")
    };
    assert_eq!(
        (counts.len(), counts[1], *other, *unknown),
        (MAX_CATEGORIES, 2, 1, 1)
    );
    let text = format!("{:?} {features:?}", stats().layout());
    assert!(
        !text.contains("secret") && !text.contains("123456"),
        "{text}"
    );
}

#[test]
fn only_the_first_inputs_are_counted_past_max_features_and_none_if_features_are_off() {
    let names = |settings| {
        let stats = VersionStats::new(&manifest().signature, settings);
        let layout = stats.layout();
        let names: Vec<_> = layout
            .features
            .iter()
            .map(|feature| feature.name.clone())
            .collect();
        (names, layout.left_out)
    };
    let (some, none) = (
        Settings {
            max_features: 1,
            ..Settings::default()
        },
        Settings {
            features: false,
            ..Settings::default()
        },
    );
    assert_eq!(names(some), (vec!["a".to_owned()], 2));
    assert_eq!(names(none), (vec![], 0));
}

#[test]
fn bars_contain_every_value_and_do_not_overlap() {
    let sketch: super::super::sketch::Sketch = (0..1_000).map(f64::from).collect();
    let bars = bars(&sketch, 40);
    assert_eq!(bars.len(), 40);
    assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 1_000);
    assert!(bars.windows(2).all(|two| two[0].high <= two[1].low + 1e-9));
    let one = super::bars(&[3.0; 7].into_iter().collect(), 40);
    assert_eq!(
        (one.len(), one[0].count, one[0].low, one[0].high),
        (1, 7, 3.0, 3.0)
    );
    assert!(super::bars(&Default::default(), 40).is_empty());
    let extremes = [f64::MAX, 1.0, -f64::MAX];
    let bars = super::bars(&extremes.into_iter().collect(), 40);
    assert_eq!(bars.iter().map(|bar| bar.count).sum::<u64>(), 3);
    let ends = bars.iter().flat_map(|bar| [bar.low, bar.high]);
    assert!(ends.into_iter().all(f64::is_finite), "{bars:?}");
}

#[tokio::test(start_paused = true)]
async fn the_time_before_a_window_is_the_longer_window_without_it() {
    let stats = stats();
    for a in 0..30 {
        score(&stats, f64::from(a % 10));
    }
    time::advance(Duration::from_secs(400)).await;
    for _ in 0..7 {
        score(&stats, 9.0);
    }
    let read = stats.read_and_before(PRIMARY, Window::Minute, Window::SinceLoad);
    let [last, before] = read.unwrap();
    assert_eq!((last.summary.rows, before.summary.rows), (7, 30));
    assert_eq!(
        (last.summary.requests(), before.summary.requests()),
        (7, 30)
    );
    let Values::Numbers(a) = &before.summary.features[0].values else {
        panic!("numbers")
    };
    let alone: crate::insight::sketch::Sketch = (0..30).map(|a| f64::from(a % 10)).collect();
    assert!(a.buckets().eq(alone.buckets()));
    assert!((a.mean().unwrap() - 4.5).abs() < 1e-9);
    assert_eq!(last.length + before.length, Duration::from_secs(400));
    let [all, none] = stats
        .read_and_before(PRIMARY, Window::SinceLoad, Window::Minute)
        .unwrap();
    assert_eq!((all.summary.rows, none.summary.rows), (37, 0));
}
