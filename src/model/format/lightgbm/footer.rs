//! What the file says after its trees: parameters of the training, and the categories of a pandas data frame.

use super::faults::{Faults, quote};
use super::lines::{Line, Lines};

const PANDAS: &str = "pandas_categorical:";
const IMPORTANCES: [&str; 2] = ["feature_importances:", "feature importances:"];
const CATEGORICAL_FEATURE: &str = "[categorical_feature: ";

/// The parts of the footer that matter for predictions.
#[derive(Debug, Default)]
pub(super) struct Footer<'a> {
    /// The training parameter `categorical_feature`: indices, or `name:` and names, separated by commas.
    pub(super) categorical_feature: Option<&'a str>,
    /// A JSON list with one list of categories per column that has them; `null` if the training data was not a data frame.
    pub(super) pandas_categorical: Option<&'a str>,
}

/// Reads the lines after the last tree, in a file of format `version`.
pub(super) fn read<'a>(lines: &mut Lines<'a>, version: u32, faults: &mut Faults) -> Footer<'a> {
    lines.skip_blank();
    match lines.peek() {
        Some(line) if line.text == "end of trees" => {
            lines.next();
        }
        // LightGBM 2.0 and 2.1 do not write the line.
        Some(line) if version == 2 && line.text == "feature importances:" => {}
        Some(line) => faults.add(
            at(line),
            format!(
                "got {}, expected the next tree or `end of trees`",
                quote(line.text)
            ),
        ),
        None => faults.add("", "the file ends before `end of trees`"),
    }
    let mut footer = Footer::default();
    // The block that is open, by the line that ends it.
    let mut open: Option<(&str, Line<'a>)> = None;
    for line in lines {
        match (open, line.text) {
            (Some((end, _)), text) if text == end => open = None,
            (None, "parameters:") => open = Some(("end of parameters", line)),
            (None, "parser:") => open = Some(("end of parser", line)),
            (_, "") => {}
            (Some(_), text) => read_parameter(text, &mut footer),
            (None, _) => read_line(line, &mut footer, faults),
        }
    }
    match open {
        // LightGBM 2.1 does not write the end.
        None => {}
        Some(_) if version == 2 => {}
        Some((end, line)) => {
            faults.add(at(line), format!("the file ends before `{end}`"));
        }
    }
    footer
}

fn read_parameter<'a>(text: &'a str, footer: &mut Footer<'a>) {
    if let Some(value) = text.strip_prefix(CATEGORICAL_FEATURE) {
        footer.categorical_feature = value.strip_suffix(']');
    }
    // LightGBM 2.1 does not write the end of the parameters, none of which begins like this.
    if let Some(json) = text.strip_prefix(PANDAS) {
        footer.pandas_categorical = Some(json);
    }
}

/// Reads a line outside the blocks: the importance of a feature, which does not matter, or the categories.
fn read_line<'a>(line: Line<'a>, footer: &mut Footer<'a>, faults: &mut Faults) {
    if footer.pandas_categorical.is_some() {
        faults.add(
            at(line),
            format!("got {}, expected nothing after {PANDAS}", quote(line.text)),
        );
    }
    if let Some(json) = line.text.strip_prefix(PANDAS) {
        footer.pandas_categorical = Some(json);
    } else if !line.text.contains('=') && !IMPORTANCES.contains(&line.text) {
        // A file that was cut has lost its categories.
        faults.add(
            at(line),
            format!(
                "got {}, expected the importance of a feature, or {PANDAS}",
                quote(line.text)
            ),
        );
    }
}

fn at(line: Line<'_>) -> String {
    format!("line {}", line.number)
}
