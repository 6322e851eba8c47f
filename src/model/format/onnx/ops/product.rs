//! Products of two matrices that are both computed, in f32.
//!
//! The right matrix is put into the order in which the kernel of format `dense` reads weights. For very few rows that would take
//! longer than the product.

use pulp::{Arch, Simd, WithSimd};

pub(super) use crate::model::format::dense::fused::kernel::{self, Input, Output, WIDE};
use crate::model::format::onnx::rows::scratch;

/// Rows from which the right matrix is put into order.
const ORDERED: usize = 4;

/// Writes the product of `left`, `[rows, depth]`, and `right`, `[depth, columns]`, to `out`. `depth` and `columns` must not be 0.
pub(super) fn multiply(
    arch: Arch,
    [rows, depth, columns]: [usize; 3],
    left: &[f32],
    right: &[f32],
    out: &mut [f32],
) {
    let size = if rows < ORDERED {
        0
    } else {
        depth * columns + 2 * columns + 64
    };
    scratch::with(size, |space| {
        arch.dispatch(Multiply {
            rows,
            depth,
            columns,
            left,
            right,
            out,
            space,
        });
    });
}

struct Multiply<'a> {
    rows: usize,
    depth: usize,
    columns: usize,
    left: &'a [f32],
    right: &'a [f32],
    out: &'a mut [f32],
    space: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (depth, columns) = (self.depth, self.columns);
        if self.rows < ORDERED {
            let rows = self.left.chunks_exact(depth);
            for (left, out) in rows.zip(self.out.chunks_exact_mut(columns)) {
                out.fill(0.0);
                for (factor, right) in left.iter().zip(self.right.chunks_exact(columns)) {
                    for (sum, x) in out.iter_mut().zip(right) {
                        *sum += factor * x;
                    }
                }
            }
            return;
        }
        let lanes = S::F32_LANES;
        let wide = columns - columns % (WIDE * lanes);
        let narrow = (columns - wide) / lanes * lanes;
        let (zeros, space) = self.space.split_at_mut(columns);
        zeros.fill(0.0);
        let (wide_space, space) = space.split_at_mut(wide * depth);
        let (narrow_space, odd_space) = space.split_at_mut(narrow * depth);
        order(self.right, columns, 0, WIDE * lanes, wide_space);
        order(self.right, columns, wide, lanes, narrow_space);
        let x = Input {
            values: self.left,
            rows: self.rows,
            width: depth,
        };
        let mut out = Output {
            values: self.out,
            width: columns,
            column: 0,
        };
        kernel::panels::<S, WIDE>(simd, wide_space, &zeros[..wide], x, &mut out);
        if narrow > 0 {
            out.column = wide;
            kernel::panels::<S, 1>(simd, narrow_space, &zeros[..narrow], x, &mut out);
        }
        let left = columns - wide - narrow;
        if left > 0 {
            let size = left * depth;
            for (to, from) in odd_space
                .chunks_exact_mut(left)
                .zip(self.right.chunks_exact(columns))
            {
                to.copy_from_slice(&from[wide + narrow..]);
            }
            // The kernel reads whole registers.
            odd_space[size..size + lanes].fill(0.0);
            let odd = &odd_space[..size + lanes];
            kernel::odd_panel(simd, odd, &zeros[..left], x, &mut out);
        }
    }
}

/// Puts columns from `start` on into panels of `width` columns.
#[inline(always)]
fn order(right: &[f32], columns: usize, start: usize, width: usize, panels: &mut [f32]) {
    let depth = right.len() / columns;
    for (at, panel) in panels.chunks_exact_mut(width * depth).enumerate() {
        let first = start + at * width;
        for (to, from) in panel
            .chunks_exact_mut(width)
            .zip(right.chunks_exact(columns))
        {
            to.copy_from_slice(&from[first..first + width]);
        }
    }
}
