//! Reads the models of XGBoost: JSON and UBJ files of `Booster.save_model`, versions 1.0 to 3.
//!
//! [`read`] returns the trees in the form of [`model::trees`](crate::model::trees), with the arithmetic of XGBoost: thresholds, leaves
//! and the initial sums are f32, sums are added in f32 in the order of the trees, and the link is computed in f32.
//!
//! Refused by name: the booster `gblinear`; objectives whose predictions are not known, such as custom ones, `reg:expectileerror` and
//! `binary:logitraw`; trees that are inconsistent in any way; versions of XGBoost after 3.
//! Not here: the evaluation of trees; the older binary format and pickled boosters, which only XGBoost itself can read.
//!
//! Memory: the trees need at most 16 times the length of the file, in practice 1 to 2 times, and inputs without names at most 4 MiB. A
//! hostile file may need 48 times its length before it is refused (see the module `document`).
//!
//! Sources: the files of XGBoost that each module names, at commit 379b29f (3.5-dev), and its releases 1.0 to 3.4.

mod booster;
mod categories;
mod document;
mod faults;
mod features;
mod learner;
mod leaves;
mod objective;
mod tables;
mod tree;
mod version;

#[cfg(test)]
mod tests;

use booster::Booster;
use document::{Object, Value};
use faults::Faults;
use learner::{Best, Dimensions, Learner};
use tables::Table;
use version::Version;

use crate::model::format::fault::FormatFault;
use crate::model::trees::{Ensemble, Feature, FeatureKind, Predicted, TreeModel};

/// Which iterations of a model are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Iterations {
    /// All that the file has, as `Booster.predict` and `Booster.inplace_predict` do.
    #[default]
    All,
    /// Those up to the best one, as the scikit-learn wrapper (`XGBClassifier`, `XGBRegressor`) does after early stopping.
    Best,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which iterations are used.
    pub iterations: Iterations,
}

/// Returns whether a file begins as a model of XGBoost does, in JSON or in UBJ.
///
/// Other JSON files are not recognised. A file that is recognised may still be refused by [`read`].
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    document::is_xgboost(bytes)
}

/// Reads a model in JSON or UBJ, with all its iterations.
///
/// # Errors
/// Returns all faults that were found.
pub fn read(bytes: &[u8]) -> Result<TreeModel, Vec<FormatFault>> {
    read_with(bytes, Options::default())
}

/// Reads a model in JSON or UBJ.
///
/// # Errors
/// Returns all faults that were found.
pub fn read_with(bytes: &[u8], options: Options) -> Result<TreeModel, Vec<FormatFault>> {
    let document = document::parse(bytes).map_err(|fault| vec![fault])?;
    let mut faults = Faults::default();
    match read_document(&document, options, &mut faults) {
        Some(model) if faults.count() == 0 => Ok(model),
        _ => Err(faults.into_vec()),
    }
}

fn read_document(document: &Value<'_>, options: Options, faults: &mut Faults) -> Option<TreeModel> {
    let before = faults.count();
    let root = Object::new(document, "", faults)?;
    let version = Version::read(&root, faults);
    let learner_object = root.object("learner", faults)?;
    let dimensions = Dimensions::read(&learner_object, faults);
    let best = Best::read(&learner_object, faults);
    let booster = Booster::find(&learner_object, best, faults);
    let outputs = dimensions.map_or(1, |dimensions| dimensions.outputs);
    let learner = Learner::read(&learner_object, outputs, faults);
    let (Dimensions { inputs, outputs }, booster) = (dimensions?, booster?);

    let trees = booster.read(inputs, outputs, faults);
    let tables = tables::read(&booster.model, inputs, version, faults);
    let (mut trees, tables) = (trees?, tables?);
    let damaged = damaged_tables(&tables);
    let categorical = booster::categorical_inputs(&trees, inputs);
    let features = features::read(&learner_object, inputs, tables, &categorical, faults);
    let learner = learner?;
    // Nothing else in the file is as large as that number claims.
    let most = trees.len().max(learner.margins.len());
    if outputs > most && !booster::has_vector_leaves(&trees) {
        let message = format!(
            "got {outputs} outputs and {} trees, expected a tree per output",
            trees.len()
        );
        faults.add(learner_object.path_of("learner_model_param"), message);
    }
    let kept = kept_trees(best, &booster, options.iterations, faults);
    let (features, kept) = (features?, kept?);
    if faults.count() > before {
        return None;
    }
    let mut notes = iteration_notes(best, &booster, options.iterations);
    trees.truncate(kept);
    notes.extend(damaged);
    if version.is_some_and(Version::has_other_rule_for_categories)
        && booster::has_default_right_categories(&trees)
    {
        notes.push(
            "XGBoost 1.6 and 1.7 treat some categories that are not in the set of a split like missing values. The model \
             follows later releases, which send them to the left."
                .into(),
        );
    }
    notes.extend(notes_on(&learner, outputs, &features));
    let base = match learner.margins.as_slice() {
        [margin] => vec![f64::from(*margin); outputs],
        margins => margins.iter().map(|&margin| margin.into()).collect(),
    };
    Some(TreeModel {
        ensemble: Ensemble {
            inputs,
            outputs,
            base,
            divisor: 1.0,
            trees,
        },
        link: learner.objective.link,
        features,
        predicted: learner.predicted,
        objective: learner.objective_name,
        framework: version.map_or_else(|| "xgboost".into(), |version| format!("xgboost {version}")),
        notes,
    })
}

