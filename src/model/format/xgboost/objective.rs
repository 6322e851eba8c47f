//! What an objective means for predictions: how the base score becomes a margin, and which link follows the sums.
//!
//! Sources: `src/objective/*` of XGBoost, methods `ProbToMargin` and `PredTransform`. All formulas are computed in f32.

use crate::model::trees::{Link, Precision, Predicted};

/// How XGBoost converts the base score to the initial value of the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToMargin {
    /// As it is.
    Same,
    /// The logit of the base score, which is a probability.
    Logit,
    /// The logarithm.
    Ln,
}

/// An objective that is understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Objective {
    /// From base score to sum.
    pub(super) to_margin: ToMargin,
    /// From sums to predictions.
    pub(super) link: Link,
    classes: Classes,
}

/// Whether the predictions are about classes.
#[derive(Clone, Copy, Debug)]
enum Classes {
    None,
    Two,
    TwoByIndex,
    Many,
    ManyByIndex,
}

const SIGMOID: Link = Link::Sigmoid {
    slope: 1.0,
    precision: Precision::Single,
};

/// Objectives whose predictions are the sums.
const IDENTITY: [&str; 9] = [
    "reg:squarederror",
    // The name of `reg:squarederror` before XGBoost 1.0.
    "reg:linear",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
];

/// Objectives whose predictions are exponentials of the sums, and whose base score is given as a prediction.
const EXPONENTIAL: [&str; 5] = [
    "count:poisson",
    "reg:gamma",
    "reg:tweedie",
    "survival:cox",
    "survival:aft",
];

impl Objective {
    /// Returns the objective `name`.
    ///
    /// # Errors
    /// Returns why it is refused.
    pub(super) fn find(name: &str) -> Result<Self, String> {
        let of = |to_margin, link, classes| Self {
            to_margin,
            link,
            classes,
        };
        Ok(match name {
            "binary:logistic" => of(ToMargin::Logit, SIGMOID, Classes::Two),
            "reg:logistic" => of(ToMargin::Logit, SIGMOID, Classes::None),
            "binary:hinge" => of(ToMargin::Same, Link::Step, Classes::TwoByIndex),
            "multi:softprob" => {
                let link = Link::Softmax(Precision::Single);
                of(ToMargin::Same, link, Classes::Many)
            }
            "multi:softmax" => of(ToMargin::Same, Link::ArgMax, Classes::ManyByIndex),
            _ if IDENTITY.contains(&name) => of(ToMargin::Same, Link::Identity, Classes::None),
            _ if EXPONENTIAL.contains(&name) => {
                of(ToMargin::Ln, Link::Exp(Precision::Single), Classes::None)
            }
            _ => return Err(refusal(name)),
        })
    }

    /// Returns what the predictions of a model with so many sums per row are.
    ///
    /// # Errors
    /// Returns why the objective does not fit that number.
    pub(super) fn predicted(&self, outputs: usize) -> Result<Predicted, String> {
        Ok(match self.classes {
            Classes::Many | Classes::ManyByIndex if outputs < 2 => {
                return Err(format!(
                    "got {outputs} class, expected at least 2 for an objective of several classes"
                ));
            }
            Classes::Many => Predicted::Probabilities,
            Classes::ManyByIndex => Predicted::Class(outputs),
            Classes::Two if outputs == 1 => Predicted::Probability,
            Classes::TwoByIndex if outputs == 1 => Predicted::Class(2),
            // Several targets, each with two classes of its own.
            Classes::None | Classes::Two | Classes::TwoByIndex => Predicted::Values,
        })
    }

    /// Returns whether each target has two classes of its own.
    pub(super) fn is_binary(&self) -> bool {
        matches!(self.classes, Classes::Two | Classes::TwoByIndex)
    }
}

/// Says why an objective is not understood.
fn refusal(name: &str) -> String {
    let reason = match name {
        "binary:logitraw" => {
            "the meaning of its base score differs between releases of XGBoost; \
             train with binary:logistic, which is the same model with probabilities as predictions"
        }
        "reg:expectileerror" => "its definition changed between releases of XGBoost",
        _ => "it is not an objective of XGBoost whose predictions are known here",
    };
    let name = crate::text::ellipsize(name, 64);
    format!("the objective {name:?} is not supported: {reason}")
}

impl ToMargin {
    /// Converts a base score to the initial value of a sum.
    ///
    /// The logit is `-ln(1 / x - 1)` of `x` clamped to [1e-6, 1 - 1e-6]; base score 1 gives 13.745. XGBoost clamps since 3.2, older files
    /// included.
    ///
    /// # Errors
    /// Returns why the base score is refused, as XGBoost refuses it.
    pub(super) fn margin(self, base_score: f32) -> Result<f32, String> {
        const EPSILON: f32 = 1e-6;
        let refuse = |expected| {
            Err(format!(
                "got the base score {base_score:?}, expected {expected}"
            ))
        };
        match self {
            _ if !base_score.is_finite() => refuse("a finite number"),
            Self::Same => Ok(base_score),
            Self::Logit if !(0.0..=1.0).contains(&base_score) => {
                refuse("a number from 0 to 1, because it is a probability")
            }
            Self::Logit => {
                let clamped = base_score.clamp(EPSILON, 1.0 - EPSILON);
                Ok(-(1.0 / clamped - 1.0).ln())
            }
            Self::Ln if base_score <= 0.0 => {
                refuse("a positive number, because it has a logarithm")
            }
            Self::Ln => Ok(base_score.ln()),
        }
    }
}
