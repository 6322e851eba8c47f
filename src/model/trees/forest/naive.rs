//! Evaluates an ensemble as its definition reads, without any layout: the reference for the tests.

use super::Arithmetic;
use crate::model::trees::{Ensemble, Leaf, Missing, Node, Test};

/// Returns the sums of a row.
pub(super) fn sums(ensemble: &Ensemble, arithmetic: Arithmetic, row: &[f64]) -> Vec<f64> {
    // In f64, one operation on two f32, rounded to f32, is the operation in f32.
    let round = |x: f64| match arithmetic {
        Arithmetic::Single => f64::from(x as f32),
        Arithmetic::Double | Arithmetic::SingleInputs => x,
    };
    let row: Vec<f64> = match arithmetic {
        Arithmetic::Double => row.to_vec(),
        Arithmetic::Single | Arithmetic::SingleInputs => {
            row.iter().map(|x| f64::from(*x as f32)).collect()
        }
    };
    let base: Vec<f64> = ensemble.base.iter().map(|x| round(*x)).collect();
    let divisor = round(ensemble.divisor);
    let mut sums = if divisor == 1.0 {
        base.clone()
    } else {
        vec![0.0; base.len()]
    };
    let mut add = |output: u32, value: f64| {
        let sum = &mut sums[output as usize];
        *sum = round(*sum + round(value));
    };
    for tree in &ensemble.trees {
        let mut at = 0;
        let leaf = loop {
            match &tree.nodes[at as usize] {
                Node::Leaf(leaf) => break leaf,
                Node::Split {
                    input,
                    test,
                    missing,
                    yes,
                    no,
                } => {
                    let goes_to_yes = goes_to_yes(test, *missing, row[*input as usize], round);
                    at = if goes_to_yes { *yes } else { *no };
                }
            }
        };
        match leaf {
            Leaf::One { output, value } => add(*output, *value),
            Leaf::Many(values) => {
                for (output, value) in values {
                    add(*output, *value);
                }
            }
            Leaf::Linear {
                output,
                constant,
                terms,
                if_missing,
            } => {
                let mut value = round(*constant);
                for (input, coefficient) in terms {
                    value = round(value + round(round(*coefficient) * row[*input as usize]));
                }
                let is_missing = terms.iter().any(|(input, _)| row[*input as usize].is_nan());
                add(*output, if is_missing { *if_missing } else { value });
            }
        }
    }
    if divisor != 1.0 {
        for (sum, base) in sums.iter_mut().zip(base) {
            *sum = round(base + round(*sum / divisor));
        }
    }
    sums
}

fn goes_to_yes(test: &Test, missing: Missing, x: f64, round: impl Fn(f64) -> f64) -> bool {
    let is_zero = x.abs() <= 1.000_000_018_002_509_5e-35;
    match missing {
        Missing::Yes if x.is_nan() => return true,
        Missing::No if x.is_nan() => return false,
        Missing::ZeroYes if x.is_nan() || is_zero => return true,
        Missing::ZeroNo if x.is_nan() || is_zero => return false,
        _ => {}
    }
    let x = if x.is_nan() { 0.0 } else { x };
    match test {
        Test::Less(threshold) => x < round(*threshold),
        Test::LessOrEqual(threshold) => x <= round(*threshold),
        Test::Greater(threshold) => x > round(*threshold),
        Test::GreaterOrEqual(threshold) => x >= round(*threshold),
        Test::Equal(threshold) => x == round(*threshold),
        Test::NotEqual(threshold) => x != round(*threshold),
        Test::In {
            codes,
            truncates_first,
        } => {
            let truncated = x.trunc();
            let is_negative = if *truncates_first {
                truncated < 0.0
            } else {
                x < 0.0
            };
            !is_negative && codes.iter().any(|code| f64::from(*code) == truncated)
        }
        Test::Among(values) => values.iter().any(|value| round(*value) == x),
    }
}
