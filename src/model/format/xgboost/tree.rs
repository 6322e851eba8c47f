//! Reads one tree.
//!
//! A tree is a set of columns with one value per node. A node is a leaf if its left child is -1. Deleted nodes, which the pruner leaves
//! behind, are marked by an impossible feature index and are left out.
//!
//! Rules of XGBoost (`src/tree/tree_model.cc`, `src/tree/multi_target_tree_model.cc`, `src/predictor/predict_fn.h`,
//! `src/common/categorical.h`):
//! - A numeric split sends `x < split_conditions[node]`, compared as f32, to the left.
//! - A categorical split sends a category of its set to the right, and everything else to the left, including negative numbers and unknown
//!   categories.
//! - A missing value goes to the left if `default_left`.
//! - The right child is the node after the left one; XGBoost does not look at `right_children` of a split.

use super::categories::CategorySets;
use super::document::Object;
use super::faults::Faults;
use super::leaves::{Frame, LeafRows, Leaves};
use crate::model::trees::{Missing, Node, Test, Tree};

/// The child that a leaf does not have.
const NO_NODE: i64 = -1;
/// The parent of the root in trees with scalar leaves: -1 without its highest bit, which marks left children in memory.
const NO_PARENT: i64 = 0x7fff_ffff;
/// The feature index of a deleted node: `u32::MAX` without its highest bit, which marks the default direction in memory.
const DELETED: i64 = 0x7fff_ffff;

/// Reads a tree; reports all faults that are found.
pub(super) fn read(object: &Object<'_, '_>, frame: Frame, faults: &mut Faults) -> Option<Tree> {
    let before = faults.count();
    let columns = Columns::read(object, frame, faults)?;
    let reached = columns.walk(object, frame, faults);
    columns.check_deleted(object, &reached, faults);
    if faults.count() > before {
        return None;
    }
    let tree = columns.build(object, frame, &reached, faults);
    (faults.count() == before).then_some(tree)
}

/// The columns of a tree, which all have the same length.
struct Columns {
    left: Vec<i64>,
    right: Vec<i64>,
    parents: Vec<i64>,
    inputs: Vec<i64>,
    conditions: Vec<f32>,
    default_left: Vec<bool>,
    categories: CategorySets,
    leaves: Leaves,
    deleted: Option<usize>,
}

impl Columns {
    fn read(object: &Object<'_, '_>, frame: Frame, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let parameters = object.object("tree_param", faults);
        let parameters = parameters.as_ref();
        let nodes = parameters.and_then(|object| object.count("num_nodes", faults));
        let leaf_size = parameters.and_then(|object| object.count("size_leaf_vector", faults));
        let inputs = parameters.and_then(|object| object.count("num_feature", faults));
        // XGBoost 1.0 does not write it.
        let deleted = parameters
            .filter(|object| object.find("num_deleted").is_some())
            .map(|object| object.count("num_deleted", faults));

        let left = object.integers("left_children", faults);
        let right = object.integers("right_children", faults);
        let parents = object.integers("parents", faults);
        let split_inputs = object.integers("split_indices", faults);
        let conditions = object.singles("split_conditions", faults);
        let default_left = object.flags("default_left", faults);
        let nodes = nodes?;
        let categories = CategorySets::read(object, nodes, faults);
        let leaves = Leaves::read(object, nodes, leaf_size?, frame.outputs, faults);
        check_lengths(object, nodes, leaf_size? > 1, faults);
        if inputs? != frame.inputs {
            let message = format!("got {}, expected {} as in the model", inputs?, frame.inputs);
            faults.add(format!("{}.tree_param.num_feature", object.path()), message);
        }
        let columns = Self {
            left: left?,
            right: right?,
            parents: parents?,
            inputs: split_inputs?,
            conditions: conditions?,
            default_left: default_left?,
            categories: categories?,
            leaves: leaves?,
            deleted: deleted.flatten(),
        };
        (faults.count() == before).then_some(columns)
    }

    fn nodes(&self) -> usize {
        self.left.len()
    }

    /// Follows all splits from the root; returns which nodes are reached. Each is reached once, so that the walk ends.
    fn walk(&self, object: &Object<'_, '_>, frame: Frame, faults: &mut Faults) -> Vec<bool> {
        let mut reached = vec![false; self.nodes()];
        let mut waiting = Vec::new();
        if let Some(root) = reached.first_mut() {
            *root = true;
            waiting.push(0);
        }
        if !matches!(self.parents[0], NO_NODE | NO_PARENT) {
            let message = format!("got {}, expected -1: node 0 is the root", self.parents[0]);
            faults.add(place(object, "parents", 0), message);
        }
        while let Some(node) = waiting.pop() {
            if self.left[node] == NO_NODE {
                self.check_leaf(object, node, faults);
                continue;
            }
            self.check_split(object, node, frame, faults);
            for child in self.children(object, node, faults).unwrap_or_default() {
                if std::mem::replace(&mut reached[child], true) {
                    let message =
                        format!("got node {child}, which is the root or has another parent");
                    faults.add(place(object, "left_children", node), message);
                    continue;
                }
                if usize::try_from(self.parents[child]) != Ok(node) {
                    let parent = self.parents[child];
                    let message = format!("got {parent}, expected {node}, whose child it is");
                    faults.add(place(object, "parents", child), message);
                }
                waiting.push(child);
            }
        }
        reached
    }

