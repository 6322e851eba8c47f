//! Ensembles of decision trees: TreeEnsembleClassifier and TreeEnsembleRegressor (versions 1 and 3), and TreeEnsemble (version 5).
//!
//! Both layouts of nodes, [`listed`] and [`linked`], become [`draft`] trees, which are checked and become the
//! [`Ensemble`](crate::model::trees::Ensemble) that all formats share. [`sums`] adds the leaves of each row up.

mod classifier;
mod combined;
mod decision;
mod draft;
mod ensemble;
mod linked;
mod listed;
mod regressor;
mod sums;
mod votes;
mod walk;

#[cfg(test)]
mod tests;

pub(super) use classifier::{ENTRY as CLASSIFIER, TRAINED_ENTRY as TRAINED_CLASSIFIER};
pub(super) use ensemble::ENTRY as ENSEMBLE;
pub(super) use regressor::ENTRY as REGRESSOR;
