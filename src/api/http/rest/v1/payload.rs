//! Named and bare cells to the payload for the version that would answer.
//!
//! Objects are rows. Values without a name belong to the only input, or are the columns of the matrix that the model accepts. Plain numbers
//! become tensors of FP64, which the encoder converts as it converts cells. Everything else becomes rows, so that integers stay exact.
//!
//! A value of a column takes some 100 bytes in a row. The number of rows is checked before, so a request makes at most as many cells as
//! the model has inputs for its most rows.

use std::sync::Arc;

use super::super::rows::{BASE64_KEY, text_of_base64};
use super::body::Part;
use crate::api::read;
use crate::error::{InputFault, InputFaults};
use crate::model::Signature;
use crate::model::payload::{Cell, Datatype, Payload, Row, Tensor, TensorData};
use crate::serving::version::VersionRuntime;

/// Integers up to this are exact in FP64.
const MOST_EXACT: u64 = 1 << 53;

/// The two forms of requests and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One entry per row: `instances` and `predictions`.
    Instances,
    /// One tensor per input or output: `inputs` and `outputs`.
    Inputs,
}

/// What a body contains.
pub(super) enum Content {
    Instances(Vec<Part>),
    Inputs(Part),
}

impl Content {
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Instances(_) => Form::Instances,
            Self::Inputs(_) => Form::Inputs,
        }
    }
}

/// Converts a content to a payload.
pub(super) struct Reader<'a> {
    version: Arc<VersionRuntime>,
    form: Form,
    faults: &'a mut InputFaults,
    /// Whether the tensors have names in the body.
    is_named: bool,
    shapes: Vec<(String, Vec<i64>)>,
}

impl<'a> Reader<'a> {
    /// Creates a reader for the signature of `version`, which adds faults to `faults`.
    pub(super) fn new(
        version: Arc<VersionRuntime>,
        form: Form,
        faults: &'a mut InputFaults,
    ) -> Self {
        Self {
            version,
            form,
            faults,
            is_named: false,
            shapes: Vec::new(),
        }
    }

    /// Returns how the encoder's faults are named in the body.
    pub(super) fn into_paths(self) -> Paths {
        Paths {
            form: self.form,
            is_named: self.is_named,
            version: Some(self.version),
            shapes: self.shapes,
        }
    }

    /// Converts `content`. If it has faults, the payload is incomplete.
    pub(super) fn read(&mut self, content: Content) -> Payload {
        let version = Arc::clone(&self.version);
        let signature = version.signature();
        let payload = match content {
            Content::Instances(parts) => {
                let parts = parts.into_iter();
                let parts = parts.map(|part| self.bare(part, signature)).collect();
                self.instances(parts, signature)
            }
            Content::Inputs(part) => match self.bare(part, signature) {
                Part::Named(columns) => {
                    self.is_named = true;
                    self.columns(columns, signature)
                }
                Part::Bare(cell) => self.column(cell, signature),
            },
        };
        if let Payload::Tensors(tensors) = &payload {
            let shape = |tensor: &Tensor| (tensor.name.clone(), tensor.shape.clone());
            self.shapes = tensors.iter().map(shape).collect();
        }
        payload
    }

    /// Returns the value without its name if the part is a named matrix, or bytes in base64.
    fn bare(&mut self, part: Part, signature: &Signature) -> Part {
        let Part::Named(mut row) = part else {
            return part;
        };
        match &mut row[..] {
            [(name, cell)] if signature.matrix.as_ref() == Some(name) => {
                Part::Bare(std::mem::replace(cell, Cell::Missing))
            }
            [(name, Cell::Text(base64))]
                if name == BASE64_KEY && signature.find(BASE64_KEY).is_none() =>
            {
                let text = text_of_base64(base64).map_err(|found| {
                    let field = format!("{}.{BASE64_KEY}", self.form.root());
                    self.faults.add(field, found, "base64 of a text in UTF-8");
                });
                Part::Bare(Cell::Text(text.unwrap_or_default()))
            }
            _ => Part::Named(row),
        }
    }

