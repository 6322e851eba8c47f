//! Encodes typed tensors: one per input, or one matrix with a column per input.

use super::elements::{each, float, is_convertible};
use super::observe::{Observe, Observed};
use super::passthrough;
use super::value::{self, Element, Value, ValueFault, shorten};
use crate::error::{InputFault, InputFaults};
use crate::model::batch::{Batch, Content};
use crate::model::payload::{Tensor, TensorData};
use crate::model::signature::{Encoding, Input, Signature, Target};

pub(super) fn encode(
    signature: &Signature,
    tensors: &[Tensor],
    observer: &mut impl Observe,
) -> Result<Batch, InputFaults> {
    if let ([matrix], Some(name)) = (tensors, &signature.matrix)
        && (matrix.name == *name || is_for_matrix(signature, &matrix.name))
    {
        return match signature.target {
            Target::Double => encode_matrix(signature, matrix, observer, Content::Double),
            _ => encode_matrix(signature, matrix, observer, Content::Single),
        };
    }
    let mut faults = InputFaults::default();
    let found = matched(signature, tensors, &mut faults);
    let rows = agreed_rows(signature.inputs(), &found, &mut faults);
    if signature.has_masks() && faults.is_empty() {
        check_masks(signature, &found, &mut faults);
    }
    let given = if tensors.is_empty() { Some(0) } else { rows };
    match given.filter(|rows| signature.accepts_rows(*rows, "tensors", &mut faults)) {
        Some(rows) if faults.is_empty() => match signature.target {
            Target::Single => fill(signature, &found, rows, observer, Content::Single),
            Target::Double => fill(signature, &found, rows, observer, Content::Double),
            Target::Tensors => passthrough::tensors(signature, &found, rows, observer),
        },
        _ => Err(faults),
    }
}

/// Returns whether `name` is one that clients of the Open Inference Protocol give their only tensor without knowledge of the model:
/// MLServer's codecs write `input-1`, KServe's examples `input-0`.
fn is_placeholder(name: &str) -> bool {
    let number = name.strip_prefix("input-").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether the only tensor, `name`, is the matrix of a model that has several inputs, none of which is called so.
fn is_for_matrix(signature: &Signature, name: &str) -> bool {
    is_placeholder(name) && signature.inputs().len() > 1 && signature.find(name).is_none()
}

/// Returns the tensor of each input. Unknown, repeated and missing tensors are faults.
fn matched<'t>(
    signature: &Signature,
    tensors: &'t [Tensor],
    faults: &mut InputFaults,
) -> Vec<Option<&'t Tensor>> {
    let inputs = signature.inputs();
    let mut found = vec![None; inputs.len()];
    if tensors.len() > inputs.len() + InputFaults::MOST {
        faults.add_with(|| InputFault {
            field: "tensors".into(),
            got: format!("{} tensors", tensors.len()),
            wanted: format!("at most one for each of {} inputs", inputs.len()),
        });
        return found;
    }
    for (at, tensor) in tensors.iter().enumerate() {
        let only =
            (tensors.len() == 1 && inputs.len() == 1 && is_placeholder(&tensor.name)).then_some(0);
        match signature.find_from(at, &tensor.name).or(only) {
            None => faults.add_with(|| InputFault {
                field: format!("tensors[{}]", shorten(&tensor.name)),
                got: "an unknown name".into(),
                wanted: signature.expected_instead_of(&tensor.name),
            }),
            Some(at) if found[at].is_some() => faults.add_with(|| InputFault {
                field: format!("tensors[{}]", tensor.name),
                got: "a repeated name".into(),
                wanted: "each name once".into(),
            }),
            Some(at) => found[at] = Some(tensor),
        }
    }
    for (input, tensor) in inputs.iter().zip(&found) {
        if tensor.is_none() && !input.optional() {
            faults.add_with(|| InputFault {
                field: format!("tensors[{}]", input.name),
                got: "nothing".into(),
                wanted: format!("{} {}", input.datatype, shape_of(input)),
            });
        }
    }
    found
}

