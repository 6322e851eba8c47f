//! Reductions: sums, means, extremes and norms along some axes.

use std::marker::PhantomData;

use super::axes::without_axes;
use super::number::Number;
use super::transpose::transposed;
use super::with_number;
use crate::model::format::onnx::infer::{self, constant_ints};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator, Work};
use crate::model::format::onnx::value::{self, Value};
use crate::model::payload::{Datatype, TensorData};

const fn entry(name: &'static str) -> Entry {
    Entry {
        name,
        since: 1,
        attributes: &["axes", "keepdims", "noop_with_empty_axes"],
        lower,
    }
}

pub(super) const OPERATORS: &[Entry] = &[
    entry("ReduceSum"),
    entry("ReduceMean"),
    entry("ReduceMax"),
    entry("ReduceMin"),
    entry("ReduceProd"),
    entry("ReduceL1"),
    entry("ReduceL2"),
    entry("ReduceSumSquare"),
    entry("ReduceLogSum"),
    entry("ReduceLogSumExp"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    L1,
    L2,
    SumSquare,
    LogSum,
    LogSumExp,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let kind = match node.operator() {
        "ReduceSum" => Kind::Sum,
        "ReduceMean" => Kind::Mean,
        "ReduceMax" => Kind::Max,
        "ReduceMin" => Kind::Min,
        "ReduceProd" => Kind::Prod,
        "ReduceL1" => Kind::L1,
        "ReduceL2" => Kind::L2,
        "ReduceSumSquare" => Kind::SumSquare,
        "ReduceLogSum" => Kind::LogSum,
        _ => Kind::LogSumExp,
    };
    let by_input = node.version >= if kind == Kind::Sum { 13 } else { 18 };
    let axes = match (by_input, node.optional(1)) {
        (true, Some(_)) => constant_ints(node, 1)?,
        (true, None) => Vec::new(),
        (false, _) => node.ints("axes")?.unwrap_or_default().to_vec(),
    };
    if by_input && node.has("axes") {
        return Err("attribute axes is not supported in this version".into());
    }
    let keeps = node.flag("keepdims")?.unwrap_or(true);
    let nothing = node.flag("noop_with_empty_axes")?.unwrap_or(false) && by_input;
    if axes.is_empty() && nothing {
        let plain = [Kind::Sum, Kind::Mean, Kind::Max, Kind::Min, Kind::Prod];
        if !plain.contains(&kind) {
            return Err("attribute noop_with_empty_axes is not supported here".into());
        }
        return Ok(Lowered::same(0, input.clone()));
    }
    let lost = match input.rank() {
        Some(rank) if axes.is_empty() => (0..rank).collect(),
        Some(rank) => infer::axes(&axes, rank)?,
        None => Vec::new(),
    };
    let output = without_axes(input, input.datatype, &lost, keeps);
    let cost = input.elements_per_row();
    if input.datatype == Datatype::Bool && matches!(kind, Kind::Max | Kind::Min) {
        let operator = Reduce::<u8>::new(kind, axes, keeps);
        return Ok(Lowered::new(OfFlags(operator), vec![output], cost).reading([0]));
    }
    let is_last = input
        .rank()
        .is_some_and(|rank| lost.iter().copied().eq(rank.checked_sub(1)));
    if kind == Kind::Mean && is_last && keeps && input.datatype == Datatype::Fp32 {
        return Ok(Lowered {
            work: Work::RowMean,
            outputs: vec![output],
            cost,
            reads: Some(vec![0]),
        });
    }
    with_number!(input.datatype, T => {
        let operator = Reduce::<T>::new(kind, axes, keeps);
        Ok(Lowered::new(operator, vec![output], cost).reading([0]))
    })
}

/// Returns the mean along the last axis, which becomes 1.
pub(in crate::model::format::onnx) fn row_mean() -> impl Operator + 'static {
    Reduce::<f32>::new(Kind::Mean, vec![-1], true)
}

/// Reduces axes to one element; all axes if the list is empty.
#[derive(Debug)]
struct Reduce<T> {
    kind: Kind,
    axes: Vec<i64>,
    keeps: bool,
    elements: PhantomData<T>,
}

/// A reduction of booleans: whether one, or each, is true.
#[derive(Debug)]
struct OfFlags(Reduce<u8>);

impl Operator for OfFlags {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let flags = input.elements::<bool>()?.iter();
        let numbers = flags.map(|flag| u8::from(*flag)).collect();
        let numbers = Value::of::<u8>(input.shape().to_vec(), numbers)?;
        let (shape, data) = self.0.of(&numbers)?.into_parts();
        let flags = match data {
            TensorData::Uint8(numbers) => numbers.into_iter().map(|x| x != 0).collect(),
            _ => Vec::new(),
        };
        Ok(vec![Value::of::<bool>(shape, flags)?])
    }
}

impl<T: Number + std::fmt::Debug> Operator for Reduce<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        Ok(vec![self.of(inputs.get(0)?)?])
    }
}

impl<T: Number> Reduce<T> {
    fn new(kind: Kind, axes: Vec<i64>, keeps: bool) -> Self {
        Self {
            kind,
            axes,
            keeps,
            elements: PhantomData,
        }
    }

