//! Tables of medians, in Markdown.

use std::fmt::Write;

use crate::client::{Load, Sample};

/// The server that the others are held against.
const FLOOR: &str = "echo";

/// All samples so far.
#[derive(Default)]
pub(crate) struct Report {
    samples: Vec<(Load, &'static str, Sample)>,
}

impl Report {
    pub(crate) fn add(&mut self, load: Load, server: &'static str, sample: Sample) {
        self.samples.push((load, server, sample));
    }

    /// Answers that `server` gave in all.
    pub(crate) fn sent(&self, server: &str) -> u64 {
        let own = self.samples.iter().filter(|(_, name, _)| *name == server);
        own.map(|(_, _, sample)| sample.sent).sum()
    }

    /// Median of answers a second.
    pub(crate) fn throughput(&self, load: Load, server: &str) -> f64 {
        self.of(load, server, |sample| sample.throughput).median
    }

    /// The closed loops.
    pub(crate) fn closed(&self) -> String {
        let mut table = Table::new(&[
            "callers",
            "server",
            "requests/s",
            "to echo",
            "p50 µs",
            "p99 µs",
            "to echo",
            "server CPU µs",
        ]);
        for (load, server) in self.rows(|load| matches!(load, Load::Closed(_))) {
            let Load::Closed(callers) = load else {
                continue;
            };
            let throughput = self.of(load, server, |sample| sample.throughput);
            let p99 = self.quantile(load, server, 0.99);
            table.row([
                callers.to_string(),
                server.to_owned(),
                throughput.show(0),
                ratio(throughput, self.of(load, FLOOR, |sample| sample.throughput)),
                self.quantile(load, server, 0.5).show(0),
                p99.show(0),
                ratio(p99, self.quantile(load, FLOOR, 0.99)),
                self.cpu(load, server).show(1),
            ]);
        }
        table.text
    }

    /// The open loop.
    pub(crate) fn open(&self) -> String {
        let mut table = Table::new(&[
            "requests/s due",
            "server",
            "p50 µs",
            "p99 µs",
            "to echo",
            "p99.9 µs",
            "server CPU µs",
        ]);
        for (load, server) in self.rows(|load| matches!(load, Load::Open { .. })) {
            let Load::Open { rate, .. } = load else {
                continue;
            };
            let p99 = self.quantile(load, server, 0.99);
            table.row([
                rate.to_string(),
                server.to_owned(),
                self.quantile(load, server, 0.5).show(0),
                p99.show(0),
                ratio(p99, self.quantile(load, FLOOR, 0.99)),
                self.quantile(load, server, 0.999).show(0),
                self.cpu(load, server).show(1),
            ]);
        }
        table.text
    }

    /// The p99 of `server` over that of `other`, both as medians.
    pub(crate) fn p99_ratio(&self, load: Load, server: &str, other: &str) -> String {
        let p99 = |server| self.quantile(load, server, 0.99);
        ratio(p99(server), p99(other))
    }

    /// Loads in the order measured, with the servers by name: the echoes first, the gateways last.
    fn rows(&self, wanted: impl Fn(Load) -> bool) -> Vec<(Load, &'static str)> {
        let mut loads: Vec<Load> = Vec::new();
        for (load, _, _) in self.samples.iter().filter(|(load, _, _)| wanted(*load)) {
            if !loads.contains(load) {
                loads.push(*load);
            }
        }
        let mut servers: Vec<_> = self.samples.iter().map(|(_, server, _)| *server).collect();
        servers.sort_unstable();
        servers.dedup();
        loads
            .iter()
            .flat_map(|load| servers.iter().map(|server| (*load, *server)))
            .collect()
    }

    fn quantile(&self, load: Load, server: &str, quantile: f64) -> Spread {
        self.of(load, server, |sample| {
            sample.latency.quantile(quantile).as_secs_f64() * 1e6
        })
    }

    fn cpu(&self, load: Load, server: &str) -> Spread {
        self.of(load, server, |sample| sample.cpu.as_secs_f64() * 1e6)
    }

    fn of(&self, load: Load, server: &str, value: impl Fn(&Sample) -> f64) -> Spread {
        let own = self
            .samples
            .iter()
            .filter(|(of, name, _)| (*of, *name) == (load, server));
        let mut values: Vec<_> = own.map(|(_, _, sample)| value(sample)).collect();
        values.sort_by(f64::total_cmp);
        assert!(
            !values.is_empty(),
            "{server} was not measured under {load:?}"
        );
        Spread {
            lowest: values[0],
            median: values[values.len() / 2],
            highest: values[values.len() - 1],
        }
    }
}

#[derive(Clone, Copy)]
struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Spread {
    fn show(self, decimals: usize) -> String {
        let Self {
            lowest,
            median,
            highest,
        } = self;
        format!("{median:.decimals$} [{lowest:.decimals$} to {highest:.decimals$}]")
    }
}

fn ratio(own: Spread, floor: Spread) -> String {
    format!("{:.2}", own.median / floor.median)
}

struct Table {
    text: String,
}

impl Table {
    fn new(columns: &[&str]) -> Self {
        let text = format!(
            "| {} |\n|{}\n",
            columns.join(" | "),
            "---|".repeat(columns.len())
        );
        Self { text }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        writeln!(self.text, "| {} |", cells.join(" | ")).expect("text takes text");
    }
}
