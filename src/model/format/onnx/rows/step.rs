//! Steps that rows go through one after another, before they are laid out for a pass.

use pulp::{Arch, Simd, WithSimd};

use super::function::Function;
pub(in crate::model::format) use crate::model::format::dense::layer::Linear;

/// What happens to each row, where the values of a row are those along the last axis.
#[derive(Debug)]
pub(crate) enum Step {
    /// A product with a matrix, plus a bias.
    Linear(Linear),
    /// What happens to a row without a change of its length.
    InPlace(InPlace),
}

/// What happens to each row in place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum InPlace {
    /// A function of each value.
    Map(Function),
    /// A combination of two results for each value.
    Pair(Box<Pair>),
    /// An operation of each value and the number for its column.
    Columns(ColumnOperation, Vec<f32>),
    /// `x factor + shift`, by column.
    Affine { factor: Vec<f32>, shift: Vec<f32> },
    /// Subtracts the mean of the row, divides by its standard deviation, and multiplies with `scale`; then adds `shift`.
    Normalize {
        epsilon: f32,
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    /// `e^x / sum of e^x`
    Softmax,
    /// The logarithm of that.
    LogSoftmax,
}

/// A combination of two results for each value: of all steps of a list, and of all steps of another list. All of them treat each
/// value alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) operation: PairOperation,
    pub(crate) first: Vec<InPlace>,
    pub(crate) second: Vec<InPlace>,
}

/// An operation of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairOperation {
    /// `x + y`
    Add,
    /// `x - y`
    Sub,
    /// `x y`
    Mul,
    /// `x / y`
    Div,
}

/// An operation of a value `x` and the number `c` for its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnOperation {
    /// `x + c`
    Add,
    /// `x c`
    Mul,
    /// `x / c`
    Div,
    /// `c - x`
    From,
    /// `c / x`
    Into,
    /// `x` below zero times `c` (PRelu).
    Slope,
}

impl InPlace {
    /// Returns the length of the rows that the step is for, or `None` if it takes any length.
    pub(super) fn width(&self) -> Option<usize> {
        match self {
            Self::Columns(_, numbers) => Some(numbers.len()),
            Self::Affine { factor, .. } => Some(factor.len()),
            Self::Normalize { scale, .. } => Some(scale.len()),
            Self::Map(_) | Self::Pair(_) | Self::Softmax | Self::LogSoftmax => None,
        }
    }

    /// Returns whether the step treats each value alone, whatever its place.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Pair(_))
    }

    /// Returns the bytes of the numbers of the step.
    pub(super) fn bytes(&self) -> usize {
        let numbers = match self {
            Self::Columns(_, numbers) => numbers.len(),
            Self::Affine {
                factor: a,
                shift: b,
            }
            | Self::Normalize {
                scale: a, shift: b, ..
            } => a.len() + b.len(),
            Self::Map(_) | Self::Pair(_) | Self::Softmax | Self::LogSoftmax => 0,
        };
        numbers * size_of::<f32>()
    }

    /// Returns how deeply pairs are nested in the step.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Pair(pair) => {
                let steps = pair.first.iter().chain(&pair.second);
                1 + steps.map(Self::depth).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Applies the step to whole rows of `width` values, in code for this CPU.
    pub(crate) fn apply(&self, arch: Arch, rows: &mut [f32], width: usize) {
        match self {
            Self::Pair(pair) => pair.apply(arch, rows),
            step => arch.dispatch(Apply { step, rows, width }),
        }
    }

    /// Applies a step that is not a pair.
    #[inline(always)]
    fn apply_here(&self, rows: &mut [f32], width: usize) {
        match self {
            Self::Map(function) => function.apply(rows),
            Self::Pair(_) => {}
            Self::Columns(operation, numbers) => operation.apply(rows, numbers),
            Self::Affine { factor, shift } => {
                for row in rows.chunks_exact_mut(factor.len()) {
                    for (x, (factor, shift)) in row.iter_mut().zip(factor.iter().zip(shift)) {
                        *x = *x * factor + shift;
                    }
                }
            }
            Self::Normalize {
                epsilon,
                scale,
                shift,
            } => {
                for row in rows.chunks_exact_mut(scale.len()) {
                    normalize(row, *epsilon, scale, shift);
                }
            }
            Self::Softmax => rows.chunks_exact_mut(width.max(1)).for_each(softmax),
            Self::LogSoftmax => rows.chunks_exact_mut(width.max(1)).for_each(log_softmax),
        }
    }
}

