//! `taper outcomes report`: reports outcomes from a CSV file or JSON lines, in batches.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::client::v1::{
    Outcome, OutcomeFault, ReportOutcomesRequest, ReportOutcomesResponse, outcome,
};
use crate::client::{DataPort, Failure, input};
use crate::terminal::output;
use crate::text::without_mark;

/// Outcomes in one call: the most that the gateway accepts.
const BATCH: usize = 10_000;
/// Most faults that are shown.
const SHOWN: usize = 16;

/// Arguments of `taper outcomes report`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// CSV with the columns `response_id`, `row` (0 if it is left out) and `truth`, or JSON lines with these fields; `-` is stdin.
    /// A truth that is a finite number is a value, for models that predict numbers; use `--classes` if classes have numbers as
    /// names.
    #[arg(long, value_name = "PATH")]
    file: PathBuf,
    /// Every truth is the name of a class, even if it looks like a number.
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

/// The `truth` of one line as written. Always text in CSV: its reader would turn `7` into a number and `true` into a boolean.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cell {
    Number(serde_json::Number),
    Bool(bool),
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
    let outcomes = parse(&origin, &text, args.classes)?;
    let mut client = args.port.connect().await?;
    let mut sum = ReportOutcomesResponse::default();
    for (at, batch) in outcomes.chunks(BATCH).enumerate() {
        let outcomes = batch.to_vec();
        let request = ReportOutcomesRequest { outcomes };
        let response = args.port.call_on(&mut client, request).await?;
        add(&mut sum, response, at * BATCH);
    }
    if args.json {
        output::print_json(&serde_json::json!(sum))?;
    } else {
        output::print(&readable(&sum))?;
    }
    Ok(())
}

/// Parses the outcomes in `text`, which `origin` names in errors. Text that begins with a brace is JSON lines, other text is CSV. With
/// `classes` every truth is the name of a class.
///
/// # Errors
/// Returns an error that names the first invalid line, or if there are no outcomes.
fn parse(origin: &str, text: &str, classes: bool) -> Result<Vec<Outcome>, Failure> {
    let text = without_mark(text);
    let invalid = |line: usize, error: &dyn fmt::Display| {
        let wants = "wants response_id, row and truth";
        Failure::new(format!("{origin}: outcome {line}: {error}; {wants}"))
    };
    let is_json = text.trim_start().starts_with('{');
    let lines: Vec<Line> = if is_json {
        let lines = serde_json::Deserializer::from_str(text).into_iter();
        let lines = lines.enumerate();
        lines
            .map(|(at, line)| line.map_err(|error| invalid(at, &error)))
            .collect::<Result<_, _>>()?
    } else {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows = reader.deserialize::<Row>().enumerate();
        rows.map(|(at, row)| row.map(Line::from).map_err(|error| invalid(at, &error)))
            .collect::<Result<_, _>>()?
    };
    if lines.is_empty() {
        return Err(Failure::new(format!("{origin}: contains no outcomes")));
    }
    let outcomes = lines.into_iter().map(|line| Outcome {
        response_id: line.response_id,
        row: line.row,
        truth: Some(truth(line.truth, is_json, classes)),
    });
    Ok(outcomes.collect())
}

/// Returns the ground truth of one line. Only finite numbers are values: a class may have the name `nan` or `inf`. In JSON, text is
/// always the name of a class.
fn truth(cell: Cell, is_json: bool, classes: bool) -> outcome::Truth {
    let (text, may_be_number) = match cell {
        Cell::Number(number) => (number.to_string(), true),
        Cell::Bool(value) => (value.to_string(), false),
        Cell::Text(text) => (text, !is_json),
    };
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    match number.filter(|_| may_be_number && !classes) {
        Some(number) => outcome::Truth::Number(number),
        None => outcome::Truth::Class(text),
    }
}

/// Adds the response to the batch that begins with outcome `begin` of the file.
fn add(sum: &mut ReportOutcomesResponse, response: ReportOutcomesResponse, begin: usize) {
    sum.accepted += response.accepted;
    sum.unmatched += response.unmatched;
    sum.duplicate += response.duplicate;
    sum.expired += response.expired;
    sum.gone += response.gone;
    sum.invalid += response.invalid;
    let room = SHOWN.saturating_sub(sum.faults.len());
    let faults = response.faults.into_iter().take(room);
    sum.faults.extend(faults.map(|fault| OutcomeFault {
        field: in_file(&fault.field, begin),
        ..fault
    }));
}

/// Turns a field of a batch, such as `outcomes[3].row`, into a place in the file, such as `truth 10003.row`. `--json` prints it, so its
/// form stays.
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
        (
            sum.unmatched,
            "unmatched: no response with this id and row is kept",
        ),
        (sum.duplicate, "duplicate: reported before"),
        (sum.expired, "expired: reported too late"),
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
    fn csv_and_json_lines_give_the_same_outcomes() {
        let csv = "response_id,row,truth\na,0,late\nb,1,2.5\n";
        let json = "{\"response_id\":\"a\",\"truth\":\"late\"}\n{\"response_id\":\"b\",\"row\":1,\"truth\":2.5}\n";
        let read = parse("x", csv, false).unwrap();
        assert_eq!(read, parse("x", json, false).unwrap());
        assert_eq!(read[0].truth, Some(outcome::Truth::Class("late".into())));
        assert_eq!(read[1].truth, Some(outcome::Truth::Number(2.5)));
        let digits = parse("x", "response_id,row,truth\na,0,7\n", true).unwrap();
        assert_eq!(digits[0].truth, Some(outcome::Truth::Class("7".into())));
    }

    #[test]
    fn the_name_of_a_class_stays_as_written() {
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
            assert_eq!(parse("x", &csv, true).unwrap()[0].truth, with, "{cell}");
            assert_eq!(parse("x", &csv, false).unwrap()[0].truth, without, "{cell}");
        }
        for (json, with, without) in [
            ("true", class("true"), class("true")),
            ("7", class("7"), number(7.0)),
            ("1.0", class("1.0"), number(1.0)),
            ("\"007\"", class("007"), class("007")),
        ] {
            let line = format!("{{\"response_id\":\"a\",\"truth\":{json}}}");
            assert_eq!(parse("x", &line, true).unwrap()[0].truth, with, "{json}");
            assert_eq!(
                parse("x", &line, false).unwrap()[0].truth,
                without,
                "{json}"
            );
        }
    }

    #[test]
    fn a_fault_has_its_place_in_the_file() {
        assert_eq!(in_file("outcomes[3].row", 10_000), "truth 10003.row");
        assert_eq!(in_file("outcomes", 10_000), "outcomes");
    }

    #[test]
    fn an_invalid_outcome_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "x: contains no outcomes"),
            ("response_id,row,truth\na,one,late\n", "x: outcome 0:"),
            (
                "{\"response_id\":\"a\"}",
                "x: outcome 0: missing field `truth`",
            ),
        ] {
            let error = parse("x", text, false).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
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
        insta::assert_snapshot!(serde_json::to_string_pretty(&serde_json::json!(sum)).unwrap());
    }
}
