//! Convolutions as products of matrices.
//!
//! The positions of the output are columns; each has the values under its window, channel by channel. A block of columns at a time
//! is put into panels, small enough to stay in the cache while all channels of the output are computed from it.

use pulp::{Simd, WithSimd};

use super::super::product::kernel::{self, Input, Output, WIDE};
use super::Task;
use super::source::{self, Source};
use crate::model::format::onnx::rows::scratch;
use crate::model::format::onnx::value;

/// Values of one block of columns: 256 KiB.
const BLOCK: usize = 1 << 16;
/// The most columns of a block.
const MOST_COLUMNS: usize = 512;
/// Rows of the request are computed together until they have this many positions, so that small planes fill the panels.
const TOGETHER: usize = 64;

/// Positions of the output that follow each other along a row of a plane, and are in the same panel.
#[derive(Clone, Copy)]
struct Run {
    /// Where the first window begins, in the first plane of the group.
    from: usize,
    /// The panel of its columns.
    panel: usize,
    /// Its first column in the panel.
    to: usize,
    length: usize,
}

/// The sizes of the products of one group.
#[derive(Clone, Copy)]
struct Sizes {
    /// Values under a window.
    depth: usize,
    /// Columns of a panel.
    panel: usize,
    /// Columns of a block, a multiple of `panel`.
    block: usize,
    /// Rows of the request that are computed together.
    images: usize,
    /// Channels of the output in a group.
    outs: usize,
}

/// Computes a convolution. `lanes` is the number of values in a register.
pub(super) fn convolve(task: Task<'_>, lanes: usize, out: &mut [f32]) -> Result<(), String> {
    let convolution = task.convolution;
    let panel = WIDE * lanes;
    let kernel: usize = task.plane.kernel.iter().product();
    let depth = convolution.depth * kernel;
    let images = TOGETHER.div_ceil(task.positions()).clamp(1, task.rows);
    let columns = (images * task.positions()).next_multiple_of(panel);
    let most = (BLOCK / depth).clamp(panel, MOST_COLUMNS) / panel * panel;
    let sizes = Sizes {
        depth,
        panel,
        block: most.min(columns),
        images,
        outs: convolution.outs(),
    };
    let channels = convolution.depth * convolution.groups;
    let padded = source::size(&task.plane, images * channels);
    value::limited(&[padded])?;
    let size = padded + sizes.block * (1 + depth + sizes.outs) + panel;
    // The memory is taken outside of the code for the current CPU, because a closure would be compiled for the oldest one.
    scratch::with(size, |space| {
        let (padded, space) = space.split_at_mut(padded);
        convolution.arch.dispatch(Columns {
            task,
            sizes,
            padded,
            space,
            out,
        });
    });
    Ok(())
}

/// Computes a convolution in memory that has been taken for it.
struct Columns<'a> {
    task: Task<'a>,
    sizes: Sizes,
    padded: &'a mut [f32],
    space: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            task,
            sizes,
            padded,
            space,
            out,
        } = self;
        let convolution = task.convolution;
        let channels = convolution.depth * convolution.groups;
        let input_size = channels * task.plane.input[0] * task.plane.input[1];
        let output_size = convolution.bias.len() * task.positions();
        let inputs = task.input.chunks(sizes.images * input_size);
        for (input, out) in inputs.zip(out.chunks_mut(sizes.images * output_size)) {
            let rows = input.len() / input_size;
            let used = source::size(&task.plane, rows * channels);
            let source = Source::new(&task.plane, input, &mut padded[..used]);
            for group in 0..convolution.groups {
                compute_group(simd, task, sizes, source, group, rows, space, out);
            }
        }
    }
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined into the only caller")]
fn compute_group<S: Simd>(
    simd: S,
    task: Task<'_>,
    sizes: Sizes,
    source: Source<'_>,
    group: usize,
    rows: usize,
    space: &mut [f32],
    out: &mut [f32],
) {
    let convolution = task.convolution;
    let (zeros, space) = space.split_at_mut(sizes.block);
    let (panels, sums) = space.split_at_mut(sizes.block * sizes.depth + sizes.panel);
    zeros.fill(0.0);
    let weights = &convolution.weights[group * sizes.outs * sizes.depth..];
    let x = Input {
        values: &weights[..sizes.outs * sizes.depth],
        rows: sizes.outs,
        width: sizes.depth,
    };
    let columns = rows * task.positions();
    let mut runs = Vec::new();
    let mut start = 0;
    while start < columns {
        let count = sizes.block.min(columns - start);
        let width = count.next_multiple_of(sizes.panel);
        find_runs(&task, sizes, source, group, start..start + count, &mut runs);
        gather::<S>(&task, sizes, source, &runs, panels);
        let sums = &mut sums[..sizes.outs * width];
        let mut to = Output {
            values: &mut *sums,
            width,
            column: 0,
        };
        let panels = &panels[..width * sizes.depth];
        kernel::panels::<S, WIDE>(simd, panels, &zeros[..width], x, &mut to);
        for (channel, sums) in sums.chunks_exact_mut(width).enumerate() {
            let channel = group * sizes.outs + channel;
            let sums = &mut sums[..count];
            task.finish(channel, sums);
            store(&task, channel, start, sums, out);
        }
        start += count;
    }
}

