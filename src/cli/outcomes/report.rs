//! `taper outcomes report`: truths from a CSV file or JSON lines, in batches.

use std::path::PathBuf;

use serde::Deserialize;

use crate::client::{DataPort, Failure, input};
use crate::proto::v1::{
    Outcome, OutcomeFault, ReportOutcomesRequest, ReportOutcomesResponse, outcome,
};
use crate::terminal::output;

/// Truths of one call: the most that the gateway takes.
const BATCH: usize = 10_000;
/// Faults that are shown.
const SHOWN: usize = 16;

/// Arguments of `taper outcomes report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// CSV with the columns `response_id`, `row` (0 where it is left out) and `truth`, or JSON lines with these fields; `-` is
    /// stdin. A truth that is a finite number is one for models of numbers; give `--classes` where classes are called by
    /// numbers.
    #[arg(long, value_name = "PATH")]
    file: PathBuf,
    /// Truths are labels of classes, also where they look like numbers.
    #[arg(long)]
    classes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: DataPort,
}

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    response_id: String,
    #[serde(default)]
    row: u32,
    truth: Cell,
}

/// A truth as it is written. Of a CSV file always the text: its reader would make numbers, and `true`, of what looks like one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cell {
    Number(serde_json::Number),
    Truth(bool),
    Text(String),
}

/// One row of a CSV file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    response_id: String,
    #[serde(default)]
    row: u32,
    truth: String,
}

