//! The signature of a version: names, types and shapes of its inputs and outputs, and the encoding of each input.

use super::{Sensitivity, payload::Datatype};

/// The inputs, the outputs, which output is judged, and the limit on rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    inputs: Vec<Input>,
    by_name: NameIndex,
    /// Index of the mask of each input; empty if there is no mask.
    masks: Vec<Option<usize>>,
    outputs: Vec<Output>,
    /// Which output is judged, and how.
    pub prediction: Prediction,
    /// Labels of the classes; empty if the prediction is not about classes. Two if the probability of the second is predicted in one
    /// column, otherwise one per column.
    pub classes: Vec<String>,
    /// The most rows of one request, at least 1.
    pub max_rows: usize,
    /// What the inputs are encoded as.
    pub target: Target,
    /// Name of a tensor `[rows, n]` that a request may have instead of the inputs: one column per input, in order.
    pub matrix: Option<String>,
}

/// What the inputs of a request are encoded as: what the format computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A matrix of f32.
    Single,
    /// A matrix of f64.
    Double,
    /// One tensor per input, of the input's datatype.
    Tensors,
}

impl Signature {
    /// Creates a signature that encodes its inputs as a matrix of f32. There must be at least one input and one output, and the names
    /// of each must be unique. `prediction` refers to one of the outputs.
    #[must_use]
    pub fn new(
        inputs: Vec<Input>,
        outputs: Vec<Output>,
        prediction: Prediction,
        classes: Vec<String>,
        max_rows: usize,
    ) -> Self {
        let by_name = NameIndex::of(inputs.iter().map(|input| input.name.as_str()));
        let masks = masks(&inputs);
        Self {
            inputs,
            by_name,
            masks,
            outputs,
            prediction,
            classes,
            max_rows,
            target: Target::Single,
            matrix: None,
        }
    }

    /// Returns the inputs, in the order of the model's columns.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Returns the outputs, at least one.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Returns the output that is judged.
    #[must_use]
    pub fn judged(&self) -> &Output {
        &self.outputs[self.prediction.output]
    }

    /// Returns the numbers per row of the output that is judged.
    #[must_use]
    pub fn judged_columns(&self) -> usize {
        self.judged().shape.fixed_values().unwrap_or(1)
    }

    /// Returns the index of the output `name` in [`outputs`](Self::outputs).
    #[must_use]
    pub fn find_output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|output| output.name == name)
    }

    /// Returns the index of the input `name` in [`inputs`](Self::inputs).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.find(name, |at| &self.inputs[at].name)
    }

    /// Returns the index of the input that marks missing values of the input at `at`.
    #[must_use]
    pub fn mask_of(&self, at: usize) -> Option<usize> {
        self.masks.get(at).copied().flatten()
    }

    /// Returns whether some input marks missing values of another.
    #[must_use]
    pub fn has_masks(&self) -> bool {
        !self.masks.is_empty()
    }

    /// Returns the width of an encoded row: the sum of the inputs' columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.inputs.iter().map(Input::columns).sum()
    }

    /// Returns whether every tensor of a request has rows.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.inputs.iter().all(|input| input.shape.batched)
    }

    /// Returns whether some tensor of a request has rows. Without any, a request is one row.
    #[must_use]
    pub fn may_have_rows(&self) -> bool {
        self.inputs.iter().any(|input| input.shape.batched)
    }

    /// Returns the reasons why a version with the signature `other` cannot respond to clients of `self`; empty if it can.
    ///
    /// There is one line per difference in names, types and shapes, optional inputs, the matrix, outputs, classes, and the most rows of
    /// a request. Encodings and allowed values may differ. The lines call `self` the first and `other` the second.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let describe = |input: &Input| (input.name.clone(), input.description());
        let [first, second] = [self, other].map(|one| one.inputs.iter().map(describe).collect());
        let mut lines = tensor_differences("input", &first, &second);
        if self.matrix != other.matrix {
            let [first, second] = [&self.matrix, &other.matrix].map(|name| match name {
                Some(name) => format!("accepted as `{name}`"),
                None => "not accepted".to_owned(),
            });
            lines.push(format!(
                "a matrix of all inputs is {first} in the first and {second} in the second"
            ));
        }
        lines.extend(self.matrix_order_difference(other));
        let describe = |output: &Output| (output.name.clone(), output.description());
        let [first, second] = [self, other].map(|one| one.outputs.iter().map(describe).collect());
        lines.extend(tensor_differences("output", &first, &second));
        let judged = [self, other].map(|one| format!("`{}`", one.judged().name));
        let kinds = [self, other].map(|one| one.prediction.kind.as_str());
        if judged[0] != judged[1] || kinds[0] != kinds[1] {
            let [first, second] = [0, 1].map(|at| format!("{} in {}", kinds[at], judged[at]));
            lines.push(format!(
                "the prediction is {first} in the first and {second} in the second"
            ));
        }
        lines.extend(class_difference(&self.classes, &other.classes));
        if self.max_rows != other.max_rows {
            lines.push(format!(
                "a request may have {} rows in the first and {} in the second",
                self.max_rows, other.max_rows
            ));
        }
        lines
    }
}

