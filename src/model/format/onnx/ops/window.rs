//! The geometry of convolutions and pooling: a window that moves over one or two axes.

use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer;
use crate::model::format::onnx::operator::Node;
use crate::model::format::onnx::value;

/// The largest size, step or padding. Larger ones are hostile.
const MOST: i64 = 1 << 15;

/// A window that moves over the axes after the first two.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The length of the window along each axis.
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    padding: Padding,
    /// Whether the last window may reach over the end.
    rounds_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Padding {
    /// Positions before and after each axis.
    Given(Vec<usize>, Vec<usize>),
    /// As many as the output needs to be as long as the input divided by the stride; the odd one after it.
    SameUpper,
    /// The same; the odd one before it.
    SameLower,
}

/// A window on two axes of known lengths. With one axis, the other one has length 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane {
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// Positions of the window before the first of the input.
    pub(super) before: [usize; 2],
    /// Padding after the last position of the input.
    pub(super) after: [usize; 2],
}

impl Window {
    /// Reads the attributes of a node. `kernel` is the shape of the window if the weights determine it.
    pub(super) fn read(node: &Node<'_>, kernel: Option<&[usize]>) -> Result<Self, String> {
        let given = list(node, "kernel_shape", 1)?;
        let kernel = match (given, kernel) {
            (Some(given), Some(kernel)) if given != kernel => {
                return Err(format!(
                    "attribute kernel_shape: got {given:?}, expected {kernel:?}"
                ));
            }
            (_, Some(kernel)) => kernel.to_vec(),
            (Some(given), None) => given,
            (None, None) => return Err("attribute kernel_shape is missing".into()),
        };
        let axes = kernel.len();
        if !(1..=2).contains(&axes) {
            return Err(format!("got a window over {axes} axes, expected 1 or 2"));
        }
        let along = |name: &str| {
            let given = list(node, name, 1)?.unwrap_or_else(|| vec![1; axes]);
            match given.len() {
                length if length == axes => Ok(given),
                length => Err(format!(
                    "attribute {name}: got {length} numbers, expected {axes}"
                )),
            }
        };
        let pads = list(node, "pads", 0)?;
        let padding = match node.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" => {
                let pads = pads.unwrap_or_else(|| vec![0; 2 * axes]);
                if pads.len() != 2 * axes {
                    let (got, expected) = (pads.len(), 2 * axes);
                    return Err(format!(
                        "attribute pads: got {got} numbers, expected {expected}"
                    ));
                }
                Padding::Given(pads[..axes].to_vec(), pads[axes..].to_vec())
            }
            "VALID" => Padding::Given(vec![0; axes], vec![0; axes]),
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            other => return Err(format!("attribute auto_pad: got {other:?}")),
        };
        Ok(Self {
            strides: along("strides")?,
            dilations: along("dilations")?,
            kernel,
            padding,
            rounds_up: node.flag("ceil_mode")?.unwrap_or(false),
        })
    }

    /// Returns the number of windows along an axis of the given length, and the padding before and after it.
    fn along(&self, axis: usize, length: usize) -> Result<[usize; 3], String> {
        let (stride, reach) = (self.strides[axis], self.reach(axis));
        let (before, after) = match &self.padding {
            Padding::Given(before, after) => (before[axis], after[axis]),
            same => {
                let outputs = length.div_ceil(stride);
                let padding = (outputs.saturating_sub(1) * stride + reach).saturating_sub(length);
                let (less, more) = (padding / 2, padding.div_ceil(2));
                let upper = *same == Padding::SameUpper;
                return Ok(if upper {
                    [outputs, less, more]
                } else {
                    [outputs, more, less]
                });
            }
        };
        let whole = length.saturating_add(before + after);
        let room = whole
            .checked_sub(reach)
            .ok_or_else(|| format!("an axis of {length} is too short for a window of {reach}"))?;
        let mut outputs = room / stride + 1;
        if self.rounds_up && !room.is_multiple_of(stride) {
            // A window must not begin in the padding after the input.
            if outputs * stride < length + before {
                outputs += 1;
            }
        }
        Ok([outputs, before, after])
    }

    /// Returns the positions from the first to the last of a window along an axis.
    fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }

    /// Returns the window on a tensor of the given shape.
    pub(super) fn plane(&self, shape: &[usize]) -> Result<Plane, String> {
        let axes = self.kernel.len();
        if shape.len() != axes + 2 {
            return Err(format!("got shape {shape:?}, expected rank {}", axes + 2));
        }
        let mut plane = Plane {
            input: [1; 2],
            output: [1; 2],
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            after: [0; 2],
        };
        for axis in 0..axes {
            // A single axis is the second one of the plane.
            let at = axis + 2 - axes;
            let [outputs, before, after] = self.along(axis, shape[axis + 2])?;
            plane.input[at] = shape[axis + 2];
            plane.output[at] = outputs;
            plane.kernel[at] = self.kernel[axis];
            // The only window does not move.
            plane.stride[at] = if outputs == 1 { 1 } else { self.strides[axis] };
            plane.dilation[at] = self.dilations[axis];
            plane.before[at] = before;
            plane.after[at] = after;
        }
        value::limited(&plane.output)?;
        Ok(plane)
    }

    /// Returns the shape of the output for `channels` channels.
    pub(super) fn output(&self, rows: usize, channels: usize, plane: &Plane) -> Vec<usize> {
        let mut shape = vec![rows, channels];
        shape.extend(&plane.output[2 - self.kernel.len()..]);
        shape
    }

    /// Returns the fact of the output. `channels` is the length of its axis 1.
    pub(super) fn fact(&self, input: &Fact, channels: Dim) -> Result<Fact, String> {
        let rows = match input.rows {
            Rows::Axis(0) => Rows::Axis(0),
            _ => infer::all_constant([input]),
        };
        let axes = self.kernel.len();
        if let Some(rank) = input.rank()
            && rank != axes + 2
        {
            return Err(format!(
                "got an input of rank {rank}, expected {}",
                axes + 2
            ));
        }
        let mut shape = vec![input.dim(0), channels];
        for axis in 0..axes {
            shape.push(match input.dim(axis + 2) {
                Dim::Fixed(length) => Dim::Fixed(self.along(axis, length)?[0]),
                _ => Dim::Unknown,
            });
        }
        Ok(Fact::new(input.datatype, Some(shape), rows))
    }
}

/// Returns an attribute that is a list of integers of at least `least`.
pub(super) fn list(node: &Node<'_>, name: &str, least: i64) -> Result<Option<Vec<usize>>, String> {
    let Some(ints) = node.ints(name)? else {
        return Ok(None);
    };
    let size = |int: &i64| {
        let size = usize::try_from(*int)
            .ok()
            .filter(|_| (least..=MOST).contains(int));
        size.ok_or_else(|| format!("attribute {name}: got {int}, expected {least} to {MOST}"))
    };
    ints.iter().map(size).collect::<Result<_, _>>().map(Some)
}
