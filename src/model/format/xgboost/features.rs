//! The inputs of a model: their names, their types and their categories.
//!
//! `learner.feature_names` and `learner.feature_types` (since XGBoost 1.4) have one text per input, or none. The tables of categories
//! (since 3.1) have a module of their own.

use std::collections::HashSet;

use super::document::{Object, Value};
use super::faults::Faults;
use super::tables::Table;
use crate::model::trees::{Feature, FeatureKind};

/// The most inputs of a model that does not name them. Each takes memory, and such a file can claim any number.
const MOST_UNNAMED: usize = 65_536;

/// Reads the inputs. `tables` are their categories, if the file has any; `categorical` says of each input whether a tree splits it by
/// category.
pub(super) fn read(
    learner: &Object<'_, '_>,
    inputs: usize,
    tables: Vec<Table>,
    categorical: &[bool],
    faults: &mut Faults,
) -> Option<Vec<Feature>> {
    let before = faults.count();
    let names = names(learner, inputs, faults);
    let types = texts_per_input(learner, "feature_types", inputs, faults);
    if faults.count() > before {
        return None;
    }
    let mut tables = tables.into_iter();
    let mut features = Vec::with_capacity(inputs);
    for input in 0..inputs {
        let table = tables.next().unwrap_or(Table::Empty);
        let is_split = categorical.get(input).copied().unwrap_or_default();
        match kind(types.get(input).copied(), table, is_split) {
            Ok(kind) => {
                let name = names.get(input).map(|name| (*name).to_owned());
                features.push(Feature { name, kind });
            }
            Err(message) => faults.add(format!("learner.feature_types[{input}]"), message),
        }
    }
    (faults.count() == before).then_some(features)
}

/// Returns what the values of an input are.
fn kind(declared: Option<&str>, table: Table, is_split: bool) -> Result<FeatureKind, String> {
    match (declared, table) {
        (Some("c") | None, Table::Known(kind)) => Ok(kind),
        (Some("c") | None, Table::Damaged(_)) | (Some("c"), Table::Empty) => Ok(FeatureKind::Codes),
        (None, Table::Empty) if is_split => Ok(FeatureKind::Codes),
        (Some(declared), Table::Empty) if is_split => Err(format!(
            "got {declared:?}, expected \"c\": a tree splits the input by category"
        )),
        (Some("float" | "q") | None, Table::Empty) => Ok(FeatureKind::Number),
        (Some("int"), Table::Empty) => Ok(FeatureKind::Integer),
        (Some("i"), Table::Empty) => Ok(FeatureKind::Indicator),
        (Some(declared), Table::Empty) => {
            let declared = crate::text::ellipsize(declared, 64);
            Err(format!("got {declared:?}, expected float, int, i, q or c"))
        }
        (Some(declared), _) => {
            let declared = crate::text::ellipsize(declared, 64);
            Err(format!(
                "got {declared:?}, expected \"c\": the input has categories"
            ))
        }
    }
}

/// Checks the number of inputs before anything is reserved for them.
pub(super) fn check_count(learner: &Object<'_, '_>, inputs: usize, faults: &mut Faults) {
    let named = match learner.find("feature_names") {
        Some(Value::List(names)) => names.len(),
        _ => 0,
    };
    let most = named.max(MOST_UNNAMED);
    if inputs == 0 || inputs > most {
        let message = format!("got {inputs}, expected 1 to {most}");
        faults.add("learner.learner_model_param.num_feature", message);
    }
}

fn names<'d>(learner: &Object<'d, '_>, inputs: usize, faults: &mut Faults) -> Vec<&'d str> {
    let names = texts_per_input(learner, "feature_names", inputs, faults);
    let mut known = HashSet::with_capacity(names.len());
    for (at, &name) in names.iter().enumerate() {
        if !known.insert(name) {
            let name = crate::text::ellipsize(name, 64);
            let message = format!("got {name:?}, which is the name of an earlier input");
            faults.add(format!("learner.feature_names[{at}]"), message);
        }
    }
    names
}

/// Returns the texts of all inputs, or none.
fn texts_per_input<'d>(
    learner: &Object<'d, '_>,
    key: &str,
    inputs: usize,
    faults: &mut Faults,
) -> Vec<&'d str> {
    if learner.find(key).is_none() {
        return Vec::new();
    }
    let texts = learner.texts(key, faults).unwrap_or_default();
    if !texts.is_empty() && texts.len() != inputs {
        let message = format!(
            "got {} texts, expected one for each of {inputs} inputs",
            texts.len()
        );
        faults.add(learner.path_of(key), message);
    }
    texts
}
