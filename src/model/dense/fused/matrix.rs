//! The weights of one linear layer, in the order in which a pass reads them.
//!
//! Outputs are cut into panels as wide as two registers, then one panel as wide as one; a panel holds its weights input by
//! input, so a pass reads it from end to end. The few outputs that are left over are a panel that fills its register
//! only in part, or stay the rows of weights that they were ([`dots_pay`]). So the weights take as much memory as in their
//! file, and a register more at most.

use pulp::Simd;

use super::super::fold::{self, Linear};
use super::kernel::{self, Input, Output, WIDE};

/// Inputs that are turned together: what is read and what is written then both stay in the cache.
const TILE: usize = 32;
/// Inputs of one panel that are turned between two rests.
const PIECE: usize = 1 << 12;

/// `[ins, outs]` and its bias.
#[derive(Debug)]
pub(super) struct Matrix {
    ins: usize,
    bias: Vec<f32>,
    /// Outputs in panels of two registers, and in the one of one register.
    wide: usize,
    narrow: usize,
    /// Whether the others are rows.
    dots: bool,
    /// The panels in this order, then the others.
    weights: Vec<f32>,
}

impl Matrix {
    /// Lays out `linear` for registers of `lanes` values; `rest` is called between pieces of work.
    pub(super) fn new(linear: Linear, lanes: usize, rest: &mut dyn FnMut()) -> Self {
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
            let room = if dots { 0 } else { lanes };
            let mut turned = Vec::with_capacity(weight.len() + room);
            let (in_wide, others) = weight.split_at(wide * ins);
            for panel in in_wide.chunks_exact(WIDE * lanes * ins) {
                turn(panel, &mut turned, ins, rest);
            }
            let (in_narrow, others) = others.split_at(narrow * ins);
            turn(in_narrow, &mut turned, ins, rest);
            if dots {
                turned.extend_from_slice(others);
            } else {
                turn(others, &mut turned, ins, rest);
                turned.resize(weight.len() + room, 0.0);
            }
            turned
        };
        Self {
            ins,
            bias: fold::rounded(&bias),
            wide,
            narrow,
            dots,
            weights,
        }
    }

    pub(super) fn ins(&self) -> usize {
        self.ins
    }

    pub(super) fn outs(&self) -> usize {
        self.bias.len()
    }

    /// `x weight + bias` for the `rows` rows of `x`, into as many rows.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, simd: S, rows: usize, x: &[f32], out: &mut [f32]) {
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

/// Whether `left` outputs, fewer than a register's `lanes`, had better be sums side by side along their `ins` inputs, which
/// then are added up, than one register that is not full. A sum takes `ins / lanes` steps and about twelve to add up; the
/// register takes four times `ins` for one row, and half of `ins` a row for many: twice `ins` lies between.
fn dots_pay(left: usize, ins: usize, lanes: usize) -> bool {
    left * (ins / lanes + 12) < 2 * ins || left < 2
}

/// Appends `[outs, ins]` as `[ins, outs]`; `rest` is called between pieces of work.
fn turn(from: &[f32], to: &mut Vec<f32>, ins: usize, rest: &mut dyn FnMut()) {
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
