//! A comparison as tables for people.

use std::collections::BTreeSet;

use super::json::{seconds, window};
use crate::proto::v1;
use crate::terminal::{
    output::one_line,
    table::{table, thousands},
};

/// The whole, with up to `examples` different rows of each pair.
pub(super) fn readable(told: &v1::CompareVersionsResponse, examples: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    for one in &told.paired {
        parts.push(pair(one, examples));
    }
    match &told.split {
        Some(one) => parts.push(split(told, one)),
        None if told.paired.is_empty() => parts.push(format!(
            "nothing to compare: neither version {} nor {} was a shadow of the other, and not both answered callers in window {}",
            told.baseline,
            told.candidate,
            window(told.window()),
        )),
        None => {}
    }
    parts.join("\n\n")
}

fn pair(one: &v1::PairedComparison, examples: usize) -> String {
    let control = if one.primary == one.shadow {
        " (control: the version beside itself)"
    } else {
        ""
    };
    let mut lines = vec![format!(
        "on the same requests: shadow {} beside primary {}{control}, {} rows of {} requests in {:.0} s",
        one.shadow,
        one.primary,
        thousands(one.rows),
        thousands(one.requests),
        seconds(one.length),
    )];
    let rates = [
        ("most probable class", &one.disagreement),
        ("any value", &one.difference),
    ];
    let rates = rates.into_iter().filter_map(|(name, rate)| {
        let rate = rate.as_ref()?;
        Some(vec![
            name.to_owned(),
            thousands(rate.count),
            per_cent(rate.value),
            ends(rate.low, rate.high, per_cent),
        ])
    });
    let header = ["rows that differ in", "rows", "rate", "95% interval"];
    lines.push(table(&header, &[1, 2, 3], rates));
    let of = [
        ("score: shadow - primary", &one.score_difference, false),
        ("inference: primary", &one.primary_inference_seconds, true),
        ("inference: shadow", &one.shadow_inference_seconds, true),
        (
            "inference: shadow - primary",
            &one.inference_difference_seconds,
            true,
        ),
    ];
    let numbers = of.into_iter().filter_map(|(name, numbers, time)| {
        let numbers = numbers.as_ref().filter(|numbers| numbers.count > 0)?;
        let each = [
            numbers.min,
            numbers.p50,
            numbers.mean,
            numbers.p90,
            numbers.p99,
            numbers.max,
        ];
        let cells = each.map(|x| if time { milliseconds(x) } else { number(x) });
        Some([vec![name.to_owned()], cells.to_vec()].concat())
    });
    let header = ["", "min", "p50", "mean", "p90", "p99", "max"];
    lines.push(table(&header, &[1, 2, 3, 4, 5, 6], numbers));
    if !one.confusion.is_empty() {
        lines.push(confusion(&one.confusion));
    }
    let different = one.examples.iter().take(examples).map(example);
    let different: Vec<_> = different.collect();
    if !different.is_empty() {
        let header = [
            "response id",
            "row",
            "distance",
            "primary",
            "shadow",
            "inputs",
        ];
        lines.push("the most different rows".into());
        lines.push(table(&header, &[1, 2], different));
    }
    lines.join("\n")
}

fn confusion(cells: &[v1::ConfusionCell]) -> String {
    let columns: BTreeSet<&str> = cells.iter().map(|cell| cell.shadow.as_str()).collect();
    let rows: BTreeSet<&str> = cells.iter().map(|cell| cell.primary.as_str()).collect();
    let mut header = vec!["primary \\ shadow"];
    header.extend(columns.iter().copied());
    let right: Vec<usize> = (1..header.len()).collect();
    let rows = rows.into_iter().map(|primary| {
        let count = |shadow: &str| {
            let mut cells = cells.iter();
            let found = cells.find(|cell| cell.primary == primary && cell.shadow == shadow);
            thousands(found.map_or(0, |cell| cell.rows))
        };
        let counts = columns.iter().map(|shadow| count(shadow));
        std::iter::once(primary.to_owned()).chain(counts).collect()
    });
    table(&header, &right, rows)
}

