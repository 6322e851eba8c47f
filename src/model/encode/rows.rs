//! Encodes named rows: cells in any order, each checked against its input.

use std::borrow::Cow;

use super::elements::push;
use super::observe::Observe;
use super::passthrough::ElementChecker;
use super::value::{self, Element, Value, ValueFault, shorten};
use crate::error::{InputFault, InputFaults};
use crate::model::batch::{Batch, Content, Value as TensorValue};
use crate::model::payload::{Cell, Datatype, Row, TensorData};
use crate::model::signature::{Input, Signature, Target};

pub(super) fn encode(
    signature: &Signature,
    rows: &[Row],
    observer: &mut impl Observe,
) -> Result<Batch, InputFaults> {
    let mut faults = InputFaults::default();
    if !signature.accepts_rows(rows.len(), "rows", &mut faults) {
        return Err(faults);
    }
    match signature.target {
        Target::Single => matrix(signature, rows, faults, observer, Content::Single),
        Target::Double => matrix(signature, rows, faults, observer, Content::Double),
        Target::Tensors => tensors(signature, rows, faults, observer),
    }
}

fn matrix<T: Element>(
    signature: &Signature,
    rows: &[Row],
    faults: InputFaults,
    observer: &mut impl Observe,
    content: fn(Vec<T>) -> Content,
) -> Result<Batch, InputFaults> {
    let columns = signature.columns();
    let offsets = signature.inputs().iter().scan(0, |next, input| {
        let offset = *next;
        *next += input.columns();
        Some(offset)
    });
    let mut writer = MatrixWriter {
        data: vec![T::default(); rows.len() * columns],
        columns,
        offsets: offsets.collect(),
        observer,
    };
    let mut reader = RowReader::of(signature, faults);
    for (at, row) in rows.iter().enumerate() {
        reader.read(at, row, &mut writer);
    }
    reader.faults.into_result()?;
    Ok(Batch::new(content(writer.data), rows.len()))
}

fn tensors(
    signature: &Signature,
    rows: &[Row],
    mut faults: InputFaults,
    observer: &mut impl Observe,
) -> Result<Batch, InputFaults> {
    if !signature.has_rows() && rows.len() > 1 {
        faults.add_with(|| InputFault {
            field: "rows".into(),
            got: format!("{} rows", rows.len()),
            wanted: "1 row: an input of the model has no rows".into(),
        });
        return Err(faults);
    }
    let inputs = signature.inputs();
    let column = |input: &Input| TensorColumn {
        data: TensorData::with_capacity(
            input.datatype,
            rows.len() * input.fixed_values().unwrap_or(1),
        ),
        axes: input.shape.axes.clone(),
    };
    let mut writer = TensorWriter {
        columns: inputs.iter().map(column).collect(),
        observer,
    };
    let mut reader = RowReader::of(signature, faults);
    for (at, row) in rows.iter().enumerate() {
        reader.read(at, row, &mut writer);
    }
    reader.faults.into_result()?;
    let used = inputs.iter().zip(writer.columns);
    let values = used.filter(|(input, _)| input.is_used());
    let values = values.map(|(input, column)| TensorValue {
        shape: input
            .shape
            .batched
            .then_some(rows.len())
            .into_iter()
            .chain(column.axes.iter().map(|axis| axis.unwrap_or(1)))
            .collect(),
        data: column.data,
    });
    Ok(Batch::new(Content::Tensors(values.collect()), rows.len()))
}

/// Takes the cells of rows.
trait CellWriter {
    /// Writes the cell of input `found` in row `at`.
    fn write(
        &mut self,
        at: usize,
        found: usize,
        input: &Input,
        cell: &Cell,
        faults: &mut InputFaults,
    );
}

/// Finds the input of each cell of the rows of one request.
struct RowReader<'a> {
    signature: &'a Signature,
    inputs: &'a [Input],
    /// Input of the cell at each position in the previous row. Rows of one request mostly have the same order.
    guesses: Vec<usize>,
    /// Last row in which each input occurred, counted from 1.
    seen: Vec<usize>,
    faults: InputFaults,
}

impl<'a> RowReader<'a> {
    fn of(signature: &'a Signature, faults: InputFaults) -> Self {
        let inputs = signature.inputs();
        Self {
            signature,
            inputs,
            guesses: (0..inputs.len()).collect(),
            seen: vec![0; inputs.len()],
            faults,
        }
    }

