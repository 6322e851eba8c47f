//! What is known of a value before any request: its type, its shape, and how it depends on the rows of a request.

use std::sync::Arc;

use super::value::Value;
use crate::model::payload::Datatype;

/// What is known of a value when the file is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    /// Type of the elements. Never FP16 or BF16: such tensors are computed as FP32.
    pub(crate) datatype: Datatype,
    /// Length of each axis; `None` if even the rank is unknown.
    pub(crate) shape: Option<Vec<Dim>>,
    /// How it depends on the rows of the request.
    pub(crate) rows: Rows,
    /// What its elements are, if its operator determines it.
    pub(crate) meaning: Meaning,
    /// The classes: of labels, those that occur; otherwise the classes of its columns, in their order.
    pub(crate) classes: Option<Arc<Classes>>,
    /// The elements of a short tensor of integers that is computed from shapes. Set by the operators of shapes only.
    pub(super) integers: Option<Vec<Integer>>,
}

/// The length of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dim {
    /// The same in every request.
    Fixed(usize),
    /// The number of rows of the request: the length of axis 0 of every input of the graph, unless that is fixed.
    Rows,
    /// Another length that differs between requests. The same number means the same length.
    Symbol(u32),
    /// Nothing is known.
    Unknown,
}

/// How a value depends on the rows of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Not at all.
    None,
    /// It has one part per row along this axis, which depends only on that row.
    Axis(usize),
    /// On their number, or in a way that may mix rows.
    Mixed,
}

/// What the elements of a value are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Probabilities that add up to 1 along the last axis.
    Probabilities,
    /// Values between 0 and 1, each from a logistic function.
    Logistic,
    /// A class per row.
    Labels,
}

/// The classes that a model distinguishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Classes {
    /// Named by texts.
    Texts(Vec<String>),
    /// Named by integers.
    Integers(Vec<i64>),
}

/// An integer that is computed from shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integer {
    /// The same in every request.
    Known(i64),
    /// The length of an axis; not [`Dim::Fixed`].
    Length(Dim),
}

impl Fact {
    /// Creates a fact about a value of which no more is known than type, shape and dependence on rows.
    pub(crate) fn new(datatype: Datatype, shape: Option<Vec<Dim>>, rows: Rows) -> Self {
        Self {
            datatype,
            shape,
            rows,
            meaning: Meaning::Unknown,
            classes: None,
            integers: None,
        }
    }

    /// Creates the fact about an output of which each row depends only on the same row of the inputs, and that has its rows on axis
    /// 0 of `shape`. `inputs` are all inputs of the operator that are not constants; if one of them does not have its rows on axis
    /// 0, the output is [`Rows::Mixed`].
    pub(crate) fn row_by_row<'a>(
        datatype: Datatype,
        shape: Vec<Dim>,
        inputs: impl IntoIterator<Item = &'a Fact>,
    ) -> Self {
        let mut rows = Rows::None;
        for input in inputs {
            rows = match (rows, input.rows) {
                (rows, Rows::None) => rows,
                (Rows::None | Rows::Axis(0), Rows::Axis(0)) => Rows::Axis(0),
                _ => Rows::Mixed,
            };
        }
        Self::new(datatype, Some(shape), rows)
    }

    /// Creates the fact about a constant.
    pub(crate) fn of(value: &Value) -> Self {
        let shape = value.shape().iter().map(|length| Dim::Fixed(*length));
        Self::new(value.datatype(), Some(shape.collect()), Rows::None)
    }

    /// Returns the fact with the given meaning.
    #[must_use]
    pub(crate) fn with_meaning(self, meaning: Meaning) -> Self {
        Self { meaning, ..self }
    }

    /// Returns the fact with the given classes.
    #[must_use]
    pub(crate) fn with_classes(self, classes: Option<Arc<Classes>>) -> Self {
        Self { classes, ..self }
    }

    /// Returns the number of axes, if known.
    pub(crate) fn rank(&self) -> Option<usize> {
        self.shape.as_ref().map(Vec::len)
    }

    /// Returns the length of an axis, [`Dim::Unknown`] if the rank is unknown or not above `axis`.
    pub(crate) fn dim(&self, axis: usize) -> Dim {
        let dim = self.shape.as_ref().and_then(|shape| shape.get(axis));
        dim.copied().unwrap_or(Dim::Unknown)
    }

    /// Returns the shape if every length is fixed.
    pub(crate) fn fixed_shape(&self) -> Option<Vec<usize>> {
        self.shape.as_ref()?.iter().map(|dim| dim.fixed()).collect()
    }

    /// Returns the elements per row, where an unknown length counts as 1. For estimates of cost only.
    pub(crate) fn elements_per_row(&self) -> usize {
        let shape = self.shape.as_deref().unwrap_or_default();
        let lengths = shape.iter().filter_map(|dim| dim.fixed());
        lengths.fold(1, usize::saturating_mul)
    }
}

impl Dim {
    /// Returns the length if it is fixed.
    pub(crate) fn fixed(self) -> Option<usize> {
        match self {
            Self::Fixed(length) => Some(length),
            _ => None,
        }
    }

    /// Returns whether two lengths are certainly equal.
    pub(crate) fn equals(self, other: Self) -> bool {
        self == other && self != Self::Unknown
    }
}
