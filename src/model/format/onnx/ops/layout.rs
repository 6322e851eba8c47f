//! Walks through several tensors at once, with broadcasting: shapes are aligned at the last axis, and a length of 1 is repeated.

use crate::model::format::onnx::value;

/// How the elements of `N` tensors are combined: axes, from the outermost, with the step of each tensor along them.
#[derive(Debug)]
pub(super) struct Layout<const N: usize> {
    axes: Vec<(usize, [usize; N])>,
}

/// Returns the shape that tensors of the given shapes have together.
pub(super) fn broadcast_shape(shapes: &[&[usize]]) -> Result<Vec<usize>, String> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; rank];
    for shape in shapes {
        let start = rank - shape.len();
        for (length, own) in result[start..].iter_mut().zip(*shape) {
            if *length == 1 {
                *length = *own;
            } else if *own != 1 && own != length {
                return Err(format!("shapes {shapes:?} do not fit together"));
            }
        }
    }
    value::limited(&result)?;
    Ok(result)
}

impl<const N: usize> Layout<N> {
    /// Creates the layout for tensors of the given shapes, whose common shape is `whole`.
    pub(super) fn new(whole: &[usize], shapes: [&[usize]; N]) -> Self {
        let mut axes: Vec<(usize, [usize; N])> = Vec::with_capacity(whole.len());
        let mut steps = [1; N];
        // From the last axis, because steps are products of the lengths after an axis.
        for (axis, length) in whole.iter().enumerate().rev() {
            let mut own = [0; N];
            for (at, shape) in shapes.iter().enumerate() {
                let place = (axis + shape.len()).checked_sub(whole.len());
                let extent = place.map_or(1, |place| shape[place]);
                if extent != 1 {
                    own[at] = steps[at];
                    steps[at] *= extent;
                }
            }
            if *length == 1 {
                continue;
            }
            // An axis continues the one inside it if every tensor goes on by the same step.
            let continues = |(inner, inner_steps): &(usize, [usize; N])| {
                let mut pairs = own.iter().zip(inner_steps);
                pairs.all(|(outer_step, inner_step)| *outer_step == inner_step * inner)
            };
            match axes.last_mut().filter(|inner| continues(inner)) {
                Some(inner) => inner.0 *= length,
                None => axes.push((*length, own)),
            }
        }
        axes.reverse();
        Self { axes }
    }

    /// Calls `f` for each run along the innermost axis, in order: with the position of each tensor's first element, the step of each
    /// tensor, and the number of elements.
    #[inline]
    pub(super) fn runs(&self, mut f: impl FnMut([usize; N], [usize; N], usize)) {
        let Some(((length, steps), outer)) = self.axes.split_last() else {
            f([0; N], [1; N], 1);
            return;
        };
        if self.axes.iter().any(|(length, _)| *length == 0) {
            return;
        }
        let mut index = vec![0; outer.len()];
        let mut at = [0; N];
        loop {
            f(at, *steps, *length);
            // Counts up, from the innermost of the outer axes.
            let mut axis = outer.len();
            loop {
                let Some(next) = axis.checked_sub(1) else {
                    return;
                };
                axis = next;
                let (length, steps) = &outer[axis];
                index[axis] += 1;
                at.iter_mut().zip(steps).for_each(|(at, step)| *at += step);
                if index[axis] < *length {
                    break;
                }
                at.iter_mut()
                    .zip(steps)
                    .for_each(|(at, step)| *at -= step * length);
                index[axis] = 0;
            }
        }
    }
}

/// Returns the elements of a tensor, repeated as `layout` says, of which there are `count`.
pub(super) fn repeated<T: Clone>(elements: &[T], layout: &Layout<1>, count: usize) -> Vec<T> {
    let mut result = Vec::with_capacity(count);
    layout.runs(|[at], [step], length| {
        if step == 0 {
            result.resize(result.len() + length, elements[at].clone());
        } else {
            result.extend_from_slice(&elements[at..at + length]);
        }
    });
    result
}
