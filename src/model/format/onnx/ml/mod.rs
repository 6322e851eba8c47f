//! Operators of the domain `ai.onnx.ml`: what the models of scikit-learn, and the trees of XGBoost and LightGBM, become.
//!
//! Sums are computed in f64, as scikit-learn does, and rounded to the type of the output. Where libraries disagree about a model,
//! the library that trained it is right; where that is not known, the model is refused. Operators on maps (CastMap,
//! DictVectorizer) are not supported.

mod array;
mod attributes;
mod encode;
mod labels;
mod linear;
mod matrix;
mod post;
mod scale;
mod svm;
mod trees;
mod zip_map;

#[cfg(test)]
mod tests;

use super::operator::Entry;

/// The operators.
static OPERATORS: [Entry; 17] = [
    array::ENTRY,
    encode::CATEGORY_MAPPER,
    encode::LABEL_ENCODER,
    encode::ONE_HOT_ENCODER,
    linear::CLASSIFIER,
    linear::REGRESSOR,
    scale::BINARIZER,
    scale::FEATURE_VECTORIZER,
    scale::IMPUTER,
    scale::NORMALIZER,
    scale::SCALER,
    svm::CLASSIFIER,
    svm::REGRESSOR,
    trees::CLASSIFIER,
    trees::ENSEMBLE,
    trees::REGRESSOR,
    zip_map::ENTRY,
];

/// The operators that read files of [`CONVERTERS`] in another way.
static TRAINED_OPERATORS: [Entry; 1] = [trees::TRAINED_CLASSIFIER];

/// The exporters of trained models. Of their models, the library that trained the model says what is right.
const CONVERTERS: [&str; 2] = ["skl2onnx", "OnnxMLTools"];

/// Returns the operator of this name, or `None` if it is not supported. `producer` is what the file says about its exporter.
pub(super) fn find(name: &str, producer: &str) -> Option<&'static Entry> {
    let is_trained = CONVERTERS
        .iter()
        .any(|converter| producer.starts_with(converter));
    let trained = TRAINED_OPERATORS.iter().filter(|_| is_trained);
    trained.chain(&OPERATORS).find(|entry| entry.name == name)
}
