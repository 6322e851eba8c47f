//! What is to be done: checked numbers, and the stretches of load in their order. Pure.

use std::{ops::RangeInclusive, time::Duration};

use super::{Args, board::Counts, generate::Load, schedule::Arrivals};
use crate::faults::Faults;

/// Requests a second where neither a rate nor a number of callers is given.
const RATE: f64 = 1_000.0;
/// Requests of an open loop that may wait for an answer, where nobody says.
pub(super) const IN_FLIGHT: usize = 1_000;
/// Length of a stretch in seconds, where two targets take turns and nobody says.
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

/// A run that can be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) load: Load,
    /// To each target; no more than can be busy.
    pub(super) connections: usize,
    /// Of load on each target.
    pub(super) duration: Duration,
    /// Before that; may be zero.
    pub(super) warm_up: Duration,
    /// Of one stretch, where two targets take turns.
    slice: Duration,
    pub(super) rows: usize,
    /// Distinct routing keys; 0: requests carry none.
    pub(super) keys: u64,
    pub(super) seed: u64,
    pub(super) threads: usize,
    /// 1, or 2 that take turns.
    targets: usize,
}

/// One stretch of load on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Which target: 0 or 1.
    pub(super) target: usize,
    pub(super) length: Duration,
    /// Which round it belongs to; `None`: the warm-up, which does not count.
    pub(super) round: Option<u64>,
}

impl Plan {
    /// # Errors
    /// All that is wrong with the flags.
    pub(super) fn check(args: &Args) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        within(&mut faults, "--rate", args.rate, RATES);
        within(&mut faults, "--concurrency", args.concurrency, CALLERS);
        within(
            &mut faults,
            "--connections",
            Some(args.connections),
            CONNECTIONS,
        );
        within(&mut faults, "--duration", Some(args.duration), DURATIONS);
        within(&mut faults, "--warmup", Some(args.warmup), WARM_UPS);
        within(&mut faults, "--slice", args.slice, SLICES);
        within(&mut faults, "--rows", Some(args.rows), ROWS);
        within(&mut faults, "--keys", args.keys, KEYS);
        within(
            &mut faults,
            "--max-in-flight",
            args.max_in_flight,
            IN_FLIGHTS,
        );
        within(&mut faults, "--threads", Some(args.threads), THREADS);
        for (flag, beside, both, why) in [
            (
                "--concurrency",
                "--rate",
                args.rate.is_some(),
                "a loop is closed or open",
            ),
            (
                "--concurrency",
                "--max-in-flight",
                args.max_in_flight.is_some(),
                "callers that wait are bounded by their number",
            ),
            (
                "--concurrency",
                "--uniform",
                args.uniform,
                "callers that wait send when they are answered",
            ),
        ] {
            if both && args.concurrency.is_some() {
                faults.add(
                    flag,
                    "",
                    format!("got it beside {beside}, wants one: {why}"),
                );
            }
        }
        if args.version.is_some() && args.label.is_some() {
            faults.add("--label", "", "got it beside --version, wants one of them");
        }
        if args.slice.is_some() && args.against.is_none() {
            faults.add(
                "--slice",
                "",
                "got it without --against, wants two targets that take turns",
            );
        }
        faults.into_result()?;
        let load = match args.concurrency {
            Some(callers) => Load::Closed(callers),
            None => Load::Open {
                rate: args.rate.unwrap_or(RATE),
                arrivals: match args.uniform {
                    true => Arrivals::Even,
                    false => Arrivals::Poisson(args.seed),
                },
                most_in_flight: args.max_in_flight.unwrap_or(IN_FLIGHT),
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

    /// Stretches in their order: the warm-ups, then the rounds. One target has one round; two take turns in short ones, and
    /// another one begins each round, so that a drift of the machine hits both alike.
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        let warm_ups = (0..self.targets).filter(|_| !self.warm_up.is_zero());
        let mut stretches: Vec<_> = warm_ups
            .map(|target| Stretch {
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
            stretches.extend(turns.into_iter().map(|target| Stretch {
                target,
                length: self.duration / rounds,
                round: Some(round.into()),
            }));
        }
        stretches
    }

    /// The load of a stretch. Both targets get the same times in a round, and other ones in each round.
    pub(super) fn load_in(&self, stretch: &Stretch) -> Load {
        match self.load {
            Load::Open {
                rate,
                arrivals: Arrivals::Poisson(seed),
                most_in_flight,
            } => Load::Open {
                rate,
                arrivals: Arrivals::Poisson(
                    seed.wrapping_add(stretch.round.map_or(0, |round| round + 1)),
                ),
                most_in_flight,
            },
            load => load,
        }
    }
}

/// Requests that a stretch took from the row of all requests of its target.
pub(super) fn taken(counts: Counts) -> u64 {
    counts.sent + counts.not_sent
}

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
        let line = Line::try_parse_from(words).expect("it reads");
        Plan::check(&line.args).map_err(|faults| faults.to_string())
    }

