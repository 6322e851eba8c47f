//! The layout of versions 1 and 3: lists of nodes, each with the numbers of its tree and of itself, and lists of votes that refer to
//! these numbers.

use std::collections::HashMap;

use super::super::super::operator::Node;
use super::super::attributes::{Numbers, check_finite, check_length, shown};
use super::draft::{Child, Draft, DraftNode, condition};
use super::sums::Found;
use super::votes::Votes;
use crate::model::payload::Datatype;
use crate::model::trees::Missing;

/// What an operator says about its trees.
#[derive(Debug)]
pub(super) struct Listed {
    /// The trees.
    pub(super) found: Found,
    /// The votes of their leaves.
    pub(super) votes: Votes,
    /// Added to the scores.
    pub(super) base: Vec<f64>,
}

impl Listed {
    /// Reads the trees. `prefix` is the beginning of the names of the attributes of votes, `class` or `target`; `outputs` is the
    /// number of classes or targets.
    ///
    /// # Errors
    /// Returns an error if the attributes do not describe trees.
    pub(super) fn read(node: &Node<'_>, prefix: &str, outputs: usize) -> Result<Self, String> {
        // Integers are compared as f32, as scikit-learn does.
        let is_double = node.input(0)?.fact.datatype == Datatype::Fp64;
        let table = Table::read(node)?;
        let places = table.places()?;
        let draft = table.draft(&places)?;
        let votes = read_votes(node, prefix, outputs, &places, &draft)?;
        let name = |at: usize| table.name(at);
        if let Some(leaf) = votes.repeated() {
            let name = name(leaf);
            return Err(format!("{name} votes twice for the same {prefix}"));
        }
        let base = Numbers::list_or_tensor(node, "base_values")?;
        check_finite("base_values", &base.values)?;
        Ok(Self {
            found: Found {
                trees: draft.trees(&votes, name)?,
                inputs: draft.inputs(),
                rows_are_single: !table.are_double && !is_double,
            },
            votes,
            base: base.values,
        })
    }
}

/// The lists of nodes, all of the same length.
struct Table<'a> {
    trees: &'a [i64],
    nodes: &'a [i64],
    features: &'a [i64],
    modes: Vec<&'a str>,
    thresholds: Vec<f64>,
    are_double: bool,
    yes: &'a [i64],
    no: &'a [i64],
    /// Empty if NaN always goes to `no`.
    tracks_true: &'a [i64],
}

impl<'a> Table<'a> {
    fn read(node: &Node<'a>) -> Result<Self, String> {
        let thresholds = Numbers::list_or_tensor(node, "nodes_values")?;
        let table = Self {
            trees: required(node, "nodes_treeids")?,
            nodes: required(node, "nodes_nodeids")?,
            features: required(node, "nodes_featureids")?,
            modes: node.texts("nodes_modes")?.unwrap_or_default(),
            thresholds: thresholds.values,
            are_double: thresholds.are_double,
            yes: required(node, "nodes_truenodeids")?,
            no: required(node, "nodes_falsenodeids")?,
            tracks_true: node
                .ints("nodes_missing_value_tracks_true")?
                .unwrap_or_default(),
        };
        let count = table.trees.len();
        for (name, len) in [
            ("nodes_nodeids", table.nodes.len()),
            ("nodes_featureids", table.features.len()),
            ("nodes_modes", table.modes.len()),
            ("nodes_values", table.thresholds.len()),
            ("nodes_truenodeids", table.yes.len()),
            ("nodes_falsenodeids", table.no.len()),
        ] {
            check_length(name, len, count)?;
        }
        if !table.tracks_true.is_empty() {
            check_length(
                "nodes_missing_value_tracks_true",
                table.tracks_true.len(),
                count,
            )?;
        }
        Ok(table)
    }

    /// Returns the position of each node, by the numbers of its tree and of itself.
    fn places(&self) -> Result<HashMap<(i64, i64), usize>, String> {
        let mut places = HashMap::with_capacity(self.nodes.len());
        for (at, place) in self.trees.iter().zip(self.nodes).enumerate() {
            if places.insert((*place.0, *place.1), at).is_some() {
                return Err(format!("got {} twice", self.name(at)));
            }
        }
        Ok(places)
    }

    /// Returns the name of a node in errors.
    fn name(&self, at: usize) -> String {
        let tree = self.trees.get(at).copied().unwrap_or_default();
        let node = self.nodes.get(at).copied().unwrap_or_default();
        format!("node {node} of tree {tree}")
    }

