//! Encodes typed tensors: one per input, written column by column into the batch.

use super::observe::{Observe, Observed};
use super::value::{self, Value, shorten};
use crate::error::{InputFault, InputFaults};
use crate::model::payload::{Tensor, TensorData};
use crate::model::scoring::Rows;
use crate::model::signature::{Encoding, Input, Signature};

pub(super) fn encode(
    signature: &Signature,
    tensors: &[Tensor],
    observer: &mut impl Observe,
) -> Result<Rows, InputFaults> {
    let mut faults = InputFaults::default();
    let found = matched(signature, tensors, &mut faults);
    let rows = agreed_rows(signature.inputs(), &found, &mut faults);
    let given = if tensors.is_empty() { Some(0) } else { rows };
    match given.filter(|rows| signature.accepts_rows(*rows, "tensors", &mut faults)) {
        Some(rows) if faults.is_empty() => fill(signature, &found, rows, observer),
        _ => Err(faults),
    }
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
        match signature.find_from(at, &tensor.name) {
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
        if tensor.data.datatype() != input.datatype {
            faults.add_with(|| InputFault {
                field: format!("tensors[{}].datatype", input.name),
                got: tensor.data.datatype().to_string(),
                wanted: input.datatype.to_string(),
            });
        }
        let fault = match (rows_of(input, tensor), agreed) {
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
    agreed.map(|(rows, _)| rows)
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
    let rows = match (tensor.shape.as_slice(), input.width) {
        ([rows], None) => *rows,
        ([rows, columns], Some(width)) if usize::try_from(*columns) == Ok(width) => *rows,
        _ => return Err(ShapeFault::Axes),
    };
    let rows = usize::try_from(rows).map_err(|_| ShapeFault::Axes)?;
    if rows.checked_mul(input.values()) == Some(tensor.data.len()) {
        Ok(rows)
    } else {
        Err(ShapeFault::Elements)
    }
}

/// Returns the expected shape: `[rows, 30]`.
fn shape_of(input: &Input) -> String {
    match input.width {
        None => "[rows]".into(),
        Some(width) => format!("[rows, {width}]"),
    }
}

/// Returns `[4, 2] with 8 elements`. Long shapes are shortened, because a client may send any number of axes.
fn shape_text(shape: &[i64], elements: usize) -> String {
    const SHOWN: usize = 8;
    let axes: Vec<_> = shape.iter().take(SHOWN).map(i64::to_string).collect();
    let rest = if shape.len() > SHOWN { ", ..." } else { "" };
    format!("[{}{rest}] with {elements} elements", axes.join(", "))
}

/// Encodes all tensors, which fit the signature.
fn fill(
    signature: &Signature,
    found: &[Option<&Tensor>],
    rows: usize,
    observer: &mut impl Observe,
) -> Result<Rows, InputFaults> {
    let columns = signature.columns();
    let mut data = vec![0.0; rows * columns];
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
        match tensor.map(|tensor| &tensor.data) {
            None => block.absent(rows),
            Some(TensorData::Bool(values)) => block.numbers(values, |x| f64::from(u8::from(x))),
            Some(TensorData::Int32(values)) => block.numbers(values, f64::from),
            Some(TensorData::Int64(values)) => block.numbers(values, whole),
            Some(TensorData::Fp32(values)) => block.numbers(values, f64::from),
            Some(TensorData::Fp64(values)) => block.numbers(values, |x| x),
            Some(TensorData::Bytes(values)) => block.texts(values),
        }
        offset += width;
    }
    faults.into_result()?;
    Ok(Rows::new(data, columns, rows))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "digits beyond 2^53 are lost, which the network's f32 could not represent either"
)]
fn whole(x: i64) -> f64 {
    x as f64
}

/// The columns of one input, in all rows of the batch.
struct Block<'a, O> {
    /// Index of the input.
    at: usize,
    input: &'a Input,
    data: &'a mut [f32],
    columns: usize,
    cells: std::ops::Range<usize>,
    faults: &'a mut InputFaults,
    observer: &'a mut O,
}

impl<O: Observe> Block<'_, O> {
    fn absent(&mut self, rows: usize) {
        let values = self.input.values();
        for element in 0..rows * values {
            self.encode(element, values, Value::Missing);
        }
    }

    fn texts(&mut self, texts: &[bytes::Bytes]) {
        let values = self.input.values();
        for (element, text) in texts.iter().enumerate() {
            match std::str::from_utf8(text) {
                Ok(text) => self.encode(element, values, Value::Text(text)),
                Err(_) => self.faults.add_with(|| InputFault {
                    field: format!("tensors[{}][{element}]", self.input.name),
                    got: format!("{} bytes that are not UTF-8", text.len()),
                    wanted: value::expected(self.input),
                }),
            }
        }
    }

    fn numbers<T: Copy>(&mut self, numbers: &[T], to_f64: impl Fn(T) -> f64) {
        let values = self.input.values();
        let input = self.input;
        if let Encoding::Numeric { scale, range, .. } = &input.encoding {
            for (row, chunk) in numbers.chunks_exact(values).enumerate() {
                let begin = row * self.columns + self.cells.start;
                for (at, (x, affine)) in chunk.iter().zip(scale).enumerate() {
                    let x = to_f64(*x);
                    // Fast path: an invalid value fails at least one of these two comparisons.
                    match value::finite(affine.apply(x)) {
                        Some(scaled) if range.is_none_or(|range| range.contains(x)) => {
                            self.data[begin + at] = scaled;
                            self.observer.cell(self.at, Observed::Number(x));
                        }
                        _ => self.encode(row * values + at, values, number_or_missing(x)),
                    }
                }
            }
        } else {
            for (element, x) in numbers.iter().enumerate() {
                self.encode(element, values, number_or_missing(to_f64(*x)));
            }
        }
    }

    /// Encodes one value. `element` is its index in the tensor; each row has `values` values.
    fn encode(&mut self, element: usize, values: usize, value: Value<'_>) {
        let begin = element / values * self.columns;
        let cells = &mut self.data[begin + self.cells.start..begin + self.cells.end];
        match value::encode(self.input, element % values, value, cells) {
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

fn number_or_missing(x: f64) -> Value<'static> {
    if x.is_nan() {
        Value::Missing
    } else {
        Value::Number(x)
    }
}
