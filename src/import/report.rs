//! What an import did, for people.

use std::fmt;
use std::path::PathBuf;

use crate::model::{Encoding, Input, Output, Version};

/// Inputs and outputs that are listed one by one.
const MOST_LISTED: usize = 12;

/// What an import did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The folder of the version.
    pub path: PathBuf,
    /// The model and the version: `flight-delay 4`.
    pub name: String,
    lines: Vec<String>,
}

impl Report {
    pub(super) fn new(
        version: &Version,
        rows: usize,
        was_compared: bool,
        notes: Vec<String>,
    ) -> Self {
        let (manifest, signature) = (version.manifest(), version.signature());
        let mut lines = Vec::new();
        let about = &manifest.about;
        let made_by = about
            .framework
            .as_deref()
            .unwrap_or("the file does not say");
        let learned = about.target.as_ref().map(|target| format!(", {target}"));
        lines.push(format!(
            "  made by   {made_by}{}",
            learned.unwrap_or_default()
        ));
        list("inputs", signature.inputs(), describe_input, &mut lines);
        if let Some(matrix) = &signature.matrix {
            let columns = signature.inputs().len();
            lines.push(format!(
                "  or        `{matrix}` [-1, {columns}]: all inputs as one matrix"
            ));
        }
        list("outputs", signature.outputs(), describe_output, &mut lines);
        let kind = signature.prediction.kind.as_str();
        let classes = if signature.classes.is_empty() {
            String::new()
        } else {
            format!(", classes {}", signature.classes.join(", "))
        };
        lines.push(format!(
            "  judged    `{}` as {kind}{classes}",
            signature.judged().name
        ));
        let golden = manifest.golden.len();
        lines.push(match (rows, was_compared) {
            (0, _) => "  rows      none, so nothing is checked; --rows FILE adds ranges, a reference profile and golden requests".into(),
            (_, true) => format!("  rows      {rows}, all answered as the original library did; {golden} golden requests"),
            (_, false) => format!("  rows      {rows}; {golden} golden requests with taper's own answers; --expected FILE compares with the original library"),
        });
        lines.extend(notes.into_iter().map(|note| format!("  note      {note}")));
        Self {
            path: PathBuf::new(),
            name: format!("{} {}", manifest.model, manifest.version),
            lines,
        }
    }

    pub(super) fn published_at(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is in {}", self.name, self.path.display())?;
        for line in &self.lines {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

fn list<T>(title: &str, items: &[T], describe: fn(&T) -> String, lines: &mut Vec<String>) {
    for (at, item) in items.iter().take(MOST_LISTED).enumerate() {
        let title = if at == 0 { title } else { "" };
        lines.push(format!("  {title:<9} {}", describe(item)));
    }
    if items.len() > MOST_LISTED {
        lines.push(format!(
            "            and {} more",
            items.len() - MOST_LISTED
        ));
    }
}

fn describe_input(input: &Input) -> String {
    let shape = input.shape.to_wire();
    let missing = match &input.encoding {
        Encoding::Tensor { missing: true } => ", values may be missing",
        _ if input.optional() => ", may be missing",
        _ => "",
    };
    format!("`{}` {} {shape:?}{missing}", input.name, input.datatype)
}

fn describe_output(output: &Output) -> String {
    format!(
        "`{}` {} {:?}",
        output.name,
        output.datatype,
        output.shape.to_wire()
    )
}
