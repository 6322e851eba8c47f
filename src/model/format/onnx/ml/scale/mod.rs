//! Operators that change each number, by column: Scaler, Imputer, Binarizer and Normalizer; and FeatureVectorizer, which joins
//! columns.

mod binarizer;
mod imputer;
mod normalizer;
mod scaler;
mod vectorizer;

#[cfg(test)]
mod tests;

pub(super) use binarizer::ENTRY as BINARIZER;
pub(super) use imputer::ENTRY as IMPUTER;
pub(super) use normalizer::ENTRY as NORMALIZER;
pub(super) use scaler::ENTRY as SCALER;
pub(super) use vectorizer::ENTRY as FEATURE_VECTORIZER;

use super::super::operator::Fact;
use super::super::value::Value;

/// Parameters that are the same for all columns, if there is one, or one per column of a matrix.
///
/// Returns an error if there is none, or a fact shows that there is another number of columns.
fn check_per_column(name: &str, parameters: usize, fact: &Fact) -> Result<(), String> {
    match (parameters, fact.rank()) {
        (0, _) => Err(format!("attribute {name}: got no values, expected some")),
        (1, _) | (_, None) => Ok(()),
        (_, Some(2)) => match fact.dim(1).fixed() {
            Some(columns) if columns != parameters => Err(format!(
                "attribute {name}: got {parameters} values for {columns} columns, expected one, or one for each"
            )),
            _ => Ok(()),
        },
        (_, Some(rank)) => Err(format!(
            "input 0: got {rank} axes, expected 2, because there are {parameters} values of {name}"
        )),
    }
}

/// Returns an error if a value does not have the columns that `parameters` are for.
fn check_columns(value: &Value, parameters: usize) -> Result<(), String> {
    if parameters == 1 || matches!(value.shape(), [_, columns] if *columns == parameters) {
        return Ok(());
    }
    let got = value.shape();
    Err(format!(
        "input 0: got shape {got:?}, expected rows of {parameters} values"
    ))
}
