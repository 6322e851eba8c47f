//! Named rows: cells in any order, each checked for its kind.

use super::observe::{Observe, Observed};
use super::value::{self, Refusal, Value, shorten};
use crate::error::{InputFault, InputFaults};
use crate::model::Rows;
use crate::model::payload::{Cell, Datatype, Row};
use crate::model::signature::{Input, Signature};

pub(super) fn encode(
    signature: &Signature,
    rows: &[Row],
    observer: &mut impl Observe,
) -> Result<Rows, InputFaults> {
    let mut faults = InputFaults::default();
    if !signature.takes(rows.len(), "rows", &mut faults) {
        return Err(faults);
    }
    let columns = signature.columns();
    let mut data = vec![0.0; rows.len() * columns];
    let mut reader = Reader::of(signature, faults, observer);
    for (at, row) in rows.iter().enumerate() {
        reader.read(at, row, &mut data[at * columns..(at + 1) * columns]);
    }
    reader.faults.into_result()?;
    Ok(Rows::new(data, columns, rows.len()))
}

/// What lives as long as one request.
struct Reader<'a, O> {
    signature: &'a Signature,
    inputs: &'a [Input],
    /// Where each input's columns begin.
    offsets: Vec<usize>,
    /// Which input the cell at a place was in the row before: rows of one request mostly agree.
    guesses: Vec<usize>,
    /// Row in which each input was last seen, counted from 1.
    seen: Vec<usize>,
    faults: InputFaults,
    observer: &'a mut O,
}

impl<'a, O: Observe> Reader<'a, O> {
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
    fn read(&mut self, at: usize, row: &Row, line: &mut [f32]) {
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
                    wanted: self.signature.wanted_instead_of(name),
                });
                continue;
            };
            if let Some(guess) = self.guesses.get_mut(place) {
                *guess = found;
            }
            if self.seen[found] > at {
                self.faults.add_with(|| InputFault {
                    field: format!("rows[{at}].{name}"),
                    got: "the name again".into(),
                    wanted: "each name once".into(),
                });
            } else {
                self.seen[found] = at + 1;
                self.put(at, found, cell, line);
            }
        }
        for found in 0..self.inputs.len() {
            if self.seen[found] <= at {
                self.put(at, found, &Cell::Missing, line);
            }
        }
    }

    /// Encodes the cell of input `found` in row `at`.
    fn put(&mut self, at: usize, found: usize, cell: &Cell, line: &mut [f32]) {
        let input = &self.inputs[found];
        let columns = &mut line[self.offsets[found]..][..input.columns()];
        let (faults, observer) = (&mut self.faults, &mut *self.observer);
        let mut one = |place, cell| {
            observer.cell(found, put(input, place, cell, columns)?);
            Ok::<_, Refused<'_>>(())
        };
        let field = || format!("rows[{at}].{}", input.name);
        match (input.width, cell) {
            (None, cell) => {
                if let Err(refused) = one(0, cell) {
                    faults.add_with(|| refused.told(field(), input));
                }
            }
            (Some(width), Cell::List(cells)) if cells.len() == width => {
                for (place, cell) in cells.iter().enumerate() {
                    if let Err(refused) = one(place, cell) {
                        faults.add_with(|| refused.told(format!("{}[{place}]", field()), input));
                    }
                }
            }
            // A list that is left out is a list of missing values.
            (Some(width), Cell::Missing) if (0..width).all(|place| one(place, cell).is_ok()) => {}
            (Some(width), cell) => faults.add_with(|| InputFault {
                field: field(),
                got: shown(cell, input),
                wanted: format!("a list of {width}, each {}", value::wanted(input)),
            }),
        }
    }
}

/// Why one cell was refused.
enum Refused<'a> {
    /// Its kind does not fit the datatype.
    Kind(&'a Cell),
    Value(Refusal<'a>),
}

impl Refused<'_> {
    fn told(self, field: String, input: &Input) -> InputFault {
        let (got, wanted) = match self {
            Self::Kind(cell) => (shown(cell, input), value::wanted(input)),
            Self::Value(refusal) => (refusal.got(input), refusal.wanted(input)),
        };
        InputFault { field, got, wanted }
    }
}

fn put<'a>(
    input: &Input,
    place: usize,
    cell: &'a Cell,
    columns: &mut [f32],
) -> Result<Observed, Refused<'a>> {
    let value = typed(input.datatype, cell).ok_or(Refused::Kind(cell))?;
    value::put(input, place, value, columns).map_err(Refused::Value)
}

/// The cell as a value of `datatype`; `None` where it is none.
fn typed(datatype: Datatype, cell: &Cell) -> Option<Value<'_>> {
    // Just past the last i64; exact in f64, which the last one is not.
    const I64_END: f64 = 9_223_372_036_854_775_808.0;
    let i32_end = f64::from(i32::MAX) + 1.0;
    let whole = |x: f64, end: f64| x.fract() == 0.0 && -end <= x && x < end;
    match (datatype, cell) {
        (_, Cell::Missing) => Some(Value::Missing),
        (Datatype::Fp32 | Datatype::Fp64, Cell::Number(x)) if x.is_nan() => Some(Value::Missing),
        (Datatype::Fp64, Cell::Number(x)) => Some(Value::Number(*x)),
        // Rounded as a tensor of that type would hold it, so that both ways encode to the same bits.
        (Datatype::Fp32, Cell::Number(x)) => value::finite(*x).map(|x| Value::Number(x.into())),
        (Datatype::Int32, Cell::Number(x)) if whole(*x, i32_end) => Some(Value::Number(*x)),
        (Datatype::Int64, Cell::Number(x)) if whole(*x, I64_END) => Some(Value::Number(*x)),
        (Datatype::Bool, Cell::Bool(value)) => Some(Value::Number(f64::from(u8::from(*value)))),
        (Datatype::Bytes, Cell::Text(text)) => Some(Value::Text(text)),
        _ => None,
    }
}

/// The cell for a fault; of a sensitive input only its kind.
fn shown(cell: &Cell, input: &Input) -> String {
    match cell {
        Cell::Number(_) if input.is_sensitive() => "a number".into(),
        Cell::Text(_) if input.is_sensitive() => "a text".into(),
        Cell::Bool(_) if input.is_sensitive() => "a boolean".into(),
        other => other.to_string(),
    }
}