    /// Returns the cell that marks missing values of the input `found`.
    fn mask<'r>(&self, found: usize, row: &'r Row) -> Option<&'r Cell> {
        let name = &self.inputs[self.signature.mask_of(found)?].name;
        let cell = row.iter().find(|(other, _)| other == name);
        cell.map(|(_, cell)| cell)
    }

    /// Passes each cell of row `at` to `writer`. A name that is not in the row is a missing cell.
    fn read(&mut self, at: usize, row: &Row, writer: &mut impl CellWriter) {
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
                let Some(cell) = masked(cell, self.mask(found, row)) else {
                    let mask = self.signature.mask_of(found).unwrap_or(found);
                    self.faults.add_with(|| InputFault {
                        field: format!("rows[{at}].{}", self.inputs[mask].name),
                        got: "other lists".into(),
                        wanted: format!("lists of the same lengths as `{name}`"),
                    });
                    continue;
                };
                writer.write(at, found, &self.inputs[found], &cell, &mut self.faults);
            }
        }
        for (found, input) in self.inputs.iter().enumerate() {
            if self.seen[found] <= at {
                writer.write(at, found, input, &Cell::Missing, &mut self.faults);
            }
        }
    }
}

/// Returns the cell without the values that `mask`, a boolean or a list of them, marks as missing; `None` if they are lists of other
/// lengths. `[x]` and `x` are the same, as everywhere.
fn masked<'c>(cell: &'c Cell, mask: Option<&Cell>) -> Option<Cow<'c, Cell>> {
    match (cell, mask) {
        (Cell::List(cells), Some(Cell::List(marks))) if cells.len() == marks.len() => {
            let pairs = cells.iter().zip(marks);
            let cells = pairs.map(|(cell, mark)| Some(masked(cell, Some(mark))?.into_owned()));
            Some(Cow::Owned(Cell::List(cells.collect::<Option<_>>()?)))
        }
        (Cell::List(cells), Some(Cell::Bool(_))) if cells.len() != 1 => None,
        (Cell::List(_), Some(Cell::List(_))) => None,
        (Cell::Missing, _) => Some(Cow::Borrowed(cell)),
        (_, Some(Cell::List(marks))) => match marks.as_slice() {
            [mark] => masked(cell, Some(mark)),
            _ => None,
        },
        (_, Some(Cell::Bool(true))) => Some(Cow::Owned(Cell::Missing)),
        _ => Some(Cow::Borrowed(cell)),
    }
}

/// Encodes cells as the columns of a matrix.
struct MatrixWriter<'a, T, O> {
    data: Vec<T>,
    columns: usize,
    /// First column of each input.
    offsets: Vec<usize>,
    observer: &'a mut O,
}

impl<T: Element, O: Observe> CellWriter for MatrixWriter<'_, T, O> {
    fn write(
        &mut self,
        at: usize,
        found: usize,
        input: &Input,
        cell: &Cell,
        faults: &mut InputFaults,
    ) {
        let begin = at * self.columns + self.offsets[found];
        let columns = &mut self.data[begin..begin + input.columns()];
        let observer = &mut *self.observer;
        let mut one = |place, cell| {
            let value = typed(input.datatype, cell)?;
            let content = value::encode(input, place, value, columns).map_err(CellFault::Value)?;
            observer.cell(found, content);
            Ok::<_, CellFault<'_>>(())
        };
        let field = || format!("rows[{at}].{}", input.name);
        match (input.shape.axes.as_slice(), cell) {
            ([], cell) => {
                if let Err(fault) = one(0, only(cell)) {
                    faults.add_with(|| fault.describe(field(), input));
                }
            }
            (_, Cell::List(cells)) if cells.len() == input.values() => {
                for (place, cell) in cells.iter().enumerate() {
                    if let Err(fault) = one(place, cell) {
                        faults.add_with(|| fault.describe(format!("{}[{place}]", field()), input));
                    }
                }
            }
            // An omitted list is a list of missing values.
            (_, Cell::Missing) if (0..input.values()).all(|place| one(place, cell).is_ok()) => {}
            (_, cell) if input.values() == 1 && !matches!(cell, Cell::List(_)) => {
                if let Err(fault) = one(0, cell) {
                    faults.add_with(|| fault.describe(field(), input));
                }
            }
            (_, cell) => faults.add_with(|| InputFault {
                field: field(),
                got: describe(cell, input),
                wanted: format!(
                    "a list of {}, each {}",
                    input.values(),
                    value::expected(input)
                ),
            }),
        }
    }
}

/// Returns the only element of a list of one, for an input of one value per row; other cells unchanged.
fn only(cell: &Cell) -> &Cell {
    match cell {
        Cell::List(cells) if cells.len() == 1 => &cells[0],
        other => other,
    }
}

/// Collects cells as the elements of tensors.
struct TensorWriter<'a, O> {
    columns: Vec<TensorColumn>,
    observer: &'a mut O,
}

