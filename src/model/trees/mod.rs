//! Ensembles of decision trees: the form that the readers of all formats produce, and its evaluation.

mod description;
mod ensemble;
mod forest;
mod link;

pub use description::{Feature, FeatureKind, Predicted, TreeModel};
pub use ensemble::{Ensemble, Leaf, Missing, Node, Test, Tree};
pub use forest::{Arithmetic, Forest, Rows};
pub use link::{Link, Precision};
