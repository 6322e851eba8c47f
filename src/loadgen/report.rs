//! Sums up the measurements. Pure functions.

use std::time::Duration;

use serde::Serialize;
use tonic::Code;

use super::{
    generate::Load,
    plan::{Phase, Plan},
    results::Tally,
    schedule::Arrivals,
    times::Times,
};
use crate::client::code_name;

/// The report of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) load: Loop,
    pub(super) connections: usize,
    pub(super) rows_per_request: usize,
    pub(super) keys: u64,
    pub(super) seed: u64,
    /// A signal ended the run early.
    pub(super) interrupted: bool,
    pub(super) targets: Vec<TargetReport>,
    /// Figures of the second target divided by those of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<Ratios>,
}

/// How requests were sent.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "loop", rename_all = "snake_case")]
pub(super) enum Loop {
    Open {
        rate: f64,
        arrivals: &'static str,
        max_in_flight: usize,
    },
    Closed {
        concurrency: usize,
    },
}

impl From<Load> for Loop {
    fn from(load: Load) -> Self {
        match load {
            Load::Closed(concurrency) => Self::Closed { concurrency },
            Load::Open {
                rate,
                arrivals,
                max_in_flight,
            } => Self::Open {
                rate,
                arrivals: match arrivals {
                    Arrivals::Even => "uniform",
                    Arrivals::Poisson(_) => "poisson",
                },
                max_in_flight,
            },
        }
    }
}

/// The results of one target.
#[derive(Debug, Serialize)]
pub(super) struct TargetReport {
    pub(super) address: String,
    pub(super) requests: Requests,
    /// Length of the measurement.
    pub(super) seconds: f64,
    /// Only answers that came before the end of their phase count.
    pub(super) answers_per_second: f64,
    pub(super) latency: Option<Latency>,
    /// Delay between due time and sending in an open loop; part of the latencies.
    pub(super) sent_late: Option<Latency>,
    pub(super) errors: Vec<ErrorCount>,
    pub(super) versions: Vec<VersionReport>,
}

/// Numbers of requests. Each request that was due is in exactly one of `answered`, `failed`, `unanswered` and `not_sent`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Requests {
    /// Sent before the measurement.
    pub(super) warm_up: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
    /// In flight when the run ended.
    pub(super) unanswered: u64,
    /// Due while the maximum number was in flight.
    pub(super) not_sent: u64,
    /// `answered + failed + unanswered`.
    pub(super) sent: u64,
}

