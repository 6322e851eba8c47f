//! Checked arguments, and the phases of load in their order. Pure functions.

use std::{ops::RangeInclusive, time::Duration};

use super::{Args, generate::Load, results::Counts, schedule::Arrivals};
use crate::faults::Faults;

/// Default rate in requests per second, without a rate and a number of callers.
const RATE: f64 = 1_000.0;
/// Default of the most requests in flight of an open loop.
pub(super) const IN_FLIGHT: usize = 1_000;
/// Default length in seconds of a phase, with two targets in turn.
pub(super) const SLICE: f64 = 1.0;

const RATES: RangeInclusive<f64> = 0.1..=1_000_000.0;
const CALLERS: RangeInclusive<usize> = 1..=10_000;
const CONNECTIONS: RangeInclusive<usize> = 1..=1_000;
const THREADS: RangeInclusive<usize> = 1..=64;
const ROWS: RangeInclusive<usize> = 1..=16_384;
const KEYS: RangeInclusive<u64> = 1..=1_000_000_000;
const IN_FLIGHTS: RangeInclusive<usize> = 1..=100_000;
const DURATIONS: RangeInclusive<f64> = 0.1..=3_600.0;
const WARM_UPS: RangeInclusive<f64> = 0.0..=600.0;
const SLICES: RangeInclusive<f64> = 0.1..=60.0;

/// The valid arguments of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) load: Load,
    /// Connections to each target; no more than there can be concurrent requests.
    pub(super) connections: usize,
    /// Length of the measurement of each target.
    pub(super) duration: Duration,
    /// Length of the warm-up before that; may be zero.
    pub(super) warm_up: Duration,
    /// Longest phase, with two targets in turn.
    slice: Duration,
    pub(super) rows: usize,
    /// Distinct routing keys; 0: requests have none.
    pub(super) keys: u64,
    pub(super) seed: u64,
    pub(super) threads: usize,
    /// 1, or 2 in turn.
    targets: usize,
}

/// One period of load on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// Which target: 0 or 1.
    pub(super) target: usize,
    pub(super) length: Duration,
    /// The round; `None`: the warm-up, which is not measured.
    pub(super) round: Option<u64>,
}

impl Plan {
    /// Checks the arguments.
    ///
    /// # Errors
    /// Returns all faults of the flags.
    pub(super) fn check(args: &Args) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        check_ranges(args, &mut faults);
        check_conflicts(args, &mut faults);
        faults.into_result()?;
        let load = match args.concurrency {
            Some(callers) => Load::Closed(callers),
            None => Load::Open {
                rate: args.rate.unwrap_or(RATE),
                arrivals: match args.uniform {
                    true => Arrivals::Even,
                    false => Arrivals::Poisson(args.seed),
                },
                max_in_flight: args.max_in_flight.unwrap_or(IN_FLIGHT),
            },
        };
        Ok(Self {
            load,
            connections: match load {
                Load::Closed(callers) => callers.min(args.connections),
                Load::Open { .. } => args.connections,
            },
            duration: Duration::from_secs_f64(args.duration),
            warm_up: Duration::from_secs_f64(args.warmup),
            slice: Duration::from_secs_f64(args.slice.unwrap_or(SLICE)),
            rows: args.rows,
            keys: args.keys.unwrap_or(0),
            seed: args.seed,
            threads: args.threads,
            targets: 1 + usize::from(args.against.is_some()),
        })
    }

    /// Returns the phases in their order: the warm-ups, then the rounds. One target has a single round. Two targets have short rounds in which
    /// each gets one phase; they alternate in going first, so that a drift of the machine affects both alike.
    pub(super) fn phases(&self) -> Vec<Phase> {
        let warm_ups = (0..self.targets).filter(|_| !self.warm_up.is_zero());
        let mut phases: Vec<_> = warm_ups
            .map(|target| Phase {
                target,
                length: self.warm_up,
                round: None,
            })
            .collect();
        let rounds = match self.targets {
            1 => 1,
            _ => self.duration.as_nanos().div_ceil(self.slice.as_nanos()),
        };
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        for round in 0..rounds {
            let mut turns: Vec<_> = (0..self.targets).collect();
            turns.rotate_left(round as usize % self.targets);
            phases.extend(turns.into_iter().map(|target| Phase {
                target,
                length: self.duration / rounds,
                round: Some(round.into()),
            }));
        }
        phases
    }

    /// Returns the load of a phase. In one round both targets get the same arrival times; each round has different ones.
    pub(super) fn load_in(&self, phase: &Phase) -> Load {
        match self.load {
            Load::Open {
                rate,
                arrivals: Arrivals::Poisson(seed),
                max_in_flight,
            } => Load::Open {
                rate,
                arrivals: Arrivals::Poisson(
                    seed.wrapping_add(phase.round.map_or(0, |round| round + 1)),
                ),
                max_in_flight,
            },
            load => load,
        }
    }
}

/// Returns how many request numbers a phase used.
pub(super) fn used_numbers(counts: Counts) -> u64 {
    counts.sent + counts.not_sent
}

/// Adds a fault if a value is outside its range.
fn within<T: PartialOrd + std::fmt::Display>(
    faults: &mut Faults,
    flag: &str,
    got: Option<T>,
    wanted: RangeInclusive<T>,
) {
    if let Some(got) = got.filter(|got| !wanted.contains(got)) {
        let (least, most) = wanted.into_inner();
        faults.add(flag, "", format!("got {got}, wants {least} to {most}"));
    }
}

