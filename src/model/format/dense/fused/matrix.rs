//! The weights of one linear layer, in the order in which a forward pass reads them.
//!
//! Outputs are grouped into panels of two registers, then one panel of one register. A panel stores its weights input by input, so a
//! pass reads it sequentially. The remaining outputs form a panel that uses only a part of its register, or stay rows of weights
//! ([`dots_pay`]). The weights take as much memory as in their file, and at most one register more.

use pulp::Simd;

use super::super::layer::{self, Linear};
use super::kernel::{self, Input, Output, WIDE};

/// Inputs that are transposed together, so that both the values read and the values written stay in the cache.
const TILE: usize = 32;
/// Inputs of one panel that are transposed between two rests.
const PIECE: usize = 1 << 12;

/// Weights `[ins, outs]` and biases.
#[derive(Debug)]
pub(in crate::model::format) struct Matrix {
    ins: usize,
    bias: Vec<f32>,
    /// Outputs in panels of two registers.
    wide: usize,
    /// Outputs in the panel of one register.
    narrow: usize,
    /// Whether the remaining outputs are rows of weights.
    dots: bool,
    /// The panels in this order, then the remaining outputs.
    weights: Vec<f32>,
}

impl Matrix {
    /// Lays out `linear` for registers of `lanes` values. Calls `rest` between pieces of work.
    pub(in crate::model::format) fn new(
        linear: Linear,
        lanes: usize,
        rest: &mut dyn FnMut(),
    ) -> Self {
        let Linear {
            outs,
            ins,
            weight,
            bias,
            ..
        } = linear;
        let wide = outs - outs % (WIDE * lanes);
        let narrow = (outs - wide) / lanes * lanes;
        let left = outs - wide - narrow;
        let dots = dots_pay(left, ins, lanes);
        let weights = if dots && left == outs {
            weight
        } else {
            let padding = if dots { 0 } else { lanes };
            let mut weights = Vec::with_capacity(weight.len() + padding);
            let (in_wide, others) = weight.split_at(wide * ins);
            for panel in in_wide.chunks_exact(WIDE * lanes * ins) {
                append_transposed(panel, &mut weights, ins, rest);
            }
            let (in_narrow, others) = others.split_at(narrow * ins);
            append_transposed(in_narrow, &mut weights, ins, rest);
            if dots {
                weights.extend_from_slice(others);
            } else {
                append_transposed(others, &mut weights, ins, rest);
                weights.resize(weight.len() + padding, 0.0);
            }
            weights
        };
        Self {
            ins,
            bias: layer::rounded(&bias),
            wide,
            narrow,
            dots,
            weights,
        }
    }

    pub(in crate::model::format) fn ins(&self) -> usize {
        self.ins
    }

    pub(in crate::model::format) fn outs(&self) -> usize {
        self.bias.len()
    }

    /// Writes `x weight + bias` for the `rows` rows of `x` into `out`.
    #[inline(always)]
    pub(in crate::model::format) fn apply<S: Simd>(
        &self,
        simd: S,
        rows: usize,
        x: &[f32],
        out: &mut [f32],
    ) {
        let x = Input {
            values: x,
            rows,
            width: self.ins,
        };
        let mut out = Output {
            values: out,
            width: self.outs(),
            column: 0,
        };
        let (wide, weights) = self.weights.split_at(self.wide * self.ins);
        let (narrow, others) = weights.split_at(self.narrow * self.ins);
        let (wide_bias, bias) = self.bias.split_at(self.wide);
        let (narrow_bias, others_bias) = bias.split_at(self.narrow);
        kernel::panels::<S, WIDE>(simd, wide, wide_bias, x, &mut out);
        if !narrow.is_empty() {
            out.column = self.wide;
            kernel::panels::<S, 1>(simd, narrow, narrow_bias, x, &mut out);
        }
        if self.dots {
            kernel::dots(simd, others, others_bias, x, &mut out);
        } else {
            kernel::odd_panel(simd, others, others_bias, x, &mut out);
        }
    }
}

/// Returns whether the `left` remaining outputs, fewer than `lanes`, are faster as dot products with rows of weights than as a panel
/// that uses a part of a register.
///
/// A dot product takes `ins / lanes` steps and about twelve to add up its partial sums. The panel takes four times `ins` steps for one
/// row, and half of `ins` per row for many rows; the comparison uses twice `ins`, which lies between.
fn dots_pay(left: usize, ins: usize, lanes: usize) -> bool {
    left * (ins / lanes + 12) < 2 * ins || left < 2
}

/// Appends the transpose of `[outs, ins]`, `[ins, outs]`, to `to`. Calls `rest` between pieces of work.
fn append_transposed(from: &[f32], to: &mut Vec<f32>, ins: usize, rest: &mut dyn FnMut()) {
    let outs = from.len() / ins;
    let start = to.len();
    to.resize(start + from.len(), 0.0);
    let to = &mut to[start..];
    for tile in (0..ins).step_by(TILE) {
        if tile.is_multiple_of(PIECE) {
            rest();
        }
        for (out, row) in from.chunks_exact(ins).enumerate() {
            for k in tile..ins.min(tile + TILE) {
                to[k * outs + out] = row[k];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_take_as_much_memory_as_in_their_file() {
        for (outs, ins, lanes, wide, narrow, dots) in [
            (1, 30, 8, 0, 0, true),
            (2, 64, 8, 0, 0, true),
            (7, 30, 8, 0, 0, false),
            (8, 30, 8, 0, 8, true),
            (15, 3, 8, 0, 8, false),
            (16, 3, 8, 16, 0, true),
            (73, 5, 8, 64, 8, true),
            (79, 4096, 8, 64, 8, true),
            (9, 5, 4, 8, 0, true),
            (3, 5, 1, 2, 1, true),
        ] {
            let weight: Vec<f32> = (0..outs * ins).map(|at| at as f32).collect();
            let linear = Linear {
                name: "0".into(),
                outs,
                ins,
                weight: weight.clone(),
                bias: vec![0.0; outs],
            };
            let matrix = Matrix::new(linear, lanes, &mut || {});
            let got = (matrix.wide, matrix.narrow, matrix.dots);
            assert_eq!(got, (wide, narrow, dots), "{ins} to {outs} by {lanes}");
            let more = if dots { 0 } else { lanes };
            assert_eq!(matrix.weights.capacity(), weight.len() + more);
            let mut laid_out = matrix.weights;
            laid_out.truncate(weight.len());
            laid_out.sort_by(f32::total_cmp);
            assert_eq!(laid_out, weight, "each once");
        }
    }
}