    #[test]
    fn without_flags_the_loop_is_open() {
        let plan = plan("").unwrap();
        let want = Load::Open {
            rate: 1_000.0,
            arrivals: Arrivals::Poisson(1),
            most_in_flight: IN_FLIGHT,
        };
        assert_eq!(plan.load, want);
        assert_eq!((plan.duration.as_secs(), plan.warm_up.as_secs()), (10, 1));
    }

    #[test]
    fn a_closed_loop_needs_no_more_connections_than_callers() {
        let plan = plan("--concurrency 2 --connections 8").unwrap();
        assert_eq!((plan.load, plan.connections), (Load::Closed(2), 2));
    }

    #[test]
    fn all_wrong_flags_are_named_at_once() {
        let told = plan(
            "--rate 0 --concurrency 0 --connections 0 --duration 4000 --warmup NaN --slice 1 --rows 0 --keys 0 \
             --max-in-flight 0 --threads 0 --uniform --version 1 --label stable",
        );
        insta::assert_snapshot!(told.unwrap_err(), @r"
        --rate: got 0, wants 0.1 to 1000000
        --concurrency: got 0, wants 1 to 10000
        --connections: got 0, wants 1 to 1000
        --duration: got 4000, wants 0.1 to 3600
        --warmup: got NaN, wants 0 to 600
        --rows: got 0, wants 1 to 16384
        --keys: got 0, wants 1 to 1000000000
        --max-in-flight: got 0, wants 1 to 100000
        --threads: got 0, wants 1 to 64
        --concurrency: got it beside --rate, wants one: a loop is closed or open
        --concurrency: got it beside --max-in-flight, wants one: callers that wait are bounded by their number
        --concurrency: got it beside --uniform, wants one: callers that wait send when they are answered
        --label: got it beside --version, wants one of them
        --slice: got it without --against, wants two targets that take turns
        ");
    }

    #[test]
    fn two_targets_take_turns_and_neither_always_goes_first() {
        let plan = plan("--against h:1 --duration 3 --slice 1.2 --warmup 0.5").unwrap();
        let stretches = plan.stretches();
        let order: Vec<_> = stretches
            .iter()
            .map(|one| (one.target, one.round, one.length.as_millis()))
            .collect();
        let want = [
            (0, None, 500),
            (1, None, 500),
            (0, Some(0), 1_000),
            (1, Some(0), 1_000),
            (1, Some(1), 1_000),
            (0, Some(1), 1_000),
            (0, Some(2), 1_000),
            (1, Some(2), 1_000),
        ];
        assert_eq!(order, want);
        let loads: Vec<_> = stretches.iter().map(|one| plan.load_in(one)).collect();
        assert_eq!(loads[2], loads[3], "the same times for both");
        assert_ne!(loads[3], loads[4], "and others in the next round");
        assert_ne!(loads[1], loads[2], "and in the warm-up");
    }

    #[test]
    fn one_target_is_loaded_without_a_break() {
        let stretches = plan("--warmup 0 --duration 30").unwrap().stretches();
        let want = Stretch {
            target: 0,
            length: Duration::from_secs(30),
            round: Some(0),
        };
        assert_eq!(stretches, [want]);
    }

    proptest! {
        #[test]
        fn both_targets_get_all_of_the_duration_and_no_stretch_is_longer_than_asked(
            tenths in 1..2_000u32, slice in 1..600u32
        ) {
            let flags = format!(
                "--against h:1 --duration {} --slice {}",
                f64::from(tenths) / 10.0,
                f64::from(slice) / 10.0
            );
            let plan = plan(&flags).unwrap();
            let stretches = plan.stretches();
            for target in 0..2 {
                let own = stretches.iter().filter(|one| one.target == target && one.round.is_some());
                let total: Duration = own.clone().map(|one| one.length).sum();
                prop_assert!(plan.duration - total < Duration::from_millis(1));
                prop_assert!(own.into_iter().all(|one| one.length <= plan.slice));
            }
        }
    }
}