    /// Returns whether a request may have `rows` rows, or adds a fault. Checked here before memory is taken for each row.
    fn may_have(&mut self, rows: usize, signature: &Signature) -> bool {
        let most = signature.max_rows;
        if rows > most {
            let (got, wanted) = (format!("{rows} rows"), format!("1 to {most} rows"));
            self.faults.add(self.form.root(), got, wanted);
        }
        rows <= most
    }

    fn instances(&mut self, parts: Vec<Part>, signature: &Signature) -> Payload {
        if !self.may_have(parts.len(), signature) {
            return Payload::Rows(Vec::new());
        }
        let are_bare = parts.iter().all(|part| matches!(part, Part::Bare(_)));
        if are_bare && has_bare_rows(signature) {
            let bare = parts.into_iter().filter_map(|part| match part {
                Part::Bare(cell) => Some(cell),
                Part::Named(_) => None,
            });
            return self.column(Cell::List(bare.collect()), signature);
        }
        let rows = parts.into_iter().enumerate();
        let rows = rows.filter_map(|(at, part)| match part {
            Part::Named(row) => Some(row),
            Part::Bare(cell) => self.row(at, cell, signature),
        });
        Payload::Rows(rows.collect())
    }

    /// Converts the values of all rows without a name.
    fn column(&mut self, cell: Cell, signature: &Signature) -> Payload {
        if let [only] = signature.inputs() {
            return self.columns(vec![(only.name.clone(), cell)], signature);
        }
        let tensor = signature
            .matrix
            .as_ref()
            .and_then(|name| numbers(name, &cell));
        let cells = match (tensor, cell) {
            (_, Cell::List(cells)) if !self.may_have(cells.len(), signature) => Vec::new(),
            (Some(tensor), Cell::List(_)) => return Payload::Tensors(vec![tensor]),
            (None, Cell::List(cells)) if signature.matrix.is_some() => cells,
            (_, cell) => {
                self.refuse(self.form.root().to_owned(), &cell, signature);
                Vec::new()
            }
        };
        let rows = cells.into_iter().enumerate();
        let rows = rows.filter_map(|(at, cell)| self.row(at, cell, signature));
        Payload::Rows(rows.collect())
    }

    /// Converts the value of row `at` without a name.
    fn row(&mut self, at: usize, cell: Cell, signature: &Signature) -> Option<Row> {
        let inputs = signature.inputs();
        match (inputs, cell) {
            ([only], cell) => Some(vec![(only.name.clone(), cell)]),
            (_, Cell::List(cells)) if signature.matrix.is_some() && cells.len() == inputs.len() => {
                let names = inputs.iter().map(|input| input.name.clone());
                Some(names.zip(cells).collect())
            }
            (_, cell) => {
                self.refuse(format!("{}[{at}]", self.form.root()), &cell, signature);
                None
            }
        }
    }

    /// Adds a fault for a value without a name that is of no use to the model.
    fn refuse(&mut self, field: String, cell: &Cell, signature: &Signature) {
        let (inputs, form) = (signature.inputs().len(), self.form);
        let what = match form {
            Form::Instances => "value",
            Form::Inputs => "tensor",
        };
        self.faults.add_with(|| InputFault {
            field,
            got: kind(cell),
            wanted: match &signature.matrix {
                Some(_) => format!(
                    "a list of {inputs} numbers per row, or an object with a {what} for each input"
                ),
                None => format!("an object with a {what} for each of the {inputs} inputs"),
            },
        });
    }

    /// Converts tensors by name.
    fn columns(&mut self, columns: Row, signature: &Signature) -> Payload {
        let tensors: Option<Vec<_>> = columns
            .iter()
            .map(|(name, cell)| {
                let input = &signature.inputs()[signature.find(name)?];
                let is_number = !matches!(input.datatype, Datatype::Bool | Datatype::Bytes);
                numbers(name, cell).filter(|_| is_number)
            })
            .collect();
        match tensors {
            Some(tensors) => Payload::Tensors(tensors),
            None => Payload::Rows(self.transposed(columns, signature)),
        }
    }

