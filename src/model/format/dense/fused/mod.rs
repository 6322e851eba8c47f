//! Scores a whole network in one pass.
//!
//! The weights are laid out once, in the order in which the pass reads them ([`Matrix`]). Rows go through all layers in blocks of at
//! most [`BLOCK`] rows, so that the output of a layer is still in the cache when the next layer reads it. Bias and activation are part
//! of the layer's own pass. A pass allocates only its result; values between layers are in the thread's [`scratch`] memory.
//!
//! Invariant: the order of additions for one output of one row depends only on the shape of the layer. So a row has the same bits alone
//! and in any batch. Bits may differ between CPUs, because some round a multiply-add once and others twice.
//! Not here: heads (in [`Dense`](super::Dense)), and the comparison with candle (in the tests).

pub(in crate::model::format) mod curves;
pub(in crate::model::format) mod kernel;
pub(in crate::model::format) mod matrix;
mod pointwise;
pub(in crate::model::format) mod scratch;

use std::mem;

use pulp::{Arch, Simd, WithSimd};

use super::layer::Part;
use matrix::Matrix;
use pointwise::Pointwise;

/// Rows that go through the network together. Large enough to read the weights of a large layer once for many rows.
const BLOCK: usize = 96;

/// A network, laid out for this CPU.
#[derive(Debug)]
pub(super) struct Fused {
    arch: Arch,
    /// Operations on the columns before the first linear layer.
    start: Vec<Pointwise>,
    layers: Vec<Layer>,
    ins: usize,
    outs: usize,
    /// Width of the widest row between layers.
    widest: usize,
}

#[derive(Debug)]
struct Layer {
    matrix: Matrix,
    then: Vec<Pointwise>,
}

impl Fused {
    /// Lays out `parts` with `ins` input columns for the current CPU. Calls `rest` between pieces of work. The weights of one layer at a
    /// time are in memory twice.
    pub(super) fn new(parts: Vec<Part>, ins: usize, rest: &mut dyn FnMut()) -> Self {
        Self::on(Arch::new(), parts, ins, rest)
    }

    /// Lays out `parts` like [`new`](Self::new), for the given CPU.
    pub(super) fn on(arch: Arch, parts: Vec<Part>, ins: usize, rest: &mut dyn FnMut()) -> Self {
        let lanes = arch.dispatch(Lanes);
        let (mut start, mut layers) = (Vec::new(), Vec::<Layer>::new());
        for part in parts {
            let pointwise = match part {
                Part::Linear(linear) => {
                    let matrix = Matrix::new(linear, lanes, rest);
                    let then = Vec::new();
                    layers.push(Layer { matrix, then });
                    continue;
                }
                Part::Affine(affine) => Pointwise::affine(&affine),
                Part::Activation(activation) => Pointwise::Activation(activation),
            };
            let after = layers
                .last_mut()
                .map_or(&mut start, |layer| &mut layer.then);
            after.push(pointwise);
        }
        let widths = layers.iter().map(|layer| layer.matrix.outs());
        Self {
            arch,
            ins,
            outs: widths.clone().next_back().unwrap_or(ins),
            widest: widths.chain([ins]).max().unwrap_or(ins),
            start,
            layers,
        }
    }

    /// Returns the outputs of the last layer for `rows`, which must be whole rows; row-major.
    pub(super) fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / self.ins;
        let mut result = vec![0.0; count * self.outs];
        let half = count.min(BLOCK) * self.widest;
        scratch::with(2 * half, |scratch| {
            let (from, to) = scratch.split_at_mut(half);
            let blocks = result.chunks_mut(BLOCK * self.outs);
            for (x, result) in rows.chunks(BLOCK * self.ins).zip(blocks) {
                self.arch.dispatch(Block {
                    network: self,
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

/// Determines the number of values in a register of the CPU.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Scores one block of rows. Every function called from here must be inlined; otherwise it is compiled for the oldest supported CPU
/// instead of the current one.
struct Block<'a> {
    network: &'a Fused,
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
            network,
            x,
            mut from,
            mut to,
            result,
        } = self;
        let rows = x.len() / network.ins;
        // The first layer reads the input in place, unless there are operations before it.
        let mut in_place = network.start.is_empty();
        if !in_place {
            let first = if network.layers.is_empty() {
                &mut *result
            } else {
                &mut from[..x.len()]
            };
            first.copy_from_slice(x);
            for each in &network.start {
                each.apply(first);
            }
        }
        for (at, layer) in network.layers.iter().enumerate() {
            let x = if in_place {
                x
            } else {
                &from[..rows * layer.matrix.ins()]
            };
            let out = if at + 1 == network.layers.len() {
                &mut *result
            } else {
                &mut to[..rows * layer.matrix.outs()]
            };
            layer.matrix.apply(simd, rows, x, out);
            for each in &layer.then {
                each.apply(out);
            }
            mem::swap(&mut from, &mut to);
            in_place = false;
        }
    }
}
