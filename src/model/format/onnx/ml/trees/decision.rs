//! How the scores of a tree classifier become its class and its output.
//!
//! ONNX says little about this. Where trainers and runtimes agree, so does this file. The rest is what ONNX Runtime 1.32 was measured
//! to do for the models that converters write; other models are refused.

use super::super::super::operator::Meaning;
use super::super::labels::largest;
use super::super::post::PostTransform;

/// What the votes of a classifier show about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The number of classes.
    pub(super) classes: usize,
    /// The only class that leaves vote for, if there is only one.
    pub(super) only: Option<u32>,
    /// Whether no weight is negative.
    pub(super) all_positive: bool,
    /// Whether every row has a vote for that class.
    pub(super) only_is_always_voted: bool,
    /// The number of base values.
    pub(super) base: usize,
    /// The function of the scores.
    pub(super) post: PostTransform,
    /// Whether the class is the one with the larger probability, as trainers have it.
    pub(super) follows_trainer: bool,
}

/// How scores become a class and an output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Decision {
    /// The class with the largest score among those with a vote. The output is a function of all scores.
    Largest(PostTransform),
    /// The only class.
    Single,
    /// The second of two classes if its score is above a threshold.
    Second {
        /// The threshold.
        above: f32,
        /// The output.
        output: Pair,
    },
}

/// What is known of the sum of all scores of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    /// Whether it is always 1, and no score is negative.
    pub(super) is_one: bool,
    /// Whether there are two scores, and one is the negative of the other.
    pub(super) is_zero: bool,
}

/// The output for two classes of which only one has votes. `x` is its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// `1 - x` and `x`
    Complement,
    /// `-x` and `x`
    Negated,
    /// The logistic function of `-x` and `x`.
    Logistic,
    /// 0 and `x`
    Zero,
    /// 1/2 and the logistic function of `x`.
    Half,
}

impl Decision {
    /// Decides which rule holds.
    ///
    /// # Errors
    /// Returns an error if libraries disagree about models like this.
    pub(super) fn of(facts: Facts) -> Result<Self, String> {
        let Facts { classes, post, .. } = facts;
        match (classes, facts.only) {
            (1, _) => match post {
                PostTransform::None => Ok(Self::Single),
                _ => Err(not_supported(post, "a single class")),
            },
            (2, Some(class)) => Self::two(facts, class),
            _ if facts.base == 1 => Err(format!(
                "attribute base_values: got one value for {classes} classes, expected one for each"
            )),
            _ => Ok(Self::Largest(post)),
        }
    }

    /// Decides for two classes, of which only `class` has votes.
    fn two(facts: Facts, class: u32) -> Result<Self, String> {
        if !facts.only_is_always_voted {
            return Err("got leaves without a vote, expected each row to have one".into());
        }
        let output = match (class, facts.base, facts.post) {
            (0, 0 | 1, PostTransform::None) if facts.all_positive => Pair::Complement,
            (0, 0 | 1, PostTransform::None) | (_, 2, PostTransform::None) => Pair::Negated,
            (0, _, PostTransform::Logistic) | (_, 2, PostTransform::Logistic) => Pair::Logistic,
            (1, 0, PostTransform::None) => Pair::Zero,
            (1, 0, PostTransform::Logistic) => Pair::Half,
            (1, 1, PostTransform::None | PostTransform::Logistic) => {
                return Err(
                    "attribute base_values: got one value where only the second class has votes, expected none or two"
                        .into(),
                );
            }
            (_, _, post) => return Err(not_supported(post, "votes for one of two classes")),
        };
        // ONNX Runtime takes weights that are all positive for probabilities, even where a logistic function makes scores of them.
        let are_probabilities =
            facts.all_positive && !(facts.follows_trainer && facts.post == PostTransform::Logistic);
        let above = if are_probabilities { 0.5 } else { 0.0 };
        Ok(Self::Second { above, output })
    }

    /// Returns the columns of the output.
    pub(super) fn columns(self, classes: usize) -> usize {
        match self {
            Self::Second { .. } => 2,
            _ => classes,
        }
    }

    /// Returns what the output is.
    pub(super) fn meaning(self, sum: Sum) -> Meaning {
        let pair = match self {
            Self::Second { output, .. } => Some(output),
            _ => None,
        };
        match (self, pair) {
            (Self::Largest(PostTransform::Softmax), _) | (_, Some(Pair::Logistic)) => {
                Meaning::Probabilities
            }
            // CatBoost writes two classes like this.
            (Self::Largest(PostTransform::Logistic), _) if sum.is_zero => Meaning::Probabilities,
            (Self::Largest(PostTransform::Logistic), _) => Meaning::Logistic,
            (Self::Largest(PostTransform::None) | Self::Single, _)
            | (_, Some(Pair::Complement))
                if sum.is_one =>
            {
                Meaning::Probabilities
            }
            _ => Meaning::Unknown,
        }
    }
}

impl Pair {
    /// Returns the output for the score `x`.
    pub(super) fn of(self, x: f64) -> [f64; 2] {
        let logistic = super::super::post::logistic;
        match self {
            Self::Complement => [1.0 - x, x],
            Self::Negated => [-x, x],
            Self::Logistic => [logistic(-x), logistic(x)],
            Self::Zero => [0.0, x],
            Self::Half => [0.5, logistic(x)],
        }
    }
}

/// Returns the class with the largest score, of equal ones the first. Only classes with a vote count; `votes` is empty if all have.
///
/// Scores are compared as f32. The weights in a file are rounded to f32, so that scores which are equal for the trainer, such as
/// those of two halves of a forest, differ in the last digits of f64.
pub(super) fn winner(scores: &[f64], votes: &[f64]) -> usize {
    let counted = |(at, score): (usize, &f64)| match votes.get(at) {
        Some(0.0) => None,
        _ => Some(*score as f32),
    };
    // A class without a vote is below all others.
    let scores = scores.iter().enumerate().map(counted);
    largest(scores).unwrap_or(0)
}

fn not_supported(post: PostTransform, what: &str) -> String {
    let name = post.name();
    format!("attribute post_transform: {name} is not supported with {what}")
}