    /// Returns the children of a split.
    fn children(
        &self,
        object: &Object<'_, '_>,
        node: usize,
        faults: &mut Faults,
    ) -> Option<[usize; 2]> {
        let (left, right) = (self.left[node], self.right[node]);
        let found = usize::try_from(left)
            .ok()
            .filter(|left| left + 1 < self.nodes());
        let Some(found) = found else {
            let message = format!(
                "got node {left}, expected -1 or a node with another one after it, of {}",
                self.nodes()
            );
            faults.add(place(object, "left_children", node), message);
            return None;
        };
        if right != left + 1 {
            let message = format!(
                "got node {right}, expected node {}: the one after the left child",
                left + 1
            );
            faults.add(place(object, "right_children", node), message);
            return None;
        }
        Some([found, found + 1])
    }

    fn check_split(&self, object: &Object<'_, '_>, node: usize, frame: Frame, faults: &mut Faults) {
        let input = self.inputs[node];
        if !usize::try_from(input).is_ok_and(|input| input < frame.inputs) {
            let message = format!("got {input}, expected an index below {}", frame.inputs);
            faults.add(place(object, "split_indices", node), message);
        }
        // A categorical split has no use for the number.
        if self.conditions[node].is_nan() && self.categories.of(node).is_none() {
            let message = "got NaN, expected a number: the split is not categorical";
            faults.add(place(object, "split_conditions", node), message);
        }
    }

    fn check_leaf(&self, object: &Object<'_, '_>, node: usize, faults: &mut Faults) {
        let right = self.right[node];
        if !matches!(self.leaves, Leaves::ByLeaf(_)) && right != NO_NODE {
            let message = format!("got node {right}, expected -1: the node has no left child");
            faults.add(place(object, "right_children", node), message);
        }
    }

    /// Checks that exactly the nodes that are marked as deleted are not reached.
    fn check_deleted(&self, object: &Object<'_, '_>, reached: &[bool], faults: &mut Faults) {
        let mut deleted = 0;
        for (node, reached) in reached.iter().enumerate() {
            // As u32 in memory, and -1 where a tool converts it.
            let is_marked = matches!(self.inputs[node], DELETED | NO_NODE | 0xffff_ffff);
            if !reached && !is_marked {
                let message = "no split leads to this node, and it is not marked as deleted";
                faults.add(place(object, "left_children", node), message);
            }
            deleted += usize::from(!reached);
        }
        if let Some(expected) = self.deleted.filter(|&expected| expected != deleted) {
            let message =
                format!("got {expected}, expected {deleted}: the nodes that no split leads to");
            faults.add(format!("{}.tree_param.num_deleted", object.path()), message);
        }
    }

    /// Converts the nodes that are reached. The walk has found no fault.
    fn build(
        &self,
        object: &Object<'_, '_>,
        frame: Frame,
        reached: &[bool],
        faults: &mut Faults,
    ) -> Tree {
        let mut next = 0;
        let positions: Vec<u32> = reached
            .iter()
            .map(|&reached| {
                let position = next;
                next += u32::from(reached);
                position
            })
            .collect();
        let mut rows = LeafRows::new(&self.leaves, frame);
        let mut nodes = Vec::with_capacity(next as usize);
        for node in (0..self.nodes()).filter(|&node| reached[node]) {
            let converted = match usize::try_from(self.left[node]) {
                Ok(left) => self.split(node, positions[left], positions[left + 1]),
                Err(_) => match rows.leaf(node, self.conditions[node], self.right[node]) {
                    Ok(leaf) => Node::Leaf(leaf),
                    Err((column, message)) => {
                        faults.add(place(object, column, node), message);
                        continue;
                    }
                },
            };
            nodes.push(converted);
        }
        Tree { nodes }
    }

    /// Converts a split whose children have got their positions.
    fn split(&self, node: usize, left: u32, right: u32) -> Node {
        let default_left = self.default_left[node];
        // The walk has checked that it is a valid index.
        let input = u32::try_from(self.inputs[node]).unwrap_or_default();
        let (test, yes, no, missing_yes) = match self.categories.of(node) {
            Some(codes) => {
                let test = Test::In {
                    codes: codes.to_vec(),
                    truncates_first: false,
                };
                (test, right, left, !default_left)
            }
            None => {
                let test = Test::Less(self.conditions[node].into());
                (test, left, right, default_left)
            }
        };
        let missing = match missing_yes {
            true => Missing::Yes,
            false => Missing::No,
        };
        Node::Split {
            input,
            test,
            missing,
            yes,
            no,
        }
    }
}

/// Checks that each column has one value per node.
fn check_lengths(object: &Object<'_, '_>, nodes: usize, has_vectors: bool, faults: &mut Faults) {
    let columns = [
        "left_children",
        "right_children",
        "parents",
        "split_indices",
        "split_conditions",
        "default_left",
        "split_type",
        "loss_changes",
        "sum_hessian",
        "base_weights",
    ];
    if nodes == 0 {
        faults.add(
            format!("{}.tree_param.num_nodes", object.path()),
            "got 0, expected at least the root",
        );
    }
    for column in columns {
        // Of a tree with vectors, that column has several values per node.
        if has_vectors && column == "base_weights" {
            continue;
        }
        if let Some(length) = object
            .numbers_if_any(column)
            .filter(|&length| length != nodes)
        {
            let message = format!("got {length} values, expected one for each of {nodes} nodes");
            faults.add(object.path_of(column), message);
        }
    }
}

/// Returns the path of the value of `node` in `column`.
fn place(object: &Object<'_, '_>, column: &str, node: usize) -> String {
    format!("{}[{node}]", object.path_of(column))
}
