//! Reads `learner.gradient_booster`: the trees, the sum to which each is added, and the weights of DART.
//!
//! Two layouts of DART: `name` "dart" with `gbtree.model` and `weight_drop` beside it (to XGBoost 3.4), and `name` "gbtree" with
//! `weight_drop` in `model`. Source: `src/gbm/gbtree.cc`, `src/gbm/gbtree_model.cc`.

use super::document::{Object, Value};
use super::faults::Faults;
use super::learner::Best;
use super::leaves::Frame;
use super::tree;
use crate::model::trees::{Leaf, Missing, Node, Test, Tree};

/// The parts of a booster, before its trees are read.
#[derive(Debug)]
pub(super) struct Booster<'d, 'a> {
    /// The object with the trees.
    pub(super) model: Object<'d, 'a>,
    trees: &'d [Value<'a>],
    outputs: Vec<i64>,
    weights: Option<Vec<f32>>,
    /// The number of trees up to the end of each iteration; `None` if the file does not say.
    iteration_ends: Option<Vec<usize>>,
}

impl<'d, 'a> Booster<'d, 'a> {
    /// Finds the parts of a booster.
    pub(super) fn find(
        learner: &Object<'d, 'a>,
        best: Option<Best>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let before = faults.count();
        let booster = learner.object("gradient_booster", faults)?;
        let name = booster.text("name", faults)?;
        let owner = match name {
            "gbtree" => booster.clone(),
            "dart" => booster.object("gbtree", faults)?,
            _ => {
                let name = crate::text::ellipsize(name, 64);
                let message = format!(
                    "the booster {name:?} is not supported, expected \"gbtree\" or \"dart\""
                );
                faults.add(booster.path_of("name"), message);
                return None;
            }
        };
        let model = owner.object("model", faults)?;
        let trees = model.list("trees", faults);
        let outputs = model.integers("tree_info", faults);
        let (trees, outputs) = (trees?, outputs?);
        let weights = weights(&booster, &model, name == "dart", trees.len(), faults);
        let iteration_ends = iteration_ends(&model, &outputs, best, faults);
        if trees.is_empty() {
            let message = "got no trees, expected at least one: the model has not been trained";
            faults.add(model.path_of("trees"), message);
        }
        if outputs.len() != trees.len() {
            let message = format!(
                "got {} entries, expected one per tree: {}",
                outputs.len(),
                trees.len()
            );
            faults.add(model.path_of("tree_info"), message);
        }
        let parameters = model.object("gbtree_model_param", faults);
        let count = parameters.and_then(|object| object.count("num_trees", faults));
        if let Some(count) = count.filter(|&count| count != trees.len()) {
            let message = format!(
                "got {count}, expected {}, the length of `trees`",
                trees.len()
            );
            faults.add(model.path_of("gbtree_model_param.num_trees"), message);
        }
        (faults.count() == before).then_some(Self {
            model,
            trees,
            outputs,
            weights,
            iteration_ends,
        })
    }

    /// Returns the number of trees.
    pub(super) fn trees(&self) -> usize {
        self.trees.len()
    }

    /// Returns the number of trees up to the end of each iteration; `None` if the file does not say.
    pub(super) fn iteration_ends(&self) -> Option<&[usize]> {
        self.iteration_ends.as_deref()
    }

    /// Reads all trees, so that every fault is found, whether a tree is used or not.
    pub(super) fn read(
        &self,
        inputs: usize,
        outputs: usize,
        faults: &mut Faults,
    ) -> Option<Vec<Tree>> {
        let before = faults.count();
        let mut trees = Vec::with_capacity(self.trees.len());
        for (at, value) in self.trees.iter().enumerate() {
            let path = format!("{}[{at}]", self.model.path_of("trees"));
            let Some(object) = Object::new(value, path, faults) else {
                continue;
            };
            self.check_id(&object, at, faults);
            let output = u32::try_from(self.outputs[at])
                .ok()
                .filter(|&output| (output as usize) < outputs);
            let Some(output) = output else {
                let message = format!(
                    "got {}, expected an output below {outputs}",
                    self.outputs[at]
                );
                faults.add(
                    format!("{}[{at}]", self.model.path_of("tree_info")),
                    message,
                );
                continue;
            };
            let frame = Frame {
                inputs,
                outputs,
                output,
                weight: self.weights.as_ref().map_or(1.0, |weights| weights[at]),
            };
            trees.extend(tree::read(&object, frame, faults));
        }
        (faults.count() == before).then_some(trees)
    }

