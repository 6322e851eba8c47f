//! Steps that become one.

use std::f64::consts::SQRT_2;

use crate::model::format::onnx::rows::{
    ColumnOperation, Function, InPlace, Linear, Pair, PairOperation, Step,
};

/// Adds a step, as part of the last one if possible.
pub(super) fn push(steps: &mut Vec<Step>, step: Step) {
    let step = match (steps.last_mut(), step) {
        (Some(Step::Linear(linear)), Step::InPlace(step)) => absorbed(linear, step),
        (Some(Step::InPlace(last)), Step::InPlace(step)) => joined(last, step),
        (_, step) => {
            steps.push(step);
            return;
        }
    };
    steps.extend(step.map(Step::InPlace));
}

/// Adds a step, as part of the last one if possible.
pub(super) fn push_in_place(steps: &mut Vec<InPlace>, step: InPlace) {
    let step = match steps.last_mut() {
        Some(last) => joined(last, step),
        None => Some(step),
    };
    steps.extend(step);
}

/// Makes a step part of the matrix before it, or returns the step.
fn absorbed(linear: &mut Linear, step: InPlace) -> Option<InPlace> {
    match step {
        InPlace::Columns(ColumnOperation::Add, numbers) => {
            for (bias, number) in linear.bias.iter_mut().zip(numbers) {
                *bias += f64::from(number);
            }
            None
        }
        InPlace::Map(Function::Add(number)) => {
            linear.bias.iter_mut().for_each(|bias| *bias += number);
            None
        }
        InPlace::Affine { factor, shift } => {
            let rows = linear.weight.chunks_exact_mut(linear.ins.max(1));
            for (row, factor) in rows.zip(&factor) {
                row.iter_mut().for_each(|weight| *weight *= factor);
            }
            let both = factor.iter().zip(&shift);
            for (bias, (factor, shift)) in linear.bias.iter_mut().zip(both) {
                *bias = *bias * f64::from(*factor) + f64::from(*shift);
            }
            None
        }
        step => Some(step),
    }
}

/// Makes a step part of the one before it, or returns the step.
fn joined(last: &mut InPlace, step: InPlace) -> Option<InPlace> {
    match (&mut *last, &step) {
        (InPlace::Pair(pair), InPlace::Map(Function::Mul(half))) if is_twice_gelu(pair) => {
            if *half != 0.5 {
                return Some(step);
            }
            *last = InPlace::Map(Function::Gelu);
            None
        }
        (InPlace::Normalize { scale, shift, .. }, InPlace::Columns(operation, numbers)) => {
            let both = scale.iter_mut().zip(shift).zip(numbers);
            match operation {
                ColumnOperation::Mul => both.for_each(|((scale, shift), number)| {
                    *scale *= number;
                    *shift *= number;
                }),
                ColumnOperation::Add => both.for_each(|((_, shift), number)| *shift += number),
                _ => return Some(step),
            }
            None
        }
        _ => Some(step),
    }
}

/// Returns an operation of the results of two lists of steps, by its own name if it has one.
pub(super) fn pair(operation: PairOperation, first: Vec<InPlace>, second: Vec<InPlace>) -> InPlace {
    let product = operation == PairOperation::Mul;
    let (first, second) = if product && first.len() > second.len() {
        (second, first)
    } else {
        (first, second)
    };
    let named = match (&*first, &*second) {
        _ if !product => None,
        ([], [InPlace::Map(Function::Sigmoid)]) => Some(Function::Silu),
        (
            [],
            [
                InPlace::Map(Function::Softplus),
                InPlace::Map(Function::Tanh),
            ],
        ) => Some(Function::Mish),
        ([InPlace::Map(Function::Mul(half))], erf) if *half == 0.5 && is_erf_plus_1(erf) => {
            Some(Function::Gelu)
        }
        _ => None,
    };
    let general = || {
        InPlace::Pair(Box::new(Pair {
            operation,
            first,
            second,
        }))
    };
    named.map_or_else(general, InPlace::Map)
}

/// Returns whether steps are `1 + erf(x / sqrt 2)`.
fn is_erf_plus_1(steps: &[InPlace]) -> bool {
    let [
        InPlace::Map(scale),
        InPlace::Map(Function::Erf),
        InPlace::Map(Function::Add(one)),
    ] = steps
    else {
        return false;
    };
    let divisor = match scale {
        Function::Div(divisor) => *divisor,
        Function::Mul(factor) => 1.0 / factor,
        _ => return false,
    };
    *one == 1.0 && (divisor - SQRT_2).abs() < 1e-6
}

/// Returns whether a pair is `x (1 + erf(x / sqrt 2))`.
fn is_twice_gelu(pair: &Pair) -> bool {
    pair.operation == PairOperation::Mul && pair.first.is_empty() && is_erf_plus_1(&pair.second)
}
