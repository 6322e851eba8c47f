//! The header: what the file says before its first tree.

use super::faults::{Faults, quote};
use super::lines::{Fields, Lines, words};
use super::objective::{self, Objective};

/// The fields of the header since format v2.
const FIELDS: &[&str] = &[
    "tree",
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "monotone_constraints",
    "feature_infos",
    "tree_sizes",
];

/// The header of a file.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// What the sums mean.
    pub(super) objective: Objective,
    /// Whether the sums are divided by the number of iterations.
    pub(super) is_average: bool,
    /// The name of each input.
    pub(super) names: Vec<&'a str>,
    /// What the training data said about each input.
    pub(super) infos: Vec<Info>,
}

/// What the trees must agree with. Where the header does not say it, the value is one that all trees agree with, so that the faults
/// of the trees are found too.
#[derive(Debug)]
pub(super) struct Layout {
    /// The format of the file: 2 to 4.
    pub(super) version: u32,
    /// Sums per row. Tree `i` belongs to sum `i % sums`.
    pub(super) sums: usize,
    /// Values per row.
    pub(super) inputs: usize,
    /// Bytes of each tree, if the file says so.
    pub(super) sizes: Option<Vec<usize>>,
}

/// What the training data said about an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Info {
    /// The input has no role: it was constant, or too rare.
    Unused,
    /// The smallest and the largest number.
    Range(f64, f64),
    /// The largest category code, and at least 0.
    Categories(u32),
}

/// Reads the header and leaves the first tree, or the first line after the trees, as the next line.
pub(super) fn read<'a>(lines: &mut Lines<'a>, faults: &mut Faults) -> (Option<Header<'a>>, Layout) {
    let fields = read_fields(lines, faults);
    let version = read_version(&fields, faults);
    let sums = read_sums(&fields, faults);
    let objective = sums.and_then(|sums| objective::read(fields.get("objective"), sums, faults));
    let names = read_names(&fields, faults);
    let infos = names
        .as_ref()
        .and_then(|names| read_infos(&fields, names.len(), faults));
    let layout = Layout {
        version: version.unwrap_or(2),
        sums: sums.unwrap_or(1),
        inputs: names.as_ref().map_or(usize::MAX, Vec::len),
        sizes: read_sizes(&fields, faults),
    };
    let is_average = fields.get("average_output").is_some();
    let header = || {
        Some(Header {
            objective: objective?,
            is_average,
            names: names?,
            infos: infos?,
        })
    };
    (header(), layout)
}

fn read_fields<'a>(lines: &mut Lines<'a>, faults: &mut Faults) -> Fields<'a> {
    let mut fields = Fields::new(String::new(), FIELDS);
    while let Some(line) = lines.peek() {
        // A file without trees is refused later. LightGBM 2.1 does not write `end of trees`.
        if line.text.starts_with("Tree=")
            || matches!(line.text, "end of trees" | "feature importances:")
        {
            break;
        }
        lines.next();
        if !line.text.is_empty() {
            fields.add(line, faults);
        }
        if faults.is_full() {
            break;
        }
    }
    fields
}

fn read_sizes(fields: &Fields<'_>, faults: &mut Faults) -> Option<Vec<usize>> {
    let count = words(fields.get("tree_sizes")?).count();
    fields.numbers("tree_sizes", count, "a number of bytes", faults)
}

fn read_version(fields: &Fields<'_>, faults: &mut Faults) -> Option<u32> {
    if fields.get("tree").is_none() {
        faults.add(
            "line 1",
            "expected `tree`, the first line of a LightGBM model",
        );
    }
    match fields.require("version", faults)? {
        "v2" => Some(2),
        "v3" => Some(3),
        "v4" => Some(4),
        other => {
            faults.add(
                "version",
                format!("got {}, expected v2, v3 or v4", quote(other)),
            );
            None
        }
    }
}

/// Reads the number of sums. No memory is reserved for them before as many trees were read.
fn read_sums(fields: &Fields<'_>, faults: &mut Faults) -> Option<usize> {
    let classes: Option<usize> = fields.number("num_class", "a whole number", faults);
    let sums: usize = fields.number("num_tree_per_iteration", "a whole number", faults)?;
    if classes? != sums || sums == 0 || u32::try_from(sums).is_err() {
        faults.add(
            "num_tree_per_iteration",
            format!("got {sums}, expected num_class, which is {}", classes?),
        );
        return None;
    }
    Some(sums)
}

/// Reads the names of the inputs, which also says how many there are.
fn read_names<'a>(fields: &Fields<'a>, faults: &mut Faults) -> Option<Vec<&'a str>> {
    let last: Option<usize> = fields.number("max_feature_idx", "an index", faults);
    let names: Vec<&str> = words(fields.require("feature_names", faults)?).collect();
    if names.len() != last?.saturating_add(1) {
        faults.add(
            "feature_names",
            format!(
                "got {} names, expected one more than max_feature_idx, which is {}",
                names.len(),
                last?
            ),
        );
        return None;
    }
    Some(names)
}

fn read_infos(fields: &Fields<'_>, count: usize, faults: &mut Faults) -> Option<Vec<Info>> {
    let value = fields.require("feature_infos", faults)?;
    let found = words(value).count();
    if found != count {
        faults.add(
            "feature_infos",
            format!("got {found} values, expected {count}"),
        );
        return None;
    }
    let infos: Vec<Info> = words(value)
        .enumerate()
        .filter_map(|(index, text)| {
            let info = read_info(text);
            if info.is_none() {
                faults.add(
                    fields.at_value("feature_infos", index),
                    format!(
                        "got {}, expected none, [MIN:MAX] or category codes",
                        quote(text)
                    ),
                );
            }
            info
        })
        .collect();
    (infos.len() == count).then_some(infos)
}

/// Reads `none`, `[-1.5:2]` or `-1:0:4:2`, where -1 stands for rare and missing categories.
fn read_info(text: &str) -> Option<Info> {
    if text == "none" {
        return Some(Info::Unused);
    }
    if let Some(range) = text.strip_prefix('[') {
        let (low, high) = range.strip_suffix(']')?.split_once(':')?;
        return Some(Info::Range(low.parse().ok()?, high.parse().ok()?));
    }
    let mut largest = 0;
    for code in text.split(':') {
        let code: i32 = code.parse().ok()?;
        largest = largest.max(u32::try_from(code).unwrap_or(0));
    }
    Some(Info::Categories(largest))
}
