//! The series of the process and of models.

use std::time::Duration;

use super::super::*;
use crate::ident::Revision;

/// The values of the gauges whose names begin with `prefix`, in the order of the names.
fn values(telemetry: &Telemetry, prefix: &str) -> Vec<f64> {
    let text = telemetry.render();
    let samples = text.lines().filter(|line| line.starts_with(prefix));
    samples
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect()
}

#[test]
fn weights_count_until_their_guard_is_dropped() {
    let telemetry = Telemetry::new().unwrap();
    let now = || {
        let [draining, all] = ["taper_draining_", "taper_weights_bytes"];
        [values(&telemetry, draining), values(&telemetry, all)].concat()
    };
    assert_eq!(now(), [0.0, 0.0, 0.0]);
    let (old, new) = (telemetry.weights(1 << 40), telemetry.weights(3));
    assert_eq!(now(), [0.0, 0.0, 1_099_511_627_779.0]);
    old.draining();
    old.draining();
    assert_eq!(now(), [1.0, 1_099_511_627_776.0, 1_099_511_627_779.0]);
    drop(old);
    assert_eq!(now(), [0.0, 0.0, 3.0], "exact, without a remainder");
    drop(new);
    assert_eq!(now(), [0.0, 0.0, 0.0]);
}

#[test]
fn loads_are_counted_by_outcome_and_timed() {
    let telemetry = Telemetry::new().unwrap();
    telemetry.load_ended(true, Duration::from_secs(400));
    telemetry.load_ended(false, Duration::from_millis(1));
    telemetry.load_ended(false, Duration::from_millis(1));
    let text = telemetry.render();
    for line in [
        r#"taper_loads_total{outcome="ready"} 1"#,
        r#"taper_loads_total{outcome="failed"} 2"#,
        r#"taper_load_seconds_bucket{le="300"} 2"#,
        r#"taper_load_seconds_bucket{le="600"} 3"#,
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn resident_memory_is_in_bytes() {
    let telemetry = Telemetry::new().unwrap();
    let resident = values(&telemetry, "process_resident_memory_bytes")[0];
    assert!((1e6..1e12).contains(&resident), "{resident}");
}

fn series_of_models(telemetry: &Telemetry) -> Vec<String> {
    let text = telemetry.render();
    let of_models = text.lines().filter(|line| line.contains("model="));
    of_models.map(str::to_owned).collect()
}

#[test]
fn the_series_of_a_model_are_removed_with_it() {
    let telemetry = Telemetry::new().unwrap();
    let meters = telemetry.model(&"m".parse().unwrap()).unwrap();
    meters.revision(Revision(7));
    meters.versions(&[0, 1, 0, 0, 2, 0, 0, 3]);
    let series = series_of_models(&telemetry);
    assert_eq!(series.len(), 11, "{series:?}");
    for line in [
        r#"taper_policy_revision{model="m"} 7"#,
        r#"taper_versions{model="m",state="LOADING"} 1"#,
        r#"taper_versions{model="m",state="READY"} 2"#,
        r#"taper_versions{model="m",state="FAILED"} 3"#,
        r#"taper_versions{model="m",state="DRAINING"} 0"#,
    ] {
        assert!(
            series.iter().any(|have| have == line),
            "{line} in {series:?}"
        );
    }
    drop(meters);
    assert_eq!(series_of_models(&telemetry), [""; 0]);
}

#[test]
fn two_holders_of_a_model_share_its_series() {
    let telemetry = Telemetry::new().unwrap();
    let of_m = || telemetry.model(&"m".parse().unwrap()).unwrap();
    let (old, new) = (of_m(), of_m());
    old.revision(Revision(1));
    new.revision(Revision(2));
    drop(old);
    let series = series_of_models(&telemetry);
    assert_eq!(series.len(), 11, "each exactly once: {series:?}");
    assert!(series.contains(&r#"taper_policy_revision{model="m"} 2"#.to_owned()));
}
