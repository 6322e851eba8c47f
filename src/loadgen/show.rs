//! The report as text. Pure functions.

use super::report::{Latency, Loop, Ratio, Ratios, Report, TargetReport};
use crate::terminal::table::{percentage, table, thousands};

/// Returns the whole report.
pub(super) fn readable(report: &Report) -> String {
    let mut text = title(report);
    for one in &report.targets {
        text.push_str(&format!("\n\n{}", target(one)));
    }
    if let (Some(ratios), [first, second]) = (&report.ratio, &report.targets[..]) {
        text.push_str(&format!(
            "\n\n{} divided by {}, over all rounds and in those with the lowest and highest ratio\n{}",
            second.address,
            first.address,
            ratio_table(ratios)
        ));
    }
    if report.interrupted {
        text.push_str("\n\nended early: these are the results so far");
    }
    text
}

fn title(report: &Report) -> String {
    let how = match report.load {
        Loop::Closed { concurrency: 1 } => "closed loop, 1 caller".into(),
        Loop::Closed { concurrency } => {
            format!("closed loop, {} callers", thousands(concurrency as u64))
        }
        Loop::Open { rate, arrivals, .. } => {
            format!("open loop, {rate} requests/s, {arrivals} arrivals")
        }
    };
    let rows = counted(report.rows_per_request as u64, "row");
    let connections = counted(report.connections as u64, "connection");
    let keys = match report.keys {
        0 => String::new(),
        keys => format!(", {}", counted(keys, "routing key")),
    };
    format!(
        "{}: {how}, {rows} per request, {connections}{keys}",
        report.model
    )
}

/// Returns a number with its noun: `1 row`, `2 rows`.
fn counted(number: u64, what: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{} {what}{many}", thousands(number))
}

fn target(report: &TargetReport) -> String {
    let requests = &report.requests;
    let mut text = format!(
        "{}: {:.0} answers/s over {:.1} s, after a warm-up of {}\n{} sent: {} answered, {} failed",
        report.address,
        report.answers_per_second,
        report.seconds,
        counted(requests.warm_up, "request"),
        thousands(requests.sent),
        thousands(requests.answered),
        thousands(requests.failed),
    );
    if requests.unanswered > 0 {
        let unanswered = thousands(requests.unanswered);
        text.push_str(&format!(", {unanswered} unanswered at the end"));
    }
    if requests.not_sent > 0 {
        text.push_str(&format!(
            "\n{} were due and NOT sent: the limit of --max-in-flight was reached",
            thousands(requests.not_sent)
        ));
    }
    for error in &report.errors {
        let (number, code) = (thousands(error.requests), error.code);
        text.push_str(&format!(
            "\n  {number} {code}, first message: {}",
            error.message
        ));
    }
    if let Some(all) = &report.latency {
        text.push_str(&format!("\n{}", versions(report, all)));
    }
    if let Some(late) = &report.sent_late {
        text.push_str(&format!(
            "\nrequests were sent late by p50 {} ms, p99 {} ms, at most {} ms; latencies include this delay",
            ms(late.p50_ms),
            ms(late.p99_ms),
            ms(late.max_ms)
        ));
    }
    text
}

fn versions(report: &TargetReport, all: &Latency) -> String {
    let header = [
        "version", "requests", "share", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms",
    ];
    let answered = report.requests.answered;
    let row = |name: String, requests: u64, latency: &Latency| {
        let share = percentage(requests, answered);
        let mut cells = vec![name, thousands(requests), share];
        let figures = [
            latency.p50_ms,
            latency.p90_ms,
            latency.p99_ms,
            latency.p99_9_ms,
            latency.max_ms,
        ];
        cells.extend(figures.map(ms));
        cells
    };
    let mut rows: Vec<_> = report
        .versions
        .iter()
        .filter_map(|one| Some(row(one.version.to_string(), one.requests, &one.latency?)))
        .collect();
    if rows.len() != 1 {
        rows.push(row("all".into(), answered, all));
    }
    table(&header, &[0, 1, 2, 3, 4, 5, 6, 7], rows)
}

