//! The objective: which function turns sums into predictions.

use crate::model::trees::{Link, Precision, Predicted};

use super::faults::{Faults, quote};
use super::lines::words;

/// What the objective says about the predictions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Objective {
    /// Its name; empty for a custom objective, which the file does not describe.
    pub(super) name: String,
    /// From sums to predictions.
    pub(super) link: Link,
    /// What the predictions are.
    pub(super) predicted: Predicted,
    /// What a person should know about it.
    pub(super) note: Option<&'static str>,
}

const CUSTOM: &str = "The file has no objective, which means a custom one, so the predictions are the sums of the trees \
                      without any further function.";
const ONE_VERSUS_ALL: &str = "The probability of each class is computed independently of the other classes, so the \
                              probabilities of a row do not add up to 1.";

/// Reads the value of the header's field `objective`, which is missing for a custom objective. `sums` is the number of sums per row.
pub(super) fn read(value: Option<&str>, sums: usize, faults: &mut Faults) -> Option<Objective> {
    let value = value.unwrap_or("custom");
    let mut parts = words(value);
    let Some(name) = parts.next() else {
        faults.add("objective", "got nothing, expected a name");
        return None;
    };
    let parameters = Parameters::read(parts, faults)?;
    let name = canonical(name);
    let objective = match name {
        "multiclass" | "multiclassova" => of_classes(name, &parameters, sums, faults),
        _ => of_one_sum(name, &parameters, faults),
    };
    let is_single = !matches!(name, "multiclass" | "multiclassova" | "custom");
    if is_single && sums != 1 {
        faults.add(
            "num_tree_per_iteration",
            format!("got {sums}, expected 1 for the objective {}", quote(name)),
        );
    }
    objective
}

/// Returns the name under which LightGBM itself knows an objective. Versions before 2.3 wrote `xentropy` and `xentlambda`.
fn canonical(name: &str) -> &str {
    match name {
        "regression_l2"
        | "mean_squared_error"
        | "mse"
        | "l2"
        | "l2_root"
        | "root_mean_squared_error"
        | "rmse" => "regression",
        "mean_absolute_error" | "l1" | "mae" => "regression_l1",
        "mean_absolute_percentage_error" => "mape",
        "xentropy" => "cross_entropy",
        "xentlambda" => "cross_entropy_lambda",
        "xendcg" | "xe_ndcg" | "xe_ndcg_mart" | "xendcg_mart" => "rank_xendcg",
        "none" | "null" | "na" => "custom",
        _ => name,
    }
}

/// Returns the objective `name`, whose predictions are one column.
fn of_one_sum(name: &str, parameters: &Parameters, faults: &mut Faults) -> Option<Objective> {
    let sigmoid = |slope| Link::Sigmoid {
        slope,
        precision: Precision::Double,
    };
    // The link, and whether the objective can be trained on the square root of the target.
    let (link, has_root) = match name {
        "binary" => (sigmoid(parameters.slope(faults)?), false),
        "cross_entropy" => (sigmoid(1.0), false),
        "cross_entropy_lambda" => (Link::Log1pExp, false),
        "poisson" | "gamma" | "tweedie" => (Link::Exp(Precision::Double), false),
        "regression" | "regression_l1" | "fair" | "quantile" | "mape" => (Link::Identity, true),
        "huber" | "lambdarank" | "rank_xendcg" | "custom" => (Link::Identity, false),
        _ => {
            faults.add(
                "objective",
                format!("got {}, which taper does not know", quote(name)),
            );
            return None;
        }
    };
    let allowed: &[&str] = match (name, has_root) {
        ("binary", _) => &["sigmoid"],
        (_, true) => &["sqrt"],
        _ => &[],
    };
    parameters.only(name, allowed, faults)?;
    let is_custom = name == "custom";
    Some(Objective {
        name: if is_custom { "" } else { name }.to_owned(),
        link: if parameters.sqrt {
            Link::SignedSquare
        } else {
            link
        },
        predicted: if name == "binary" {
            Predicted::Probability
        } else {
            Predicted::Values
        },
        note: is_custom.then_some(CUSTOM),
    })
}

/// Returns the objective `name`, whose predictions are one column per class.
fn of_classes(
    name: &str,
    parameters: &Parameters,
    sums: usize,
    faults: &mut Faults,
) -> Option<Objective> {
    match parameters.classes {
        Some(classes) if classes == sums && classes >= 2 => {}
        Some(classes) => {
            faults.add(
                "objective",
                format!(
                    "got num_class:{classes} and num_tree_per_iteration {sums}, expected the same number, at least 2"
                ),
            );
            return None;
        }
        None => {
            faults.add("objective", format!("{name} has no num_class"));
            return None;
        }
    }
    let is_softmax = name == "multiclass";
    let (link, allowed): (_, &[&str]) = if is_softmax {
        (Link::Softmax(Precision::Double), &["num_class"])
    } else {
        let slope = parameters.slope(faults)?;
        let precision = Precision::Double;
        (
            Link::Sigmoid { slope, precision },
            &["num_class", "sigmoid"],
        )
    };
    parameters.only(name, allowed, faults)?;
    Some(Objective {
        name: name.to_owned(),
        link,
        predicted: Predicted::Probabilities,
        note: (!is_softmax).then_some(ONE_VERSUS_ALL),
    })
}

/// The parameters after the name of an objective, as in `multiclassova num_class:3 sigmoid:1`.
#[derive(Debug, Default)]
struct Parameters {
    classes: Option<usize>,
    slope: Option<f64>,
    sqrt: bool,
}

impl Parameters {
    fn read<'a>(parts: impl Iterator<Item = &'a str>, faults: &mut Faults) -> Option<Self> {
        let mut parameters = Self::default();
        for part in parts {
            let (name, value) = part.split_once(':').unwrap_or((part, ""));
            let is_valid = match name {
                "num_class" if parameters.classes.is_none() => {
                    parameters.classes = value.parse().ok();
                    parameters.classes.is_some()
                }
                "sigmoid" if parameters.slope.is_none() => {
                    parameters.slope = value
                        .parse()
                        .ok()
                        .filter(|slope: &f64| slope.is_finite() && *slope > 0.0);
                    parameters.slope.is_some()
                }
                "sqrt" if value.is_empty() && !parameters.sqrt => {
                    parameters.sqrt = true;
                    true
                }
                _ => false,
            };
            if !is_valid {
                faults.add(
                    "objective",
                    format!(
                        "got {}, expected num_class:N, sigmoid:K with K above 0, or sqrt",
                        quote(part)
                    ),
                );
                return None;
            }
        }
        Some(parameters)
    }

    /// Returns the factor of the sum, which the sigmoid objectives must give.
    fn slope(&self, faults: &mut Faults) -> Option<f64> {
        if self.slope.is_none() {
            faults.add("objective", "sigmoid:K is missing");
        }
        self.slope
    }

    /// Checks that there are no other parameters than these.
    fn only(&self, name: &str, allowed: &[&str], faults: &mut Faults) -> Option<()> {
        let given = [
            ("num_class", self.classes.is_some()),
            ("sigmoid", self.slope.is_some()),
            ("sqrt", self.sqrt),
        ];
        let unexpected = given
            .into_iter()
            .find(|(parameter, is_given)| *is_given && !allowed.contains(parameter));
        match unexpected {
            Some((parameter, _)) => {
                faults.add(
                    "objective",
                    format!("{parameter} is not a parameter of {}", quote(name)),
                );
                None
            }
            None => Some(()),
        }
    }
}