/// Adds a fault for each number outside its range.
fn check_ranges(args: &Args, faults: &mut Faults) {
    within(faults, "--rate", args.rate, RATES);
    within(faults, "--concurrency", args.concurrency, CALLERS);
    within(faults, "--connections", Some(args.connections), CONNECTIONS);
    within(faults, "--duration", Some(args.duration), DURATIONS);
    within(faults, "--warmup", Some(args.warmup), WARM_UPS);
    within(faults, "--slice", args.slice, SLICES);
    within(faults, "--rows", Some(args.rows), ROWS);
    within(faults, "--keys", args.keys, KEYS);
    within(faults, "--max-in-flight", args.max_in_flight, IN_FLIGHTS);
    within(faults, "--threads", Some(args.threads), THREADS);
}

/// Adds a fault for each pair of flags that exclude each other, and for a flag without the one that it needs.
fn check_conflicts(args: &Args, faults: &mut Faults) {
    for (other, given, why) in [
        ("--rate", args.rate.is_some(), "a loop is closed or open"),
        (
            "--max-in-flight",
            args.max_in_flight.is_some(),
            "the number of callers limits the requests in flight",
        ),
        (
            "--uniform",
            args.uniform,
            "callers of a closed loop send when they are answered",
        ),
    ] {
        if given && args.concurrency.is_some() {
            let message = format!("got it together with {other}, wants one of them: {why}");
            faults.add("--concurrency", "", message);
        }
    }
    if args.version.is_some() && args.label.is_some() {
        let message = "got it together with --version, wants one of them";
        faults.add("--label", "", message);
    }
    if args.slice.is_some() && args.against.is_none() {
        let message = "got it without --against, wants two targets";
        faults.add("--slice", "", message);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(flags: &str) -> Result<Plan, String> {
        let words = ["bench", "m"].into_iter().chain(flags.split_whitespace());
        let line = Line::try_parse_from(words).expect("valid syntax");
        Plan::check(&line.args).map_err(|faults| faults.to_string())
    }

    #[test]
    fn without_flags_the_loop_is_open() {
        let plan = plan("").unwrap();
        let expected = Load::Open {
            rate: 1_000.0,
            arrivals: Arrivals::Poisson(1),
            max_in_flight: IN_FLIGHT,
        };
        assert_eq!(plan.load, expected);
        assert_eq!((plan.duration.as_secs(), plan.warm_up.as_secs()), (10, 1));
    }

    #[test]
    fn a_closed_loop_needs_no_more_connections_than_callers() {
        let plan = plan("--concurrency 2 --connections 8").unwrap();
        assert_eq!((plan.load, plan.connections), (Load::Closed(2), 2));
    }

    #[test]
    fn all_invalid_flags_are_reported_together() {
        let faults = plan(
            "--rate 0 --concurrency 0 --connections 0 --duration 4000 --warmup NaN --slice 1 --rows 0 --keys 0 \
             --max-in-flight 0 --threads 0 --uniform --version 1 --label stable",
        );
        insta::assert_snapshot!(faults.unwrap_err(), @r"
        --rate: got 0, wants 0.1 to 1000000
        --concurrency: got 0, wants 1 to 10000
        --connections: got 0, wants 1 to 1000
        --duration: got 4000, wants 0.1 to 3600
        --warmup: got NaN, wants 0 to 600
        --rows: got 0, wants 1 to 16384
        --keys: got 0, wants 1 to 1000000000
        --max-in-flight: got 0, wants 1 to 100000
        --threads: got 0, wants 1 to 64
        --concurrency: got it together with --rate, wants one of them: a loop is closed or open
        --concurrency: got it together with --max-in-flight, wants one of them: the number of callers limits the requests in flight
        --concurrency: got it together with --uniform, wants one of them: callers of a closed loop send when they are answered
        --label: got it together with --version, wants one of them
        --slice: got it without --against, wants two targets
        ");
    }

    #[test]
    fn two_targets_alternate_in_going_first() {
        let plan = plan("--against h:1 --duration 3 --slice 1.2 --warmup 0.5").unwrap();
        let phases = plan.phases();
        let order: Vec<_> = phases
            .iter()
            .map(|one| (one.target, one.round, one.length.as_millis()))
            .collect();
        let expected = [
            (0, None, 500),
            (1, None, 500),
            (0, Some(0), 1_000),
            (1, Some(0), 1_000),
            (1, Some(1), 1_000),
            (0, Some(1), 1_000),
            (0, Some(2), 1_000),
            (1, Some(2), 1_000),
        ];
        assert_eq!(order, expected);
        let loads: Vec<_> = phases.iter().map(|one| plan.load_in(one)).collect();
        assert_eq!(loads[2], loads[3], "the same times for both");
        assert_ne!(loads[3], loads[4], "and others in the next round");
        assert_ne!(loads[1], loads[2], "and in the warm-up");
    }

    #[test]
    fn one_target_is_loaded_without_pause() {
        let phases = plan("--warmup 0 --duration 30").unwrap().phases();
        let expected = Phase {
            target: 0,
            length: Duration::from_secs(30),
            round: Some(0),
        };
        assert_eq!(phases, [expected]);
    }

    proptest! {
        #[test]
        fn both_targets_get_the_whole_duration_and_no_phase_exceeds_the_slice(
            tenths in 1..2_000u32, slice in 1..600u32
        ) {
            let flags = format!(
                "--against h:1 --duration {} --slice {}",
                f64::from(tenths) / 10.0,
                f64::from(slice) / 10.0
            );
            let plan = plan(&flags).unwrap();
            let phases = plan.phases();
            for target in 0..2 {
                let own = phases.iter().filter(|one| one.target == target && one.round.is_some());
                let total: Duration = own.clone().map(|one| one.length).sum();
                prop_assert!(plan.duration - total < Duration::from_millis(1));
                prop_assert!(own.into_iter().all(|one| one.length <= plan.slice));
            }
        }
    }
}
