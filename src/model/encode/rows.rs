//! Encodes named rows: cells in any order, each checked against its input.

use super::observe::{Observe, Observed};
use super::value::{self, Value, ValueFault, shorten};
use crate::error::{InputFault, InputFaults};
use crate::model::payload::{Cell, Datatype, Row};
use crate::model::scoring::Rows;
use crate::model::signature::{Input, Signature};

pub(super) fn encode(
    signature: &Signature,
    rows: &[Row],
    observer: &mut impl Observe,
) -> Result<Rows, InputFaults> {
    let mut faults = InputFaults::default();
    if !signature.accepts_rows(rows.len(), "rows", &mut faults) {
        return Err(faults);
    }
    let columns = signature.columns();
    let mut data = vec![0.0; rows.len() * columns];
    let mut encoder = RowEncoder::of(signature, faults, observer);
    for (at, row) in rows.iter().enumerate() {
        encoder.encode(at, row, &mut data[at * columns..(at + 1) * columns]);
    }
    encoder.faults.into_result()?;
    Ok(Rows::new(data, columns, rows.len()))
}

/// Encodes the rows of one request.
struct RowEncoder<'a, O> {
    signature: &'a Signature,
    inputs: &'a [Input],
    /// First column of each input.
    offsets: Vec<usize>,
    /// Input of the cell at each position in the previous row. Rows of one request mostly have the same order.
    guesses: Vec<usize>,
    /// Last row in which each input occurred, counted from 1.
    seen: Vec<usize>,
    faults: InputFaults,
    observer: &'a mut O,
}

impl<'a, O: Observe> RowEncoder<'a, O> {
    fn of(signature: &'a Signature, faults: InputFaults, observer: &'a mut O) -> Self {
        let inputs = signature.inputs();
        let offsets = inputs.iter().scan(0, |next, input| {
            let offset = *next;
            *next += input.columns();
            Some(offset)
        });
        Self {
            signature,
            inputs,
            offsets: offsets.collect(),
            guesses: (0..inputs.len()).collect(),
            seen: vec![0; inputs.len()],
            faults,
            observer,
        }
    }

    /// Encodes row `at` into `line`.
    fn encode(&mut self, at: usize, row: &Row, line: &mut [f32]) {
        if row.len() > self.inputs.len() + InputFaults::MOST {
            return self.faults.add_with(|| InputFault {
                field: format!("rows[{at}]"),
                got: format!("{} names", row.len()),
                wanted: format!("at most one for each of {} inputs", self.inputs.len()),
            });
        }
        for (place, (name, cell)) in row.iter().enumerate() {
            let guess = self.guesses.get(place).copied().unwrap_or(place);
            let Some(found) = self.signature.find_from(guess, name) else {
                self.faults.add_with(|| InputFault {
                    field: format!("rows[{at}].{}", shorten(name)),
                    got: "an unknown name".into(),
                    wanted: self.signature.expected_instead_of(name),
                });
                continue;
            };
            if let Some(guess) = self.guesses.get_mut(place) {
                *guess = found;
            }
            if self.seen[found] > at {
                self.faults.add_with(|| InputFault {
                    field: format!("rows[{at}].{name}"),
                    got: "a repeated name".into(),
                    wanted: "each name once".into(),
                });
            } else {
                self.seen[found] = at + 1;
                self.encode_cell(at, found, cell, line);
            }
        }
        for found in 0..self.inputs.len() {
            if self.seen[found] <= at {
                self.encode_cell(at, found, &Cell::Missing, line);
            }
        }
    }

    /// Encodes the cell of input `found` in row `at`.
    fn encode_cell(&mut self, at: usize, found: usize, cell: &Cell, line: &mut [f32]) {
        let input = &self.inputs[found];
        let columns = &mut line[self.offsets[found]..][..input.columns()];
        let (faults, observer) = (&mut self.faults, &mut *self.observer);
        let mut one = |place, cell| {
            observer.cell(found, encode_value(input, place, cell, columns)?);
            Ok::<_, CellFault<'_>>(())
        };
        let field = || format!("rows[{at}].{}", input.name);
        match (input.width, cell) {
            (None, cell) => {
                if let Err(fault) = one(0, cell) {
                    faults.add_with(|| fault.describe(field(), input));
                }
            }
            (Some(width), Cell::List(cells)) if cells.len() == width => {
                for (place, cell) in cells.iter().enumerate() {
                    if let Err(fault) = one(place, cell) {
                        faults.add_with(|| fault.describe(format!("{}[{place}]", field()), input));
                    }
                }
            }
            // An omitted list is a list of missing values.
            (Some(width), Cell::Missing) if (0..width).all(|place| one(place, cell).is_ok()) => {}
            (Some(width), cell) => faults.add_with(|| InputFault {
                field: field(),
                got: describe(cell, input),
                wanted: format!("a list of {width}, each {}", value::expected(input)),
            }),
        }
    }
}

/// The fault of one cell.
enum CellFault<'a> {
    /// The cell is not of the input's datatype.
    Kind(&'a Cell),
    Value(ValueFault<'a>),
}

impl CellFault<'_> {
    fn describe(self, field: String, input: &Input) -> InputFault {
        let (got, wanted) = match self {
            Self::Kind(cell) => (describe(cell, input), value::expected(input)),
            Self::Value(fault) => (fault.got(input), fault.expected(input)),
        };
        InputFault { field, got, wanted }
    }
}

fn encode_value<'a>(
    input: &Input,
    place: usize,
    cell: &'a Cell,
    columns: &mut [f32],
) -> Result<Observed, CellFault<'a>> {
    let value = typed(input.datatype, cell).ok_or(CellFault::Kind(cell))?;
    value::encode(input, place, value, columns).map_err(CellFault::Value)
}

/// Returns the cell as a value of `datatype`, or `None` if it is not of that type.
fn typed(datatype: Datatype, cell: &Cell) -> Option<Value<'_>> {
    // One more than the largest i64, which itself is not exact in f64.
    const I64_END: f64 = 9_223_372_036_854_775_808.0;
    let i32_end = f64::from(i32::MAX) + 1.0;
    let whole = |x: f64, end: f64| x.fract() == 0.0 && -end <= x && x < end;
    match (datatype, cell) {
        (_, Cell::Missing) => Some(Value::Missing),
        (Datatype::Fp32 | Datatype::Fp64, Cell::Number(x)) if x.is_nan() => Some(Value::Missing),
        (Datatype::Fp64, Cell::Number(x)) => Some(Value::Number(*x)),
        // Rounded like a tensor of that type, so that rows and tensors are encoded as the same bits.
        (Datatype::Fp32, Cell::Number(x)) => value::finite(*x).map(|x| Value::Number(x.into())),
        (Datatype::Int32, Cell::Number(x)) if whole(*x, i32_end) => Some(Value::Number(*x)),
        (Datatype::Int64, Cell::Number(x)) if whole(*x, I64_END) => Some(Value::Number(*x)),
        (Datatype::Bool, Cell::Bool(value)) => Some(Value::Number(f64::from(u8::from(*value)))),
        (Datatype::Bytes, Cell::Text(text)) => Some(Value::Text(text)),
        _ => None,
    }
}

/// Describes the cell for a fault; for a sensitive input, only its kind.
fn describe(cell: &Cell, input: &Input) -> String {
    match cell {
        Cell::Number(_) if input.is_sensitive() => "a number".into(),
        Cell::Text(_) if input.is_sensitive() => "a string".into(),
        Cell::Bool(_) if input.is_sensitive() => "a boolean".into(),
        other => other.to_string(),
    }
}
