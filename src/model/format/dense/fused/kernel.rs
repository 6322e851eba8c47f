//! Computes the sums of a linear layer: a few rows times a few outputs at a time, in registers.
//!
//! The sum of an output in a panel starts with the bias, and its products are added input by input. It may be stored in memory between
//! two runs of inputs, which changes no bit. The sum of an output with a row of weights consists of as many partial sums as two
//! registers have lanes, which are added in the end. In both cases, the order of additions does not depend on other rows of the batch.

use std::ops::Range;

use pulp::Simd;

/// Width of a full panel, in registers.
pub(in crate::model::format) const WIDE: usize = 2;
/// Inputs in one run. The weights of a run of one panel stay in the first-level cache while all rows are multiplied with them.
const RUN: usize = 256;
/// Panels that are processed together.
const TOGETHER: usize = 4;

/// The inputs: `rows` rows of `width` values.
#[derive(Clone, Copy)]
pub(in crate::model::format) struct Input<'a> {
    pub(in crate::model::format) values: &'a [f32],
    pub(in crate::model::format) rows: usize,
    pub(in crate::model::format) width: usize,
}

/// The outputs: columns from `column` on of rows of `width` values.
pub(in crate::model::format) struct Output<'a> {
    pub(in crate::model::format) values: &'a mut [f32],
    pub(in crate::model::format) width: usize,
    pub(in crate::model::format) column: usize,
}

/// Multiplies the input with panels of `V` registers. The panels follow each other in `weights`, each `[inputs, V registers]`.
#[inline(always)]
pub(in crate::model::format) fn panels<S: Simd, const V: usize>(
    simd: S,
    weights: &[f32],
    bias: &[f32],
    x: Input<'_>,
    out: &mut Output<'_>,
) {
    let weights = Panels::<S, V> {
        weights: S::as_simd_f32s(weights).0.as_chunks().0,
        bias: S::as_simd_f32s(bias).0.as_chunks().0,
        ins: x.width,
    };
    let mut start = 0;
    while start < x.width {
        let run = start..x.width.min(start + RUN);
        let mut first = 0;
        while first < weights.bias.len() {
            let last = weights.bias.len().min(first + TOGETHER);
            let mut row = 0;
            while row < x.rows {
                // Computes as many sums at once as there are registers: for many rows, or else for many outputs.
                let left = x.rows - row;
                let mut at = first;
                macro_rules! tiles {
                    ($rows:literal, $panels:literal) => {
                        while last - at >= $panels {
                            tile::<S, $rows, $panels, V>(
                                simd,
                                weights,
                                at,
                                run.clone(),
                                x,
                                row,
                                out,
                            );
                            at += $panels;
                        }
                    };
                }
                row += if left >= 6 {
                    tiles!(6, 1);
                    6
                } else if left >= 4 {
                    tiles!(4, 1);
                    4
                } else if left >= 2 {
                    tiles!(2, 2);
                    tiles!(2, 1);
                    2
                } else {
                    tiles!(1, 4);
                    tiles!(1, 1);
                    1
                };
            }
            first = last;
        }
        start = run.end;
    }
}

#[derive(Clone, Copy)]
struct Panels<'a, S: Simd, const V: usize> {
    weights: &'a [[S::f32s; V]],
    bias: &'a [[S::f32s; V]],
    ins: usize,
}

/// Multiplies `R` rows with `P` panels, over one run of inputs.
#[inline(always)]
fn tile<S: Simd, const R: usize, const P: usize, const V: usize>(
    simd: S,
    panels: Panels<'_, S, V>,
    first: usize,
    run: Range<usize>,
    x: Input<'_>,
    row: usize,
    out: &mut Output<'_>,
) {
    let width = V * S::F32_LANES;
    let length = run.len();
    let mut weights = [&panels.weights[..0]; P];
    for (p, weights) in weights.iter_mut().enumerate() {
        *weights = &panels.weights[(first + p) * panels.ins + run.start..][..length];
    }
    let mut xs = [&x.values[..0]; R];
    for (r, xs) in xs.iter_mut().enumerate() {
        *xs = &x.values[(row + r) * x.width + run.start..][..length];
    }
    let (out_width, column) = (out.width, out.column + first * width);
    let at = |r: usize, p: usize| (row + r) * out_width + column + p * width;
    let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        for (p, sums) in sums.iter_mut().enumerate() {
            let stored = &out.values[at(r, p)..][..width];
            let load = || S::as_simd_f32s(stored).0.as_chunks().0[0];
            *sums = if run.start == 0 {
                panels.bias[first + p]
            } else {
                load()
            };
        }
    }
    for k in 0..length {
        let mut w = [[simd.splat_f32s(0.0); V]; P];
        for (w, weights) in w.iter_mut().zip(weights) {
            *w = weights[k];
        }
        for (sums, xs) in sums.iter_mut().zip(xs) {
            let x = simd.splat_f32s(xs[k]);
            for (sums, w) in sums.iter_mut().zip(w) {
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = simd.mul_add_e_f32s(w, x, *sum);
                }
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (p, sums) in sums.iter().enumerate() {
            let to = &mut out.values[at(r, p)..][..width];
            S::as_mut_simd_f32s(to).0.copy_from_slice(sums);
        }
    }
}

