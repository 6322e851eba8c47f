use super::*;
use crate::loadgen::board::{Board, Outcome};

const MILLISECOND: Duration = Duration::from_millis(1);

/// What a target saw that answered `answers` requests in so many milliseconds each, and refused one.
pub(in crate::loadgen) fn seen(answers: u64, millis: u32) -> Tally {
    let board = Board::default();
    for at in 0..answers {
        board.sent_late(0, MILLISECOND / 100);
        let outcome = Outcome::Answered(1 + at % 4 / 3);
        board.ended(0, outcome, MILLISECOND * millis, true);
    }
    board.sent_late(0, MILLISECOND / 100);
    let code = Code::ResourceExhausted;
    let message = "compute is at its limit".to_owned();
    board.ended(0, Outcome::Failed { code, message }, MILLISECOND, true);
    board.total()
}

pub(in crate::loadgen) fn round(at: u64) -> Stretch {
    Stretch {
        target: 0,
        length: MILLISECOND * 1_000,
        round: Some(at),
    }
}

/// Two rounds of such a target after a warm-up.
pub(in crate::loadgen) fn gathered(first: u32, second: u32) -> Gathered {
    let mut gathered = Gathered::default();
    gathered.first_answer();
    let warm_up = Stretch {
        round: None,
        ..round(0)
    };
    gathered.add(&warm_up, &seen(9, 100), warm_up.length);
    for (at, millis) in [(0, first), (1, second)] {
        gathered.add(&round(at), &seen(100, millis), round(at).length);
    }
    gathered
}

#[test]
fn every_request_is_told_and_the_warm_up_is_not_measured() {
    let told = gathered(2, 2).told("a:1");
    let want = Requests {
        warm_up: 11,
        answered: 200,
        failed: 2,
        unanswered: 0,
        not_sent: 0,
        sent: 202,
    };
    assert_eq!(told.requests, want);
    assert!((told.answers_per_second - 100.0).abs() < 1e-9);
    let latency = told.latency.expect("answers");
    assert!((latency.max_ms - 2.0).abs() < 0.01, "{latency:?}");
    assert_eq!(told.errors.len(), 1);
    assert_eq!(
        (told.errors[0].code, told.errors[0].requests),
        ("RESOURCE_EXHAUSTED", 2)
    );
    let shares: Vec<_> = told
        .versions
        .iter()
        .map(|one| (one.version, one.requests))
        .collect();
    assert_eq!(shares, [(1, 150), (2, 50)]);
    assert!((told.versions[0].share - 0.75).abs() < 1e-9);
}

#[test]
fn the_ratio_is_second_to_first_with_the_rounds_between_which_it_lay() {
    let ratios = Ratios::of(&gathered(2, 2), &gathered(2, 4)).expect("both answered");
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
fn nothing_is_compared_with_silence() {
    assert_eq!(Ratios::of(&gathered(1, 1), &Gathered::default()), None);
    let silent = Gathered::default().told("a:1");
    assert_eq!((silent.latency, silent.answers_per_second), (None, 0.0));
}