impl Signature {
    /// Describes the first column that differs between two matrices of the same inputs.
    fn matrix_order_difference(&self, other: &Self) -> Option<String> {
        let matrix = self
            .matrix
            .as_ref()
            .filter(|_| self.matrix == other.matrix)?;
        let mut columns = self.inputs.iter().zip(&other.inputs).enumerate();
        let differs = columns.find(|(_, (one, other))| one.name != other.name);
        let (at, (one, other)) = differs?;
        Some(format!(
            "column {at} of `{matrix}` is `{}` in the first and `{}` in the second",
            one.name, other.name
        ))
    }
}

/// Returns the index of the mask of each input; nothing if there is no mask.
fn masks(inputs: &[Input]) -> Vec<Option<usize>> {
    let mut masks = Vec::new();
    for (mask, input) in inputs.iter().enumerate() {
        if let Encoding::Mask { of } = &input.encoding {
            masks.resize(inputs.len(), None);
            let masked = inputs.iter().position(|input| input.name == *of);
            if let Some(masked) = masked {
                masks[masked] = Some(mask);
            }
        }
    }
    masks
}

/// Describes the differences between two lists of tensors, each a name and a description.
fn tensor_differences(
    kind: &str,
    first: &Vec<(String, String)>,
    second: &Vec<(String, String)>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let find = |list: &Vec<(String, String)>, name: &str| {
        let found = list.iter().find(|(other, _)| other == name);
        found.map(|(_, description)| description.clone())
    };
    for (name, one) in first {
        match find(second, name) {
            None => lines.push(format!("{kind} `{name}` is missing in the second")),
            Some(other) if other != *one => lines.push(format!(
                "{kind} `{name}` is {one} in the first and {other} in the second"
            )),
            Some(_) => {}
        }
    }
    for (name, _) in second {
        if find(first, name).is_none() {
            lines.push(format!("{kind} `{name}` is missing in the first"));
        }
    }
    lines
}

/// Describes the difference between two lists of classes, if there is any. Of lists of equal length, only the first difference: it is
/// enough to find the mistake, and there may be thousands.
fn class_difference(first: &[String], second: &[String]) -> Option<String> {
    if first.len() != second.len() {
        let (first, second) = (first.len(), second.len());
        return Some(format!(
            "there are {first} classes in the first and {second} in the second"
        ));
    }
    let at = first
        .iter()
        .zip(second)
        .position(|(one, other)| one != other)?;
    let (first, second) = (&first[at], &second[at]);
    Some(format!(
        "class {at} is {first:?} in the first and {second:?} in the second"
    ))
}

/// One input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Its shape.
    pub shape: Shape,
    /// How it is encoded for the model.
    pub encoding: Encoding,
    /// What may be recorded of its values.
    pub sensitive: Sensitivity,
}

