//! Reads the parameters of `learner`: the numbers of inputs and outputs, the base scores, the objective and the attributes.
//!
//! Source: `src/learner.cc`, `src/common/param_array.cc` of XGBoost.

use super::document::{Object, Value};
use super::faults::Faults;
use super::objective::Objective;
use crate::model::trees::Predicted;

/// The size of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dimensions {
    /// Values per row.
    pub(super) inputs: usize,
    /// Sums per row, at least 1.
    pub(super) outputs: usize,
}

impl Dimensions {
    pub(super) fn read(learner: &Object<'_, '_>, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let parameters = learner.object("learner_model_param", faults)?;
        let inputs = parameters.count("num_feature", faults);
        let outputs = outputs(&parameters, faults);
        let (inputs, outputs) = (inputs?, outputs?);
        super::features::check_count(learner, inputs, faults);
        (faults.count() == before).then_some(Self { inputs, outputs })
    }
}

/// What a learner says beside its size and its trees.
#[derive(Debug)]
pub(super) struct Learner {
    /// The initial value of the sums: one for all, or one per output.
    pub(super) margins: Vec<f32>,
    /// The objective.
    pub(super) objective: Objective,
    /// Its name.
    pub(super) objective_name: String,
    /// What the predictions are.
    pub(super) predicted: Predicted,
    /// The quantiles that were learned, as the file writes them.
    pub(super) quantiles: Option<String>,
}

/// What training with a validation set left in the attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    /// The best iteration, from 0.
    pub(super) iteration: usize,
    /// The trees of one output up to its end; only until XGBoost 1.5, which does not write the number of parallel trees.
    pub(super) trees_of_output: Option<usize>,
}

impl Best {
    /// Reads the best iteration, if the file has one.
    pub(super) fn read(learner: &Object<'_, '_>, faults: &mut Faults) -> Option<Self> {
        let Some(Value::Object(_)) = learner.find("attributes") else {
            return None;
        };
        let attributes = learner.object("attributes", faults)?;
        attributes.find("best_iteration")?;
        let iteration = attributes.count("best_iteration", faults)?;
        let trees_of_output = match attributes.find("best_ntree_limit") {
            Some(_) => Some(attributes.count("best_ntree_limit", faults)?),
            None => None,
        };
        Some(Self {
            iteration,
            trees_of_output,
        })
    }

    /// Returns the parallel trees of one output in an iteration, if the attributes say so.
    pub(super) fn parallel_trees(&self) -> Option<usize> {
        let iterations = self.iteration + 1;
        let trees = self.trees_of_output?;
        trees
            .is_multiple_of(iterations)
            .then_some(trees / iterations)
    }
}

impl Learner {
    /// Reads the base scores, the objective and the attributes of a model with so many outputs.
    pub(super) fn read(
        learner: &Object<'_, '_>,
        outputs: usize,
        faults: &mut Faults,
    ) -> Option<Self> {
        let before = faults.count();
        let objective = read_objective(learner, faults);
        let parameters = learner.object("learner_model_param", faults);
        let parameters = parameters?;
        let scores = base_scores(&parameters, faults);
        let (objective, objective_name, quantiles) = objective?;
        let scores = scores?;

        if scores.len() != 1 && scores.len() != outputs {
            let message = format!("got {} base scores, expected 1 or {outputs}", scores.len());
            faults.add(parameters.path_of("base_score"), message);
        }
        let mut margins = Vec::with_capacity(scores.len());
        for score in scores {
            match objective.to_margin.margin(score) {
                Ok(margin) => margins.push(margin),
                Err(message) => faults.add(parameters.path_of("base_score"), message),
            }
        }
        let predicted = objective.predicted(outputs);
        let predicted =
            predicted.map_err(|message| faults.add(parameters.path_of("num_class"), message));
        let learner = Self {
            margins,
            objective,
            objective_name,
            predicted: predicted.ok()?,
            quantiles,
        };
        (faults.count() == before).then_some(learner)
    }
}

/// Returns the objective, its name, and the quantiles of `reg:quantileerror`.
fn read_objective(
    learner: &Object<'_, '_>,
    faults: &mut Faults,
) -> Option<(Objective, String, Option<String>)> {
    let object = learner.object("objective", faults)?;
    let name = object.text("name", faults)?;
    let objective = Objective::find(name)
        .map_err(|message| faults.add(object.path_of("name"), message))
        .ok()?;
    let quantiles = match object.find("quantile_loss_param") {
        Some(Value::Object(_)) => {
            let parameters = object.object("quantile_loss_param", faults)?;
            Some(parameters.text("quantile_alpha", faults)?.to_owned())
        }
        _ => None,
    };
    Some((objective, name.to_owned(), quantiles))
}

/// Returns the number of sums per row: the number of classes or of targets.
fn outputs(parameters: &Object<'_, '_>, faults: &mut Faults) -> Option<usize> {
    let classes = parameters.count("num_class", faults);
    // Since XGBoost 1.6.
    let targets = match parameters.find("num_target") {
        Some(_) => parameters.count("num_target", faults),
        None => Some(1),
    };
    let (classes, targets) = (classes?, targets?);
    if classes > 1 && targets > 1 {
        let message = format!(
            "got {classes} classes and {targets} targets, expected one of both to be 1 at most"
        );
        faults.add(parameters.path_of("num_target"), message);
        return None;
    }
    Some(classes.max(targets).max(1))
}

/// Reads `base_score`: `"5E-1"`, or `"[5E-1,2E0]"` since XGBoost 3.1.
fn base_scores(parameters: &Object<'_, '_>, faults: &mut Faults) -> Option<Vec<f32>> {
    let text = parameters.text("base_score", faults)?;
    let inner = text
        .trim()
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let scores: Option<Vec<f32>> = inner
        .unwrap_or(text)
        .split(',')
        .map(|score| parse_decimal(score.trim()))
        .collect();
    if scores.is_none() {
        let text = crate::text::ellipsize(text, 64);
        let message = format!("got {text:?}, expected a number or a list of numbers");
        faults.add(parameters.path_of("base_score"), message);
    }
    scores
}

/// Parses a decimal number. Rust would also accept `inf` and `nan`, and XGBoost writes `Infinity` and `NaN`; both are refused later.
fn parse_decimal(text: &str) -> Option<f32> {
    let is_decimal = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    is_decimal.then(|| text.parse().ok()).flatten()
}