    /// Checks that the trees are in order: XGBoost writes the position into each.
    fn check_id(&self, object: &Object<'_, '_>, at: usize, faults: &mut Faults) {
        match object.find("id") {
            Some(Value::Number(number)) if number.to_string() == at.to_string() => {}
            Some(other) => {
                let message = format!("got {}, expected {at}", other.describe());
                faults.add(object.path_of("id"), message);
            }
            None => faults.add(object.path_of("id"), "this field is missing"),
        }
    }
}

/// Reads the weights of DART, one per tree.
fn weights(
    booster: &Object<'_, '_>,
    model: &Object<'_, '_>,
    is_dart: bool,
    trees: usize,
    faults: &mut Faults,
) -> Option<Vec<f32>> {
    let owner = match is_dart {
        true => booster,
        false if model.find("weight_drop").is_some() => model,
        false => return None,
    };
    let weights = owner.singles("weight_drop", faults)?;
    if weights.len() != trees {
        let message = format!(
            "got {} weights, expected one per tree: {trees}",
            weights.len()
        );
        faults.add(owner.path_of("weight_drop"), message);
    }
    Some(weights)
}

/// Returns the number of trees up to the end of each iteration.
///
/// Since XGBoost 2.0 the file has them. Before, each iteration has the same number of trees: `num_parallel_tree` for each output.
fn iteration_ends(
    model: &Object<'_, '_>,
    outputs: &[i64],
    best: Option<Best>,
    faults: &mut Faults,
) -> Option<Vec<usize>> {
    let trees = outputs.len();
    if model.find("iteration_indptr").is_none() {
        let parameters = model.object("gbtree_model_param", &mut Faults::default())?;
        // Since XGBoost 1.6; before, only the attributes of early stopping imply it.
        let parallel = match parameters.find("num_parallel_tree") {
            Some(_) => parameters.count("num_parallel_tree", faults)?,
            None => best?.parallel_trees()?,
        };
        let groups = usize::try_from(*outputs.iter().max()?)
            .ok()?
            .checked_add(1)?;
        let size = parallel.checked_mul(groups).filter(|&size| size > 0)?;
        let is_whole = trees.is_multiple_of(size);
        return is_whole.then(|| (1..=trees / size).map(|at| at * size).collect());
    }
    let bounds = model.integers("iteration_indptr", faults)?;
    let bounds: Option<Vec<usize>> = bounds
        .iter()
        .map(|&end| usize::try_from(end).ok())
        .collect();
    let is_valid = bounds.filter(|bounds| {
        bounds.first() == Some(&0)
            && bounds.last() == Some(&trees)
            && bounds.is_sorted_by(|one, next| one < next)
    });
    match is_valid {
        Some(bounds) => Some(bounds[1..].to_vec()),
        None => {
            let message = format!("expected ascending numbers of trees from 0 to {trees}");
            faults.add(model.path_of("iteration_indptr"), message);
            None
        }
    }
}

/// Returns for each input whether a tree splits it by category.
pub(super) fn categorical_inputs(trees: &[Tree], inputs: usize) -> Vec<bool> {
    let mut categorical = vec![false; inputs];
    for node in trees.iter().flat_map(|tree| &tree.nodes) {
        if let Node::Split {
            input,
            test: Test::In { .. },
            ..
        } = node
            && let Some(is_categorical) = categorical.get_mut(*input as usize)
        {
            *is_categorical = true;
        }
    }
    categorical
}

/// Returns whether a tree has a categorical split that sends missing values to the right.
pub(super) fn has_default_right_categories(trees: &[Tree]) -> bool {
    let mut nodes = trees.iter().flat_map(|tree| &tree.nodes);
    nodes.any(|node| {
        matches!(
            node,
            Node::Split {
                test: Test::In { .. },
                missing: Missing::Yes,
                ..
            }
        )
    })
}

/// Returns whether a tree has leaves with a value per output.
pub(super) fn has_vector_leaves(trees: &[Tree]) -> bool {
    let mut nodes = trees.iter().flat_map(|tree| &tree.nodes);
    nodes.any(|node| matches!(node, Node::Leaf(Leaf::Many(_))))
}