impl Input {
    /// Returns whether its values must not be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.sensitive.is_sensitive()
    }

    /// Returns the number of network columns that it fills.
    #[must_use]
    pub fn columns(&self) -> usize {
        match &self.encoding {
            Encoding::Numeric { scale, .. } => scale.len(),
            Encoding::Categorical {
                categories,
                unknown_bucket,
                ..
            } => categories.names().len() + usize::from(*unknown_bucket),
            Encoding::Ordinal { .. } => 1,
            Encoding::Cyclic { .. } => 2,
            Encoding::Ignore { .. } | Encoding::Tensor { .. } | Encoding::Mask { .. } => 0,
        }
    }

    /// Returns whether its values are categories.
    #[must_use]
    pub fn has_categories(&self) -> bool {
        matches!(
            self.encoding,
            Encoding::Categorical { .. } | Encoding::Ordinal { .. }
        )
    }

    /// Returns whether the model uses it.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !matches!(
            self.encoding,
            Encoding::Ignore { .. } | Encoding::Mask { .. }
        )
    }

    /// Returns the number of values per row; `None` if the shape leaves it open.
    #[must_use]
    pub fn fixed_values(&self) -> Option<usize> {
        self.shape.fixed_values()
    }

    /// Returns the number of values per row. Only for inputs that are not of encoding `tensor`, whose shapes may leave it open.
    pub(super) fn values(&self) -> usize {
        self.fixed_values().unwrap_or(1)
    }

    /// Returns whether a request may omit it.
    #[must_use]
    pub fn optional(&self) -> bool {
        match &self.encoding {
            Encoding::Numeric { missing, .. } => *missing != Missing::Reject,
            Encoding::Cyclic { missing, .. } => missing.is_some(),
            Encoding::Categorical { missing, .. } => missing.is_some(),
            Encoding::Ordinal { missing, .. } => *missing,
            Encoding::Ignore { optional } => *optional,
            Encoding::Mask { .. } => true,
            Encoding::Tensor { .. } => false,
        }
    }

    /// Returns whether some of its values may be missing.
    #[must_use]
    pub fn may_lack_values(&self) -> bool {
        match &self.encoding {
            Encoding::Tensor { missing } => *missing,
            Encoding::Mask { .. } => false,
            _ => self.optional(),
        }
    }

    /// Describes everything that a client must know about it.
    fn description(&self) -> String {
        let optional = if self.optional() { " (optional)" } else { "" };
        format!("{} {:?}{optional}", self.datatype, self.shape.to_wire())
    }
}

/// The shape of a tensor of the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether the first axis, which is not among `axes`, is the number of rows.
    pub batched: bool,
    /// Length of each axis except the rows; `None`: any length, from 1.
    pub axes: Vec<Option<usize>>,
}

impl Shape {
    /// The most axes of a shape.
    pub const MOST_AXES: usize = 8;

    /// One value per row.
    #[must_use]
    pub fn scalars() -> Self {
        Self::rows_of(Vec::new())
    }

    /// `n` values per row.
    #[must_use]
    pub fn vectors(n: usize) -> Self {
        Self::rows_of(vec![Some(n)])
    }

    /// Rows with these axes.
    #[must_use]
    pub fn rows_of(axes: Vec<Option<usize>>) -> Self {
        Self {
            batched: true,
            axes,
        }
    }

    /// Returns the number of values per row, or of the tensor if it has no rows; `None` if an axis may have any length.
    #[must_use]
    pub fn fixed_values(&self) -> Option<usize> {
        let mut product = 1_usize;
        for axis in &self.axes {
            product = product.checked_mul((*axis)?)?;
        }
        Some(product)
    }

