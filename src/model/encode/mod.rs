//! Encodes the input of a request for the model: as rows of a matrix, or as tensors. This is the only validation of input.
//!
//! [`Signature::encode`] reports every fault by its field; a [`Batch`] has passed all checks. Values are converted to the datatypes of
//! their inputs. Tensors and named rows of the same values are encoded as the same bits. Training uses the same code as serving. Values
//! are scaled in f64 and rounded once, to the type of the matrix.
//! Not here: how values are represented on the wire (`api`), and the rules of a version (the manifest).

mod elements;
mod names;
mod observe;
mod passthrough;
mod rows;
mod tensors;
mod value;

pub(super) use elements::{each_label, each_number};
pub use observe::{Observe, Observed};
pub(super) use value::{as_datatype, format_number};

#[cfg(test)]
mod tests;

use super::batch::{Batch, Content, Value};
use super::payload::{Datatype, Payload, TensorData};
use super::signature::{Affine, Input, Outside, Range, Signature, Target};
use crate::error::{InputFault, InputFaults};

impl Signature {
    /// Checks `payload` and encodes it.
    ///
    /// # Errors
    /// Returns all faults, by field: `tensors[temp][3]`, `tensors[temp].shape`, `rows[3].temp`, `rows`.
    pub fn encode(&self, payload: &Payload) -> Result<Batch, InputFaults> {
        self.encode_with(payload, &mut ())
    }

    /// Checks `payload` and encodes it, like [`encode`](Self::encode), and passes every cell to `observer`.
    ///
    /// # Errors
    /// Returns the errors of [`encode`](Self::encode). Discard what was observed then.
    pub fn encode_with(
        &self,
        payload: &Payload,
        observer: &mut impl Observe,
    ) -> Result<Batch, InputFaults> {
        match payload {
            Payload::Tensors(tensors) => tensors::encode(self, tensors, observer),
            Payload::Rows(rows) => rows::encode(self, rows, observer),
        }
    }

    /// Returns one row in which every value is `number`, 0 or 1, and every text is empty. Axes of any length have length 1.
    pub(super) fn example(&self, number: u8) -> Batch {
        let content = match self.target {
            Target::Single => Content::Single(vec![number.into(); self.columns()]),
            Target::Double => Content::Double(vec![number.into(); self.columns()]),
            Target::Tensors => {
                let used = self.inputs().iter().filter(|input| input.is_used());
                Content::Tensors(used.map(|input| input.example(number)).collect())
            }
        };
        Batch::new(content, 1)
    }

    /// Returns whether a request may have `rows` rows, or adds a fault.
    fn accepts_rows(&self, rows: usize, field: &str, faults: &mut InputFaults) -> bool {
        let fits = (1..=self.max_rows).contains(&rows);
        if !fits {
            faults.add_with(|| InputFault {
                field: field.into(),
                got: format!("{rows} rows"),
                wanted: format!("1 to {} rows", self.max_rows),
            });
        }
        fits
    }
}

impl Input {
    /// Returns a tensor of one row, in which every value is `number`, 0 or 1, or an empty text.
    fn example(&self, number: u8) -> Value {
        let axes = self.shape.axes.iter().map(|axis| axis.unwrap_or(1));
        let rows = self.shape.batched.then_some(1);
        let shape: Vec<usize> = rows.into_iter().chain(axes).collect();
        let count: usize = shape.iter().product();
        let mut data = TensorData::with_capacity(self.datatype, count);
        let element = match self.datatype {
            Datatype::Bool => value::Value::Bool(number == 1),
            Datatype::Bytes => value::Value::Text(""),
            datatype if datatype.is_integer() => value::Value::Integer(number.into()),
            _ => value::Value::Number(number.into()),
        };
        (0..count).for_each(|_| elements::push(&mut data, element));
        Value { shape, data }
    }
}

impl Affine {
    /// Returns `(x - offset) * factor`.
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        (x - self.offset) * self.factor
    }
}

impl Range {
    /// Returns whether `x` is inside the range, or need not be.
    #[must_use]
    pub fn admits(&self, x: f64) -> bool {
        self.outside == Outside::Accept || self.contains(x)
    }

    /// Returns whether `x` is inside the range; false for NaN.
    #[must_use]
    pub fn contains(&self, x: f64) -> bool {
        self.min <= x && x <= self.max
    }
}