    /// Returns the rows of tensors. Inputs without rows are in the first row; so are unknown inputs, which the encoder refuses.
    fn transposed(&mut self, columns: Row, signature: &Signature) -> Vec<Row> {
        let width = columns.len().min(signature.inputs().len());
        let mut rows: Vec<Row> = Vec::new();
        let mut agreed: Option<String> = None;
        let mut first = Row::new();
        for (name, cell) in columns {
            let input = signature.find(&name).map(|at| &signature.inputs()[at]);
            if input.is_none_or(|input| !input.shape.batched) {
                first.push((name, cell));
                continue;
            }
            let Cell::List(cells) = cell else {
                let field = self.tensor(&name);
                let wanted = "a list with the value of each row";
                self.faults.add(field, kind(&cell), wanted);
                continue;
            };
            match &agreed {
                None if !self.may_have(cells.len(), signature) => return Vec::new(),
                None => {
                    rows.resize_with(cells.len(), || Row::with_capacity(width));
                    agreed = Some(name.clone());
                }
                Some(other) if rows.len() != cells.len() => {
                    let wanted = format!("{} rows, like `{other}`", rows.len());
                    let got = format!("{} rows", cells.len());
                    self.faults.add(self.tensor(&name), got, wanted);
                    continue;
                }
                Some(_) => {}
            }
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.push((name.clone(), cell));
            }
        }
        if agreed.is_none() && !first.is_empty() {
            rows.push(Row::new());
        }
        if let Some(row) = rows.first_mut() {
            row.extend(first);
        }
        rows
    }

    /// Returns the path of the tensor `name`.
    fn tensor(&self, name: &str) -> String {
        tensor_path(self.form, self.is_named, name)
    }
}

/// Returns whether rows may be values without a name.
fn has_bare_rows(signature: &Signature) -> bool {
    match signature.inputs() {
        [only] => only.shape.batched,
        _ => signature.matrix.is_some(),
    }
}

/// Returns nested lists as the FP64 tensor `name`, with NaN for missing numbers; `None` if they are not of one shape, or contain anything
/// but numbers that FP64 represents exactly.
fn numbers(name: &str, cell: &Cell) -> Option<Tensor> {
    fn collect(cell: &Cell, axes: &[usize], data: &mut Vec<f64>) -> Option<()> {
        match (cell, axes) {
            (Cell::List(cells), [length, inner @ ..]) if cells.len() == *length => {
                cells.iter().try_for_each(|cell| collect(cell, inner, data))
            }
            (cell, []) => {
                data.push(number(cell)?);
                Some(())
            }
            _ => None,
        }
    }
    let (mut axes, mut first) = (Vec::new(), cell);
    while let Cell::List(cells) = first {
        axes.push(cells.len());
        first = cells.first()?;
    }
    let mut data = Vec::new();
    collect(cell, &axes, &mut data)?;
    Some(Tensor {
        name: name.to_owned(),
        shape: axes
            .iter()
            .map(|axis| i64::try_from(*axis).ok())
            .collect::<Option<_>>()?,
        data: TensorData::Fp64(data),
    })
}

#[expect(clippy::cast_precision_loss, reason = "at most 2^53")]
fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Missing => Some(f64::NAN),
        Cell::Number(x) => Some(*x),
        Cell::Integer(whole) if whole.unsigned_abs() <= MOST_EXACT => Some(*whole as f64),
        _ => None,
    }
}

/// Names the kind of a cell. The value itself is not repeated, since it may be personal data.
fn kind(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "null".to_owned(),
        Cell::Bool(_) => "a boolean".to_owned(),
        Cell::Integer(_) | Cell::Unsigned(_) | Cell::Number(_) => "a number".to_owned(),
        Cell::Text(_) => "a string".to_owned(),
        Cell::List(cells) => format!("a list of {}", cells.len()),
        Cell::Object => "an object".to_owned(),
    }
}