    fn of(&self, input: &Value) -> Result<Value, String> {
        let shape = input.shape();
        let lost = if self.axes.is_empty() {
            (0..shape.len()).collect()
        } else {
            infer::axes(&self.axes, shape.len())?
        };
        let values = input.elements::<T>()?;
        let mut result_shape = Vec::with_capacity(shape.len());
        for (at, length) in shape.iter().enumerate() {
            match lost.contains(&at) {
                true if self.keeps => result_shape.push(1),
                true => {}
                false => result_shape.push(*length),
            }
        }
        let count = lost.iter().map(|at| shape[*at]).product();
        let outputs = value::limited(&result_shape)?;
        if count == 0 && outputs > 0 && !matches!(self.kind, Kind::Sum | Kind::Prod) {
            return Err("got no elements to reduce".into());
        }
        // Axes of length 1 have no effect on the order of elements.
        let long: Vec<usize> = lost.iter().copied().filter(|at| shape[*at] != 1).collect();
        let (Some(first), Some(last)) = (long.first(), long.last()) else {
            let result = self.reduced(values, outputs, 1, 1);
            return Value::of(result_shape, result);
        };
        let between = &shape[*first..=*last];
        let is_run = between.iter().product::<usize>() == count;
        let result = if is_run {
            let inner = shape[last + 1..].iter().product();
            let outer = shape[..*first].iter().product();
            self.reduced(values, outer, count, inner)
        } else {
            let mut order: Vec<usize> = (0..shape.len()).filter(|at| !lost.contains(at)).collect();
            order.extend(&lost);
            let values = transposed(values, shape, &order);
            self.reduced(&values, outputs, count, 1)
        };
        Value::of(result_shape, result)
    }

    /// Reduces the middle one of three axes.
    fn reduced(&self, values: &[T], outer: usize, count: usize, inner: usize) -> Vec<T> {
        let view = View {
            values,
            outer,
            count,
            inner,
        };
        let square = |x: T| x.mul(x);
        let root = |x: T| T::from_f64(x.as_f64().sqrt());
        match self.kind {
            Kind::Sum => view.fold(T::ZERO, |x| x, T::add, |x| x),
            Kind::Mean => {
                let divisor = T::from_f64(count as f64);
                view.fold(T::ZERO, |x| x, T::add, |x| x.div(divisor))
            }
            Kind::Max => view.fold(T::LOWEST, |x| x, T::larger, |x| x),
            Kind::Min => view.fold(T::HIGHEST, |x| x, T::smaller, |x| x),
            Kind::Prod => view.fold(T::ONE, |x| x, T::mul, |x| x),
            Kind::L1 => view.fold(T::ZERO, T::magnitude, T::add, |x| x),
            Kind::L2 => view.fold(T::ZERO, square, T::add, root),
            Kind::SumSquare => view.fold(T::ZERO, square, T::add, |x| x),
            Kind::LogSum => {
                let logarithm = |x: T| T::from_f64(x.as_f64().ln());
                view.fold(T::ZERO, |x| x, T::add, logarithm)
            }
            Kind::LogSumExp => view.log_sum_exp(),
        }
    }
}

/// A tensor of three axes, of which the middle one is reduced.
struct View<'a, T> {
    values: &'a [T],
    outer: usize,
    count: usize,
    inner: usize,
}

impl<T: Number> View<'_, T> {
    /// Combines `each` of the elements, from `start`, which has no effect on a combination; then applies `finish`.
    #[inline]
    fn fold(
        &self,
        start: T,
        each: impl Fn(T) -> T,
        combine: impl Fn(T, T) -> T,
        finish: impl Fn(T) -> T,
    ) -> Vec<T> {
        let mut result = Vec::with_capacity(self.outer * self.inner);
        for block in 0..self.outer {
            let block = &self.values[block * self.count * self.inner..][..self.count * self.inner];
            if self.inner == 1 {
                result.push(finish(run(block, start, &each, &combine)));
                continue;
            }
            let from = result.len();
            result.resize(from + self.inner, start);
            for row in block.chunks_exact(self.inner.max(1)) {
                for (sum, x) in result[from..].iter_mut().zip(row) {
                    *sum = combine(*sum, each(*x));
                }
            }
            result[from..].iter_mut().for_each(|x| *x = finish(*x));
        }
        result
    }

    /// Returns the logarithms of the sums of e to the power of the elements. The largest element is subtracted first.
    fn log_sum_exp(&self) -> Vec<T> {
        let largest = self.fold(T::LOWEST, |x| x, T::larger, |x| x);
        let mut result = Vec::with_capacity(largest.len());
        for (at, largest) in largest.iter().enumerate() {
            let start = at / self.inner * self.count * self.inner + at % self.inner;
            let finite = largest.as_f64();
            let finite = if finite.is_finite() { finite } else { 0.0 };
            let power =
                |step: usize| (self.values[start + step * self.inner].as_f64() - finite).exp();
            let sum: f64 = (0..self.count).map(power).sum();
            result.push(T::from_f64(sum.ln() + finite));
        }
        result
    }
}

/// Combines the elements of a run, in eight parts, so that one does not wait for another.
#[inline]
fn run<T: Copy>(values: &[T], start: T, each: impl Fn(T) -> T, combine: impl Fn(T, T) -> T) -> T {
    let mut parts = [start; 8];
    let (pieces, rest) = values.as_chunks::<8>();
    for piece in pieces {
        for (part, x) in parts.iter_mut().zip(piece) {
            *part = combine(*part, each(*x));
        }
    }
    let parts = parts.into_iter().fold(start, &combine);
    rest.iter().fold(parts, |sum, x| combine(sum, each(*x)))
}
