//! Joins nodes that are faster together.
//!
//! - Nodes that treat each row alone and follow each other become one pass; a bias and a factor per column become part of the
//!   matrix before them.
//! - `x f(x)`, where `f` consists of functions of single numbers, becomes one such function: exporters write GELU, SiLU and
//!   hard swish in this way.
//! - Batch norm becomes part of the convolution before it, and functions of single numbers are applied to its output while that is
//!   in the cache.

use std::f64::consts::SQRT_2;

use super::lower::{Lowered, Piece};
use crate::model::format::onnx::operator::Work;
use crate::model::format::onnx::rows::{ColumnOperation, Function, InPlace, Linear, Step};

/// Joins what can be joined.
pub(super) fn fuse(lowered: Lowered) -> Lowered {
    let mut fusion = Fusion::new(lowered);
    for at in 0..fusion.pieces.len() {
        fusion.multiply(at);
        fusion.join(at);
    }
    let pieces = fusion.pieces.into_iter().flatten().collect();
    Lowered {
        pieces,
        ..fusion.lowered
    }
}

struct Fusion {
    lowered: Lowered,
    pieces: Vec<Option<Piece>>,
    /// How many inputs of pieces, and outputs of the graph, each value is.
    uses: Vec<usize>,
    /// The piece that computes each value.
    producer: Vec<Option<usize>>,
}

impl Fusion {
    fn new(mut lowered: Lowered) -> Self {
        let pieces = std::mem::take(&mut lowered.pieces);
        let mut uses = vec![0; lowered.same.len()];
        let mut producer = vec![None; lowered.same.len()];
        for (at, piece) in pieces.iter().enumerate() {
            piece.inputs.iter().flatten().for_each(|id| uses[*id] += 1);
            let outputs = piece.outputs.iter().flatten();
            outputs.for_each(|id| producer[*id] = Some(at));
        }
        for id in &lowered.returned {
            uses[lowered.same[*id]] += 1;
        }
        Self {
            lowered,
            pieces: pieces.into_iter().map(Some).collect(),
            uses,
            producer,
        }
    }

    /// Returns the only piece that computes the value, if no other piece needs the value.
    fn sole(&self, id: usize) -> Option<usize> {
        self.producer[id].filter(|_| self.uses[id] == 1)
    }

    /// Returns the functions of single numbers that compute a value from another, and that other value. There may be none.
    fn functions(&self, id: usize) -> (usize, Vec<Function>) {
        let found = || {
            let piece = self.pieces[self.sole(id)?].as_ref()?;
            let Work::Steps(steps) = &piece.work else {
                return None;
            };
            let function = |step: &Step| match step {
                Step::InPlace(InPlace::Map(function)) => Some(*function),
                _ => None,
            };
            let functions = steps.iter().map(function).collect::<Option<_>>()?;
            Some((piece.inputs.first().copied().flatten()?, functions))
        };
        found().unwrap_or((id, Vec::new()))
    }

    /// Turns the product of two functions of one value into one function of it.
    fn multiply(&mut self, at: usize) {
        let Some(piece) = &self.pieces[at] else {
            return;
        };
        let (Work::Multiply, &[Some(a), Some(b)]) = (&piece.work, &*piece.inputs) else {
            return;
        };
        let ((base, first), (other, second)) = (self.functions(a), self.functions(b));
        if base != other {
            return;
        }
        for (id, functions) in [(a, &first), (b, &second)] {
            self.uses[id] -= 1;
            if !functions.is_empty()
                && let Some(from) = self.producer[id]
            {
                self.pieces[from] = None;
                self.uses[base] -= 1;
            }
        }
        self.uses[base] += 1;
        if let Some(piece) = &mut self.pieces[at] {
            piece.work = Work::Steps(vec![Step::InPlace(named_product(first, second))]);
            piece.inputs = vec![Some(base)];
        }
    }