/// Quantiles of latency in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p99_9_ms: f64,
    pub(super) max_ms: f64,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ErrorCount {
    pub(super) code: &'static str,
    pub(super) requests: u64,
    /// The first message.
    pub(super) message: String,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct VersionReport {
    pub(super) version: u64,
    pub(super) requests: u64,
    /// Share of all answers, 0 to 1.
    pub(super) share: f64,
    #[serde(flatten)]
    pub(super) latency: Option<Latency>,
}

impl Latency {
    pub(super) fn of(times: &Times) -> Option<Self> {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        (times.count() > 0).then(|| Self {
            p50_ms: ms(times.quantile(0.5)),
            p90_ms: ms(times.quantile(0.9)),
            p99_ms: ms(times.quantile(0.99)),
            p99_9_ms: ms(times.quantile(0.999)),
            max_ms: ms(times.longest()),
        })
    }
}

/// The figures by which two targets are compared; `None` without answers.
type Figures = Option<[f64; 6]>;

fn figures(tally: &Tally, lasted: Duration) -> Figures {
    let latency = Latency::of(&tally.latency())?;
    Some([
        per_second(tally, lasted),
        latency.p50_ms,
        latency.p90_ms,
        latency.p99_ms,
        latency.p99_9_ms,
        latency.max_ms,
    ])
}

fn per_second(tally: &Tally, lasted: Duration) -> f64 {
    if lasted.is_zero() {
        return 0.0;
    }
    tally.counts.in_time as f64 / lasted.as_secs_f64()
}

/// The measurements of one target.
#[derive(Debug, Default)]
pub(super) struct Measurements {
    warm_up: u64,
    total: Tally,
    lasted: Duration,
    rounds: Vec<Figures>,
}

impl Measurements {
    /// Counts the first request, which was answered.
    pub(super) fn first_answer(&mut self) {
        self.warm_up += 1;
    }

    /// Adds the results of a phase that took this long.
    pub(super) fn add(&mut self, phase: &Phase, tally: &Tally, lasted: Duration) {
        if phase.round.is_none() {
            self.warm_up += tally.counts.sent;
            return;
        }
        self.total.add(tally);
        self.lasted += lasted;
        self.rounds.push(figures(tally, lasted));
    }

    fn report(&self, address: &str) -> TargetReport {
        let (counts, latency) = (self.total.counts, self.total.latency());
        let errors = self
            .total
            .errors
            .iter()
            .map(|(code, (requests, message))| ErrorCount {
                code: code_name(Code::from(*code)),
                requests: *requests,
                message: message.clone(),
            });
        let versions = self
            .total
            .versions
            .iter()
            .map(|(version, times)| VersionReport {
                version: *version,
                requests: times.count(),
                share: times.count() as f64 / counts.answered.max(1) as f64,
                latency: Latency::of(times),
            });
        TargetReport {
            address: address.to_owned(),
            requests: Requests {
                warm_up: self.warm_up,
                answered: counts.answered,
                failed: counts.failed,
                unanswered: counts.unfinished(),
                not_sent: counts.not_sent,
                sent: counts.sent,
            },
            seconds: self.lasted.as_secs_f64(),
            answers_per_second: per_second(&self.total, self.lasted),
            latency: Latency::of(&latency),
            sent_late: Latency::of(&self.total.late),
            errors: errors.collect(),
            versions: versions.collect(),
        }
    }
}

/// Returns the report about the targets at these addresses.
pub(super) fn report(
    model: &str,
    plan: &Plan,
    measurements: &[(String, Measurements)],
    interrupted: bool,
) -> Report {
    let ratio = match measurements {
        [(_, first), (_, second)] => Ratios::of(first, second),
        _ => None,
    };
    let targets = measurements
        .iter()
        .map(|(address, own)| own.report(address));
    Report {
        model: model.to_owned(),
        load: plan.load.into(),
        connections: plan.connections,
        rows_per_request: plan.rows,
        keys: plan.keys,
        seed: plan.seed,
        interrupted,
        targets: targets.collect(),
        ratio,
    }
}

/// A figure of the second target over that of the first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// Over all rounds.
    pub(super) all: f64,
    /// The lowest of any round.
    pub(super) lowest: f64,
    /// The highest of any round.
    pub(super) highest: f64,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Ratios {
    pub(super) answers_per_second: Ratio,
    pub(super) p50: Ratio,
    pub(super) p90: Ratio,
    pub(super) p99: Ratio,
    pub(super) p99_9: Ratio,
    pub(super) max: Ratio,
}

impl Ratios {
    /// Returns `None` if one of them answered nothing.
    fn of(first: &Measurements, second: &Measurements) -> Option<Self> {
        let all = figures(&first.total, first.lasted).zip(figures(&second.total, second.lasted))?;
        let rounds = first.rounds.iter().zip(&second.rounds);
        let rounds: Vec<_> = rounds.filter_map(|(one, other)| one.zip(*other)).collect();
        let ratio = |at: usize| {
            let of = |pair: &([f64; 6], [f64; 6])| pair.1[at] / pair.0[at];
            let each = || rounds.iter().map(of).filter(|ratio| ratio.is_finite());
            Ratio {
                all: of(&all),
                lowest: each().fold(of(&all), f64::min),
                highest: each().fold(of(&all), f64::max),
            }
        };
        Some(Self {
            answers_per_second: ratio(0),
            p50: ratio(1),
            p90: ratio(2),
            p99: ratio(3),
            p99_9: ratio(4),
            max: ratio(5),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
