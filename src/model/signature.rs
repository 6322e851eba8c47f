//! The signature of a version: names, types and shapes of its inputs and outputs, and the encoding of each input.

use super::{Sensitivity, payload::Datatype};

/// The inputs in the order of the network's columns, the output, and the limit on rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    inputs: Vec<Input>,
    by_name: NameIndex,
    /// The output.
    pub output: Output,
    /// Labels of the classes; empty for a regression. Two if `probability` has one column, otherwise one per column.
    pub classes: Vec<String>,
    /// The most rows of one request, at least 1.
    pub max_rows: usize,
}

impl Signature {
    /// Creates a signature. There must be at least one input, and the names of inputs must be unique.
    #[must_use]
    pub fn new(inputs: Vec<Input>, output: Output, classes: Vec<String>, max_rows: usize) -> Self {
        let by_name = NameIndex::of(inputs.iter().map(|input| input.name.as_str()));
        Self {
            inputs,
            by_name,
            output,
            classes,
            max_rows,
        }
    }

    /// Returns the inputs, in the order of the network's columns.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Returns the index of the input `name` in [`inputs`](Self::inputs).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.find(name, |at| &self.inputs[at].name)
    }

    /// Returns the width of an encoded row: the sum of the inputs' columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.inputs.iter().map(Input::columns).sum()
    }

    /// Returns the reasons why a version with the signature `other` cannot respond to clients of `self`; empty if it can.
    ///
    /// There is one line per difference in names, types and shapes, optional inputs, classes, and the most rows of a request. Encodings
    /// and allowed values may differ. The lines call `self` the first and `other` the second.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for input in &self.inputs {
            let (name, first) = (&input.name, input.description());
            match other.find(name).map(|at| other.inputs[at].description()) {
                None => lines.push(format!("input `{name}` is missing in the second")),
                Some(second) if second != first => lines.push(format!(
                    "input `{name}` is {first} in the first and {second} in the second"
                )),
                Some(_) => {}
            }
        }
        for input in &other.inputs {
            if self.find(&input.name).is_none() {
                lines.push(format!("input `{}` is missing in the first", input.name));
            }
        }
        if self.output != other.output {
            lines.push(format!(
                "the output is `{}` with {} columns in the first and `{}` with {} columns in the second",
                self.output.name, self.output.columns, other.output.name, other.output.columns
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
    /// `None`: one value per row, shape `[-1]`. `Some(n)`: n values per row, shape `[-1, n]`.
    pub width: Option<usize>,
    /// How it is encoded as columns of the network.
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
            Encoding::Cyclic { .. } => 2,
            Encoding::Ignore { .. } => 0,
        }
    }

    /// Returns the number of values per row.
    #[must_use]
    pub fn values(&self) -> usize {
        self.width.unwrap_or(1)
    }

    /// Returns whether a request may omit it.
    #[must_use]
    pub fn optional(&self) -> bool {
        match &self.encoding {
            Encoding::Numeric { missing, .. } | Encoding::Cyclic { missing, .. } => {
                missing.is_some()
            }
            Encoding::Categorical { missing, .. } => missing.is_some(),
            Encoding::Ignore { optional } => *optional,
        }
    }

    /// The most axes of a [`shape`](Self::shape).
    pub const MOST_AXES: usize = 2;

    /// Returns its shape as on the wire: -1 is the number of rows.
    #[must_use]
    pub fn shape(&self) -> Vec<i64> {
        let rows = -1;
        match self.width {
            None => vec![rows],
            Some(n) => vec![rows, i64::try_from(n).unwrap_or(i64::MAX)],
        }
    }

    /// Describes everything that a client must know about it.
    fn description(&self) -> String {
        let optional = if self.optional() { " (optional)" } else { "" };
        format!("{} {:?}{optional}", self.datatype, self.shape())
    }
}

/// How an input is encoded as columns of the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoding {
    /// One column per value: `(x - offset) * factor`.
    Numeric {
        /// One per value of a row.
        scale: Vec<Affine>,
        /// The allowed values.
        range: Option<Range>,
        /// Used for a missing value; `None`: missing values are rejected.
        missing: Option<f64>,
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
}

/// Names of categories, in the order of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Categories {
    names: Vec<String>,
    by_name: NameIndex,
}

impl Categories {
    /// Creates categories from `names`. If a name is repeated, [`find`](Self::find) may return any of its columns.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let by_name = NameIndex::of(names.iter().map(String::as_str));
        Self { names, by_name }
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
    /// Whether a value outside is moved to the nearest end. Otherwise it is rejected.
    pub clip: bool,
}

/// The output: one tensor `FP32 [rows, columns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `probability` or `value`.
    pub name: String,
    /// Width of a row, at least 1.
    pub columns: usize,
}

#[cfg(test)]
mod tests;
