//! The input and the output of a network, and the trait that a network implements.

use crate::error::ForwardError;

/// Encoded rows: `f32 [rows, columns]`, row-major, finite, at least one row.
/// Only [`Signature::encode`](super::Signature::encode) creates them from client data.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    data: Vec<f32>,
    columns: usize,
    rows: usize,
}

impl Rows {
    /// Creates `rows` rows of `columns` values from `data`. All values must be finite.
    pub(super) fn new(data: Vec<f32>, columns: usize, rows: usize) -> Self {
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

    /// Concatenates `parts`. There must be at least one part, and all must have the same width.
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

    /// Returns the width of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns all values, row-major.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }
}

/// Scores: `f32 [rows, columns]`, row-major. Row `i` is the result for input row `i`.
///
/// [`Version::forward`](super::Version::forward) returns only scores that are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    data: Vec<f32>,
    columns: usize,
}

impl Scores {
    /// Creates rows of `columns` values from `data`. For implementations of [`Model`].
    ///
    /// # Errors
    /// Returns an error if `data` is not a whole number of rows.
    pub fn new(data: Vec<f32>, columns: usize) -> Result<Self, ForwardError> {
        if columns == 0 || !data.len().is_multiple_of(columns) {
            let values = data.len();
            let message = format!("{values} scores are not a whole number of rows of {columns}");
            return Err(ForwardError::Failed(message));
        }
        Ok(Self { data, columns })
    }

    /// Returns the width of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the rows, in the order of the request.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.columns)
    }

    /// Splits off one part per length in `lengths`, in rows, from the first row on. Parts beyond the last row are left out.
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

    /// Returns all values, row-major.
    pub(super) fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// Returns all values, row-major, without a copy.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }
}

/// A network with its weights.
///
/// It is immutable: a new version is a new value, so a request that holds one gets consistent scores while the split changes.
/// Calls may block; the network knows no Tokio.
pub trait Model: Send + Sync + 'static {
    /// Returns the multiply-adds of one row. Callers use it to choose the thread for a forward pass.
    fn cost_per_row(&self) -> usize;

    /// Scores all rows in one forward pass.
    ///
    /// `rows` is as wide as the columns of the signature. The result has as many rows, each as wide as the output; they are
    /// probabilities for heads `sigmoid` and `softmax`. A row has the same scores alone and in a batch, within 1e-6.
    ///
    /// # Errors
    /// An error fails the whole batch. A retry is useless: the same weights fail again.
    fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError>;
}

/// The most probable class of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopClass {
    /// Index into [`Signature::classes`](super::Signature::classes).
    pub index: usize,
    /// Its probability, 0 to 1.
    pub probability: f32,
}
