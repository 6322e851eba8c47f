//! Reads model files of LightGBM: its text format, versions v2 to v4, as written by LightGBM 2.1 to 4.7.
//!
//! The format has no specification; what is read here follows `src/io/tree.cpp`, `src/boosting/gbdt_model_text.cpp` and
//! `python-package/lightgbm/basic.py` of LightGBM. LightGBM writes its numbers so that they are read back unchanged, and computes in f64;
//! trees are read exactly as they are in the file, except for thresholds within 1e-35 of 0.
//!
//! The memory in use is at most about 50 times the length of the file: a split and a leaf take at least 12 bytes of it, and a number in
//! a list of categories at least 2.

mod categories;
mod columns;
mod faults;
mod features;
mod footer;
mod header;
mod leaves;
mod lines;
mod objective;
mod sets;
#[cfg(test)]
mod tests;
mod tree;

use crate::model::format::fault::FormatFault;
use crate::model::trees::{Ensemble, Missing, Node, Test, Tree, TreeModel};

use self::faults::{Faults, quote};
use self::header::Layout;
use self::lines::{Fields, Line, Lines};

/// Returns whether a file looks like a model of LightGBM. Reads its first two lines.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(b"tree");
    let rest = rest.map(|rest| rest.strip_prefix(b"\r").unwrap_or(rest));
    rest.is_some_and(|rest| rest.starts_with(b"\nversion=v"))
}

/// Reads a model file of LightGBM.
///
/// # Errors
/// Returns what is wrong with the file, or what of it this reader does not support. A fault of a tree names the tree and the field,
/// such as `Tree=3, left_child[7]`.
pub fn read(bytes: &[u8]) -> Result<TreeModel, Vec<FormatFault>> {
    let mut faults = Faults::default();
    let model = match std::str::from_utf8(bytes) {
        Ok(text) => read_text(text, &mut faults),
        Err(err) => {
            faults.add("", format!("byte {} is not UTF-8", err.valid_up_to()));
            None
        }
    };
    match model {
        Some(model) if faults.is_empty() => Ok(model),
        _ => Err(faults.into_vec()),
    }
}

fn read_text(text: &str, faults: &mut Faults) -> Option<TreeModel> {
    let mut lines = Lines::new(text);
    let (header, layout) = header::read(&mut lines, faults);
    let trees = read_trees(&mut lines, &layout, faults);
    let footer = footer::read(&mut lines, layout.version, faults);
    let lists = categories::read(footer.pandas_categorical, faults);
    let (header, trees) = (header?, trees?);
    let sums = layout.sums;
    let iterations = trees.len() / sums;
    let mut notes = vec![iterations_note(iterations)];
    notes.extend(header.objective.note.map(str::to_owned));
    notes.extend(missing_note(&trees));
    let named = footer.categorical_feature;
    let features = features::read(&header, named, lists?, &trees, &mut notes, faults)?;
    if !faults.is_empty() {
        return None;
    }
    Some(TreeModel {
        ensemble: Ensemble {
            inputs: header.names.len(),
            outputs: sums,
            base: vec![0.0; sums],
            divisor: if header.is_average {
                iterations as f64
            } else {
                1.0
            },
            trees,
        },
        link: header.objective.link,
        features,
        predicted: header.objective.predicted,
        objective: header.objective.name,
        framework: "lightgbm".to_owned(),
        notes,
    })
}

/// Reads the trees and leaves the first line after them as the next line. Checks that they are complete iterations, and that they are
/// where the header says.
fn read_trees(lines: &mut Lines<'_>, layout: &Layout, faults: &mut Faults) -> Option<Vec<Tree>> {
    let mut trees = Vec::new();
    let mut places = Places::default();
    loop {
        lines.skip_blank();
        let Some(line) = lines.peek().filter(|line| line.text.starts_with("Tree=")) else {
            break;
        };
        lines.next();
        let index = places.count;
        places.check_next(line, layout, faults);
        let mut fields = Fields::new(format!("Tree={index}"), tree::FIELDS);
        for field in lines.by_ref() {
            if field.text.is_empty() {
                break;
            }
            fields.add(field, faults);
        }
        let frame = tree::Frame {
            inputs: layout.inputs,
            output: u32::try_from(index % layout.sums).ok()?,
        };
        trees.extend(tree::read(&fields, frame, faults));
        if faults.is_full() {
            return None;
        }
    }
    places.check_count(layout, faults);
    (trees.len() == places.count).then_some(trees)
}

/// Where the trees found so far are.
#[derive(Debug, Default)]
struct Places {
    /// The number of trees.
    count: usize,
    /// Index of the first byte of the first tree.
    first: usize,
    /// Bytes of all trees so far, as the header says.
    promised: usize,
}

impl Places {
    /// Checks the number of the next tree, whose first line is `line`, and the bytes between the first tree and this one.
    fn check_next(&mut self, line: Line<'_>, layout: &Layout, faults: &mut Faults) {
        if self.count == 0 {
            self.first = line.offset;
        }
        let expected = format!("Tree={}", self.count);
        let distance = line.offset - self.first;
        if line.text != expected {
            faults.add(
                format!("line {}", line.number),
                format!("got {}, expected {expected}", quote(line.text)),
            );
        }
        if let Some(sizes) = &layout.sizes {
            if self.promised != distance {
                faults.add(
                    expected,
                    format!(
                        "starts {distance} bytes after the first tree, expected {}, as tree_sizes says; was the file edited, or were \
                         its line ends converted?",
                        self.promised
                    ),
                );
            }
            let size = sizes.get(self.count).copied().unwrap_or(0);
            // A later tree is compared from here, so that one wrong size is one fault.
            self.promised = distance.saturating_add(size);
        }
        self.count += 1;
    }

    fn check_count(&self, layout: &Layout, faults: &mut Faults) {
        let count = self.count;
        if count == 0 {
            faults.add("", "there is no tree");
        }
        if !count.is_multiple_of(layout.sums) {
            faults.add(
                "",
                format!(
                    "got {count} trees, expected a multiple of num_tree_per_iteration, which is {}",
                    layout.sums
                ),
            );
        }
        if let Some(sizes) = &layout.sizes
            && sizes.len() != count
        {
            faults.add(
                "tree_sizes",
                format!("got {} values, expected {count}, one per tree", sizes.len()),
            );
        }
    }
}

/// Returns a note on the iterations, because a file does not say which of them was the best.
fn iterations_note(iterations: usize) -> String {
    format!(
        "The file has {iterations} iterations, and all of them are used. After early stopping, LightGBM saves only the iterations up to \
         the best one, unless `num_iteration` says otherwise."
    )
}

/// Returns a note on splits that compare a missing value as 0, if there are any.
fn missing_note(trees: &[Tree]) -> Option<String> {
    let numeric = |node: &&Node| {
        matches!(
            node,
            Node::Split {
                test: Test::LessOrEqual(_),
                ..
            }
        )
    };
    let as_zero = |node: &&Node| {
        matches!(
            node,
            Node::Split {
                test: Test::LessOrEqual(_),
                missing: Missing::AsZero,
                ..
            }
        )
    };
    let nodes = || trees.iter().flat_map(|tree| &tree.nodes);
    let found = nodes().filter(as_zero).count();
    let all = nodes().filter(numeric).count();
    (found > 0).then(|| {
        format!(
            "A missing value is compared as 0 in {found} of {all} numeric splits: LightGBM does so where it was trained without missing \
             values."
        )
    })
}