fn example(one: &v1::DifferentRow) -> Vec<String> {
    let side = |class: &str, values: &[f32]| {
        let first = values.iter().take(4).map(|x| number(f64::from(*x)));
        let values = first.collect::<Vec<_>>().join(" ");
        format!("{class} {values}").trim().to_owned()
    };
    let shown = one.inputs.iter().take(6);
    let mut inputs: Vec<_> = shown
        .map(|input| one_line(&format!("{}={}", input.name, input.value)).into_owned())
        .collect();
    let more = one.inputs.len().saturating_sub(6) as u64 + one.inputs_left_out;
    if more > 0 {
        inputs.push(format!("and {more} more"));
    }
    vec![
        one.response_id.clone(),
        one.row.to_string(),
        number(one.distance),
        side(&one.primary_class, &one.primary),
        side(&one.shadow_class, &one.shadow),
        inputs.join(" "),
    ]
}

fn split(told: &v1::CompareVersionsResponse, one: &v1::SplitComparison) -> String {
    let (baseline, candidate) = (told.baseline.to_string(), told.candidate.to_string());
    let title = format!(
        "on split traffic, window {}: version {candidate} beside version {baseline}",
        window(told.window())
    );
    let both = one.errors.iter().chain(&one.classes);
    let rates = both.map(|two| {
        let cell = |rate: &Option<v1::Rate>| {
            rate.as_ref().map_or_else(String::new, |rate| {
                let ends = ends(rate.low, rate.high, per_cent);
                format!(
                    "{} of {} {ends}",
                    per_cent(rate.value),
                    thousands(rate.total)
                )
            })
        };
        let difference = two.difference.as_ref();
        let difference = difference.map_or_else(
            || "-".into(),
            |by| format!("{} {}", per_cent(by.value), ends(by.low, by.high, per_cent)),
        );
        vec![
            two.name.clone(),
            cell(&two.baseline),
            cell(&two.candidate),
            difference,
        ]
    });
    let header = ["rate", &*baseline, &*candidate, "difference"];
    let rates = table(&header, &[1, 2, 3], rates);
    let numbers = one.numbers.iter().flat_map(|two| {
        let time = two.name.ends_with("_seconds");
        let sides = [(&baseline, &two.baseline), (&candidate, &two.candidate)];
        let line = move |at: usize, version: &str, numbers: &v1::Distribution| {
            let each = [numbers.p50, numbers.p90, numbers.p99, numbers.mean];
            let cells = each.map(|x| if time { milliseconds(x) } else { number(x) });
            let first = at == 0;
            let mut line = vec![
                if first {
                    two.name.clone()
                } else {
                    String::new()
                },
                version.to_owned(),
                thousands(numbers.count),
            ];
            line.extend(cells);
            line.push(if first { tested(two) } else { String::new() });
            line
        };
        let lines = sides.into_iter().enumerate().filter_map(|(at, side)| {
            let numbers = side.1.as_ref()?;
            Some(line(at, side.0, numbers))
        });
        lines.collect::<Vec<_>>()
    });
    let header = [
        "",
        "version",
        "count",
        "p50",
        "p90",
        "p99",
        "mean",
        "same distribution?",
    ];
    let numbers = table(&header, &[1, 2, 3, 4, 5, 6], numbers);
    [title, rates, numbers].join("\n")
}

fn tested(two: &v1::TwoDistributions) -> String {
    use v1::two_distributions::Test;
    match &two.test {
        Some(Test::KolmogorovSmirnov(test)) => {
            let (statistic, p) = (
                test.statistic.unwrap_or_default(),
                test.p.unwrap_or_default(),
            );
            let p = if p.value < 0.001 {
                "p < 0.001".into()
            } else {
                format!("p = {:.3}", p.value)
            };
            format!("KS D = {:.3}, {p}", statistic.value)
        }
        Some(Test::TooFew(few)) => format!("too few: {}, wants {}", few.have, few.want),
        None => "-".into(),
    }
}

fn ends(low: f64, high: f64, show: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", show(low), show(high))
}

fn per_cent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

fn number(x: f64) -> String {
    format!("{x:.4}")
}
