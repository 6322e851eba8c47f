//! The quality of one version's answers, in each role.

use std::sync::{Arc, Mutex, OnceLock};

use tokio::time::Instant;

use super::quality::{Quality, Sums};
use super::report::{GroundTruth, InvalidOutcome, quote};
use super::window::{WindowSums, Windows};
use crate::ident::Role;
use crate::insight::metrics::{JoinedCounter, QualityMeters};
use crate::model::{PredictionKind, Signature};
use crate::sync::lock;

/// The most classes that a fault lists.
const MAX_LISTED_CLASSES: usize = 8;

/// What a version predicts, as far as it matters for ground truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prediction {
    /// The probability of the second of two classes.
    OneColumn,
    /// A probability for each class.
    Columns,
    /// A class without a probability.
    Label,
    /// One number.
    Value,
    /// Several numbers, for which outcomes are not supported.
    Values,
    /// A vector, for which outcomes are not supported.
    Embedding,
}

/// The outcomes of one version's answers. It ends with the version; an outcome that is reported later finds it gone.
#[derive(Debug)]
pub struct VersionQuality {
    prediction: Prediction,
    classes: Vec<String>,
    begin: Instant,
    meters: QualityMeters,
    roles: [OnceLock<Box<RoleQuality>>; Role::COUNT],
}

#[derive(Debug)]
struct RoleQuality {
    windows: Mutex<Windows>,
    joined: JoinedCounter,
}

impl VersionQuality {
    /// Creates the quality of a version with this signature, without outcomes.
    pub(in crate::insight) fn new(signature: &Signature, meters: QualityMeters) -> Arc<Self> {
        let prediction = match (signature.prediction.kind, signature.prediction.columns) {
            (PredictionKind::Labels, _) => Prediction::Label,
            (PredictionKind::Embedding(_), _) => Prediction::Embedding,
            (PredictionKind::Probabilities, 1) => Prediction::OneColumn,
            (PredictionKind::Probabilities, _) => Prediction::Columns,
            (PredictionKind::Value | PredictionKind::Values, 1) => Prediction::Value,
            (PredictionKind::Value | PredictionKind::Values, _) => Prediction::Values,
        };
        Arc::new(Self {
            prediction,
            classes: signature.classes.clone(),
            begin: Instant::now(),
            meters,
            roles: Default::default(),
        })
    }

    /// Returns whether outcomes can be reported for its answers.
    pub(super) fn supports_outcomes(&self) -> bool {
        !matches!(self.prediction, Prediction::Values | Prediction::Embedding)
    }

    /// Translates a ground truth into the terms of this version.
    ///
    /// # Errors
    /// Returns an error if the ground truth is no class of this version, or no number if the version predicts one.
    pub(super) fn resolve(&self, ground_truth: &GroundTruth) -> Result<Actual, InvalidOutcome> {
        let invalid = |got: String, wanted: String| InvalidOutcome {
            field: "truth",
            got,
            wanted,
            malformed: false,
        };
        let has_classes = !self.classes.is_empty();
        match ground_truth {
            _ if self.prediction == Prediction::Values => Err(invalid(
                "an answer of several numbers".into(),
                "an answer of one number: outcomes of several are not supported".into(),
            )),
            _ if self.prediction == Prediction::Embedding => Err(invalid(
                "an answer that is an embedding".into(),
                "an answer of a class or one number: outcomes of embeddings are not supported"
                    .into(),
            )),
            GroundTruth::Number(number) if has_classes => {
                Err(invalid(number.to_string(), self.wanted_class()))
            }
            GroundTruth::Number(number) => Ok(Actual::Number(*number)),
            GroundTruth::Class(class) if has_classes => {
                let at = self.classes.iter().position(|known| known == class);
                at.map(Actual::Class)
                    .ok_or_else(|| invalid(quote(class), self.wanted_class()))
            }
            GroundTruth::Class(class) => Err(invalid(
                quote(class),
                "a number: the version has no classes".into(),
            )),
        }
    }

    /// Returns what a fault says is expected of a class: the first classes, and how many more there are.
    fn wanted_class(&self) -> String {
        let listed = self.classes.iter().take(MAX_LISTED_CLASSES);
        let mut listed: Vec<_> = listed.map(String::as_str).collect();
        let more = self.classes.len() - listed.len();
        let rest = format!("{more} more");
        if more > 0 {
            listed.push(&rest);
        }
        format!("one of {listed:?}")
    }

    /// Counts the ground truth of one row that the version scored with `row`.
    pub(super) fn count(&self, role: Role, row: &[f32], actual: Actual) {
        let of_role = self.roles[role as usize].get_or_init(|| {
            Box::new(RoleQuality {
                windows: Mutex::default(),
                joined: self.meters.joined(role),
            })
        });
        of_role.joined.increment();
        let score = row.first().map_or(0.0, |score| f64::from(*score));
        let add = |sums: &mut Sums| match actual {
            Actual::Class(class) if self.prediction == Prediction::OneColumn => {
                sums.add_two(score, class == 1);
            }
            Actual::Class(class) if self.prediction == Prediction::Label => {
                sums.add_label(row.get(class).is_some_and(|mark| *mark > 0.0));
            }
            Actual::Class(class) => sums.add_many(row, class),
            Actual::Number(number) => sums.add_value(score, number),
        };
        lock(&of_role.windows).add(self.begin.elapsed(), add);
    }

    /// Returns the sums of this role until now; `None` if no outcome was reported for it.
    #[must_use]
    pub fn read(&self, role: Role) -> Option<WindowSums> {
        let of_role = self.roles[role as usize].get()?;
        Some(lock(&of_role.windows).read(self.begin.elapsed()))
    }

    /// Returns the measures that follow from `sums` for this version; `None` without rows.
    #[must_use]
    pub fn measure(&self, sums: &Sums) -> Option<Quality> {
        match self.prediction {
            Prediction::OneColumn | Prediction::Columns => sums.of_classes(),
            Prediction::Label => sums.of_labels(),
            Prediction::Value => sums.of_values(),
            Prediction::Values | Prediction::Embedding => None,
        }
    }

    /// Updates the gauges of quality.
    pub fn report_gauges(&self) {
        for role in Role::ALL {
            let quality = self.read(role).and_then(|read| self.measure(&read.all));
            for (measure, value) in quality.iter().flat_map(Quality::by_name) {
                self.meters.quality(role, measure, value);
            }
        }
    }
}

/// A ground truth in the terms of a version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Actual {
    /// The class at this place.
    Class(usize),
    /// This number.
    Number(f64),
}
