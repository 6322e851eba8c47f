//! Tables of medians, in Markdown. A ratio is taken within each round, because the machine's speed changes between rounds.

use std::fmt::Write;

use crate::client::{Load, Sample};
use crate::spread::Spread;

/// The servers that the others are compared with.
const FLOORS: [&str; 3] = ["echo", "echo + forward", "gateway"];

/// All samples so far.
#[derive(Default)]
pub(crate) struct Report {
    /// Samples by load and server, in the order of their first sample; one per round.
    samples: Vec<(Load, &'static str, Vec<Sample>)>,
}

impl Report {
    pub(crate) fn add(&mut self, load: Load, server: &'static str, sample: Sample) {
        let mut samples = self.samples.iter_mut();
        match samples.find(|(of, name, _)| (*of, *name) == (load, server)) {
            Some((_, _, rounds)) => rounds.push(sample),
            None => self.samples.push((load, server, vec![sample])),
        }
    }

    /// Returns the number of all answers of `server`.
    pub(crate) fn sent(&self, server: &str) -> u64 {
        let own = self.samples.iter().filter(|(_, name, _)| *name == server);
        let rounds = own.flat_map(|(_, _, rounds)| rounds);
        rounds.map(|sample| sample.sent).sum()
    }

    /// Returns the median of answers per second.
    pub(crate) fn throughput(&self, load: Load, server: &str) -> f64 {
        Spread::of(&self.values(load, server, &throughput)).median
    }

    /// Prints the results of every server under `load`; ratios are those of `compared`.
    pub(crate) fn table(&self, load: Load, compared: &str) -> String {
        let value: &dyn Fn(&Sample) -> f64 = match compared {
            "p99" => &|sample| quantile(sample, 0.99),
            _ => &throughput,
        };
        let mut table =
            String::from("| server | requests/s | p50 µs | p99 µs | p99.9 µs | server CPU µs |");
        let mut rule = String::from("|---|---|---|---|---|---|");
        for floor in FLOORS {
            write!(table, " {compared} to {floor} |").expect("text takes text");
            rule.push_str("---|");
        }
        writeln!(table, "\n{rule}").expect("text takes text");
        for (_, server, _) in self.samples.iter().filter(|(of, _, _)| *of == load) {
            let show = |value: &dyn Fn(&Sample) -> f64, decimals| {
                Spread::of(&self.values(load, server, value)).show(decimals)
            };
            let cells = [
                (*server).to_owned(),
                show(&throughput, 0),
                show(&|sample| quantile(sample, 0.5), 0),
                show(&|sample| quantile(sample, 0.99), 0),
                show(&|sample| quantile(sample, 0.999), 0),
                show(&|sample| sample.cpu.as_secs_f64() * 1e6, 1),
            ];
            let ratios = FLOORS.map(|floor| self.ratio(load, server, floor, value).show(2));
            writeln!(table, "| {} | {} |", cells.join(" | "), ratios.join(" | "))
                .expect("text takes text");
        }
        table
    }

    /// Returns by how many microseconds the median latency of `server` is above that of `other`.
    pub(crate) fn p50_above(&self, load: Load, server: &str, other: &str) -> String {
        let value = |sample: &Sample| quantile(sample, 0.5);
        self.paired(load, server, other, &value, |own, floor| own - floor)
            .show(1)
    }

    fn ratio(
        &self,
        load: Load,
        server: &str,
        floor: &str,
        value: &dyn Fn(&Sample) -> f64,
    ) -> Spread {
        self.paired(load, server, floor, value, |own, floor| own / floor)
    }

    fn paired(
        &self,
        load: Load,
        server: &str,
        floor: &str,
        value: &dyn Fn(&Sample) -> f64,
        with: impl Fn(f64, f64) -> f64,
    ) -> Spread {
        let [own, floor] = [server, floor].map(|server| self.values(load, server, value));
        let pairs = own.iter().zip(&floor);
        Spread::of(
            &pairs
                .map(|(own, floor)| with(*own, *floor))
                .collect::<Vec<_>>(),
        )
    }

    /// Returns a value for each round.
    fn values(&self, load: Load, server: &str, value: &dyn Fn(&Sample) -> f64) -> Vec<f64> {
        let mut samples = self.samples.iter();
        let own = samples.find(|(of, name, _)| (*of, *name) == (load, server));
        let (_, _, rounds) =
            own.unwrap_or_else(|| panic!("{server} was not measured under {load:?}"));
        rounds.iter().map(value).collect()
    }
}

fn throughput(sample: &Sample) -> f64 {
    sample.throughput
}

/// Returns a quantile in microseconds.
fn quantile(sample: &Sample, quantile: f64) -> f64 {
    sample.latency.quantile(quantile).as_secs_f64() * 1e6
}
