//! What a version takes and gives: names, types and shapes, and how each input becomes columns of the network.

use super::{Sensitivity, payload::Datatype};

/// The inputs in the order of the network's columns, the one output, and the limit on rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    inputs: Vec<Input>,
    by_name: ByName,
    /// What an answer holds.
    pub output: Output,
    /// Labels of the classes; empty for a regression. Two for one column of `probability`, else one per column.
    pub classes: Vec<String>,
    /// Rows that one request may hold, at least 1.
    pub max_rows: usize,
}

impl Signature {
    /// What takes `inputs`, at least one and of unique names, and gives `output`. `classes` and `max_rows` as the fields.
    #[must_use]
    pub fn new(inputs: Vec<Input>, output: Output, classes: Vec<String>, max_rows: usize) -> Self {
        let by_name = ByName::of(inputs.iter().map(|input| input.name.as_str()));
        Self {
            inputs,
            by_name,
            output,
            classes,
            max_rows,
        }
    }

    /// In the order of the network's columns.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Place of the input `name` among [`inputs`](Self::inputs).
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.find(name, |at| &self.inputs[at].name)
    }

    /// Width of an encoded row: the sum of the inputs' columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.inputs.iter().map(Input::columns).sum()
    }

    /// Why a client of `self` could not be answered by a version with `other`: one line per difference in names, types,
    /// shapes, in what may be left out, in classes or in the most rows of a request. How values become columns, and which
    /// values are allowed, is the version's own business. Empty: they fit.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for input in &self.inputs {
            match other.find(&input.name).map(|at| &other.inputs[at]) {
                None => lines.push(format!("input `{}` is missing", input.name)),
                Some(theirs) if theirs.tensor() != input.tensor() => lines.push(format!(
                    "input `{}` is {} there and {} here",
                    input.name,
                    theirs.tensor(),
                    input.tensor()
                )),
                Some(_) => {}
            }
        }
        for theirs in &other.inputs {
            if self.find(&theirs.name).is_none() {
                lines.push(format!("input `{}` is surplus", theirs.name));
            }
        }
        if self.output != other.output {
            lines.push(format!(
                "output is `{}` with {} columns there and `{}` with {} columns here",
                other.output.name, other.output.columns, self.output.name, self.output.columns
            ));
        }
        let (here, there) = (&self.classes, &other.classes);
        if here.len() != there.len() {
            let (theirs, ours) = (there.len(), here.len());
            lines.push(format!("classes are {theirs} there and {ours} here"));
        } else if let Some(at) = (0..here.len()).find(|at| here[*at] != there[*at]) {
            // The first is enough to see what was mixed up; there may be thousands.
            let (theirs, ours) = (&there[at], &here[at]);
            lines.push(format!("class {at} is {theirs:?} there and {ours:?} here"));
        }
        if self.max_rows != other.max_rows {
            lines.push(format!(
                "a request may hold {} rows there and {} here",
                other.max_rows, self.max_rows
            ));
        }
        lines
    }
}

/// One input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub datatype: Datatype,
    /// `None`: one value a row, shape `[-1]`. `Some(n)`: n values a row, shape `[-1, n]`.
    pub width: Option<usize>,
    /// How it enters the network.
    pub encoding: Encoding,
    /// What may be kept of its values.
    pub sensitive: Sensitivity,
}

impl Input {
    /// Whether its values must not be shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.sensitive.is_sensitive()
    }

    /// Columns of the network that it fills.
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

    /// Values per row.
    #[must_use]
    pub fn values(&self) -> usize {
        self.width.unwrap_or(1)
    }

    /// Whether a request may leave it out.
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

    /// Axes of the longest [`shape`](Self::shape).
    pub const MOST_AXES: usize = 2;

    /// Its shape as the wire gives it: -1 stands for the number of rows.
    #[must_use]
    pub fn shape(&self) -> Vec<i64> {
        let rows = -1;
        match self.width {
            None => vec![rows],
            Some(n) => vec![rows, i64::try_from(n).unwrap_or(i64::MAX)],
        }
    }

    /// All that a client must know of it.
    fn tensor(&self) -> String {
        let optional = if self.optional() {
            " that may be left out"
        } else {
            ""
        };
        format!("{} {:?}{optional}", self.datatype, self.shape())
    }
}

/// How an input becomes columns of the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoding {
    /// Each value becomes one column, `(x - offset) * factor`.
    Numeric {
        /// One per value of a row.
        scale: Vec<Affine>,
        /// Values that are allowed.
        range: Option<Range>,
        /// Stands in for a missing value; `None`: refused.
        missing: Option<f64>,
    },
    /// One-hot.
    Categorical {
        /// Known categories, one column each.
        categories: Categories,
        /// Unknown categories get one more column; otherwise they are refused.
        unknown_bucket: bool,
        /// Stands in for a missing value; `None`: refused.
        missing: Option<String>,
    },
    /// `sin(2 pi x / period)`, `cos(2 pi x / period)`.
    Cyclic {
        /// Length of one turn, more than 0.
        period: f64,
        /// Values that are allowed.
        range: Option<Range>,
        /// Stands in for a missing value; `None`: refused.
        missing: Option<f64>,
    },
    /// Type-checked and not used.
    Ignore {
        /// Whether it may be missing.
        optional: bool,
    },
}

/// Distinct texts in the order of their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Categories {
    names: Vec<String>,
    by_name: ByName,
}

impl Categories {
    /// The categories; of equal names any one is found.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let by_name = ByName::of(names.iter().map(String::as_str));
        Self { names, by_name }
    }

    /// The names, one per column.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Column of `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.find(name, |at| &self.names[at])
    }
}

/// Places of a list in the order of their names, so that a name is found by halving.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ByName(Vec<usize>);

impl ByName {
    fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let names: Vec<_> = names.collect();
        let mut places: Vec<usize> = (0..names.len()).collect();
        places.sort_by_key(|at| names[*at]);
        Self(places)
    }

    /// Place of `name` in the list whose names `name_at` tells.
    fn find<'n>(&self, name: &str, name_at: impl Fn(usize) -> &'n str) -> Option<usize> {
        let found = self.0.binary_search_by(|at| name_at(*at).cmp(name));
        found.ok().map(|at| self.0[at])
    }
}

/// `(x - offset) * factor`, in f64, then rounded to f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Subtracted first.
    pub offset: f64,
    /// Multiplied then.
    pub factor: f64,
}

/// Allowed values, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest.
    pub min: f64,
    /// The largest, not below `min`.
    pub max: f64,
    /// A value outside is moved to the nearest end; otherwise it is refused.
    pub clip: bool,
}

/// The answer's one tensor: `FP32 [rows, columns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `probability` or `value`.
    pub name: String,
    /// At least 1.
    pub columns: usize,
}

#[cfg(test)]
mod tests;
