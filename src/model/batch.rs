//! The encoded input of a forward pass.

use super::payload::TensorData;

/// Encoded rows of one or several requests, at least one row: a matrix, or one tensor per input.
/// Only [`Signature::encode`](super::Signature::encode) creates one from client data.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    rows: usize,
    content: Content,
}

/// What a model computes with.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A matrix of f32, row-major. Finite, except that NaN stands for a missing value where the encoding allows it.
    Single(Vec<f32>),
    /// A matrix of f64, as `Single`.
    Double(Vec<f64>),
    /// One tensor per input that the model uses, in the order of the signature.
    Tensors(Vec<Value>),
}

/// A tensor without a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Length of each axis. The first is the number of rows, if the tensor has rows.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: TensorData,
}

impl Batch {
    /// Creates a batch of `rows` rows.
    pub(crate) fn new(content: Content, rows: usize) -> Self {
        debug_assert!(
            rows > 0
                && content
                    .values()
                    .is_none_or(|values| values.is_multiple_of(rows)),
            "an encoded batch is a full matrix"
        );
        Self { rows, content }
    }

    /// Concatenates `parts`. There must be at least one part, and all must be of one signature.
    pub(crate) fn joined(parts: &[&Self]) -> Self {
        let rows = parts.iter().map(|part| part.rows).sum();
        let content = match parts.first().map(|part| &part.content) {
            None => Content::Single(Vec::new()),
            Some(Content::Single(_)) => Content::Single(concatenated(parts, Self::as_slice)),
            Some(Content::Double(_)) => Content::Double(concatenated(parts, Self::as_doubles)),
            Some(Content::Tensors(first)) => {
                let join = |at: usize| {
                    let values = parts.iter().filter_map(|part| part.tensors().get(at));
                    Value::joined(&values.collect::<Vec<_>>())
                };
                Content::Tensors((0..first.len()).map(join).collect())
            }
        };
        Self { rows, content }
    }

    /// Returns whether `parts` can be [joined](Self::joined): whether their tensors have the same axes beside the rows.
    pub(crate) fn can_join(parts: &[&Self]) -> bool {
        let axes = |part: &Self| -> Vec<Vec<usize>> {
            let tensors = part.tensors().iter();
            tensors
                .map(|one| one.shape.iter().skip(1).copied().collect())
                .collect()
        };
        match parts.split_first() {
            Some((first, others)) if !first.tensors().is_empty() => {
                let wanted = axes(first);
                others.iter().all(|other| axes(other) == wanted)
            }
            _ => true,
        }
    }

    /// Returns the number of rows, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Returns false: there is always a row. Present because clippy expects it beside `len`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Returns the width of a row of the matrix; 0 if the batch consists of tensors.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.content.values().unwrap_or(0) / self.rows.max(1)
    }

    /// Returns the content.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Returns the values of a matrix of f32, row-major; none for other batches.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        match &self.content {
            Content::Single(values) => values,
            _ => &[],
        }
    }

    /// Returns the values of a matrix of f64, row-major; none for other batches.
    #[must_use]
    pub fn as_doubles(&self) -> &[f64] {
        match &self.content {
            Content::Double(values) => values,
            _ => &[],
        }
    }

    /// Returns the tensors; none for a matrix.
    #[must_use]
    pub fn tensors(&self) -> &[Value] {
        match &self.content {
            Content::Tensors(tensors) => tensors,
            _ => &[],
        }
    }

    /// Returns a batch of `times` copies of the first row. Tensors of which `has_rows` is false stay as they are; it is called with the
    /// index of each tensor.
    pub(super) fn repeated(&self, times: usize, has_rows: impl Fn(usize) -> bool) -> Self {
        let content = match &self.content {
            Content::Single(values) => Content::Single(values[..self.columns()].repeat(times)),
            Content::Double(values) => Content::Double(values[..self.columns()].repeat(times)),
            Content::Tensors(tensors) => {
                let copies = |(at, value): (usize, &Value)| {
                    if !has_rows(at) {
                        return value.clone();
                    }
                    Value::joined(&vec![&value.rows(0, 1); times])
                };
                Content::Tensors(tensors.iter().enumerate().map(copies).collect())
            }
        };
        Self {
            rows: times,
            content,
        }
    }
}

impl Content {
    /// Returns the number of values of a matrix.
    fn values(&self) -> Option<usize> {
        match self {
            Self::Single(values) => Some(values.len()),
            Self::Double(values) => Some(values.len()),
            Self::Tensors(_) => None,
        }
    }
}

impl Value {
    /// Concatenates `parts` along their first axes. There must be at least one part, and all must have one type and equal other axes.
    pub(crate) fn joined(parts: &[&Self]) -> Self {
        let mut shape = parts
            .first()
            .map_or_else(Vec::new, |part| part.shape.clone());
        if let Some(rows) = shape.first_mut() {
            *rows = parts.iter().filter_map(|part| part.shape.first()).sum();
        }
        let data = TensorData::joined(&parts.iter().map(|part| &part.data).collect::<Vec<_>>());
        Self { shape, data }
    }

    /// Returns `count` rows from row `first` on.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Self {
        let per_row: usize = self.shape.iter().skip(1).product();
        let mut shape = self.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = count;
        }
        let data = self.data.slice(first * per_row, count * per_row);
        Self { shape, data }
    }
}

fn concatenated<T: Copy>(parts: &[&Batch], values: impl Fn(&Batch) -> &[T]) -> Vec<T> {
    let all = parts.iter().flat_map(|part| values(part));
    all.copied().collect()
}
