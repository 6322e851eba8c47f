//! The layout of version 5: lists of splits, which refer to each other and to leaves by position.

use super::super::super::operator::Node;
use super::super::attributes::{Numbers, check_finite, check_length};
use super::draft::{Child, Draft, DraftNode, among, condition};
use super::listed::{feature, required, target, tracks_true};
use super::sums::Found;
use super::votes::Votes;
use crate::model::trees::Missing;

/// The number of the mode "is among".
const AMONG: u8 = 6;

/// Reads the trees, with `outputs` targets.
///
/// # Errors
/// Returns an error if the attributes do not describe trees.
pub(super) fn read(node: &Node<'_>, outputs: usize) -> Result<Found, String> {
    let votes = read_votes(node, outputs)?;
    let thresholds = numbers(node, "nodes_splits")?;
    let splits = Splits::read(node, &thresholds.values, votes.leaves())?;
    let mut draft = Draft::default();
    for at in 0..splits.features.len() {
        let split = splits.split(at);
        draft
            .nodes
            .push(split.map_err(|error| format!("split {at}: {error}"))?);
    }
    for root in required(node, "tree_roots")? {
        draft
            .roots
            .push(position(*root, draft.nodes.len(), "root")?);
    }
    Ok(Found {
        trees: draft.trees(&votes, |at| format!("split {at}"))?,
        inputs: draft.inputs(),
        rows_are_single: !thresholds.are_double,
    })
}

/// The lists of splits, all of the same length.
struct Splits<'a> {
    features: &'a [i64],
    modes: Vec<u8>,
    thresholds: &'a [f64],
    yes: &'a [i64],
    no: &'a [i64],
    yes_is_leaf: &'a [i64],
    no_is_leaf: &'a [i64],
    tracks_true: &'a [i64],
    /// For each split whose mode is "is among", its numbers.
    sets: Vec<Option<Vec<f64>>>,
    leaves: usize,
}

impl<'a> Splits<'a> {
    fn read(node: &Node<'a>, thresholds: &'a [f64], leaves: usize) -> Result<Self, String> {
        let modes = modes(node)?;
        let splits = Self {
            features: required(node, "nodes_featureids")?,
            sets: sets(node, &modes)?,
            modes,
            thresholds,
            yes: required(node, "nodes_truenodeids")?,
            no: required(node, "nodes_falsenodeids")?,
            yes_is_leaf: required(node, "nodes_trueleafs")?,
            no_is_leaf: required(node, "nodes_falseleafs")?,
            tracks_true: node
                .ints("nodes_missing_value_tracks_true")?
                .unwrap_or_default(),
            leaves,
        };
        let count = splits.features.len();
        for (name, len) in [
            ("nodes_modes", splits.modes.len()),
            ("nodes_splits", splits.thresholds.len()),
            ("nodes_truenodeids", splits.yes.len()),
            ("nodes_falsenodeids", splits.no.len()),
            ("nodes_trueleafs", splits.yes_is_leaf.len()),
            ("nodes_falseleafs", splits.no_is_leaf.len()),
        ] {
            check_length(name, len, count)?;
        }
        if !splits.tracks_true.is_empty() {
            check_length(
                "nodes_missing_value_tracks_true",
                splits.tracks_true.len(),
                count,
            )?;
        }
        Ok(splits)
    }

    fn split(&self, at: usize) -> Result<DraftNode, String> {
        let threshold = self.thresholds[at];
        let (test, otherwise) = match (&self.sets[at], condition(self.modes[at], threshold)) {
            (Some(set), _) => (among(set.clone()), Missing::No),
            (None, Some(_)) if threshold.is_nan() => {
                return Err("got the threshold NaN, expected a number".into());
            }
            (None, Some(found)) => found,
            (None, None) => return Err(format!("unknown mode {}", self.modes[at])),
        };
        let child = |to: i64, is_leaf: i64| match is_leaf {
            0 => position(to, self.features.len(), "split").map(Child::Node),
            1 => position(to, self.leaves, "leaf").map(Child::Leaf),
            other => Err(format!(
                "got {other}, expected 1 for a leaf and 0 for a split"
            )),
        };
        Ok(DraftNode::Split {
            input: feature(self.features[at])?,
            test,
            missing: tracks_true(self.tracks_true, at)?.unwrap_or(otherwise),
            yes: child(self.yes[at], self.yes_is_leaf[at])?,
            no: child(self.no[at], self.no_is_leaf[at])?,
        })
    }
}

fn modes(node: &Node<'_>) -> Result<Vec<u8>, String> {
    let tensor = node.tensor("nodes_modes")?;
    let tensor = tensor.ok_or("attribute nodes_modes is missing")?;
    let modes = tensor.into_elements();
    modes.map_err(|error| format!("attribute nodes_modes: {error}"))
}

/// Returns the numbers of each split whose mode is "is among". The file has them one after another, each list ended by NaN.
fn sets(node: &Node<'_>, modes: &[u8]) -> Result<Vec<Option<Vec<f64>>>, String> {
    let values = Numbers::tensor(node, "membership_values")?.unwrap_or_default();
    let values = values.values;
    let mut lists = values.split(|value| value.is_nan());
    let mut sets = Vec::with_capacity(modes.len());
    for mode in modes {
        let list = if *mode == AMONG { lists.next() } else { None };
        if *mode == AMONG && list.is_none_or(<[f64]>::is_empty) {
            return Err(
                "attribute membership_values: got fewer lists than splits with the mode 6".into(),
            );
        }
        sets.push(list.map(<[f64]>::to_vec));
    }
    // Nothing follows the NaN at the end.
    if lists.next().is_some_and(|rest| !rest.is_empty()) || lists.next().is_some() {
        return Err(
            "attribute membership_values: got more lists than splits with the mode 6".into(),
        );
    }
    Ok(sets)
}

fn numbers(node: &Node<'_>, name: &str) -> Result<Numbers, String> {
    let numbers = Numbers::tensor(node, name)?;
    numbers.ok_or_else(|| format!("attribute {name} is missing"))
}

/// Reads the leaves, which have one vote each.
fn read_votes(node: &Node<'_>, outputs: usize) -> Result<Votes, String> {
    let targets = required(node, "leaf_targetids")?;
    let weights = numbers(node, "leaf_weights")?.values;
    check_length("leaf_weights", weights.len(), targets.len())?;
    check_finite("leaf_weights", &weights)?;
    if outputs > targets.len() {
        let got = targets.len();
        return Err(format!("got {outputs} targets, but only {got} leaves"));
    }
    let targets = targets
        .iter()
        .map(|index| target(*index, outputs, "target"));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    Ok(Votes::single(targets.into_iter().zip(weights).collect()))
}

/// Returns the position of a split or leaf.
fn position(index: i64, count: usize, what: &str) -> Result<usize, String> {
    let position = usize::try_from(index).ok().filter(|at| *at < count);
    position.ok_or_else(|| format!("got {what} {index}, expected one below {count}"))
}