/// Divides columns into runs.
#[inline(always)]
fn find_runs(
    task: &Task<'_>,
    sizes: Sizes,
    source: Source<'_>,
    group: usize,
    columns: std::ops::Range<usize>,
    runs: &mut Vec<Run>,
) {
    let plane = &task.plane;
    let convolution = task.convolution;
    let (positions, width) = (task.positions(), plane.output[1]);
    runs.clear();
    let mut at = columns.start;
    while at < columns.end {
        let (image, position) = (at / positions, at % positions);
        let (row, column) = (position / width, position % width);
        let place = at - columns.start;
        let in_panel = sizes.panel - place % sizes.panel;
        let length = (width - column).min(in_panel).min(columns.end - at);
        let first = image * convolution.groups + group;
        let rows = row * plane.stride[0] * source.row;
        runs.push(Run {
            from: first * convolution.depth * source.plane + rows + column,
            to: place % sizes.panel,
            panel: place / sizes.panel,
            length,
        });
        at += length;
    }
}

/// Puts the values under the windows of all runs into panels.
///
/// A run is copied as a whole panel row, because a copy of a known length is faster than one of the right length: what is written
/// after the run is overwritten by the next run, which begins there, or is the next line of the panel. So the panels need space for
/// one more line after them.
#[inline(always)]
fn gather<S: Simd>(
    task: &Task<'_>,
    sizes: Sizes,
    source: Source<'_>,
    runs: &[Run],
    panels: &mut [f32],
) {
    let plane = &task.plane;
    let mut runs = runs;
    while let Some(first) = runs.first() {
        let count = runs
            .iter()
            .take_while(|run| run.panel == first.panel)
            .count();
        let (now, later) = runs.split_at(count);
        runs = later;
        let mut line = first.panel * sizes.panel * sizes.depth;
        for channel in 0..task.convolution.depth {
            for y in 0..plane.kernel[0] {
                let row = channel * source.plane + y * plane.dilation[0] * source.row;
                for x in 0..plane.kernel[1] {
                    let offset = row + source.column(x * plane.dilation[1]);
                    for run in now {
                        let to = &mut panels[line + run.to..][..sizes.panel];
                        let from = &source.values[run.from + offset..];
                        if let Some(from) = from.get(..sizes.panel) {
                            let to = S::as_mut_simd_f32s(to).0.as_chunks_mut::<WIDE>().0;
                            let from = S::as_simd_f32s(from).0.as_chunks::<WIDE>().0;
                            to[0] = from[0];
                        } else {
                            to[..run.length].copy_from_slice(&from[..run.length]);
                        }
                    }
                    line += sizes.panel;
                }
            }
        }
    }
}

/// Stores the values of a channel, from column `start` on.
#[inline(always)]
fn store(task: &Task<'_>, channel: usize, start: usize, values: &[f32], out: &mut [f32]) {
    let positions = task.positions();
    let channels = task.convolution.bias.len();
    let (mut at, mut values) = (start, values);
    while !values.is_empty() {
        let (image, position) = (at / positions, at % positions);
        let (now, later) = values.split_at(values.len().min(positions - position));
        let to = (image * channels + channel) * positions + position;
        out[to..to + now.len()].copy_from_slice(now);
        at += now.len();
        values = later;
    }
}
