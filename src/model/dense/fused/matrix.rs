//! The weights of one linear layer, in the order in which a pass reads them.
//!
//! Outputs are cut into panels as wide as two registers, then one panel as wide as one; a panel holds its weights input by
//! input, so a pass reads it from end to end. The few outputs that are left over stay the rows of weights that they
//! were. Nothing is padded, so the weights take as much memory as in their file.

use pulp::Simd;

use super::super::fold::{self, Linear};
use super::kernel::{self, Input, Output, WIDE};

/// Inputs that are turned together: what is read and what is written then both stay in the cache.
const TILE: usize = 32;

/// `[ins, outs]` and its bias.
#[derive(Debug)]
pub(super) struct Matrix {
    ins: usize,
    bias: Vec<f32>,
    /// Outputs in panels of two registers, then in those of one register; the rest are in rows.
    wide: usize,
    narrow: usize,
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
        let weights = if wide + narrow == 0 {
            weight
        } else {
            let (in_wide, left) = weight.split_at(wide * ins);
            let (in_narrow, in_rows) = left.split_at(narrow * ins);
            let mut turned = Vec::with_capacity(weight.len());
            for panel in in_wide
                .chunks_exact(WIDE * lanes * ins)
                .chain(in_narrow.chunks_exact(lanes * ins))
            {
                turn(panel, &mut turned, ins);
                rest();
            }
            turned.extend_from_slice(in_rows);
            turned
        };
        Self {
            ins,
            bias: fold::rounded(&bias),
            wide,
            narrow,
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
        let (narrow, single) = weights.split_at(self.narrow * self.ins);
        let (wide_bias, bias) = self.bias.split_at(self.wide);
        let (narrow_bias, single_bias) = bias.split_at(self.narrow);
        kernel::panels::<S, WIDE>(simd, wide, wide_bias, x, &mut out);
        if !narrow.is_empty() {
            out.column = self.wide;
            kernel::panels::<S, 1>(simd, narrow, narrow_bias, x, &mut out);
        }
        kernel::dots(simd, single, single_bias, x, &mut out);
    }
}

/// Appends `[outs, ins]` as `[ins, outs]`.
fn turn(from: &[f32], to: &mut Vec<f32>, ins: usize) {
    let outs = from.len() / ins;
    let start = to.len();
    to.resize(start + from.len(), 0.0);
    let to = &mut to[start..];
    for tile in (0..ins).step_by(TILE) {
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
        for (outs, ins, lanes, wide, narrow) in [
            (1, 30, 8, 0, 0),
            (7, 30, 8, 0, 0),
            (8, 30, 8, 0, 8),
            (15, 3, 8, 0, 8),
            (16, 3, 8, 16, 0),
            (73, 5, 8, 64, 8),
            (9, 5, 4, 8, 0),
            (3, 5, 1, 2, 1),
        ] {
            let weight: Vec<f32> = (0..outs * ins).map(|at| at as f32).collect();
            let (name, bias) = ("0".into(), vec![0.0; outs]);
            let linear = Linear {
                name,
                outs,
                ins,
                weight: weight.clone(),
                bias,
            };
            let matrix = Matrix::new(linear, lanes, &mut || {});
            assert_eq!(
                (matrix.wide, matrix.narrow),
                (wide, narrow),
                "{outs} by {lanes}"
            );
            assert_eq!(matrix.weights.capacity(), weight.len());
            let mut laid_out = matrix.weights;
            laid_out.sort_by(f32::total_cmp);
            assert_eq!(laid_out, weight, "each once");
        }
    }
}