    /// Joins a piece with the one that computes its input.
    fn join(&mut self, at: usize) {
        let input = self.pieces[at]
            .as_ref()
            .and_then(|piece| *piece.inputs.first()?);
        let Some((input, from)) = input.and_then(|id| Some((id, self.sole(id)?))) else {
            return;
        };
        let (Some(mut before), Some(piece)) = (self.pieces[from].take(), self.pieces[at].take())
        else {
            return;
        };
        match joined(&mut before.work, piece.work) {
            Ok(()) => {
                self.uses[input] = 0;
                for id in piece.outputs.iter().flatten() {
                    self.producer[*id] = Some(at);
                }
                // At the later position, where all other inputs of both have been computed.
                self.pieces[at] = Some(Piece {
                    outputs: piece.outputs,
                    cost: before.cost.saturating_add(piece.cost),
                    ..before
                });
            }
            Err(work) => {
                self.pieces[from] = Some(before);
                self.pieces[at] = Some(Piece { work, ..piece });
            }
        }
    }
}

/// Adds `next` to the work before it, or returns it if that is not possible.
fn joined(before: &mut Work, next: Work) -> Result<(), Work> {
    match (before, next) {
        (Work::Steps(steps), Work::Steps(next)) => {
            next.into_iter().for_each(|step| push(steps, step));
            Ok(())
        }
        (Work::Convolve(convolution), Work::Channels(channels)) => {
            if convolution.scale(&channels) {
                Ok(())
            } else {
                Err(Work::Channels(channels))
            }
        }
        (Work::Convolve(convolution), Work::Steps(next)) => {
            let is_map = |step: &Step| matches!(step, Step::InPlace(step) if step.is_map());
            if !next.iter().all(is_map) {
                return Err(Work::Steps(next));
            }
            for step in next {
                if let Step::InPlace(step) = step {
                    push_in_place(&mut convolution.then, step);
                }
            }
            Ok(())
        }
        (_, next) => Err(next),
    }
}

/// Adds a step, as part of the last one if possible.
fn push(steps: &mut Vec<Step>, step: Step) {
    match (steps.last_mut(), step) {
        (Some(Step::Linear(linear)), Step::InPlace(step)) => {
            if let Some(step) = absorbed(linear, step) {
                steps.push(Step::InPlace(step));
            }
        }
        (Some(Step::InPlace(last)), Step::InPlace(step)) => {
            if let Some(whole) = gelu(last, &step) {
                *last = whole;
            } else {
                steps.push(Step::InPlace(step));
            }
        }
        (_, step) => steps.push(step),
    }
}

fn push_in_place(steps: &mut Vec<InPlace>, step: InPlace) {
    match steps.last_mut() {
        Some(last) if gelu(last, &step).is_some() => *last = InPlace::Map(Function::Gelu),
        _ => steps.push(step),
    }
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

/// Returns the product of two lists of functions, by its own name if it has one.
fn named_product(first: Vec<Function>, second: Vec<Function>) -> InPlace {
    let (first, second) = if first.len() > second.len() {
        (second, first)
    } else {
        (first, second)
    };
    match (&*first, &*second) {
        ([], [Function::Sigmoid]) => InPlace::Map(Function::Silu),
        ([], [Function::Softplus, Function::Tanh]) => InPlace::Map(Function::Mish),
        ([Function::Mul(half)], erf) if *half == 0.5 && is_erf_plus_1(erf) => {
            InPlace::Map(Function::Gelu)
        }
        _ => InPlace::Product(first, second),
    }
}

/// Returns whether functions are `1 + erf(x / sqrt 2)`.
fn is_erf_plus_1(functions: &[Function]) -> bool {
    let [scale, Function::Erf, Function::Add(one)] = functions else {
        return false;
    };
    let divisor = match scale {
        Function::Div(divisor) => *divisor,
        Function::Mul(factor) => 1.0 / factor,
        _ => return false,
    };
    *one == 1.0 && (divisor - SQRT_2).abs() < 1e-6
}

/// Returns GELU if that is what two steps compute: `x (1 + erf(x / sqrt 2))`, then half of it.
fn gelu(last: &InPlace, step: &InPlace) -> Option<InPlace> {
    let (InPlace::Product(first, second), InPlace::Map(Function::Mul(half))) = (last, step) else {
        return None;
    };
    let is_gelu = first.is_empty() && is_erf_plus_1(second) && *half == 0.5;
    is_gelu.then_some(InPlace::Map(Function::Gelu))
}
