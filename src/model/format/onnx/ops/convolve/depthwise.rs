//! Convolutions whose groups have a single channel of the input each.

use pulp::{Simd, WithSimd};

use super::Task;
use super::source::{self, Source};
use crate::model::format::onnx::rows::scratch;
use crate::model::format::onnx::value;

/// Computes a convolution.
pub(super) fn convolve(task: Task<'_>, out: &mut [f32]) -> Result<(), String> {
    let padded = source::size(&task.plane, 1);
    value::limited(&[padded])?;
    // The memory is taken outside of the code for the current CPU, because a closure would be compiled for the oldest one.
    scratch::with(padded, |space| {
        task.convolution
            .arch
            .dispatch(Depthwise { task, space, out });
    });
    Ok(())
}

/// Computes a convolution in memory that has been taken for it.
struct Depthwise<'a> {
    task: Task<'a>,
    space: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { task, space, out } = self;
        let convolution = task.convolution;
        let plane = task.plane;
        let kernel: usize = plane.kernel.iter().product();
        let size = plane.input[0] * plane.input[1];
        let positions = task.positions();
        let outs = convolution.outs();
        let inputs = task.input.chunks_exact(size);
        let outputs = out.chunks_exact_mut(outs * positions);
        for (at, (input, out)) in inputs.zip(outputs).enumerate() {
            let source = Source::new(&plane, input, space);
            let first = at % convolution.groups * outs;
            for (out, channel) in out.chunks_exact_mut(positions).zip(first..) {
                let weights = &convolution.weights[channel * kernel..][..kernel];
                for (row, out) in out.chunks_exact_mut(plane.output[1]).enumerate() {
                    compute_row(&task, source, weights, row, out);
                }
                task.finish(channel, out);
            }
        }
    }
}

/// Computes one row of a plane of the output.
#[inline(always)]
fn compute_row(task: &Task<'_>, source: Source<'_>, weights: &[f32], row: usize, out: &mut [f32]) {
    let plane = &task.plane;
    out.fill(0.0);
    let mut weights = weights.iter();
    for y in 0..plane.kernel[0] {
        let line = (row * plane.stride[0] + y * plane.dilation[0]) * source.row;
        for x in 0..plane.kernel[1] {
            let Some(weight) = weights.next() else { return };
            let from = &source.values[line + source.column(x * plane.dilation[1])..];
            for (sum, x) in out.iter_mut().zip(from) {
                *sum += weight * x;
            }
        }
    }
}