/// The tensor of one input.
struct TensorColumn {
    data: TensorData,
    /// Length of each axis; `None`: open, until the first row sets it.
    axes: Vec<Option<usize>>,
}

impl<O: Observe> CellWriter for TensorWriter<'_, O> {
    fn write(
        &mut self,
        at: usize,
        found: usize,
        input: &Input,
        cell: &Cell,
        faults: &mut InputFaults,
    ) {
        if *cell == Cell::Missing && !input.is_used() && input.optional() {
            return;
        }
        let TensorColumn { data, axes } = &mut self.columns[found];
        let mut collector = CellCollector {
            checker: ElementChecker::new(input, found, self.observer),
            data,
            faults,
        };
        let cell = if axes.is_empty() { only(cell) } else { cell };
        let field = format!("rows[{at}].{}", input.name);
        match axes.as_mut_slice() {
            [Some(1)] if !matches!(cell, Cell::List(_)) => collector.push(&field, cell),
            axes => collector.collect(&field, cell, axes),
        }
    }
}

/// Appends the elements of one cell to a tensor.
struct CellCollector<'a, O> {
    checker: ElementChecker<'a, O>,
    data: &'a mut TensorData,
    faults: &'a mut InputFaults,
}

impl<O: Observe> CellCollector<'_, O> {
    /// Appends the elements of nested lists with these axes, at most [`Shape::MOST_AXES`](crate::model::signature::Shape::MOST_AXES).
    fn collect(&mut self, field: &str, cell: &Cell, axes: &mut [Option<usize>]) {
        let Some((axis, inner)) = axes.split_first_mut() else {
            return self.push(field, cell);
        };
        match cell {
            Cell::List(cells)
                if !cells.is_empty() && axis.is_none_or(|axis| axis == cells.len()) =>
            {
                *axis = Some(cells.len());
                for (place, cell) in cells.iter().enumerate() {
                    self.collect(&format!("{field}[{place}]"), cell, inner);
                }
            }
            cell => {
                let input = self.checker.input();
                self.faults.add_with(|| InputFault {
                    field: field.to_owned(),
                    got: describe(cell, input),
                    wanted: match axis {
                        Some(length) => format!("a list of {length}"),
                        None => "a list".to_owned(),
                    },
                });
            }
        }
    }

    fn push(&mut self, field: &str, cell: &Cell) {
        let input = self.checker.input();
        let checked = typed(input.datatype, cell)
            .and_then(|value| self.checker.check(value).map_err(CellFault::Value));
        match checked {
            Ok(value) => push(self.data, value),
            Err(fault) => self
                .faults
                .add_with(|| fault.describe(field.to_owned(), input)),
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

/// Returns the cell as a value of `datatype`.
fn typed(datatype: Datatype, cell: &Cell) -> Result<Value<'_>, CellFault<'_>> {
    let value = match cell {
        Cell::Missing => Value::Missing,
        Cell::Bool(value) => Value::Bool(*value),
        // A number without a fraction is as good for a float as one with a fraction.
        Cell::Integer(whole) if datatype.is_float() => {
            Value::Number(value::as_f64(i128::from(*whole)))
        }
        Cell::Unsigned(whole) if datatype.is_float() => {
            Value::Number(value::as_f64(i128::from(*whole)))
        }
        Cell::Integer(whole) => Value::Integer(i128::from(*whole)),
        Cell::Unsigned(whole) => Value::Integer(i128::from(*whole)),
        Cell::Number(x) if x.is_nan() => Value::Missing,
        Cell::Number(x) => Value::Number(*x),
        // Where numbers are doubles, as in a `google.protobuf.Struct`, the digits of a 64-bit integer can only come as a string.
        Cell::Text(text) if datatype.is_integer() => {
            let whole = text.parse().map_err(|_| CellFault::Kind(cell))?;
            Value::Integer(whole)
        }
        Cell::Text(text) => Value::Text(text),
        Cell::List(_) | Cell::Object => return Err(CellFault::Kind(cell)),
    };
    value.converted(datatype).map_err(|_| CellFault::Kind(cell))
}

/// Describes the cell for a fault; for a sensitive input, only its kind.
fn describe(cell: &Cell, input: &Input) -> String {
    match cell {
        Cell::Number(_) | Cell::Integer(_) | Cell::Unsigned(_) if input.is_sensitive() => {
            "a number".into()
        }
        Cell::Text(_) if input.is_sensitive() => "a string".into(),
        Cell::Bool(_) if input.is_sensitive() => "a boolean".into(),
        other => other.to_string(),
    }
}
