//! Chooses what one version counts, and how much memory each of its sketches may take.

use super::layout::{Feature, Layout, SketchBudget};
use super::recorder;
use super::settings::Settings;
use super::summary::{Inputs, Summary};
use crate::ident::Role;
use crate::insight::outputs;
use crate::insight::sketch::{MAX_BYTES, MIN_BYTES, Sketch};
use crate::model::{Encoding, Input, Signature};

/// Categories of one input that are counted one by one. The rest are counted together.
pub const MAX_CATEGORIES: usize = 64;

/// How much more memory the sketch of a time or a score gets than that of an input: they are few, and read most often.
const SHARES_OF_OTHER: usize = 4;
/// Sketches of a summary that every version has besides those of inputs and outputs: three times and the confidence.
const ALWAYS: usize = 4;

/// Returns what a version of this signature counts within `settings`. A sensitive input is neither counted nor named.
pub(super) fn plan(signature: &Signature, settings: Settings) -> Layout {
    let mut layout = Layout {
        outputs: outputs::labels(signature),
        classes: signature.classes.clone(),
        has_confidence: outputs::has_confidence(signature),
        features: Vec::new(),
        left_out: 0,
        places: Vec::with_capacity(signature.inputs().len()),
        budget: SketchBudget::default(),
    };
    let others = layout.outputs.len() + ALWAYS;
    let always = size_of::<Summary>()
        + others * (MIN_BYTES + size_of::<Sketch>())
        + layout.classes.len() * size_of::<u64>();
    let of_summary = settings.max_bytes / (Role::COUNT * recorder::summaries());
    let mut left = of_summary.saturating_sub(always);
    let mut numbers = 0;
    for input in signature.inputs() {
        let place = match feature(input, settings) {
            None => None,
            Some(feature) => {
                let least = least_bytes(&feature);
                if layout.features.len() == settings.max_features || left < least {
                    layout.left_out += 1;
                    None
                } else {
                    left -= least;
                    numbers += usize::from(feature.categories.is_none());
                    layout.features.push(feature);
                    u32::try_from(layout.features.len() - 1).ok()
                }
            }
        };
        layout.places.push(place);
    }
    let share = left / (numbers + SHARES_OF_OTHER * others);
    let more = (SHARES_OF_OTHER * share).min(MAX_BYTES - MIN_BYTES);
    let rest = (left - others * more) / numbers.max(1);
    layout.budget = SketchBudget {
        input: MIN_BYTES + rest.min(MAX_BYTES - MIN_BYTES),
        other: MIN_BYTES + more,
    };
    layout
}

/// Returns how an input is counted; `None` if it is sensitive, not used, or not wanted.
fn feature(input: &Input, settings: Settings) -> Option<Feature> {
    if input.is_sensitive() || !settings.features {
        return None;
    }
    let categories = match &input.encoding {
        Encoding::Ignore { .. } | Encoding::Mask { .. } => return None,
        Encoding::Tensor { .. } if !input.is_observed() => return None,
        Encoding::Numeric { .. } | Encoding::Cyclic { .. } | Encoding::Tensor { .. } => None,
        Encoding::Categorical { categories, .. } | Encoding::Ordinal { categories, .. } => {
            let first = categories.names().iter().take(MAX_CATEGORIES);
            Some(first.cloned().collect())
        }
    };
    let name = input.name.clone();
    Some(Feature { name, categories })
}

/// Returns the fewest bytes that an input takes in one summary.
fn least_bytes(feature: &Feature) -> usize {
    let counts = feature.categories.as_ref();
    size_of::<Inputs>() + counts.map_or(MIN_BYTES, |counted| counted.len() * size_of::<u64>())
}
