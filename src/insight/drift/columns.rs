//! The columns of a version that can be compared: its windows with its profile, or with other windows.

use std::collections::BTreeMap;

use super::categories::Categories;
use super::distribution::Distribution;
use super::report::{ColumnPair, Pair};
use crate::insight::outputs;
use crate::insight::stats::{Inputs, Snapshot, Values};
use crate::model::manifest::raw::{Profile, Reference};
use crate::model::{Encoding, Outside, PredictionKind, Signature};

/// Name of the column that counts rows by their most probable class.
const CLASS: &str = "class";

/// The columns of one version, as [`assess`](super::assess) takes them. They depend on the signature, the settings and what they
/// are compared with, but not on what was observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Inputs, in the signature's order. None of them is sensitive.
    pub features: Vec<ColumnPair>,
    /// Outputs, by their names in `taper_prediction_score`. Between two windows also the classes.
    pub predictions: Vec<ColumnPair>,
    /// How many inputs are not compared because they are sensitive.
    pub sensitive: usize,
    /// How many inputs of the network are not compared because one side has no data of the same kind: the input is not recorded,
    /// or not in the profile.
    pub left_out: usize,
}

impl Columns {
    /// Pairs what a version observes `now` with its own profile. Classes are compared only if labels are predicted, because a profile
    /// has the distributions of probabilities instead.
    #[must_use]
    pub fn against_profile(signature: &Signature, reference: &Reference, now: &Snapshot) -> Self {
        let of_output = |name| {
            let there = outputs::profile_name(signature, name);
            reference.predictions.get(there)
        };
        let outputs = now.layout.outputs.iter().zip(&now.summary.scores);
        let predictions = outputs.filter_map(|(name, sketch)| {
            let reference = numbers(of_output(name)?, reference.rows, None)?;
            let current = Distribution::of_sketch(sketch);
            let pair = Pair::Numbers { reference, current };
            let name = name.clone();
            Some(ColumnPair { name, pair })
        });
        let predictions = predictions.chain(label_pair(signature, reference, now));
        let predictions = predictions.collect();
        Self::of(signature, now, predictions, |name, current| {
            let profile = reference.features.get(name)?;
            match current {
                Column::Numbers(current) => Some(Pair::Numbers {
                    reference: numbers(profile, reference.rows, clip_range(signature, name))?,
                    current,
                }),
                Column::Categories(current) => Some(Pair::Categories {
                    reference: Categories {
                        counts: profile.categories.clone()?,
                        other: profile.other.unwrap_or(0),
                        missing: profile.missing,
                    },
                    current,
                }),
            }
        })
    }

    /// Pairs what was observed `before` with what is observed `now`. Either may be of the version with this signature or of
    /// another.
    #[must_use]
    pub fn between(signature: &Signature, before: &Snapshot, now: &Snapshot) -> Self {
        let scores_before: BTreeMap<_, _> = before
            .layout
            .outputs
            .iter()
            .zip(&before.summary.scores)
            .collect();
        let outputs = now.layout.outputs.iter().zip(&now.summary.scores);
        let outputs = outputs.filter_map(|(name, sketch)| {
            let pair = Pair::Numbers {
                reference: Distribution::of_sketch(scores_before.get(name)?),
                current: Distribution::of_sketch(sketch),
            };
            let name = name.clone();
            Some(ColumnPair { name, pair })
        });
        let predictions = outputs.chain(class_pair(before, now)).collect();
        let mut columns_before = columns(before);
        Self::of(signature, now, predictions, |name, current| {
            match (columns_before.remove(name)?, current) {
                (Column::Numbers(reference), Column::Numbers(current)) => {
                    Some(Pair::Numbers { reference, current })
                }
                (Column::Categories(reference), Column::Categories(current)) => {
                    Some(Pair::Categories { reference, current })
                }
                _ => None,
            }
        })
    }

    /// Adds the inputs of `now` to `predictions`. `pair_with` returns an input paired with its reference, or `None` if there is no
    /// reference.
    fn of(
        signature: &Signature,
        now: &Snapshot,
        predictions: Vec<ColumnPair>,
        mut pair_with: impl FnMut(&str, Column) -> Option<Pair>,
    ) -> Self {
        let mut found = Self {
            predictions,
            ..Self::default()
        };
        let mut observed = columns(now);
        for input in signature.inputs() {
            if input.is_sensitive() {
                found.sensitive += 1;
                continue;
            }
            let current = observed.remove(input.name.as_str());
            match current.and_then(|current| pair_with(&input.name, current)) {
                Some(pair) => {
                    let name = input.name.clone();
                    found.features.push(ColumnPair { name, pair });
                }
                // An input that the network does not use is not expected to be compared.
                None => found.left_out += usize::from(input.columns() > 0),
            }
        }
        found
    }
}

