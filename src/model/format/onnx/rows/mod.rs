//! Passes over the rows of a tensor: matrices of constant weights, and what happens to each row between them.
//!
//! Nodes that follow each other and treat each row alone become one [`Chain`]. It is computed as a network of format `dense`: rows go
//! through all steps in blocks that stay in the cache, with the same kernel, and values between steps are in the thread's scratch
//! memory.
//!
//! A row here is one run along the last axis, whatever the other axes mean.
//! Not here: which nodes follow each other ([`fuse`](mod@super::read)).

mod curves;
mod function;
mod step;

use std::mem;

use pulp::{Arch, Simd, WithSimd};

use super::operator::{Inputs, Operator};
use super::value::{self, Value};
use crate::model::format::dense::fused::matrix::Matrix;
pub(in crate::model::format) use crate::model::format::dense::fused::scratch;
pub(crate) use function::Function;
pub(in crate::model::format) use step::Linear;
pub(crate) use step::{ColumnOperation, InPlace, Pair, PairOperation, Step};

/// Rows that go through the steps together, as in format `dense`.
const BLOCK: usize = 96;
/// Values that go through steps in place together.
const PIECE: usize = 4096;

/// Rounds a value to f32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "values are f32; one that does not fit becomes an infinity"
)]
pub(crate) fn narrowed(x: f64) -> f32 {
    x as f32
}

/// Steps, laid out for this CPU. An operator of one input.
#[derive(Debug)]
pub(crate) struct Chain {
    arch: Arch,
    /// Steps before the first matrix.
    start: Vec<InPlace>,
    layers: Vec<Layer>,
    /// The length of a row; `None` if any length will do.
    ins: Option<usize>,
    /// Width of the widest row between steps.
    widest: usize,
}

#[derive(Debug)]
struct Layer {
    matrix: Matrix,
    then: Vec<InPlace>,
}

impl Chain {
    /// Lays out `steps` for the current CPU. Calls `rest` between pieces of work.
    pub(super) fn new(steps: Vec<Step>, rest: &mut dyn FnMut()) -> Self {
        let arch = Arch::new();
        let lanes = arch.dispatch(Lanes);
        let (mut start, mut layers) = (Vec::new(), Vec::<Layer>::new());
        for step in steps {
            match step {
                Step::Linear(linear) => layers.push(Layer {
                    matrix: Matrix::new(linear, lanes, rest),
                    then: Vec::new(),
                }),
                Step::InPlace(step) => layers
                    .last_mut()
                    .map_or(&mut start, |layer| &mut layer.then)
                    .push(step),
            }
        }
        let first = layers.first().map(|layer| layer.matrix.ins());
        let ins = start.iter().find_map(InPlace::width).or(first);
        let widths = layers.iter().map(|layer| layer.matrix.outs());
        let widest = widths.chain(first).max().unwrap_or(0);
        Self {
            arch,
            start,
            layers,
            ins,
            widest,
        }
    }

    /// Returns the lengths of a row of the input and of a row of the output; `None` if the chain has no matrix.
    pub(crate) fn widths(&self) -> Option<[usize; 2]> {
        Some([self.ins?, self.layers.last()?.matrix.outs()])
    }

    /// Returns the outputs for `rows`, whole rows of an input of the first of [`widths`](Self::widths).
    pub(crate) fn compute(&self, rows: &[f32]) -> Option<Vec<f32>> {
        let [ins, outs] = self.widths()?;
        rows.len()
            .is_multiple_of(ins)
            .then(|| self.forward(rows, ins, outs))
    }

    /// Applies steps that do not change the length of rows.
    fn in_place(&self, value: Value, width: usize) -> Result<Value, String> {
        let (shape, data) = value.into_parts();
        let mut values = Value::new(vec![data.len()], data)?.into_elements::<f32>()?;
        let width = width.max(1);
        let rows = (PIECE / width).max(1);
        for piece in values.chunks_mut(rows * width) {
            for step in &self.start {
                step.apply(self.arch, piece, width);
            }
        }
        Value::of(shape, values)
    }

    /// Returns the outputs of all steps for `rows`, whole rows of `ins` values.
    fn forward(&self, rows: &[f32], ins: usize, outs: usize) -> Vec<f32> {
        let count = rows.len() / ins;
        let mut result = vec![0.0; count * outs];
        let half = count.min(BLOCK) * self.widest;
        scratch::with(2 * half, |scratch| {
            let (from, to) = scratch.split_at_mut(half);
            let blocks = result.chunks_mut(BLOCK * outs);
            for (x, result) in rows.chunks(BLOCK * ins).zip(blocks) {
                self.arch.dispatch(Block {
                    chain: self,
                    x,
                    from: &mut *from,
                    to: &mut *to,
                    result,
                });
            }
        });
        result
    }
}

impl Operator for Chain {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let width = input.shape().last().copied().unwrap_or(1);
        if let Some(ins) = self.ins
            && (ins != width || input.rank() == 0)
        {
            let shape = input.shape();
            return Err(format!(
                "got shape {shape:?}, expected a last axis of {ins}"
            ));
        }
        let Some(last) = self.layers.last() else {
            let value = inputs.take(0)?;
            return Ok(vec![self.in_place(value, width)?]);
        };
        let outs = last.matrix.outs();
        let mut shape = input.shape().to_vec();
        if let Some(length) = shape.last_mut() {
            *length = outs;
        }
        value::limited(&shape)?;
        let result = self.forward(input.elements()?, width, outs);
        Ok(vec![Value::of(shape, result)?])
    }

    fn as_chain(&self) -> Option<&Chain> {
        Some(self)
    }

    fn bytes(&self) -> usize {
        let matrix = |layer: &Layer| {
            let weights = layer.matrix.ins() * layer.matrix.outs() + layer.matrix.outs();
            let then: usize = layer.then.iter().map(InPlace::bytes).sum();
            weights * size_of::<f32>() + then
        };
        let start: usize = self.start.iter().map(InPlace::bytes).sum();
        start + self.layers.iter().map(matrix).sum::<usize>()
    }
}

/// Determines the number of values in a register of the CPU.
pub(crate) struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Computes one block of rows. Every function called from here must be inlined; otherwise it is compiled for the oldest supported
/// CPU instead of the current one.
struct Block<'a> {
    chain: &'a Chain,
    x: &'a [f32],
    from: &'a mut [f32],
    to: &'a mut [f32],
    result: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            chain,
            x,
            mut from,
            mut to,
            result,
        } = self;
        let Some(first) = chain.layers.first() else {
            return;
        };
        let rows = x.len() / first.matrix.ins();
        // The first layer reads the input in place, unless there are steps before it.
        let mut in_place = chain.start.is_empty();
        if !in_place {
            let first = &mut from[..x.len()];
            first.copy_from_slice(x);
            for step in &chain.start {
                step.apply(chain.arch, first, x.len() / rows);
            }
        }
        for (at, layer) in chain.layers.iter().enumerate() {
            let x = if in_place {
                x
            } else {
                &from[..rows * layer.matrix.ins()]
            };
            let outs = layer.matrix.outs();
            let out = if at + 1 == chain.layers.len() {
                &mut *result
            } else {
                &mut to[..rows * outs]
            };
            layer.matrix.apply(simd, rows, x, out);
            for step in &layer.then {
                step.apply(chain.arch, out, outs);
            }
            mem::swap(&mut from, &mut to);
            in_place = false;
        }
    }
}
