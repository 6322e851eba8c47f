//! The input of a convolution, with zeros around each plane where the window reaches over the edge.
//!
//! If the window moves by more than one column, the columns of each row are in another order: first all that a window can begin with,
//! then those one later, and so on. So what neighbouring windows read is always contiguous.

use super::super::window::Plane;

/// Values that can be read after the end of the planes in memory, which are not used.
pub(super) const SLACK: usize = 64;

/// Planes in memory.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) values: &'a [f32],
    /// Values from one row of a plane to the next.
    pub(super) row: usize,
    /// Values from one plane to the next.
    pub(super) plane: usize,
    /// Values from one column of a window to the next, if both are in the same place of their windows.
    phase: usize,
    stride: usize,
}

/// The lengths of a plane that windows reach, including the padding before it; columns are rounded up to whole strides.
fn reached(plane: &Plane) -> [usize; 2] {
    let [height, width] = [0, 1].map(|axis| {
        let windows = (plane.output[axis] - 1) * plane.stride[axis];
        windows + (plane.kernel[axis] - 1) * plane.dilation[axis] + 1
    });
    [height, width.next_multiple_of(plane.stride[1])]
}

/// Returns the values that a copy of `planes` planes takes; 0 if the planes can be read where they are.
pub(super) fn size(plane: &Plane, planes: usize) -> usize {
    let [height, width] = reached(plane);
    let inside = plane.before == [0, 0] && height <= plane.input[0] && width <= plane.input[1];
    if inside && plane.stride[1] == 1 {
        0
    } else {
        planes * height * width + SLACK
    }
}

impl<'a> Source<'a> {
    /// Returns the planes of `input`. Copies them to `space` unless it is empty; it must have as many values as [`size`] says.
    #[inline(always)]
    pub(super) fn new(plane: &Plane, input: &'a [f32], space: &'a mut [f32]) -> Self {
        let [input_height, input_width] = plane.input;
        if space.is_empty() {
            return Self {
                values: input,
                row: input_width,
                plane: input_height * input_width,
                phase: 0,
                stride: 1,
            };
        }
        let [height, width] = reached(plane);
        let [top, left] = plane.before;
        let rows = input_height.min(height.saturating_sub(top));
        let columns = input_width.min(width.saturating_sub(left));
        let stride = plane.stride[1];
        let phase = width / stride;
        space.fill(0.0);
        let from = input.chunks_exact(input_height * input_width);
        for (to, from) in space.chunks_exact_mut(height * width).zip(from) {
            for at in 0..rows {
                let to = &mut to[(top + at) * width..][..width];
                let from = &from[at * input_width..][..columns];
                if stride == 1 {
                    to[left..][..columns].copy_from_slice(from);
                } else {
                    for (column, x) in from.iter().enumerate() {
                        let column = left + column;
                        to[column % stride * phase + column / stride] = *x;
                    }
                }
            }
        }
        Self {
            values: space,
            row: width,
            plane: height * width,
            phase,
            stride,
        }
    }

    /// Returns the place of a column of the first window in a row. Those of the next windows follow.
    #[inline(always)]
    pub(super) fn column(&self, column: usize) -> usize {
        column % self.stride * self.phase + column / self.stride
    }
}