/// Returns the number of rows of all tensors. Adds a fault for each tensor with another number, or another type or shape than its input.
fn agreed_rows(
    inputs: &[Input],
    found: &[Option<&Tensor>],
    faults: &mut InputFaults,
) -> Option<usize> {
    let mut agreed: Option<(usize, &str)> = None;
    for (input, tensor) in inputs.iter().zip(found) {
        let Some(tensor) = tensor else { continue };
        if !is_convertible(tensor.data.datatype(), input.datatype) {
            faults.add_with(|| InputFault {
                field: format!("tensors[{}].datatype", input.name),
                got: tensor.data.datatype().to_string(),
                wanted: input.datatype.to_string(),
            });
        }
        let fault = match (rows_of(input, tensor), agreed) {
            // Without rows, a tensor agrees with any number of them.
            (Ok(_), _) if !input.shape.batched => continue,
            (Ok(rows), Some((others, first))) if rows != others => ShapeFault::Rows(others, first),
            (Ok(rows), _) => {
                agreed = agreed.or(Some((rows, &input.name)));
                continue;
            }
            (Err(fault), _) => fault,
        };
        faults.add_with(|| InputFault {
            field: format!("tensors[{}].shape", input.name),
            got: shape_text(&tensor.shape, tensor.data.len()),
            wanted: fault.expected(input),
        });
    }
    let none_has_rows = inputs.iter().all(|input| !input.shape.batched);
    agreed.map(|(rows, _)| rows).or(none_has_rows.then_some(1))
}

/// Adds a fault for each mask whose shape is not that of its input. They differ only in axes of any length, and in axes of length 1.
fn check_masks(signature: &Signature, found: &[Option<&Tensor>], faults: &mut InputFaults) {
    for (at, input) in signature.inputs().iter().enumerate() {
        let mask = signature.mask_of(at).and_then(|mask| found[mask]);
        let (Some(tensor), Some(mask)) = (found[at], mask) else {
            continue;
        };
        if input.shape.is_open() && mask.shape != tensor.shape {
            faults.add_with(|| InputFault {
                field: format!("tensors[{}].shape", shorten(&mask.name)),
                got: shape_text(&mask.shape, mask.data.len()),
                wanted: format!(
                    "{}, like `{}`",
                    shape_text(&tensor.shape, tensor.data.len()),
                    input.name
                ),
            });
        }
    }
}

/// Returns which elements of the input at `at` are marked as missing; `None` if the request does not say.
pub(super) fn mask_of<'t>(
    signature: &Signature,
    found: &[Option<&'t Tensor>],
    at: usize,
) -> Option<&'t [bool]> {
    match &found[signature.mask_of(at)?]?.data {
        TensorData::Bool(marks) => Some(marks),
        _ => None,
    }
}

/// Returns the element, or a missing value if `mask` marks it. What stands in its place is not looked at.
pub(super) fn masked<'t>(
    found: Result<Value<'t>, usize>,
    mask: Option<&[bool]>,
    element: usize,
) -> Result<Value<'t>, usize> {
    match mask {
        Some(marks) if marks.get(element) == Some(&true) => Ok(Value::Missing),
        _ => found,
    }
}

/// The fault of a shape. It allocates nothing: texts are built only for faults that are kept.
enum ShapeFault<'a> {
    Axes,
    Elements,
    /// The first tensor, with this name, has another number of rows.
    Rows(usize, &'a str),
}

impl ShapeFault<'_> {
    fn expected(self, input: &Input) -> String {
        match self {
            Self::Axes => shape_of(input),
            Self::Elements => "as many elements as the shape has".into(),
            Self::Rows(others, first) => format!("{others} rows, like `{first}`"),
        }
    }
}

/// Returns the number of rows in the tensor's shape.
fn rows_of(input: &Input, tensor: &Tensor) -> Result<usize, ShapeFault<'static>> {
    let rows = input.shape.rows(&tensor.shape).ok_or(ShapeFault::Axes)?;
    if elements(&tensor.shape) == Some(tensor.data.len()) {
        Ok(rows)
    } else {
        Err(ShapeFault::Elements)
    }
}

