//! A comparison as tables.

use std::collections::BTreeSet;

use crate::client::{names, v1};
use crate::terminal::output::escape_line;
use crate::terminal::table::{or_dash, table, thousands};

/// Values of an output, and inputs, that one example shows.
const EXAMPLE_VALUES: usize = 4;
const EXAMPLE_INPUTS: usize = 6;

/// Returns the whole comparison, with up to `examples` rows that differ of each pair.
pub(super) fn readable(comparison: &v1::CompareVersionsResponse, examples: usize) -> String {
    let pairs = comparison.paired.iter();
    let mut parts: Vec<String> = pairs.map(|one| pair(one, examples)).collect();
    match &comparison.split {
        Some(one) => parts.push(split(comparison, one)),
        None if comparison.paired.is_empty() => parts.push(format!(
            "nothing to compare: neither version {} nor {} was a shadow of the other, and they did not both get split traffic in \
             window {}",
            comparison.baseline,
            comparison.candidate,
            comparison.window().name(),
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
        names::seconds(one.length.as_ref()),
    )];
    lines.push(difference_rates(one));
    lines.push(difference_numbers(one));
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

/// Returns how many rows differ, with the interval of the rate.
fn difference_rates(one: &v1::PairedComparison) -> String {
    let disagreement = match (one.cosine_threshold, &one.score_difference) {
        (Some(threshold), _) => format!("direction: cosine below {threshold}"),
        // Labels have no scores.
        (None, None) => "class".to_owned(),
        (None, Some(_)) => "most probable class".to_owned(),
    };
    let rates = [
        (disagreement, &one.disagreement),
        ("any value".to_owned(), &one.difference),
    ];
    let rows = rates.into_iter().filter_map(|(name, rate)| {
        let rate = rate.as_ref()?;
        Some(vec![
            name,
            thousands(rate.count),
            per_cent(rate.value),
            interval(rate.low, rate.high),
        ])
    });
    let header = ["rows that differ in", "rows", "rate", "95% interval"];
    table(&header, &[1, 2, 3], rows)
}

/// Returns the distributions of scores and times of a pair.
fn difference_numbers(one: &v1::PairedComparison) -> String {
    let scores: fn(f64) -> String = number;
    let times: fn(f64) -> String = milliseconds;
    let difference = match one.cosine_threshold {
        Some(_) => "norm: shadow - primary",
        None => "score: shadow - primary",
    };
    let distributions = [
        ("cosine", &one.cosine, scores),
        (difference, &one.score_difference, scores),
        ("inference: primary", &one.primary_inference_seconds, times),
        ("inference: shadow", &one.shadow_inference_seconds, times),
        (
            "inference: shadow - primary",
            &one.inference_difference_seconds,
            times,
        ),
    ];
    let rows = distributions
        .into_iter()
        .filter_map(|(name, distribution, text)| {
            let one = distribution.as_ref().filter(|one| one.count > 0)?;
            let figures = [one.min, one.p50, one.mean, one.p90, one.p99, one.max];
            Some([vec![name.to_owned()], figures.map(text).to_vec()].concat())
        });
    let header = ["", "min", "p50", "mean", "p90", "p99", "max"];
    table(&header, &[1, 2, 3, 4, 5, 6], rows)
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
    let output = |class: &str, values: &[f32]| {
        let shown = values.iter().take(EXAMPLE_VALUES);
        let shown = shown.map(|x| number(f64::from(*x)));
        let values = shown.collect::<Vec<_>>().join(" ");
        format!("{class} {values}").trim().to_owned()
    };
    let shown = one.inputs.iter().take(EXAMPLE_INPUTS);
    let mut inputs: Vec<_> = shown
        .map(|input| escape_line(&format!("{}={}", input.name, input.value)).into_owned())
        .collect();
    let not_shown = one.inputs.len().saturating_sub(EXAMPLE_INPUTS) as u64 + one.inputs_left_out;
    if not_shown > 0 {
        inputs.push(format!("and {not_shown} more"));
    }
    vec![
        one.response_id.clone(),
        one.row.to_string(),
        number(one.distance),
        output(&one.primary_class, &one.primary),
        output(&one.shadow_class, &one.shadow),
        inputs.join(" "),
    ]
}

fn split(comparison: &v1::CompareVersionsResponse, one: &v1::SplitComparison) -> String {
    let baseline = comparison.baseline.to_string();
    let candidate = comparison.candidate.to_string();
    let title = format!(
        "on split traffic, window {}: version {candidate} beside version {baseline}",
        comparison.window().name()
    );
    let rates = one.errors.iter().chain(&one.classes).map(rate_row);
    let header = ["rate", &*baseline, &*candidate, "difference"];
    let rates = table(&header, &[1, 2, 3], rates);
    let numbers = one.numbers.iter();
    let numbers = numbers.flat_map(|two| number_rows(two, [&baseline, &candidate]));
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

fn rate_row(two: &v1::TwoRates) -> Vec<String> {
    let cell = |rate: &Option<v1::Rate>| {
        rate.as_ref().map_or_else(String::new, |rate| {
            format!(
                "{} of {} {}",
                per_cent(rate.value),
                thousands(rate.total),
                interval(rate.low, rate.high)
            )
        })
    };
    let difference = or_dash(two.difference.as_ref(), |by| {
        format!("{} {}", per_cent(by.value), interval(by.low, by.high))
    });
    vec![
        two.name.clone(),
        cell(&two.baseline),
        cell(&two.candidate),
        difference,
    ]
}

/// Returns one row for each of two versions; the first also has the name and the test.
fn number_rows(two: &v1::TwoDistributions, versions: [&String; 2]) -> Vec<Vec<String>> {
    let text = if two.name.ends_with("_seconds") {
        milliseconds
    } else {
        number
    };
    let sides = versions.into_iter().zip([&two.baseline, &two.candidate]);
    let rows = sides.enumerate().filter_map(|(at, (version, side))| {
        let one = side.as_ref()?;
        let (name, test) = match at {
            0 => (two.name.clone(), test_text(two)),
            _ => (String::new(), String::new()),
        };
        let mut row = vec![name, version.clone(), thousands(one.count)];
        row.extend([one.p50, one.p90, one.p99, one.mean].map(text));
        row.push(test);
        Some(row)
    });
    rows.collect()
}

fn test_text(two: &v1::TwoDistributions) -> String {
    use v1::two_distributions::Test;
    match &two.test {
        Some(Test::KolmogorovSmirnov(test)) => {
            let statistic = test.statistic.unwrap_or_default().value;
            let p = test.p.unwrap_or_default().value;
            let p = if p < 0.001 {
                "p < 0.001".into()
            } else {
                format!("p = {p:.3}")
            };
            format!("KS D = {statistic:.3}, {p}")
        }
        Some(Test::TooFew(few)) => format!("too few: {}, wants {}", few.have, few.want),
        None => "-".into(),
    }
}

/// Returns an interval of shares, `[1.00%, 2.00%]`.
fn interval(low: f64, high: f64) -> String {
    format!("[{}, {}]", per_cent(low), per_cent(high))
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
