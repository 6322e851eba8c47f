//! What one version counts, fixed when it is loaded.

use super::summary::{Inputs, Summary};
use super::{Settings, recorder};
use crate::ident::Role;
use crate::insight::outputs;
use crate::insight::sketch::{FEWEST_BYTES, MOST_BYTES, Sketch};
use crate::model::{Encoding, Signature};

/// Categories of one input that are counted one by one; the others together.
pub const MOST_CATEGORIES: usize = 64;

/// The names of all that a version counts, in the order of the tables of a [`Summary`].
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// One per distribution of scores, as `taper_prediction_score` calls them.
    pub outputs: Vec<String>,
    /// The classes; empty for a regression.
    pub classes: Vec<String>,
    /// The inputs that are counted: those that enter the network and are not sensitive, in the signature's order.
    pub features: Vec<Feature>,
    /// How many more there are, past the limits on their number and on memory.
    pub left_out: usize,
    /// Place among `features` of each input of the signature.
    pub(super) places: Vec<Option<u32>>,
    /// What each sketch may take.
    pub(super) room: Room,
}

/// Bytes on the heap that one sketch may take, so that those of all summaries in all roles together stay within the setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// The sketch of an input.
    pub(super) input: usize,
    /// Any other: a time, a score.
    pub(super) other: usize,
}

/// How much more room a time or a score gets than an input: there are few of them, and everybody looks at them.
const SHARES_OF_OTHER: usize = 4;
/// Sketches of a summary beside those of inputs and outputs: three times and the confidence.
const ALWAYS: usize = 4;

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
            room: Room::default(),
        };
        let others = layout.outputs.len() + ALWAYS;
        let always = size_of::<Summary>()
            + others * (FEWEST_BYTES + size_of::<Sketch>())
            + layout.classes.len() * size_of::<u64>();
        // Of one summary of one role.
        let room = settings.max_bytes / (Role::COUNT * recorder::summaries());
        let mut left = room.saturating_sub(always);
        let mut numbers = 0;
        for input in signature.inputs() {
            let categories: Option<Option<Vec<String>>> = match &input.encoding {
                _ if input.is_sensitive() || !settings.features => None,
                Encoding::Ignore { .. } => None,
                Encoding::Numeric { .. } | Encoding::Cyclic { .. } => Some(None),
                Encoding::Categorical { categories, .. } => {
                    let first = categories.names().iter().take(MOST_CATEGORIES);
                    Some(Some(first.cloned().collect()))
                }
            };
            let least = size_of::<Inputs>()
                + match &categories {
                    Some(Some(counted)) => counted.len() * size_of::<u64>(),
                    _ => FEWEST_BYTES,
                };
            let is_full = layout.features.len() == settings.max_features || left < least;
            let place = match categories {
                Some(_) if is_full => {
                    layout.left_out += 1;
                    None
                }
                Some(categories) => {
                    left -= least;
                    numbers += usize::from(categories.is_none());
                    let name = input.name.clone();
                    layout.features.push(Feature { name, categories });
                    u32::try_from(layout.features.len() - 1).ok()
                }
                None => None,
            };
            layout.places.push(place);
        }
        let share = left / (numbers + SHARES_OF_OTHER * others);
        let more = (SHARES_OF_OTHER * share).min(MOST_BYTES - FEWEST_BYTES);
        let rest = (left - others * more) / numbers.max(1);
        layout.room = Room {
            input: FEWEST_BYTES + rest.min(MOST_BYTES - FEWEST_BYTES),
            other: FEWEST_BYTES + more,
        };
        layout
    }
}