/// Returns the number of elements of a tensor of this shape.
fn elements(shape: &[i64]) -> Option<usize> {
    let mut product = 1_usize;
    for axis in shape {
        product = product.checked_mul(usize::try_from(*axis).ok()?)?;
    }
    Some(product)
}

/// Returns the expected shape: `[rows, 30]`.
fn shape_of(input: &Input) -> String {
    let rows = input.shape.batched.then(|| "rows".to_owned());
    let axes = input.shape.axes.iter().map(|axis| match axis {
        Some(length) => length.to_string(),
        None => "any".to_owned(),
    });
    let axes: Vec<_> = rows.into_iter().chain(axes).collect();
    format!("[{}]", axes.join(", "))
}

/// Returns `[4, 2] with 8 elements`. Long shapes are shortened, because a client may send any number of axes.
fn shape_text(shape: &[i64], elements: usize) -> String {
    const SHOWN: usize = 8;
    let axes: Vec<_> = shape.iter().take(SHOWN).map(i64::to_string).collect();
    let rest = if shape.len() > SHOWN { ", ..." } else { "" };
    format!("[{}{rest}] with {elements} elements", axes.join(", "))
}

/// Encodes a matrix with one column per input.
fn encode_matrix<T: Element>(
    signature: &Signature,
    matrix: &Tensor,
    observer: &mut impl Observe,
    content: fn(Vec<T>) -> Content,
) -> Result<Batch, InputFaults> {
    let mut faults = InputFaults::default();
    let inputs = signature.inputs();
    let rows = match matrix.shape.as_slice() {
        [rows, columns] if usize::try_from(*columns) == Ok(inputs.len()) => {
            usize::try_from(*rows).ok()
        }
        _ => None,
    };
    let rows = rows.filter(|_| elements(&matrix.shape) == Some(matrix.data.len()));
    let Some(rows) = rows else {
        faults.add_with(|| InputFault {
            field: format!("tensors[{}].shape", matrix.name),
            got: shape_text(&matrix.shape, matrix.data.len()),
            wanted: format!("[rows, {}]: one column per input", inputs.len()),
        });
        return Err(faults);
    };
    if !signature.accepts_rows(rows, "tensors", &mut faults) {
        return Err(faults);
    }
    let columns = signature.columns();
    let starts: Vec<usize> = inputs
        .iter()
        .scan(0, |next, input| {
            let start = *next;
            *next += input.columns();
            Some(start)
        })
        .collect();
    let mut data = vec![T::default(); rows * columns];
    each(&matrix.data, |element, found| {
        let (row, at) = (element / inputs.len(), element % inputs.len());
        let input = &inputs[at];
        let cells = &mut data[row * columns + starts[at]..][..input.columns()];
        let encoded = value_of(found).and_then(|value| {
            let value = value::of_column(value, input.datatype)?;
            value::encode(input, 0, value, cells)
        });
        match encoded {
            Ok(content) => observer.cell(at, content),
            Err(fault) => faults.add_with(|| InputFault {
                field: format!("tensors[{}][{row}, {at}]", matrix.name),
                got: fault.got(input),
                wanted: format!("{} for input `{}`", fault.expected(input), input.name),
            }),
        }
    });
    faults.into_result()?;
    Ok(Batch::new(content(data), rows))
}

/// Returns the value of an element; a text that is not UTF-8 is one of another kind.
fn value_of(found: Result<Value<'_>, usize>) -> Result<Value<'_>, ValueFault<'_>> {
    found.map_err(|_| ValueFault::Kind(Value::Text("bytes that are not UTF-8")))
}