    /// Returns the nodes with their children and the roots, in the order in which the trees first occur.
    fn draft(&self, places: &HashMap<(i64, i64), usize>) -> Result<Draft, String> {
        let mut draft = Draft::default();
        let mut has_parent = vec![false; self.nodes.len()];
        for at in 0..self.nodes.len() {
            let node = self
                .node(at, places)
                .map_err(|error| format!("{}: {error}", self.name(at)))?;
            if let DraftNode::Split { yes, no, .. } = node {
                for child in [yes, no] {
                    if let Child::Node(child) = child {
                        has_parent[child] = true;
                    }
                }
            }
            draft.nodes.push(node);
        }
        // Each tree has one node without a parent.
        let mut root_of = HashMap::new();
        for (at, tree) in self.trees.iter().enumerate() {
            let root = root_of.entry(*tree).or_insert_with(|| {
                draft.roots.push(at);
                (draft.roots.len() - 1, false)
            });
            if has_parent[at] {
                continue;
            }
            if std::mem::replace(&mut root.1, true) {
                return Err(format!(
                    "tree {tree}: got two roots, {} and {}",
                    self.name(draft.roots[root.0]),
                    self.name(at)
                ));
            }
            draft.roots[root.0] = at;
        }
        match root_of.iter().find(|(_, (_, is_found))| !is_found) {
            Some((tree, _)) => Err(format!("tree {tree}: got no root, its nodes form a cycle")),
            None => Ok(draft),
        }
    }

    fn node(&self, at: usize, places: &HashMap<(i64, i64), usize>) -> Result<DraftNode, String> {
        let mode = self.modes[at];
        let number = match mode {
            "LEAF" => return Ok(DraftNode::Leaf(at)),
            "BRANCH_LEQ" => 0,
            "BRANCH_LT" => 1,
            "BRANCH_GTE" => 2,
            "BRANCH_GT" => 3,
            "BRANCH_EQ" => 4,
            "BRANCH_NEQ" => 5,
            _ => return Err(format!("unknown mode {}", shown(mode))),
        };
        let threshold = self.thresholds[at];
        let (test, otherwise) = condition(number, threshold)
            .filter(|_| !threshold.is_nan())
            .ok_or("got the threshold NaN, expected a number")?;
        let child = |number: i64| {
            let found = places.get(&(self.trees[at], number));
            let found = found.ok_or_else(|| format!("its child {number} does not exist"))?;
            Ok::<_, String>(Child::Node(*found))
        };
        Ok(DraftNode::Split {
            input: feature(self.features[at])?,
            test,
            missing: tracks_true(self.tracks_true, at)?.unwrap_or(otherwise),
            yes: child(self.yes[at])?,
            no: child(self.no[at])?,
        })
    }
}

/// Returns where NaN goes if the list says that it goes to `yes`.
pub(super) fn tracks_true(list: &[i64], at: usize) -> Result<Option<Missing>, String> {
    match list.get(at) {
        None | Some(0) => Ok(None),
        Some(1) => Ok(Some(Missing::Yes)),
        Some(other) => Err(format!(
            "nodes_missing_value_tracks_true: got {other}, expected 0 or 1"
        )),
    }
}

/// The most features of a row. A larger index comes from a damaged file.
const MOST_FEATURES: u32 = 1 << 24;

/// Returns the index of a feature.
pub(super) fn feature(index: i64) -> Result<u32, String> {
    let feature = u32::try_from(index).ok().filter(|at| *at < MOST_FEATURES);
    feature.ok_or_else(|| format!("got feature {index}, expected one below {MOST_FEATURES}"))
}

/// Returns a list of integers that must not be empty.
pub(super) fn required<'a>(node: &Node<'a>, name: &str) -> Result<&'a [i64], String> {
    let list = node.ints(name)?.unwrap_or_default();
    if list.is_empty() {
        return Err(format!("attribute {name}: got no values"));
    }
    Ok(list)
}

/// Reads the votes. Each must be of a leaf.
fn read_votes(
    node: &Node<'_>,
    prefix: &str,
    outputs: usize,
    places: &HashMap<(i64, i64), usize>,
    draft: &Draft,
) -> Result<Votes, String> {
    let trees = required(node, &format!("{prefix}_treeids"))?;
    let nodes = required(node, &format!("{prefix}_nodeids"))?;
    let targets = required(node, &format!("{prefix}_ids"))?;
    let name = format!("{prefix}_weights");
    let weights = Numbers::list_or_tensor(node, &name)?.values;
    check_length(&format!("{prefix}_nodeids"), nodes.len(), trees.len())?;
    check_length(&format!("{prefix}_ids"), targets.len(), trees.len())?;
    check_length(&name, weights.len(), trees.len())?;
    check_finite(&name, &weights)?;
    let mut leaves = Vec::with_capacity(trees.len());
    let mut votes = Vec::with_capacity(trees.len());
    for (at, (tree, number)) in trees.iter().zip(nodes).enumerate() {
        let place = places.get(&(*tree, *number)).copied();
        let is_leaf = |at: &usize| matches!(draft.nodes.get(*at), Some(DraftNode::Leaf(_)));
        leaves.push(place.filter(is_leaf).ok_or_else(|| {
            format!("vote {at} is of node {number} of tree {tree}, which is not a leaf")
        })?);
        votes.push((target(targets[at], outputs, prefix)?, weights[at]));
    }
    Ok(Votes::grouped(draft.nodes.len(), &leaves, &votes))
}

/// Returns the index of a class or target.
pub(super) fn target(index: i64, outputs: usize, what: &str) -> Result<u32, String> {
    let target = u32::try_from(index).ok();
    let target = target.filter(|target| (*target as usize) < outputs);
    target.ok_or_else(|| format!("got {what} {index}, expected one below {outputs}"))
}
