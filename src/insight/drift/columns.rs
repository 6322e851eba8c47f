//! What of a version can be compared: its windows beside its profile, or beside other windows.

use std::collections::BTreeMap;

use super::{Categories, Distribution, FeaturePair, Pair};
use crate::insight::stats::{Inputs, Snapshot, Values};
use crate::model::manifest::raw::{Profile, Reference};
use crate::model::{Encoding, Signature};

/// Name of the column that counts rows by their most probable class.
const CLASS: &str = "class";

/// The columns of one version, ready for [`assess`](super::assess). Which they are depends on the signature, the settings and what they
/// are compared with, and not on what was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// Inputs, in the signature's order. None of them is sensitive.
    pub features: Vec<FeaturePair>,
    /// Outputs as `taper_prediction_score` calls them; of two windows also the classes.
    pub predictions: Vec<FeaturePair>,
    /// Inputs that are not compared because they are sensitive.
    pub sensitive: usize,
    /// Inputs of the network that are not compared because one side knows nothing of them: not recorded, not in the profile, or of
    /// another kind.
    pub left_out: usize,
}

impl Columns {
    /// What was seen `now` beside the profile of the same version. Profiles do not count classes, so these are not compared.
    #[must_use]
    pub fn beside_profile(signature: &Signature, reference: &Reference, now: &Snapshot) -> Self {
        let of_output = |name: &String| {
            // Of two classes one output is predicted, which the profile calls by its own name.
            let one = signature.classes.len() == 2 && signature.output.columns == 1;
            let there = if one { &signature.output.name } else { name };
            reference.predictions.get(there)
        };
        let outputs = now.layout.outputs.iter().zip(&now.summary.scores);
        let predictions = outputs.filter_map(|(name, sketch)| {
            let reference = numbers(of_output(name)?, reference.rows, None)?;
            let current = Distribution::of_sketch(sketch);
            let pair = Pair::Numbers { reference, current };
            let name = name.clone();
            Some(FeaturePair { name, pair })
        });
        let predictions = predictions.collect();
        Self::of(signature, now, predictions, |name, current| {
            let profile = reference.features.get(name)?;
            match current {
                Column::Numbers(current) => Some(Pair::Numbers {
                    reference: numbers(profile, reference.rows, moved_to(signature, name))?,
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

    /// What was seen `now` beside what was seen `before`, by the version of this signature or by another.
    #[must_use]
    pub fn between(signature: &Signature, before: &Snapshot, now: &Snapshot) -> Self {
        let theirs: BTreeMap<_, _> = before
            .layout
            .outputs
            .iter()
            .zip(&before.summary.scores)
            .collect();
        let outputs = now.layout.outputs.iter().zip(&now.summary.scores);
        let predictions = outputs.filter_map(|(name, sketch)| {
            let pair = Pair::Numbers {
                reference: Distribution::of_sketch(theirs.get(name)?),
                current: Distribution::of_sketch(sketch),
            };
            let name = name.clone();
            Some(FeaturePair { name, pair })
        });
        let classes = [before, now].map(classes);
        let both = classes.iter().all(|one| !one.counts.is_empty());
        let [reference, current] = classes;
        let classes = both.then(|| FeaturePair {
            name: CLASS.to_owned(),
            pair: Pair::Categories { reference, current },
        });
        let predictions = predictions.chain(classes).collect();
        let mut theirs = columns(before);
        Self::of(signature, now, predictions, |name, current| {
            match (theirs.remove(name)?, current) {
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

    /// `beside` pairs an input with what it is compared with, where there is anything.
    fn of(
        signature: &Signature,
        now: &Snapshot,
        predictions: Vec<FeaturePair>,
        mut beside: impl FnMut(&str, Column) -> Option<Pair>,
    ) -> Self {
        let mut found = Self {
            predictions,
            ..Self::default()
        };
        let mut seen = columns(now);
        for input in signature.inputs() {
            if input.is_sensitive() {
                found.sensitive += 1;
                continue;
            }
            let current = seen.remove(input.name.as_str());
            match current.and_then(|current| beside(&input.name, current)) {
                Some(pair) => {
                    let name = input.name.clone();
                    found.features.push(FeaturePair { name, pair });
                }
                // What is not used has nothing to be compared.
                None => found.left_out += usize::from(input.columns() > 0),
            }
        }
        found
    }
}

/// What a window knows of an input.
enum Column {
    Numbers(Distribution),
    Categories(Categories),
}

fn columns(seen: &Snapshot) -> BTreeMap<&str, Column> {
    let features = seen.layout.features.iter().zip(&seen.summary.features);
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
                // With those that did not come: they are told apart all the same.
                counts: names.zip(counts.iter().copied()).collect(),
                other: other + unknown,
                missing: inputs.missing,
            })
        }
    };
    let named = features.map(|(about, inputs)| {
        let column = column(inputs, &about.categories);
        (about.name.as_str(), column)
    });
    named.collect()
}

fn classes(seen: &Snapshot) -> Categories {
    let (names, counts) = (&seen.layout.classes, &seen.summary.classes);
    let counts = names.iter().cloned().zip(counts.iter().copied());
    Categories {
        counts: counts.collect(),
        other: 0,
        missing: 0,
    }
}

/// Of the numbers in a profile of `rows` rows, with those outside `moved` at its nearest end.
fn numbers(profile: &Profile, rows: u64, moved: Option<[f64; 2]>) -> Option<Distribution> {
    let mut quantiles = profile.quantiles.clone()?;
    if let Some([min, max]) = moved {
        // As what came is counted.
        quantiles.iter_mut().for_each(|x| *x = x.max(min).min(max));
    }
    let present = rows.saturating_sub(profile.missing);
    let known = Distribution::of_quantiles(&quantiles, present)?;
    Some(known.with_missing(profile.missing))
}

/// The range of an input to whose ends numbers outside are moved; `None`: there is none, or they are refused.
fn moved_to(signature: &Signature, name: &str) -> Option<[f64; 2]> {
    let input = &signature.inputs()[signature.find(name)?];
    match &input.encoding {
        Encoding::Numeric { range, .. } | Encoding::Cyclic { range, .. } => {
            let range = range.as_ref().filter(|range| range.clip)?;
            Some([range.min, range.max])
        }
        _ => None,
    }
}