impl Form {
    /// Returns the field of the body.
    fn root(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::Inputs => "inputs",
        }
    }
}

/// How faults that the encoder finds are named in the body.
pub(super) struct Paths {
    form: Form,
    is_named: bool,
    version: Option<Arc<VersionRuntime>>,
    /// Shapes of tensors by name, to find the place of an element.
    shapes: Vec<(String, Vec<i64>)>,
}

impl Paths {
    /// Returns paths for a request that no version would answer.
    pub(super) fn unknown(form: Form) -> Self {
        Self {
            form,
            is_named: false,
            version: None,
            shapes: Vec::new(),
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Returns the path of `field`, a path of the encoder: `rows[3].x[2]`, `tensors[x][7]`, `tensors[x].shape`, `rows`.
    pub(super) fn of(&self, field: &str) -> String {
        let root = self.form.root();
        if let Some((name, rest)) = self.after_tensor(field) {
            let place = self.place(name, rest);
            return format!("{}{place}", tensor_path(self.form, self.is_named, name));
        }
        match field.strip_prefix("rows") {
            Some(rest) if self.form == Form::Instances => format!("{root}{rest}"),
            Some(rest) => self.of_column(rest),
            None if field == InputFaults::TENSORS => root.to_owned(),
            None => field.to_owned(),
        }
    }

    /// Splits `tensors[x].shape` into the name of a tensor that was sent or is missing, and the rest.
    fn after_tensor<'f>(&'f self, field: &'f str) -> Option<(&'f str, &'f str)> {
        let rest = field
            .strip_prefix(InputFaults::TENSORS)?
            .strip_prefix('[')?;
        let sent = self.shapes.iter().map(|(name, _)| name.as_str());
        sent.chain(self.input_names()).find_map(|name| {
            let rest = rest.strip_prefix(name)?.strip_prefix(']')?;
            Some((name, rest))
        })
    }

    fn input_names(&self) -> impl Iterator<Item = &str> {
        let inputs = self
            .version
            .iter()
            .flat_map(|version| version.signature().inputs());
        inputs.map(|input| input.name.as_str())
    }

    /// Returns the place of an element in nested lists: `[1][3]` for `[7]` in `[2, 4]`, and for `[1, 3]`.
    fn place(&self, tensor: &str, rest: &str) -> String {
        let shape = self.shapes.iter().find(|(name, _)| name == tensor);
        let index = rest
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let flat = index.and_then(|index| index.parse::<i64>().ok());
        let (Some((_, shape)), Some(mut flat)) = (shape, flat) else {
            return rest.replace(", ", "][");
        };
        let mut places = Vec::new();
        for axis in shape.iter().rev() {
            places.push(format!("[{}]", flat % axis.max(&1)));
            flat /= axis.max(&1);
        }
        places.reverse();
        places.concat()
    }

    /// Returns the path of `[3].x[2]` in columns: `inputs.x[3][2]`, or `inputs[3][2]` without names.
    fn of_column(&self, rest: &str) -> String {
        let root = self.form.root();
        let Some((row, cell)) = rest.split_once("].") else {
            return format!("{root}{rest}");
        };
        let known = self.input_names().find_map(|name| {
            let after = cell.strip_prefix(name)?;
            (after.is_empty() || after.starts_with('[')).then_some((name, after))
        });
        match known {
            Some((name, after)) => {
                format!(
                    "{}{row}]{after}",
                    tensor_path(self.form, self.is_named, name)
                )
            }
            None => format!("{root}.{cell}"),
        }
    }
}

/// Returns the path of the tensor `name`, which the body may not name.
fn tensor_path(form: Form, is_named: bool, name: &str) -> String {
    match is_named {
        true => format!("{}.{}", form.root(), read::cut(name)),
        false => form.root().to_owned(),
    }
}
