//! One tree: its splits, its leaves, and whether they form a tree.

use crate::model::trees::{Missing, Node, Test, Tree};

use super::faults::{Faults, quote};
use super::leaves;
use super::lines::Fields;
use super::sets::CategorySets;

/// The fields of a tree that LightGBM has written since format v2. Those that do not take part in predictions are not read.
pub(super) const FIELDS: &[&str] = &[
    "num_leaves",
    "num_cat",
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "leaf_weight",
    "leaf_count",
    "internal_value",
    "internal_weight",
    "internal_count",
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "leaf_const",
    "num_features",
    "leaf_features",
    "leaf_coeff",
    "shrinkage",
];

/// Bit of a decision type: the split is on a category.
const CATEGORICAL: u8 = 1;
/// Bit of a decision type: a missing value goes left.
const DEFAULT_LEFT: u8 = 2;

/// `kZeroThreshold` of LightGBM: 1e-35 as f32.
const ZERO: f64 = 1e-35_f32 as f64;

/// Where the rows of a tree are read from and added to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Values per row.
    pub(super) inputs: usize,
    /// Index of the sum to which the leaves are added.
    pub(super) output: u32,
}

/// Reads one tree from its fields. Its nodes are the splits, in the order of the file, and then the leaves.
pub(super) fn read(fields: &Fields<'_>, frame: Frame, faults: &mut Faults) -> Option<Tree> {
    let leaf_count: usize = fields.number("num_leaves", "a whole number", faults)?;
    if leaf_count == 0 {
        faults.add(fields.at("num_leaves"), "got 0, expected at least 1");
        return None;
    }
    let splits = read_splits(fields, leaf_count - 1, frame, faults);
    let leaves = leaves::read(fields, leaf_count, frame, faults);
    let mut nodes = splits?;
    nodes.extend(leaves?.into_iter().map(Node::Leaf));
    Some(Tree { nodes })
}

/// The fields that describe the splits.
struct Splits {
    inputs: Vec<u32>,
    thresholds: Vec<f64>,
    decisions: Vec<u8>,
    left: Vec<i64>,
    right: Vec<i64>,
}

fn read_splits(
    fields: &Fields<'_>,
    count: usize,
    frame: Frame,
    faults: &mut Faults,
) -> Option<Vec<Node>> {
    let sets = CategorySets::read(fields, faults);
    let inputs = fields.numbers("split_feature", count, "an index", faults);
    let thresholds = fields.numbers("threshold", count, "a number", faults);
    let decisions = fields.numbers("decision_type", count, "0 to 255", faults);
    let left = fields.numbers("left_child", count, "an index", faults);
    let right = fields.numbers("right_child", count, "an index", faults);
    let splits = Splits {
        inputs: inputs?,
        thresholds: thresholds?,
        decisions: decisions?,
        left: left?,
        right: right?,
    };
    let mut sets = sets?;
    if !are_tree(fields, &splits, faults) {
        return None;
    }
    let nodes: Vec<Node> = (0..count)
        .filter_map(|index| splits.node(index, fields, frame, &mut sets, faults))
        .collect();
    sets.check_all_used(fields, faults);
    (nodes.len() == count).then_some(nodes)
}

impl Splits {
    /// Returns the node of the split `index`.
    fn node(
        &self,
        index: usize,
        fields: &Fields<'_>,
        frame: Frame,
        sets: &mut CategorySets,
        faults: &mut Faults,
    ) -> Option<Node> {
        let input = self.inputs[index];
        if input as usize >= frame.inputs {
            faults.add(
                fields.at_value("split_feature", index),
                format!("got {input}, expected an index below {}", frame.inputs),
            );
            return None;
        }
        let (test, missing) = self.condition(index, fields, sets, faults)?;
        let split_count = self.left.len();
        Some(Node::Split {
            input,
            test,
            missing,
            yes: node_index(self.left[index], split_count)?,
            no: node_index(self.right[index], split_count)?,
        })
    }

