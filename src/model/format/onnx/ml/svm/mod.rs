//! Support vector machines: SVMClassifier and SVMRegressor, as libsvm computes them.
//!
//! Only models with support vectors are supported. Without any, the operators are linear models, which converters write as
//! LinearClassifier and LinearRegressor.

mod classifier;
mod kernel;
mod probability;
mod regressor;

#[cfg(test)]
mod tests;

pub(super) use classifier::ENTRY as CLASSIFIER;
pub(super) use regressor::ENTRY as REGRESSOR;
