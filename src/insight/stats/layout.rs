//! What one version counts, fixed when it is loaded.

use super::Settings;
use crate::insight::outputs;
use crate::model::{Encoding, Signature};

/// Categories of one input that are counted one by one; the others together.
pub const MOST_CATEGORIES: usize = 64;

/// The names of all that a version counts, in the order of the tables of a [`Summary`](super::Summary).
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// One per distribution of scores, as `taper_prediction_score` calls them.
    pub outputs: Vec<String>,
    /// The classes; empty for a regression.
    pub classes: Vec<String>,
    /// The inputs that are counted: those that enter the network and are not sensitive, in the signature's order.
    pub features: Vec<Feature>,
    /// How many more there are, past the limit.
    pub left_out: usize,
    /// Place among `features` of each input of the signature.
    pub(super) places: Vec<Option<u32>>,
}

/// An input that is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// The input.
    pub name: String,
    /// `None` for numbers, else the categories that are counted one by one, in the manifest's order.
    pub categories: Option<Vec<String>>,
}

impl Layout {
    /// What a version of this signature counts. A sensitive input is not even named.
    pub(super) fn of(signature: &Signature, settings: Settings) -> Self {
        let mut layout = Self {
            outputs: outputs::labels(signature),
            classes: signature.classes.clone(),
            features: Vec::new(),
            left_out: 0,
            places: Vec::with_capacity(signature.inputs().len()),
        };
        for input in signature.inputs() {
            let categories = match &input.encoding {
                _ if input.is_sensitive() || !settings.features => None,
                Encoding::Ignore { .. } => None,
                Encoding::Numeric { .. } | Encoding::Cyclic { .. } => Some(None),
                Encoding::Categorical { categories, .. } => {
                    let first = categories.names().iter().take(MOST_CATEGORIES);
                    Some(Some(first.cloned().collect()))
                }
            };
            let place = match categories {
                Some(_) if layout.features.len() == settings.max_features => {
                    layout.left_out += 1;
                    None
                }
                Some(categories) => {
                    let name = input.name.clone();
                    layout.features.push(Feature { name, categories });
                    u32::try_from(layout.features.len() - 1).ok()
                }
                None => None,
            };
            layout.places.push(place);
        }
        layout
    }
}
