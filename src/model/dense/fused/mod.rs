//! A whole network as one pass over memory that is already there.
//!
//! Weights are laid out once, in the order in which the pass reads them ([`Matrix`]). Rows go through all layers in blocks of
//! at most [`BLOCK`], so that what a layer has written is still in the cache when the next one reads it; bias and
//! activation are part of the layer's own pass. The only allocation of a pass is its answer: what lies between two layers is
//! in the thread's [`scratch`].
//!
//! Always: one output of one row is a sum in an order that depends on nothing but the layer's shape. So a row has the same
//! bits alone and in any batch. Between CPUs bits may differ, because some multiply and add in one rounding and others in two.
//! Not here: heads, which are [`Dense`](super::Dense)'s, and what is tested against: candle, in the tests.

mod curves;
mod kernel;
mod matrix;
mod pointwise;
mod scratch;

use std::mem;

use pulp::{Arch, Simd, WithSimd};

use super::fold::Part;
use matrix::Matrix;
use pointwise::Pointwise;

/// Rows that go through the network together. Enough for a large layer's weights to be read once for many rows.
const BLOCK: usize = 96;

/// A network laid out for this CPU.
#[derive(Debug)]
pub(super) struct Fused {
    arch: Arch,
    /// What happens to the columns before the first linear layer.
    start: Vec<Pointwise>,
    layers: Vec<Layer>,
    ins: usize,
    outs: usize,
    /// Widest row that the scratch must hold.
    widest: usize,
}

#[derive(Debug)]
struct Layer {
    matrix: Matrix,
    then: Vec<Pointwise>,
}

impl Fused {
    /// Lays out `parts`, which take `ins` columns, for the CPU that this runs on. `rest` is called between pieces of work. Of
    /// each layer the weights are in memory twice while it is laid out.
    pub(super) fn new(parts: Vec<Part>, ins: usize, rest: &mut dyn FnMut()) -> Self {
        Self::on(Arch::new(), parts, ins, rest)
    }

    /// As [`new`](Self::new), for a CPU that is known.
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

    /// What the last layer gives for `rows`, which are whole rows of the columns; row-major.
    pub(super) fn forward(&self, rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / self.ins;
        let mut answer = vec![0.0; count * self.outs];
        let half = count.min(BLOCK) * self.widest;
        scratch::lend(2 * half, |scratch| {
            let (from, to) = scratch.split_at_mut(half);
            let answers = answer.chunks_mut(BLOCK * self.outs);
            for (x, answer) in rows.chunks(BLOCK * self.ins).zip(answers) {
                self.arch.dispatch(Block {
                    network: self,
                    x,
                    from: &mut *from,
                    to: &mut *to,
                    answer,
                });
            }
        });
        answer
    }
}

/// How many values a register of the CPU holds.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// A block of rows on its way through the network. All that is called from here must be inlined, or it is compiled for the
/// oldest CPU instead of this one.
struct Block<'a> {
    network: &'a Fused,
    x: &'a [f32],
    from: &'a mut [f32],
    to: &'a mut [f32],
    answer: &'a mut [f32],
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
            answer,
        } = self;
        let rows = x.len() / network.ins;
        // The first layer reads the rows where they came, unless they are changed before.
        let mut came = network.start.is_empty();
        if !came {
            let first = if network.layers.is_empty() {
                &mut *answer
            } else {
                &mut from[..x.len()]
            };
            first.copy_from_slice(x);
            for each in &network.start {
                each.apply(first);
            }
        }
        for (at, layer) in network.layers.iter().enumerate() {
            let x = if came {
                x
            } else {
                &from[..rows * layer.matrix.ins()]
            };
            let out = if at + 1 == network.layers.len() {
                &mut *answer
            } else {
                &mut to[..rows * layer.matrix.outs()]
            };
            layer.matrix.apply(simd, rows, x, out);
            for each in &layer.then {
                each.apply(out);
            }
            mem::swap(&mut from, &mut to);
            came = false;
        }
    }
}
