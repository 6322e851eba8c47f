use super::*;
use crate::loadgen::results::{Outcome, Recorder};

const MILLISECOND: Duration = Duration::from_millis(1);

/// The results of a target that answered `answers` requests in `millis` milliseconds each and refused one.
pub(in crate::loadgen) fn tally(answers: u64, millis: u32) -> Tally {
    let recorder = Recorder::default();
    for at in 0..answers {
        recorder.count_sent_open_loop(0, MILLISECOND / 100);
        let outcome = Outcome::Answered(1 + at % 4 / 3);
        recorder.record_outcome(0, outcome, MILLISECOND * millis, true);
    }
    recorder.count_sent_open_loop(0, MILLISECOND / 100);
    let code = Code::ResourceExhausted;
    let message = "compute is at its limit".to_owned();
    recorder.record_outcome(0, Outcome::Failed { code, message }, MILLISECOND, true);
    recorder.total()
}

pub(in crate::loadgen) fn round(at: u64) -> Phase {
    Phase {
        target: 0,
        length: MILLISECOND * 1_000,
        round: Some(at),
    }
}

/// The measurements of two rounds of such a target after a warm-up.
pub(in crate::loadgen) fn measurements(first: u32, second: u32) -> Measurements {
    let mut measurements = Measurements::default();
    measurements.first_answer();
    let warm_up = Phase {
        round: None,
        ..round(0)
    };
    measurements.add(&warm_up, &tally(9, 100), warm_up.length);
    for (at, millis) in [(0, first), (1, second)] {
        measurements.add(&round(at), &tally(100, millis), round(at).length);
    }
    measurements
}

#[test]
fn every_request_is_reported_and_the_warm_up_is_not_measured() {
    let report = measurements(2, 2).report("a:1");
    let expected = Requests {
        warm_up: 11,
        answered: 200,
        failed: 2,
        unanswered: 0,
        not_sent: 0,
        sent: 202,
    };
    assert_eq!(report.requests, expected);
    assert!((report.answers_per_second - 100.0).abs() < 1e-9);
    let latency = report.latency.expect("answers");
    assert!((latency.max_ms - 2.0).abs() < 0.01, "{latency:?}");
    assert_eq!(report.errors.len(), 1);
    assert_eq!(
        (report.errors[0].code, report.errors[0].requests),
        ("RESOURCE_EXHAUSTED", 2)
    );
    let shares: Vec<_> = report
        .versions
        .iter()
        .map(|one| (one.version, one.requests))
        .collect();
    assert_eq!(shares, [(1, 150), (2, 50)]);
    assert!((report.versions[0].share - 0.75).abs() < 1e-9);
}

#[test]
fn the_ratio_is_second_to_first_with_the_lowest_and_highest_round() {
    let ratios = Ratios::of(&measurements(2, 2), &measurements(2, 4)).expect("both answered");
    let near = |got: f64, want: f64| (got - want).abs() < 0.01;
    let max = ratios.max;
    assert!(
        near(max.all, 2.0) && near(max.lowest, 1.0) && near(max.highest, 2.0),
        "{max:?}"
    );
    let rate = ratios.answers_per_second;
    assert!(near(rate.all, 1.0) && near(rate.lowest, 1.0), "{rate:?}");
}

#[test]
fn a_target_without_answers_has_no_ratio() {
    assert_eq!(
        Ratios::of(&measurements(1, 1), &Measurements::default()),
        None
    );
    let silent = Measurements::default().report("a:1");
    assert_eq!((silent.latency, silent.answers_per_second), (None, 0.0));
}