/// The data of an input in a window.
enum Column {
    Numbers(Distribution),
    Categories(Categories),
}

fn columns(window: &Snapshot) -> BTreeMap<&str, Column> {
    let features = window.layout.features.iter().zip(&window.summary.features);
    let column = |inputs: &Inputs, names: &Option<Vec<String>>| match &inputs.values {
        Values::Numbers(sketch) => {
            Column::Numbers(Distribution::of_sketch(sketch).with_missing(inputs.missing))
        }
        Values::Categories {
            counts,
            other,
            unknown,
        } => {
            let names = names.iter().flatten().cloned();
            Column::Categories(Categories {
                // A text that did not occur is included with a count of 0, so that it gets a cell of its own.
                counts: names.zip(counts.iter().copied()).collect(),
                other: other + unknown,
                missing: inputs.missing,
            })
        }
    };
    let named = features.map(|(feature, inputs)| {
        let column = column(inputs, &feature.categories);
        (feature.name.as_str(), column)
    });
    named.collect()
}

/// Returns the labels in training and `now`, if labels are predicted and the profile has all of them.
fn label_pair(signature: &Signature, reference: &Reference, now: &Snapshot) -> Option<ColumnPair> {
    if signature.prediction.kind != PredictionKind::Labels {
        return None;
    }
    let count = |class: &String| {
        // In a profile, the column of a class is 1 for the rows with this label and 0 for the others.
        let share = reference.predictions.get(class)?.mean?;
        Some((class.clone(), rows_of_share(share, reference.rows)))
    };
    let counts: Option<_> = signature.classes.iter().map(count).collect();
    let reference = Categories {
        counts: counts?,
        other: 0,
        missing: 0,
    };
    Some(ColumnPair {
        name: CLASS.to_owned(),
        pair: Pair::Categories {
            reference,
            current: classes(now),
        },
    })
}

/// Returns how many of `rows` rows a share of them is.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rows are far fewer than 2^53, and the share is cut to 0 to 1"
)]
fn rows_of_share(share: f64, rows: u64) -> u64 {
    (share.clamp(0.0, 1.0) * rows as f64).round() as u64
}

/// Returns the classes of both windows, unless one of them counts none.
fn class_pair(before: &Snapshot, now: &Snapshot) -> Option<ColumnPair> {
    let [reference, current] = [before, now].map(classes);
    let both = !reference.counts.is_empty() && !current.counts.is_empty();
    both.then(|| ColumnPair {
        name: CLASS.to_owned(),
        pair: Pair::Categories { reference, current },
    })
}

fn classes(window: &Snapshot) -> Categories {
    let (names, counts) = (&window.layout.classes, &window.summary.classes);
    let counts = names.iter().cloned().zip(counts.iter().copied());
    Categories {
        counts: counts.collect(),
        other: 0,
        missing: 0,
    }
}

/// Returns the distribution of the numbers in a profile of `rows` rows. Numbers outside `clip` count at its nearer end, as they
/// do when inputs are recorded.
fn numbers(profile: &Profile, rows: u64, clip: Option<[f64; 2]>) -> Option<Distribution> {
    let mut quantiles = profile.quantiles.clone()?;
    if let Some([min, max]) = clip {
        quantiles.iter_mut().for_each(|x| *x = x.max(min).min(max));
    }
    let present = rows.saturating_sub(profile.missing);
    let known = Distribution::of_quantiles(&quantiles, present)?;
    Some(known.with_missing(profile.missing))
}

/// Returns the range to which the values of an input are clipped, or `None` if it has no range or values outside it are refused.
fn clip_range(signature: &Signature, name: &str) -> Option<[f64; 2]> {
    let input = &signature.inputs()[signature.find(name)?];
    match &input.encoding {
        Encoding::Numeric { range, .. } | Encoding::Cyclic { range, .. } => {
            let range = range
                .as_ref()
                .filter(|range| range.outside == Outside::Clip)?;
            Some([range.min, range.max])
        }
        _ => None,
    }
}
