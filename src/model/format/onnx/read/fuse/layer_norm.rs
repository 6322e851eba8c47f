//! Layer normalisation, as exporters write it before version 17 of ONNX's operators.

use super::Fusion;
use crate::model::format::onnx::operator::Work;
use crate::model::format::onnx::rows::{Function, InPlace, Pair, PairOperation, Step, narrowed};

/// Layer normalisation by parts: `d / sqrt(mean(d^2) + epsilon)`, where `d` is `x - mean(x)`.
struct Parts {
    x: usize,
    width: usize,
    epsilon: f64,
    /// The values between, each of which is needed for nothing else.
    between: [usize; 5],
}

impl Fusion {
    /// Turns the last part of a layer normalisation into the whole. Factors and shifts that follow are joined later.
    pub(super) fn normalize(&mut self, at: usize) {
        let Some(parts) = self.layer_norm(at) else {
            return;
        };
        for id in parts.between {
            self.uses[id] = 0;
            if let Some(from) = self.producer[id] {
                self.pieces[from] = None;
            }
        }
        self.uses[parts.x] -= 2;
        let step = InPlace::Normalize {
            epsilon: narrowed(parts.epsilon),
            scale: vec![1.0; parts.width],
            shift: vec![0.0; parts.width],
        };
        self.replace(at, step, parts.x);
    }

    fn layer_norm(&self, at: usize) -> Option<Parts> {
        let (PairOperation::Div, [difference, deviation]) = self.pair_at(at)? else {
            return None;
        };
        let (Work::Steps(steps), variance) = self.sole_piece(deviation)? else {
            return None;
        };
        let [
            Step::InPlace(InPlace::Map(Function::Add(epsilon))),
            Step::InPlace(InPlace::Map(Function::Sqrt)),
        ] = **steps
        else {
            return None;
        };
        let (Work::RowMean, squares) = self.sole_piece(variance)? else {
            return None;
        };
        let (Work::Steps(steps), from) = self.sole_piece(squares)? else {
            return None;
        };
        if from != difference || !is_square(steps) || self.uses[difference] != 2 {
            return None;
        }
        let (PairOperation::Sub, [x, mean]) = self.pair_at(self.producer[difference]?)? else {
            return None;
        };
        let (Work::RowMean, from) = self.sole_piece(mean)? else {
            return None;
        };
        let fact = self.lowered.facts[x].as_ref()?;
        let width = fact.dim(fact.rank()?.checked_sub(1)?).fixed()?;
        (from == x).then_some(Parts {
            x,
            width,
            epsilon,
            between: [difference, deviation, variance, squares, mean],
        })
    }
}

/// Returns whether steps square each value.
fn is_square(steps: &[Step]) -> bool {
    let [Step::InPlace(step)] = steps else {
        return false;
    };
    match step {
        InPlace::Map(Function::Pow(exponent)) => *exponent == 2.0,
        InPlace::Pair(pair) => {
            let Pair {
                operation,
                first,
                second,
            } = &**pair;
            *operation == PairOperation::Mul && first.is_empty() && second.is_empty()
        }
        _ => false,
    }
}
