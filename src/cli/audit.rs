//! `taper audit`: verifies the hash chain of the whole audit log, and shows its last lines.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::audit::{self, Chain, Head, ParsedLine};
use crate::client::v1::ReadAuditRequest;
use crate::client::{AdminPort, Failure};
use crate::terminal::{output, table::table};
use serde_json::{Value, json};

/// Arguments of `taper audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show this many of the last lines; all lines are verified.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    last: u16,
    /// Read these files of a log, oldest first, instead of asking a gateway.
    #[arg(long = "file", value_name = "PATH", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let mut tail = Tail::new(args.last.into());
    let head = if args.files.is_empty() {
        from_gateway(&args.port, &mut tail).await?
    } else {
        let verified = audit::verify_each(&args.files, |line| tail.push(line));
        verified.map_err(|broken| Failure::new(format!("{broken}\n{ADVICE}")))?
    };
    if args.json {
        output::print_json(&as_json(&head, &tail.lines))?;
    } else {
        output::print(&readable(&head, &tail.lines))?;
    }
    Ok(())
}

/// What to do if the chain is broken.
const ADVICE: &str = "  lines from here on are not trustworthy: keep a copy of the files, and find out who changed them";

async fn from_gateway(port: &AdminPort, tail: &mut Tail) -> Result<Head, Failure> {
    let mut client = port.connect().await?;
    // A long log takes long to read, so the deadline applies to each message and not to the whole stream.
    let request = ReadAuditRequest { after_sequence: 0 };
    let mut stream = port.within(client.read_audit(request)).await??.into_inner();
    let mut chain = Chain::default();
    loop {
        let Some(message) = port.within(stream.message()).await?? else {
            return Ok(chain.head().clone());
        };
        for line in message.lines {
            let at = chain.head().lines + 1;
            let after = chain.head().last_sequence;
            let parsed = chain.line(&line).map_err(|why| {
                Failure::new(format!(
                    "the audit log is broken at line {at}, after sequence {after}: {why}\n{ADVICE}"
                ))
            });
            tail.push(parsed?);
        }
    }
}

/// The last lines of the log.
#[derive(Debug)]
struct Tail {
    /// Most lines to keep.
    most: usize,
    lines: VecDeque<ParsedLine>,
}

impl Tail {
    fn new(most: usize) -> Self {
        let lines = VecDeque::new();
        Self { most, lines }
    }

    fn push(&mut self, line: ParsedLine) {
        self.lines.push_back(line);
        if self.lines.len() > self.most {
            self.lines.pop_front();
        }
    }
}

fn as_json(head: &Head, lines: &VecDeque<ParsedLine>) -> Value {
    let lines = lines.iter().map(|line| {
        json!({
            "sequence": line.sequence,
            "time": line.time,
            "actor": line.actor,
            "reason": line.reason,
            "action": line.action,
            "model": line.model,
            "expected": line.expected,
            "revision": line.revision,
            "outcome": line.outcome,
            "message": line.message,
        })
    });
    json!({
        "lines": head.lines,
        "first_sequence": head.first_sequence,
        "last_sequence": head.last_sequence,
        "hash": head.hash,
        "last": lines.collect::<Vec<_>>(),
    })
}

fn readable(head: &Head, lines: &VecDeque<ParsedLine>) -> String {
    if head.lines == 0 {
        return "the audit log is empty".into();
    }
    let mut text = String::new();
    if !lines.is_empty() {
        let rows = lines.iter().map(|line| {
            vec![
                line.sequence.to_string(),
                line.time.clone(),
                line.actor.clone(),
                line.model.clone(),
                line.action.clone(),
                line.revision
                    .map_or_else(|| "-".to_owned(), |revision| revision.to_string()),
                line.outcome.clone(),
                line.reason.clone(),
            ]
        });
        let header = [
            "sequence", "time", "who", "model", "action", "revision", "outcome", "why",
        ];
        text = table(&header, &[0, 5], rows);
        text.push('\n');
    }
    text.push_str(&format!(
        "the chain is intact: {} lines, sequence {} to {}\nhead {}\n  store this hash somewhere else: it proves all lines up to here",
        head.lines, head.first_sequence, head.last_sequence, head.hash
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_with_the_hash_of_the_chain() {
        let mut tail = Tail::new(1);
        for sequence in 3..=4 {
            tail.push(ParsedLine {
                sequence,
                time: "1970-01-01T00:00:00Z".into(),
                actor: "ann".into(),
                model: "m".into(),
                action: "undo".into(),
                outcome: "done".into(),
                revision: Some(sequence),
                ..ParsedLine::default()
            });
        }
        let head = Head {
            lines: 2,
            first_sequence: 3,
            last_sequence: 4,
            hash: "ab".into(),
        };
        insta::assert_snapshot!(readable(&head, &tail.lines), @r"
        ┌──────────┬──────────────────────┬─────┬───────┬────────┬──────────┬─────────┬─────┐
        │ sequence ┆ time                 ┆ who ┆ model ┆ action ┆ revision ┆ outcome ┆ why │
        ╞══════════╪══════════════════════╪═════╪═══════╪════════╪══════════╪═════════╪═════╡
        │        4 ┆ 1970-01-01T00:00:00Z ┆ ann ┆ m     ┆ undo   ┆        4 ┆ done    ┆     │
        └──────────┴──────────────────────┴─────┴───────┴────────┴──────────┴─────────┴─────┘
        the chain is intact: 2 lines, sequence 3 to 4
        head ab
          store this hash somewhere else: it proves all lines up to here
        ");
    }
}
