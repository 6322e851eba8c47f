//! Typed tensors: one per input, written column by column straight into the batch.

use super::observe::{Observe, Observed};
use super::value::{self, Value, shorten};
use crate::error::{InputFault, InputFaults};
use crate::model::Rows;
use crate::model::payload::{Tensor, TensorData};
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
    match given.filter(|rows| signature.takes(*rows, "tensors", &mut faults)) {
        Some(rows) if faults.is_empty() => fill(signature, &found, rows, observer),
        _ => Err(faults),
    }
}

/// The tensor of each input. Surplus, double and missing ones are faults.
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
                wanted: signature.wanted_instead_of(&tensor.name),
            }),
            Some(at) if found[at].is_some() => faults.add_with(|| InputFault {
                field: format!("tensors[{}]", tensor.name),
                got: "the name again".into(),
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

/// The number of rows on which all tensors agree, once each has the type and shape of its input.
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
        let misfit = match (rows_of(input, tensor), agreed) {
            (Ok(rows), Some((others, first))) if rows != others => Misfit::Rows(others, first),
            (Ok(rows), _) => {
                agreed = agreed.or(Some((rows, &input.name)));
                continue;
            }
            (Err(misfit), _) => misfit,
        };
        faults.add_with(|| InputFault {
            field: format!("tensors[{}].shape", input.name),
            got: shape_text(&tensor.shape, tensor.data.len()),
            wanted: misfit.wanted(input),
        });
    }
    agreed.map(|(rows, _)| rows)
}

/// What is wrong with a shape. Cheap to make: texts are built only for faults that are told.
enum Misfit<'a> {
    Axes,
    Elements,
    /// As many rows as the first tensor has, whose name this is.
    Rows(usize, &'a str),
}

impl Misfit<'_> {
    fn wanted(self, input: &Input) -> String {
        match self {
            Self::Axes => shape_of(input),
            Self::Elements => "as many elements as the shape says".into(),
            Self::Rows(others, first) => format!("{others} rows, as `{first}` has"),
        }
    }
}

/// The rows that the tensor's shape stands for.
fn rows_of(input: &Input, tensor: &Tensor) -> Result<usize, Misfit<'static>> {
    let rows = match (tensor.shape.as_slice(), input.width) {
        ([rows], None) => *rows,
        ([rows, columns], Some(width)) if usize::try_from(*columns) == Ok(width) => *rows,
        _ => return Err(Misfit::Axes),
    };
    let rows = usize::try_from(rows).map_err(|_| Misfit::Axes)?;
    if rows.checked_mul(input.values()) == Some(tensor.data.len()) {
        Ok(rows)
    } else {
        Err(Misfit::Elements)
    }
}

/// `[rows, 30]`
fn shape_of(input: &Input) -> String {
    match input.width {
        None => "[rows]".into(),
        Some(width) => format!("[rows, {width}]"),
    }
}

/// `[4, 2] with 8 elements`; a caller may send any number of axes.
fn shape_text(shape: &[i64], elements: usize) -> String {
    const SHOWN: usize = 8;
    let axes: Vec<_> = shape.iter().take(SHOWN).map(i64::to_string).collect();
    let rest = if shape.len() > SHOWN { ", ..." } else { "" };
    format!("[{}{rest}] with {elements} elements", axes.join(", "))
}

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

/// Whole numbers beyond 2^53 lose their last digits here; the network's f32 would not hold them either.
#[expect(clippy::cast_precision_loss, reason = "said above")]
fn whole(x: i64) -> f64 {
    x as f64
}

/// The columns of one input in the whole batch.
struct Block<'a, O> {
    /// Which input it is.
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
            self.put(element, values, Value::Missing);
        }
    }

    fn texts(&mut self, texts: &[bytes::Bytes]) {
        let values = self.input.values();
        for (element, text) in texts.iter().enumerate() {
            match std::str::from_utf8(text) {
                Ok(text) => self.put(element, values, Value::Text(text)),
                Err(_) => self.faults.add_with(|| InputFault {
                    field: format!("tensors[{}][{element}]", self.input.name),
                    got: format!("{} bytes that are not UTF-8", text.len()),
                    wanted: value::wanted(self.input),
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
                    // The common case in two comparisons: whatever is wrong with a value shows in one of them.
                    match value::finite(affine.apply(x)) {
                        Some(scaled) if range.is_none_or(|range| range.holds(x)) => {
                            self.data[begin + at] = scaled;
                            self.observer.cell(self.at, Observed::Number(x));
                        }
                        _ => self.put(row * values + at, values, given(x)),
                    }
                }
            }
        } else {
            for (element, x) in numbers.iter().enumerate() {
                self.put(element, values, given(to_f64(*x)));
            }
        }
    }

    /// `element` counts all values of the tensor, of which each row has `values`.
    fn put(&mut self, element: usize, values: usize, value: Value<'_>) {
        let begin = element / values * self.columns;
        let cells = &mut self.data[begin + self.cells.start..begin + self.cells.end];
        match value::put(self.input, element % values, value, cells) {
            Ok(held) => self.observer.cell(self.at, held),
            Err(refusal) => {
                let input = self.input;
                self.faults.add_with(|| InputFault {
                    field: format!("tensors[{}][{element}]", input.name),
                    got: refusal.got(input),
                    wanted: refusal.wanted(input),
                });
            }
        }
    }
}

fn given(x: f64) -> Value<'static> {
    if x.is_nan() {
        Value::Missing
    } else {
        Value::Number(x)
    }
}
