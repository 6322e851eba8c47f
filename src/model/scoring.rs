//! What a forward pass returns, and the trait that a model implements.

use super::batch::{Batch, Value};
use super::encode::each_number;
use super::payload::{Datatype, TensorData};
use super::signature::{Output, Signature};
use crate::error::ForwardError;

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

    /// Returns the tensor of the output that these values are.
    pub(super) fn into_tensor(self, output: &Output) -> Value {
        let mut shape = vec![self.rows().len()];
        shape.extend(output.shape.axes.iter().map(|_| self.columns));
        let data = match output.datatype {
            Datatype::Fp64 => self.to_data(Datatype::Fp64),
            _ => TensorData::Fp32(self.data),
        };
        Value { shape, data }
    }

    /// Returns all values, row-major, as elements of type `datatype`: FP64, and FP32 for every other type.
    fn to_data(&self, datatype: Datatype) -> TensorData {
        match datatype {
            Datatype::Fp64 => TensorData::Fp64(self.data.iter().copied().map(f64::from).collect()),
            _ => TensorData::Fp32(self.data.clone()),
        }
    }

    /// Returns all values, row-major.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// Returns all values, row-major, without a copy.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }
}

/// What a model returns for a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Outputs {
    /// The only output, which is judged.
    Scores(Scores),
    /// All outputs, in the order of the signature.
    Tensors(Vec<Value>),
}

impl Outputs {
    /// Returns rows of `columns` scores as the only output. See [`Scores::new`].
    ///
    /// # Errors
    /// Returns an error if `data` is not a whole number of rows.
    pub fn scores(data: Vec<f32>, columns: usize) -> Result<Self, ForwardError> {
        Scores::new(data, columns).map(Self::Scores)
    }
}

/// The result of a forward pass: what is judged of it, and all outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// What is judged, one row per row of the request.
    pub scores: Scores,
    /// All outputs, in the order of the signature; `None` if `scores` is the only output.
    pub tensors: Option<Vec<Value>>,
    /// Index of the output that is judged if `scores` only summarise it: labels and embeddings.
    pub summarised: Option<usize>,
}

impl Pass {
    /// Splits off one part per length in `lengths`, in rows, from the first row on. Parts beyond the last row are left out.
    pub(crate) fn split(self, lengths: &[usize]) -> Vec<Self> {
        let mut first = 0;
        let parts = self.scores.split(lengths).into_iter().zip(lengths);
        let parts = parts.map(|(scores, rows)| {
            let tensors = self.tensors.as_ref();
            let tensors = tensors.map(|all| all.iter().map(|one| one.rows(first, *rows)).collect());
            first += rows;
            Self {
                scores,
                tensors,
                summarised: self.summarised,
            }
        });
        parts.collect()
    }

    /// Returns a copy of what is judged, without the other outputs.
    #[must_use]
    pub(crate) fn judged(&self) -> Self {
        let summarised = self.summarised_output();
        Self {
            scores: self.scores.clone(),
            tensors: summarised.map(|output| vec![output.clone()]),
            summarised: summarised.map(|_| 0),
        }
    }

    /// Returns the output that is judged if [`scores`](Self::scores) only summarise it: the labels, or the vectors of an embedding.
    #[must_use]
    pub fn summarised_output(&self) -> Option<&Value> {
        self.tensors.as_ref()?.get(self.summarised?)
    }

    /// Returns the outputs with their elements, in the order of the signature.
    pub fn outputs<'a>(
        &'a self,
        signature: &'a Signature,
    ) -> impl ExactSizeIterator<Item = OutputTensor<'a>> {
        signature.outputs().iter().enumerate().map(|(at, output)| {
            let tensor = self.tensors.as_ref().and_then(|tensors| tensors.get(at));
            let content = tensor.map_or(OutputContent::Scores(&self.scores), OutputContent::Tensor);
            OutputTensor { output, content }
        })
    }
}