    /// Returns whether an axis other than the rows may have any length.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.axes.iter().any(Option::is_none)
    }

    /// Returns the number of values per row, or of the tensor if it has no rows, if every axis of any length has length 1. It is
    /// `usize::MAX` if it is larger.
    #[must_use]
    pub fn least_values(&self) -> usize {
        let axes = self.axes.iter().map(|axis| axis.unwrap_or(1));
        axes.fold(1, usize::saturating_mul)
    }

    /// Returns the shape as on the wire: -1 is the number of rows, or an axis of any length.
    #[must_use]
    pub fn to_wire(&self) -> Vec<i64> {
        let axes = self.axes.iter().map(|axis| match axis {
            None => -1,
            Some(length) => i64::try_from(*length).unwrap_or(i64::MAX),
        });
        self.batched.then_some(-1).into_iter().chain(axes).collect()
    }

    /// Returns the number of rows of a tensor of this shape, 1 if it has none. Accepts `[n, 1]` for `[n]`, and `[n]` for `[n, 1]`.
    /// Returns `None` if the shape does not fit.
    #[must_use]
    pub fn rows(&self, shape: &[i64]) -> Option<usize> {
        let (rows, axes) = match (self.batched, shape) {
            (true, [rows, axes @ ..]) => (usize::try_from(*rows).ok()?, axes),
            (true, []) => return None,
            (false, axes) => (1, axes),
        };
        let fits = |axis: &i64, wanted: &Option<usize>| {
            let length = usize::try_from(*axis).ok().filter(|length| *length > 0);
            length.is_some_and(|length| wanted.is_none_or(|wanted| wanted == length))
        };
        let same = axes.len() == self.axes.len()
            && axes
                .iter()
                .zip(&self.axes)
                .all(|(axis, wanted)| fits(axis, wanted));
        let with_one = self.axes.is_empty() && axes == [1];
        let without_one = self.batched && axes.is_empty() && self.axes == [Some(1)];
        (same || with_one || without_one).then_some(rows)
    }
}

/// How an input is encoded for the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoding {
    /// One column per value: `(x - offset) * factor`.
    Numeric {
        /// One per value of a row.
        scale: Vec<Affine>,
        /// The allowed values.
        range: Option<Range>,
        /// How a missing value is handled.
        missing: Missing,
    },
    /// One column: the position of the category in the list.
    Ordinal {
        /// Known categories.
        categories: Categories,
        /// Whether an unknown category counts as missing. Otherwise it is rejected.
        unknown_is_missing: bool,
        /// Whether a value may be missing. The column is then NaN.
        missing: bool,
    },
    /// One-hot.
    Categorical {
        /// Known categories, one column each.
        categories: Categories,
        /// Whether unknown categories share one additional column. Otherwise they are rejected.
        unknown_bucket: bool,
        /// Used for a missing value; `None`: missing values are rejected.
        missing: Option<String>,
    },
    /// Two columns: `sin(2 pi x / period)`, `cos(2 pi x / period)`.
    Cyclic {
        /// Length of one period, more than 0.
        period: f64,
        /// The allowed values.
        range: Option<Range>,
        /// Used for a missing value; `None`: missing values are rejected.
        missing: Option<f64>,
    },
    /// Type-checked, but not used.
    Ignore {
        /// Whether it may be missing.
        optional: bool,
    },
    /// Passed to the model as it is, as a tensor of the input's datatype.
    Tensor {
        /// Whether elements may be NaN, which means missing.
        missing: bool,
    },
    /// Marks missing values of another input of the same shape: they are missing where this one, of BOOL, is true.
    Mask {
        /// Name of the other input.
        of: String,
    },
}

/// How a missing number is handled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// It is rejected.
    Reject,
    /// This number is used instead.
    Impute(f64),
    /// The model gets NaN.
    Keep,
}

/// Names of categories, in the order of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Categories {
    names: Vec<String>,
    by_name: NameIndex,
    /// Positions by number, ascending, if the categories are numbers.
    by_number: Option<Vec<(i64, usize)>>,
}