fn ratio_table(ratios: &Ratios) -> String {
    let row = |what: &str, ratio: Ratio| {
        let cells = [ratio.all, ratio.lowest, ratio.highest].map(|ratio| format!("{ratio:.3}"));
        std::iter::once(what.to_owned()).chain(cells).collect()
    };
    let rows = [
        row("answers/s", ratios.answers_per_second),
        row("p50", ratios.p50),
        row("p90", ratios.p90),
        row("p99", ratios.p99),
        row("p99.9", ratios.p99_9),
        row("max", ratios.max),
    ];
    table(&["ratio of", "all", "lowest", "highest"], &[1, 2, 3], rows)
}

/// Returns milliseconds to the microsecond.
fn ms(millis: f64) -> String {
    format!("{millis:.3}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::loadgen::report::{report, tests::measurements};
    use crate::loadgen::{Args, plan::Plan};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn text(flags: &str, rounds: &[(u32, u32)], interrupted: bool) -> String {
        let words = ["bench", "m"].into_iter().chain(flags.split_whitespace());
        let plan = Plan::check(&Line::parse_from(words).args).expect("a plan");
        let measurements: Vec<_> = (1..)
            .zip(rounds)
            .map(|(at, (first, second))| (format!("h:{at}"), measurements(*first, *second)))
            .collect();
        readable(&report("m", &plan, &measurements, interrupted))
    }

    #[test]
    fn one_target_has_a_table_of_versions() {
        let text = text("--rate 2500 --keys 1000", &[(2, 2)], true);
        insta::assert_snapshot!(text, @r"
        m: open loop, 2500 requests/s, poisson arrivals, 1 row per request, 4 connections, 1,000 routing keys

        h:1: 100 answers/s over 2.0 s, after a warm-up of 11 requests
        202 sent: 200 answered, 2 failed
          2 RESOURCE_EXHAUSTED, first message: compute is at its limit
        ┌─────────┬──────────┬─────────┬────────┬────────┬────────┬──────────┬────────┐
        │ version ┆ requests ┆   share ┆ p50 ms ┆ p90 ms ┆ p99 ms ┆ p99.9 ms ┆ max ms │
        ╞═════════╪══════════╪═════════╪════════╪════════╪════════╪══════════╪════════╡
        │       1 ┆      150 ┆  75.00% ┆  2.001 ┆  2.001 ┆  2.001 ┆    2.001 ┆  2.001 │
        │       2 ┆       50 ┆  25.00% ┆  2.001 ┆  2.001 ┆  2.001 ┆    2.001 ┆  2.001 │
        │     all ┆      200 ┆ 100.00% ┆  2.001 ┆  2.001 ┆  2.001 ┆    2.001 ┆  2.001 │
        └─────────┴──────────┴─────────┴────────┴────────┴────────┴──────────┴────────┘
        requests were sent late by p50 0.010 ms, p99 0.010 ms, at most 0.010 ms; latencies include this delay

        ended early: these are the results so far
        ");
    }

    #[test]
    fn two_targets_have_a_ratio() {
        let text = text(
            "--concurrency 1 --against h:2 --rows 8",
            &[(2, 2), (2, 4)],
            false,
        );
        let (_, ratio) = text
            .split_once("lowest and highest ratio\n")
            .expect("a ratio");
        insta::assert_snapshot!(ratio, @r"
        ┌───────────┬───────┬────────┬─────────┐
        │ ratio of  ┆   all ┆ lowest ┆ highest │
        ╞═══════════╪═══════╪════════╪═════════╡
        │ answers/s ┆ 1.000 ┆  1.000 ┆   1.000 │
        │ p50       ┆ 1.000 ┆  1.000 ┆   2.000 │
        │ p90       ┆ 2.000 ┆  1.000 ┆   2.000 │
        │ p99       ┆ 2.000 ┆  1.000 ┆   2.000 │
        │ p99.9     ┆ 2.000 ┆  1.000 ┆   2.000 │
        │ max       ┆ 2.000 ┆  1.000 ┆   2.000 │
        └───────────┴───────┴────────┴─────────┘
        ");
        assert!(text.starts_with("m: closed loop, 1 caller, 8 rows per request, 1 connection\n"));
    }
}