/// Multiplies the input with one panel of fewer outputs than a register has lanes. They are the last columns of `out`. `weights` is
/// `[inputs, outputs]`, followed by padding for the last read of a whole register.
#[inline(always)]
pub(in crate::model::format) fn odd_panel<S: Simd>(
    simd: S,
    weights: &[f32],
    bias: &[f32],
    x: Input<'_>,
    out: &mut Output<'_>,
) {
    let mut row = 0;
    while row < x.rows {
        let left = x.rows - row;
        row += if left >= 6 {
            odd_tile::<S, 6>(simd, weights, bias, x, row, out);
            6
        } else if left >= 3 {
            odd_tile::<S, 3>(simd, weights, bias, x, row, out);
            3
        } else {
            odd_tile::<S, 1>(simd, weights, bias, x, row, out);
            1
        };
    }
}

#[inline(always)]
fn odd_tile<S: Simd, const R: usize>(
    simd: S,
    weights: &[f32],
    bias: &[f32],
    x: Input<'_>,
    row: usize,
    out: &mut Output<'_>,
) {
    let mut xs = [&x.values[..0]; R];
    for (r, xs) in xs.iter_mut().enumerate() {
        *xs = &x.values[(row + r) * x.width..][..x.width];
    }
    let mut sums = [simd.partial_load_f32s(bias); R];
    for k in 0..x.width {
        let w = &weights[k * bias.len()..][..S::F32_LANES];
        let w = S::as_simd_f32s(w).0[0];
        for (sum, xs) in sums.iter_mut().zip(xs) {
            *sum = simd.mul_add_e_f32s(w, simd.splat_f32s(xs[k]), *sum);
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        let end = (row + r + 1) * out.width;
        simd.partial_store_f32s(&mut out.values[end - bias.len()..end], *sum);
    }
}

/// Multiplies the input with rows of weights, one row per output.
#[inline(always)]
pub(in crate::model::format) fn dots<S: Simd>(
    simd: S,
    weights: &[f32],
    bias: &[f32],
    x: Input<'_>,
    out: &mut Output<'_>,
) {
    let column = out.width - bias.len();
    for row in 0..x.rows {
        let x_row = &x.values[row * x.width..][..x.width];
        for (at, bias) in bias.iter().enumerate() {
            let weights = &weights[at * x.width..][..x.width];
            out.values[row * out.width + column + at] = bias + dot(simd, weights, x_row);
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, weights: &[f32], x: &[f32]) -> f32 {
    let (weights, weights_left) = S::as_simd_f32s(weights);
    let (x, x_left) = S::as_simd_f32s(x);
    let (twos, ones) = (weights.as_chunks::<2>(), x.as_chunks::<2>());
    let mut sums = [simd.splat_f32s(0.0); 2];
    for (w, x) in twos.0.iter().zip(ones.0) {
        sums[0] = simd.mul_add_e_f32s(w[0], x[0], sums[0]);
        sums[1] = simd.mul_add_e_f32s(w[1], x[1], sums[1]);
    }
    for (w, x) in twos.1.iter().zip(ones.1) {
        sums[0] = simd.mul_add_e_f32s(*w, *x, sums[0]);
    }
    if !weights_left.is_empty() {
        let (w, x) = (
            simd.partial_load_f32s(weights_left),
            simd.partial_load_f32s(x_left),
        );
        sums[1] = simd.mul_add_e_f32s(w, x, sums[1]);
    }
    simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]))
}