impl From<Row> for Line {
    fn from(row: Row) -> Self {
        Self {
            response_id: row.response_id,
            row: row.row,
            truth: Cell::Text(row.truth),
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let origin = args.file.display().to_string();
    let text = input::read(&args.file)?;
    let truths = truths(&origin, &text, args.classes)?;
    let mut client = args.port.connect().await?;
    let mut sum = ReportOutcomesResponse::default();
    for (at, batch) in truths.chunks(BATCH).enumerate() {
        let outcomes = batch.to_vec();
        let request = args
            .port
            .patience
            .request(ReportOutcomesRequest { outcomes });
        let told = args.port.answer(client.report_outcomes(request)).await?;
        add(&mut sum, told, at * BATCH);
    }
    if args.json {
        output::print_json(&as_json(&sum))
    } else {
        output::print(&readable(&sum))
    }
}

fn as_json(sum: &ReportOutcomesResponse) -> serde_json::Value {
    let faults = sum.faults.iter().map(
        |fault| serde_json::json!({"field": fault.field, "got": fault.got, "wanted": fault.wanted}),
    );
    serde_json::json!({
        "accepted": sum.accepted, "unmatched": sum.unmatched, "duplicate": sum.duplicate,
        "expired": sum.expired, "gone": sum.gone, "invalid": sum.invalid,
        "faults": faults.collect::<Vec<_>>(),
    })
}

/// The truths in `text`. JSON lines begin with a brace.
fn truths(origin: &str, text: &str, classes: bool) -> Result<Vec<Outcome>, Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let wrong = |line: usize, error: &dyn std::fmt::Display| {
        let wants = "wants response_id, row and truth";
        Failure::new(format!("{origin}: truth {line}: {error}; {wants}"))
    };
    let is_json = text.trim_start().starts_with('{');
    let lines: Vec<Line> = if is_json {
        let read = serde_json::Deserializer::from_str(text).into_iter();
        let read = read.enumerate();
        read.map(|(at, line)| line.map_err(|error| wrong(at, &error)))
            .collect::<Result<_, _>>()?
    } else {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read = reader.deserialize::<Row>().enumerate();
        read.map(|(at, row)| row.map(Line::from).map_err(|error| wrong(at, &error)))
            .collect::<Result<_, _>>()?
    };
    if lines.is_empty() {
        return Err(Failure::new(format!("{origin}: there is no truth in it")));
    }
    // A class may be called `nan` or `inf`, which no number is that can come true.
    let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let truth = |cell| {
        let (text, may_be_number) = match cell {
            Cell::Number(number) => (number.to_string(), true),
            Cell::Truth(truth) => (truth.to_string(), false),
            Cell::Text(text) => (text, !is_json),
        };
        match number(&text).filter(|_| may_be_number && !classes) {
            Some(number) => outcome::Truth::Number(number),
            None => outcome::Truth::Class(text),
        }
    };
    let outcomes = lines.into_iter().map(|line| Outcome {
        response_id: line.response_id,
        row: line.row,
        truth: Some(truth(line.truth)),
    });
    Ok(outcomes.collect())
}

/// Adds what was told of the batch that begins with truth `begin` of the file.
fn add(sum: &mut ReportOutcomesResponse, told: ReportOutcomesResponse, begin: usize) {
    sum.accepted += told.accepted;
    sum.unmatched += told.unmatched;
    sum.duplicate += told.duplicate;
    sum.expired += told.expired;
    sum.gone += told.gone;
    sum.invalid += told.invalid;
    let room = SHOWN.saturating_sub(sum.faults.len());
    let faults = told.faults.into_iter().take(room);
    sum.faults.extend(faults.map(|fault| OutcomeFault {
        field: in_file(&fault.field, begin),
        ..fault
    }));
}

/// `outcomes[3].truth` of a batch as a place in the file.
fn in_file(field: &str, begin: usize) -> String {
    let split = field
        .strip_prefix("outcomes[")
        .and_then(|rest| rest.split_once(']'));
    let place = split.and_then(|(at, rest)| Some((at.parse::<usize>().ok()?, rest)));
    place.map_or_else(
        || field.to_owned(),
        |(at, rest)| format!("truth {}{rest}", at + begin),
    )
}

fn readable(sum: &ReportOutcomesResponse) -> String {
    let mut text = format!("{} accepted", sum.accepted);
    for (count, what) in [
        (sum.unmatched, "unmatched: no such answer is remembered"),
        (sum.duplicate, "duplicate: counted before"),
        (sum.expired, "expired: too late"),
        (sum.gone, "gone: the version is no longer in memory"),
        (sum.invalid, "invalid"),
    ] {
        if count > 0 {
            text.push_str(&format!("\n{count} {what}"));
        }
    }
    for fault in &sum.faults {
        let (field, got, wanted) = (&fault.field, &fault.got, &fault.wanted);
        text.push_str(&format!("\n  {field}: got {got}, wants {wanted}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let csv = "response_id,row,truth\na,0,late\nb,1,2.5\n";
        let json = "{\"response_id\":\"a\",\"truth\":\"late\"}\n{\"response_id\":\"b\",\"row\":1,\"truth\":2.5}\n";
        let read = truths("x", csv, false).unwrap();
        assert_eq!(read, truths("x", json, false).unwrap());
        assert_eq!(read[0].truth, Some(outcome::Truth::Class("late".into())));
        assert_eq!(read[1].truth, Some(outcome::Truth::Number(2.5)));
        let digits = truths("x", "response_id,row,truth\na,0,7\n", true).unwrap();
        assert_eq!(digits[0].truth, Some(outcome::Truth::Class("7".into())));
    }

    #[test]
    fn what_a_class_is_called_stays_as_it_is_written() {
        let class = |label: &str| Some(outcome::Truth::Class(label.into()));
        let number = |number| Some(outcome::Truth::Number(number));
        for (cell, with, without) in [
            ("true", class("true"), class("true")),
            ("False", class("False"), class("False")),
            ("007", class("007"), number(7.0)),
            ("1.0", class("1.0"), number(1.0)),
            ("-2.5e3", class("-2.5e3"), number(-2_500.0)),
            ("nan", class("nan"), class("nan")),
            ("inf", class("inf"), class("inf")),
            ("1e999", class("1e999"), class("1e999")),
        ] {
            let csv = format!("response_id,row,truth\na,0,{cell}\n");
            assert_eq!(truths("x", &csv, true).unwrap()[0].truth, with, "{cell}");
            assert_eq!(
                truths("x", &csv, false).unwrap()[0].truth,
                without,
                "{cell}"
            );
        }
        for (json, with, without) in [
            ("true", class("true"), class("true")),
            ("7", class("7"), number(7.0)),
            ("1.0", class("1.0"), number(1.0)),
            ("\"007\"", class("007"), class("007")),
        ] {
            let line = format!("{{\"response_id\":\"a\",\"truth\":{json}}}");
            assert_eq!(truths("x", &line, true).unwrap()[0].truth, with, "{json}");
            assert_eq!(
                truths("x", &line, false).unwrap()[0].truth,
                without,
                "{json}"
            );
        }
    }

    #[test]
    fn a_fault_is_named_by_its_place_in_the_file() {
        assert_eq!(in_file("outcomes[3].row", 10_000), "truth 10003.row");
        assert_eq!(in_file("outcomes", 10_000), "outcomes");
    }

    #[test]
    fn what_is_no_truth_is_named() {
        for (text, told) in [
            ("", "x: there is no truth in it"),
            ("response_id,row,truth\na,one,late\n", "x: truth 0:"),
            (
                "{\"response_id\":\"a\"}",
                "x: truth 0: missing field `truth`",
            ),
        ] {
            let error = truths("x", text, false).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }

    #[test]
    fn json_has_every_count_and_fault() {
        let sum = ReportOutcomesResponse {
            accepted: 1,
            unmatched: 2,
            duplicate: 3,
            expired: 4,
            gone: 5,
            invalid: 6,
            faults: vec![OutcomeFault {
                field: "truth 3.row".into(),
                got: "7".into(),
                wanted: "0 to 2".into(),
            }],
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&as_json(&sum)).unwrap());
    }
}