impl Categories {
    /// Creates categories from `names`. If a name is repeated, [`find`](Self::find) may return any of its columns.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let by_name = NameIndex::of(names.iter().map(String::as_str));
        Self {
            names,
            by_name,
            by_number: None,
        }
    }

    /// Creates categories that are whole numbers.
    #[must_use]
    pub fn of_numbers(numbers: &[i64]) -> Self {
        let mut by_number: Vec<_> = numbers.iter().copied().zip(0..).collect();
        by_number.sort_unstable();
        Self {
            by_number: Some(by_number),
            ..Self::new(numbers.iter().map(i64::to_string).collect())
        }
    }

    /// Returns whether the categories are whole numbers.
    #[must_use]
    pub fn are_numbers(&self) -> bool {
        self.by_number.is_some()
    }

    /// Returns the position of a number; `None` if it is unknown, or if the categories are texts.
    #[must_use]
    pub fn find_number(&self, number: i64) -> Option<usize> {
        let by_number = self.by_number.as_ref()?;
        let found = by_number.binary_search_by_key(&number, |(number, _)| *number);
        found.ok().map(|at| by_number[at].1)
    }

    /// Returns the names, one per column.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the column of `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.find(name, |at| &self.names[at])
    }
}

/// Indices of a list, sorted by the names of its elements, for a binary search.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NameIndex(Vec<usize>);

impl NameIndex {
    fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let names: Vec<_> = names.collect();
        let mut indices: Vec<usize> = (0..names.len()).collect();
        indices.sort_by_key(|at| names[*at]);
        Self(indices)
    }

    /// Returns the index of `name` in the list. `name_at` returns the name at an index.
    fn find<'n>(&self, name: &str, name_at: impl Fn(usize) -> &'n str) -> Option<usize> {
        let found = self.0.binary_search_by(|at| name_at(*at).cmp(name));
        found.ok().map(|at| self.0[at])
    }
}

/// Scaling of a number: `(x - offset) * factor`, computed in f64 and rounded to f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Subtracted first.
    pub offset: f64,
    /// Multiplied with the difference.
    pub factor: f64,
}

/// A range of allowed values, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest allowed value.
    pub min: f64,
    /// The largest allowed value, at least `min`.
    pub max: f64,
    /// How a value outside is handled.
    pub outside: Outside,
}

/// How a value outside of a range is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// It is rejected.
    Reject,
    /// It is moved to the nearest end.
    Clip,
    /// It is used as it is: the range only says what occurred in training.
    Accept,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// Its shape.
    pub shape: Shape,
}

impl Output {
    /// Describes everything that a client must know about it.
    fn description(&self) -> String {
        format!("{} {:?}", self.datatype, self.shape.to_wire())
    }
}

/// Which output is judged, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Index of the output.
    pub output: usize,
    /// What it is.
    pub kind: PredictionKind,
    /// Numbers per row that are judged, at least 1: probabilities, numbers, one per class for labels, or the norm of an embedding.
    pub columns: usize,
}

/// What a prediction is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PredictionKind {
    /// Probabilities of classes: one per class, or the one of the second of two classes.
    Probabilities,
    /// The class itself: its label, or its number.
    Labels,
    /// One number.
    Value,
    /// Several numbers.
    Values,
    /// A vector whose direction matters. Two of them disagree if their cosine is below this.
    Embedding(f32),
}

impl PredictionKind {
    /// Returns the name, as in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probabilities => "probabilities",
            Self::Labels => "labels",
            Self::Value => "value",
            Self::Values => "values",
            Self::Embedding(_) => "embedding",
        }
    }

    /// Returns whether what is judged only summarises the output: which class a label is, or the norm of an embedding.
    #[must_use]
    pub fn is_summarised(self) -> bool {
        matches!(self, Self::Labels | Self::Embedding(_))
    }

    /// Returns whether it is about classes.
    #[must_use]
    pub fn has_classes(self) -> bool {
        matches!(self, Self::Probabilities | Self::Labels)
    }
}

#[cfg(test)]
mod tests;