/// Encodes all tensors, which fit the signature.
fn fill<T: Element>(
    signature: &Signature,
    found: &[Option<&Tensor>],
    rows: usize,
    observer: &mut impl Observe,
    content: fn(Vec<T>) -> Content,
) -> Result<Batch, InputFaults> {
    let columns = signature.columns();
    let mut data = vec![T::default(); rows * columns];
    let mut faults = InputFaults::default();
    let mut offset = 0;
    for (at, (input, tensor)) in signature.inputs().iter().zip(found).enumerate() {
        let width = input.columns();
        let mut block = Block {
            at,
            input,
            data: &mut data,
            columns,
            cells: offset..offset + width,
            faults: &mut faults,
            observer: &mut *observer,
        };
        match tensor {
            None => block.absent(rows),
            Some(tensor) => match mask_of(signature, found, at) {
                Some(mask) => block.elements(&tensor.data, Some(mask)),
                None => block.tensor(&tensor.data),
            },
        }
        offset += width;
    }
    faults.into_result()?;
    Ok(Batch::new(content(data), rows))
}

/// The columns of one input, in all rows of the batch.
struct Block<'a, T, O> {
    /// Index of the input.
    at: usize,
    input: &'a Input,
    data: &'a mut [T],
    columns: usize,
    cells: std::ops::Range<usize>,
    faults: &'a mut InputFaults,
    observer: &'a mut O,
}

impl<T: Element, O: Observe> Block<'_, T, O> {
    fn absent(&mut self, rows: usize) {
        let values = self.input.values();
        for element in 0..rows * values {
            self.encode(element, values, Ok(Value::Missing));
        }
    }

    fn tensor(&mut self, data: &TensorData) {
        // The most frequent types of numeric inputs, without a conversion.
        match data {
            TensorData::Fp32(values) => return self.floats(data, values, |x: f32| f64::from(x)),
            TensorData::Fp64(values) => return self.floats(data, values, |x: f64| x),
            _ => {}
        }
        self.elements(data, None);
    }

    fn elements(&mut self, data: &TensorData, mask: Option<&[bool]>) {
        let (values, input) = (self.input.values(), self.input);
        each(data, |element, found| match masked(found, mask, element) {
            Ok(value) => self.encode(element, values, value.converted(input.datatype)),
            Err(length) => self.faults.add_with(|| InputFault {
                field: format!("tensors[{}][{element}]", input.name),
                got: format!("{length} bytes that are not UTF-8"),
                wanted: value::expected(input),
            }),
        });
    }

    fn floats<X: Copy>(&mut self, data: &TensorData, floats: &[X], to_f64: impl Fn(X) -> f64) {
        let input = self.input;
        let Encoding::Numeric { scale, range, .. } = &input.encoding else {
            return self.elements(data, None);
        };
        if data.datatype() != input.datatype {
            return self.elements(data, None);
        }
        let values = input.values();
        for (row, chunk) in floats.chunks_exact(values).enumerate() {
            let begin = row * self.columns + self.cells.start;
            for (at, (x, affine)) in chunk.iter().zip(scale).enumerate() {
                let x = to_f64(*x);
                // Fast path: an invalid value fails at least one of these two comparisons.
                match T::of(affine.apply(x)) {
                    Some(scaled) if range.is_none_or(|range| range.contains(x)) => {
                        self.data[begin + at] = scaled;
                        self.observer.cell(self.at, Observed::Number(x));
                    }
                    _ => self.encode(row * values + at, values, Ok(float(x))),
                }
            }
        }
    }

    /// Encodes one value. `element` is its index in the tensor; each row has `values` values.
    fn encode<'v>(
        &mut self,
        element: usize,
        values: usize,
        value: Result<Value<'v>, ValueFault<'v>>,
    ) {
        let begin = element / values * self.columns;
        let cells = &mut self.data[begin + self.cells.start..begin + self.cells.end];
        let encoded =
            value.and_then(|value| value::encode(self.input, element % values, value, cells));
        match encoded {
            Ok(content) => self.observer.cell(self.at, content),
            Err(fault) => {
                let input = self.input;
                self.faults.add_with(|| InputFault {
                    field: format!("tensors[{}][{element}]", input.name),
                    got: fault.got(input),
                    wanted: fault.expected(input),
                });
            }
        }
    }
}
