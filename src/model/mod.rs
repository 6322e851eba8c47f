//! What a version is: its manifest, its signature, how inputs become columns, and the network that scores them.
//!
//! A [`Version`] is loaded once by [`load_with`], which verifies everything that can be verified without traffic: digests,
//! tensors, shapes, finite weights, golden requests. After that it never changes and never fails for a reason that
//! loading could have found. One file a format; candle is used here and in [`train`](crate::train), nowhere else.
//! Not here: which versions exist ([`registry`](crate::registry)), which one answers ([`serving`](crate::serving)).

pub mod manifest;
pub mod payload;

mod dense;
mod encode;
mod load;
mod open;
mod sensitivity;
mod signature;

#[cfg(test)]
pub(crate) mod samples;

pub use encode::{Observe, Observed};
pub use load::{Pace, Phase, Version, load, load_with, needs};
pub use manifest::Manifest;
pub use sensitivity::Sensitivity;
pub use signature::{Affine, Categories, Encoding, Input, Output, Range, Signature};

use crate::error::ForwardError;

/// Encoded rows: `f32 [rows, columns]`, row-major, finite, at least one row. Made by [`Signature::encode`] only.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    data: Vec<f32>,
    columns: usize,
    rows: usize,
}

impl Rows {
    /// `data` holds `rows` rows of `columns` values, all finite.
    fn new(data: Vec<f32>, columns: usize, rows: usize) -> Self {
        debug_assert!(
            rows > 0 && data.len() == rows * columns,
            "an encoded batch is a full matrix"
        );
        Self {
            data,
            columns,
            rows,
        }
    }

    /// The rows of all `parts`, at least one, in their order; all of one width.
    pub(crate) fn joined(parts: &[&Self]) -> Self {
        let columns = parts.first().map_or(0, |part| part.columns);
        debug_assert!(
            parts.iter().all(|part| part.columns == columns),
            "of one signature"
        );
        let data: Vec<f32> = parts.iter().flat_map(|part| &part.data).copied().collect();
        let rows = parts.iter().map(|part| part.rows).sum();
        Self::new(data, columns, rows)
    }

    /// Number of rows, at least 1.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Never; here because a `len` asks for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Width of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row-major.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }
}

/// Answers: `f32 [rows, columns]`, row-major; row `i` answers input row `i`. Finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    data: Vec<f32>,
    columns: usize,
}

impl Scores {
    /// `data` read as rows of `columns` values. For implementations of [`Model`].
    ///
    /// # Errors
    /// `data` is not a whole number of rows.
    pub fn new(data: Vec<f32>, columns: usize) -> Result<Self, ForwardError> {
        if columns == 0 || !data.len().is_multiple_of(columns) {
            let values = data.len();
            let message = format!("an answer of {values} values is no table of {columns} columns");
            return Err(ForwardError::Failed(message));
        }
        Ok(Self { data, columns })
    }

    /// Columns of the output.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows, in the order of the request.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.columns)
    }

    /// So many rows each, from the first on; what is missing is left out.
    pub(crate) fn split(&self, lengths: &[usize]) -> Vec<Self> {
        let mut rest = &self.data[..];
        let part = |rows: &usize| {
            let (data, after) = rest.split_at_checked(rows * self.columns)?;
            rest = after;
            let (data, columns) = (data.to_vec(), self.columns);
            Some(Self { data, columns })
        };
        lengths.iter().map_while(part).collect()
    }

    /// All values, row-major, without copying them.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }
}

/// A network with its weights. Immutable: a new version is a new value, so a request that holds one keeps its answers
/// while the split moves on. May block; knows no Tokio.
pub trait Model: Send + Sync + 'static {
    /// Multiply-adds of one row: what a caller weighs when it decides on which thread to run.
    fn cost_per_row(&self) -> usize;

    /// Scores all rows in one forward pass.
    ///
    /// `rows` has the width of the signature's columns. The answer has as many rows, each of the output's columns:
    /// probabilities for heads sigmoid and softmax. A row alone gets the same answer as in a batch, to 1e-6.
    ///
    /// # Errors
    /// Any error fails the whole batch. Never worth a retry: the same weights fail again.
    fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError>;
}

/// The most probable class of one row: index into [`Signature::classes`], and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopClass {
    /// Which class.
    pub index: usize,
    /// 0 to 1.
    pub probability: f32,
}