/// Returns the number of trees that are used.
fn kept_trees(
    best: Option<Best>,
    booster: &Booster<'_, '_>,
    iterations: Iterations,
    faults: &mut Faults,
) -> Option<usize> {
    let at = "learner.attributes.best_iteration";
    let message = match (iterations, best, booster.iteration_ends()) {
        (Iterations::All, _, _) => return Some(booster.trees()),
        (Iterations::Best, Some(best), Some(ends)) => match ends.get(best.iteration) {
            Some(&end) => return Some(end),
            None => format!(
                "got {}, expected an iteration below {}",
                best.iteration,
                ends.len()
            ),
        },
        (Iterations::Best, None, _) => {
            "this field is missing: the file has no best iteration; use all iterations".into()
        }
        (Iterations::Best, Some(_), None) => {
            "the file does not say how many trees an iteration has; use all iterations".into()
        }
    };
    faults.add(at, message);
    None
}

/// Says which iterations are used, if there is a choice.
fn iteration_notes(
    best: Option<Best>,
    booster: &Booster<'_, '_>,
    iterations: Iterations,
) -> Vec<String> {
    let Some(best) = best else {
        return Vec::new();
    };
    let upto = best.iteration + 1;
    let all = match booster.iteration_ends() {
        // The best is the last, or beyond what a person has cut off.
        Some(ends) if ends.len() <= upto => return Vec::new(),
        Some(ends) => format!("all {} iterations", ends.len()),
        None => "all iterations".into(),
    };
    vec![match iterations {
        Iterations::All => format!(
            "Training stopped early, and iteration {upto} is the best. The model uses {all}, as Booster.predict does; \
             the scikit-learn wrapper uses the first {upto}."
        ),
        Iterations::Best => format!(
            "Training stopped early, and iteration {upto} is the best. The model uses the first {upto}, as the \
             scikit-learn wrapper does; Booster.predict uses {all}."
        ),
    }]
}

/// Says which inputs have lost the texts of their categories.
fn damaged_tables(tables: &[Table]) -> Option<String> {
    let mut damaged = (0..)
        .zip(tables)
        .filter(|(_, table)| matches!(table, Table::Damaged(_)));
    let indices: Vec<String> = damaged
        .by_ref()
        .take(16)
        .map(|(at, _): (usize, _)| at.to_string())
        .collect();
    if indices.is_empty() {
        return None;
    }
    let more = if damaged.next().is_some() {
        " and more"
    } else {
        ""
    };
    Some(format!(
        "The texts of the categories of input {}{more} are damaged, as XGBoost 3.1 to 3.3 writes texts that are not \
         ASCII; clients send codes. Train again with XGBoost 3.4 to keep the texts.",
        indices.join(", ")
    ))
}

/// Says what a person would otherwise have to guess.
fn notes_on(learner: &Learner, outputs: usize, features: &[Feature]) -> Vec<String> {
    let mut notes = Vec::new();
    if features.iter().all(|feature| feature.name.is_none()) {
        notes.push("The file does not name the inputs.".into());
    }
    let codes = features
        .iter()
        .filter(|feature| feature.kind == FeatureKind::Codes)
        .count();
    if codes > 0 {
        notes.push(format!(
            "The file does not name the categories of {codes} of the inputs; their values are the codes of training, from 0."
        ));
    }
    if let Some(quantiles) = learner.quantiles.as_ref().filter(|_| outputs > 1) {
        let quantiles = crate::text::ellipsize(quantiles, 256);
        notes.push(format!(
            "The columns are the quantiles {quantiles} of each target."
        ));
    }
    if learner.objective.is_binary() && learner.predicted == Predicted::Values {
        notes.push(format!(
            "Each of the {outputs} columns is a target of its own with two classes."
        ));
    }
    notes
}