/// Applies a step to whole rows.
struct Apply<'a> {
    step: &'a InPlace,
    rows: &'a mut [f32],
    width: usize,
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.step.apply_here(self.rows, self.width);
    }
}

impl Pair {
    /// Replaces each value by the combination of its two results, a piece at a time.
    fn apply(&self, arch: Arch, values: &mut [f32]) {
        let mut other = [0.0; 256];
        for piece in values.chunks_mut(other.len()) {
            let other = &mut other[..piece.len()];
            other.copy_from_slice(piece);
            for step in &self.first {
                step.apply(arch, piece, 1);
            }
            for step in &self.second {
                step.apply(arch, other, 1);
            }
            let pairs = piece.iter_mut().zip(other);
            match self.operation {
                PairOperation::Add => pairs.for_each(|(x, y)| *x += *y),
                PairOperation::Sub => pairs.for_each(|(x, y)| *x -= *y),
                PairOperation::Mul => pairs.for_each(|(x, y)| *x *= *y),
                PairOperation::Div => pairs.for_each(|(x, y)| *x /= *y),
            }
        }
    }
}

impl ColumnOperation {
    #[inline(always)]
    fn apply(self, rows: &mut [f32], numbers: &[f32]) {
        match self {
            Self::Add => columns(rows, numbers, |x, c| x + c),
            Self::Mul => columns(rows, numbers, |x, c| x * c),
            Self::Div => columns(rows, numbers, |x, c| x / c),
            Self::From => columns(rows, numbers, |x, c| c - x),
            Self::Into => columns(rows, numbers, |x, c| c / x),
            Self::Slope => columns(rows, numbers, |x, c| if x < 0.0 { x * c } else { x }),
        }
    }
}

#[inline(always)]
fn columns(rows: &mut [f32], numbers: &[f32], f: impl Fn(f32, f32) -> f32) {
    for row in rows.chunks_exact_mut(numbers.len().max(1)) {
        for (x, c) in row.iter_mut().zip(numbers) {
            *x = f(*x, *c);
        }
    }
}

/// Returns the sum of `f` of each value, in sixteen partial sums, which the compiler keeps in registers.
#[inline(always)]
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; 16];
    let (pieces, rest) = values.as_chunks::<16>();
    for piece in pieces {
        for (sum, x) in sums.iter_mut().zip(piece) {
            *sum += f(*x);
        }
    }
    let rest: f32 = rest.iter().map(|x| f(*x)).sum();
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; 16];
    let (pieces, rest) = values.as_chunks::<16>();
    for piece in pieces {
        for (largest, x) in largest.iter_mut().zip(piece) {
            *largest = if *x > *largest { *x } else { *largest };
        }
    }
    let all = largest.iter().chain(rest);
    all.fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

#[inline(always)]
fn normalize(row: &mut [f32], epsilon: f32, scale: &[f32], shift: &[f32]) {
    let count = row.len().max(1) as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    for (x, (scale, shift)) in row.iter_mut().zip(scale.iter().zip(shift)) {
        *x = (*x - mean) * factor * scale + shift;
    }
}

/// Turns a row into its softmax. The largest value is subtracted first, so that nothing overflows.
#[inline(always)]
fn softmax(row: &mut [f32]) {
    let largest = largest(row);
    Function::Add(f64::from(-largest)).apply(row);
    exponents(row);
    let factor = 1.0 / sum(row, |x| x);
    for x in row {
        *x *= factor;
    }
}

/// Turns a row into the logarithm of its softmax.
#[inline(always)]
fn log_softmax(row: &mut [f32]) {
    let largest = largest(row);
    let total = sum(row, |x| super::curves::exp(x - largest));
    let shift = largest + total.ln();
    for x in row {
        *x -= shift;
    }
}

#[inline(always)]
fn exponents(row: &mut [f32]) {
    for x in row {
        *x = super::curves::exp(*x);
    }
}