    /// Returns the condition under which a row goes left, and the way of a missing value.
    fn condition(
        &self,
        index: usize,
        fields: &Fields<'_>,
        sets: &mut CategorySets,
        faults: &mut Faults,
    ) -> Option<(Test, Missing)> {
        let decision = self.decisions[index];
        let threshold = self.thresholds[index];
        let is_left = decision & DEFAULT_LEFT != 0;
        let missing = match (decision >> 2, is_left) {
            (0, _) => Missing::AsZero,
            (1, true) => Missing::ZeroYes,
            (1, false) => Missing::ZeroNo,
            (2, true) => Missing::Yes,
            (2, false) => Missing::No,
            _ => {
                faults.add(
                    fields.at_value("decision_type", index),
                    format!("got {decision}, expected at most 11"),
                );
                return None;
            }
        };
        if decision & CATEGORICAL != 0 {
            // A missing category is in no set, whatever the decision type says about missing values.
            let codes = sets.take(threshold, index, fields, faults)?;
            let truncates_first = true;
            let test = Test::In {
                codes,
                truncates_first,
            };
            return Some((test, Missing::No));
        }
        if threshold.is_nan() {
            faults.add(
                fields.at_value("threshold", index),
                "got nan, expected a number",
            );
            return None;
        }
        Some((Test::LessOrEqual(around_zero(threshold)), missing))
    }
}

/// Returns the threshold that has the same effect without LightGBM's treatment of tiny values: before it looks at the trees, LightGBM
/// replaces every value from `-ZERO` to `ZERO` with 0 (`RowPairFunctionFromDenseMatric` in `src/c_api.cpp`). This makes a difference
/// for the threshold `-ZERO`, which is a frequent one: `-ZERO` itself goes right.
fn around_zero(threshold: f64) -> f64 {
    if (-ZERO..0.0).contains(&threshold) {
        (-ZERO).next_down()
    } else if (0.0..ZERO).contains(&threshold) {
        ZERO
    } else {
        threshold
    }
}

/// Returns the index among all nodes of a child, which is a split or, if negative, a leaf: `-1` is the first.
fn node_index(child: i64, split_count: usize) -> Option<u32> {
    let index = match usize::try_from(child) {
        Ok(split) => Some(split).filter(|&split| split < split_count)?,
        Err(_) => {
            let leaf = usize::try_from(!child).ok()?;
            split_count
                .checked_add(leaf)
                .filter(|_| leaf <= split_count)?
        }
    };
    u32::try_from(index).ok()
}

/// Returns whether the root, split 0, reaches every split and every leaf exactly once.
fn are_tree(fields: &Fields<'_>, splits: &Splits, faults: &mut Faults) -> bool {
    let split_count = splits.left.len();
    let node_count = 2 * split_count + 1;
    let mut has_parent = vec![false; node_count];
    has_parent[0] = true;
    let mut is_tree = true;
    for index in 0..split_count {
        for (key, child) in [
            ("left_child", splits.left[index]),
            ("right_child", splits.right[index]),
        ] {
            let place = node_index(child, split_count).and_then(|at| {
                let seen = has_parent.get_mut(at as usize)?;
                Some(std::mem::replace(seen, true))
            });
            let problem = match place {
                Some(false) => continue,
                Some(true) => "which has another parent or is the root",
                None => "which does not exist",
            };
            is_tree = false;
            if faults.is_full() {
                return false;
            }
            faults.add(
                fields.at_value(key, index),
                format!("got {}, {problem}", child_name(child)),
            );
        }
    }
    // Every node but the root now has one parent. Splits that form a ring are not below the root.
    if is_tree && reached_splits(splits) != split_count {
        faults.add(
            fields.at("left_child"),
            "some splits are not below split 0, expected one tree",
        );
        is_tree = false;
    }
    is_tree
}

/// Returns the number of splits at and below the root. Each split has at most one parent, so the search ends.
fn reached_splits(splits: &Splits) -> usize {
    let mut reached = 0;
    let mut open: Vec<usize> = if splits.left.is_empty() {
        vec![]
    } else {
        vec![0]
    };
    while let Some(index) = open.pop() {
        reached += 1;
        for child in [splits.left[index], splits.right[index]] {
            open.extend(usize::try_from(child));
        }
    }
    reached
}

fn child_name(child: i64) -> String {
    if child >= 0 {
        format!("split {child}")
    } else {
        format!("{child} (leaf {})", !child)
    }
}

/// Reads the field `key` of a tree as a flag, `0` if it is missing.
pub(super) fn flag(fields: &Fields<'_>, key: &str, faults: &mut Faults) -> Option<bool> {
    match fields.get(key) {
        None | Some("0") => Some(false),
        Some("1") => Some(true),
        Some(other) => {
            faults.add(
                fields.at(key),
                format!("got {}, expected 0 or 1", quote(other)),
            );
            None
        }
    }
}
