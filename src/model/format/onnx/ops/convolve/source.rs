//! The input of a convolution, with zeros around each plane where the window reaches over the edge.

use super::super::window::Plane;

/// Planes in memory.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) values: &'a [f32],
    /// Values from one row of a plane to the next.
    pub(super) row: usize,
    /// Values from one plane to the next.
    pub(super) plane: usize,
}

/// The lengths of a plane that windows reach, including the padding before it.
fn reached(plane: &Plane) -> [usize; 2] {
    [0, 1].map(|axis| {
        let windows = (plane.output[axis] - 1) * plane.stride[axis];
        windows + (plane.kernel[axis] - 1) * plane.dilation[axis] + 1
    })
}

/// Returns the values that a copy of `planes` planes with padding takes; 0 if windows stay inside the planes.
pub(super) fn size(plane: &Plane, planes: usize) -> usize {
    let [height, width] = reached(plane);
    let inside = plane.before == [0, 0] && height <= plane.input[0] && width <= plane.input[1];
    if inside { 0 } else { planes * height * width }
}

impl<'a> Source<'a> {
    /// Returns the planes of `input`. Copies them to `space` if they need padding; that must have as many values as [`size`] says.
    #[inline(always)]
    pub(super) fn new(plane: &Plane, input: &'a [f32], space: &'a mut [f32]) -> Self {
        let [input_height, input_width] = plane.input;
        if space.is_empty() {
            return Self {
                values: input,
                row: input_width,
                plane: input_height * input_width,
            };
        }
        let [height, width] = reached(plane);
        let [top, left] = plane.before;
        let (rows, columns) = (
            input_height.min(height.saturating_sub(top)),
            input_width.min(width.saturating_sub(left)),
        );
        space.fill(0.0);
        let from = input.chunks_exact(input_height * input_width);
        for (to, from) in space.chunks_exact_mut(height * width).zip(from) {
            for at in 0..rows {
                let to = &mut to[(top + at) * width + left..][..columns];
                to.copy_from_slice(&from[at * input_width..][..columns]);
            }
        }
        Self {
            values: space,
            row: width,
            plane: height * width,
        }
    }
}
