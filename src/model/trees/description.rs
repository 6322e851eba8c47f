//! What a file of trees says about itself beside its trees: its inputs, and what its sums mean.

use super::{Ensemble, Link};

/// A model of decision trees, as read from the file of another library.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeModel {
    /// The trees.
    pub ensemble: Ensemble,
    /// The function from sums to predictions.
    pub link: Link,
    /// The inputs, one per value of a row.
    pub features: Vec<Feature>,
    /// What the predictions are.
    pub predicted: Predicted,
    /// The library's name of what was learned, such as `binary:logistic`; empty if the file does not say.
    pub objective: String,
    /// The library and, if the file says so, its version: `xgboost 3.2.0`, `lightgbm`.
    pub framework: String,
    /// What a person should know about how the file is read, such as which iterations are used. Whole sentences.
    pub notes: Vec<String>,
}

/// One input of a model of trees.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its name, if the file has one.
    pub name: Option<String>,
    /// What its values are.
    pub kind: FeatureKind,
}

/// What the values of an input are.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureKind {
    /// Any number.
    Number,
    /// A whole number, if the file says so.
    Integer,
    /// Zero or one, if the file says so.
    Indicator,
    /// A category: the trees use its position in this list.
    Texts(Vec<String>),
    /// A category that is a number: the trees use its position in this list.
    Integers(Vec<i64>),
    /// A category given as its code, from 0; the file does not name the categories.
    Codes,
}

/// What the predictions are.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicted {
    /// One column: the probability of the second of two classes.
    Probability,
    /// One column per class: their probabilities.
    Probabilities,
    /// One column: the index of the class, of so many classes.
    Class(usize),
    /// One column per target: numbers.
    Values,
}