/// One output with its elements.
#[derive(Clone, Copy, Debug)]
pub struct OutputTensor<'a> {
    /// Its name, type and shape in the signature.
    pub output: &'a Output,
    /// Its elements.
    pub content: OutputContent<'a>,
}

/// The elements of an output.
#[derive(Clone, Copy, Debug)]
pub enum OutputContent<'a> {
    /// The scores, to be written as the datatype of the output, FP32 or FP64.
    Scores(&'a Scores),
    /// The tensor, of the datatype of the output.
    Tensor(&'a Value),
}

impl OutputTensor<'_> {
    /// Returns the length of each axis.
    #[must_use]
    pub fn shape(&self) -> Vec<i64> {
        let axis = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        match self.content {
            OutputContent::Tensor(tensor) => tensor.shape.iter().copied().map(axis).collect(),
            OutputContent::Scores(scores) if self.output.shape.axes.is_empty() => {
                vec![axis(scores.as_slice().len())]
            }
            OutputContent::Scores(scores) => {
                vec![axis(scores.rows().len()), axis(scores.columns())]
            }
        }
    }

    /// Returns the elements of row `at` of `rows`; all elements if the output has no rows. `None` if there is no such row.
    #[must_use]
    pub fn row(&self, at: usize, rows: usize) -> Option<TensorData> {
        match self.content {
            OutputContent::Scores(scores) => {
                let row = scores.rows().nth(at)?.to_vec();
                let columns = scores.columns();
                Some(Scores { data: row, columns }.to_data(self.output.datatype))
            }
            OutputContent::Tensor(tensor) if self.output.shape.batched => {
                let per_row = tensor.data.len() / rows.max(1);
                (at < rows).then(|| tensor.data.slice(at * per_row, per_row))
            }
            OutputContent::Tensor(tensor) => Some(tensor.data.clone()),
        }
    }

    /// Returns the elements as f32; `None` if they are not numbers.
    #[must_use]
    pub fn numbers(&self) -> Option<Vec<f32>> {
        match self.content {
            OutputContent::Scores(scores) => Some(scores.as_slice().to_vec()),
            OutputContent::Tensor(tensor) => {
                let mut numbers = Vec::with_capacity(tensor.data.len());
                each_number(&tensor.data, |x| numbers.push(x));
                (numbers.len() == tensor.data.len()).then_some(numbers)
            }
        }
    }

    /// Returns a copy of the elements, of the datatype of the output.
    #[must_use]
    pub fn data(&self) -> TensorData {
        match self.content {
            OutputContent::Tensor(tensor) => tensor.data.clone(),
            OutputContent::Scores(scores) => scores.to_data(self.output.datatype),
        }
    }
}

/// A model with its weights.
///
/// It is immutable: a new version is a new value, so a request that holds one gets consistent answers while the split changes.
/// Calls may block; the model knows no Tokio.
pub trait Model: Send + Sync + 'static {
    /// Returns the multiply-adds of one row, or something of that order. It counts only until a pass has been measured.
    fn cost_per_row(&self) -> usize;

    /// Returns the bytes of its weights in memory; `None` if they take as many as their file.
    fn weight_bytes(&self) -> Option<u64> {
        None
    }

    /// Returns whether rows of several requests may share a pass. Otherwise each request has a pass of its own.
    fn joins_requests(&self) -> bool {
        true
    }

    /// Scores all rows in one forward pass.
    ///
    /// `batch` is what the signature encoded. The result has as many rows. Of a model that joins requests, a row has the same answer
    /// alone and in a batch, within 1e-6.
    ///
    /// # Errors
    /// An error fails the whole batch. A retry is useless: the same weights fail again.
    fn forward(&self, batch: &Batch) -> Result<Outputs, ForwardError>;
}

/// The most probable class of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopClass {
    /// Index into [`Signature::classes`](super::Signature::classes).
    pub index: usize,
    /// Its probability, 0 to 1.
    pub probability: f32,
}
