//! Encodes the input of a request as rows of the network. This is the only validation of input.
//!
//! [`Signature::encode`] reports every fault by its field; a [`Rows`] has passed all checks. Tensors and named rows of the same values
//! are encoded as the same bits. Training uses the same code as serving. Values are scaled in f64 and rounded once, to f32.
//! Not here: how values are represented on the wire (`api`), and the rules of a version (the manifest).

mod names;
mod observe;
mod rows;
mod tensors;
mod value;

pub use observe::{Observe, Observed};
pub(super) use value::format_number;

#[cfg(test)]
mod tests;

use super::payload::Payload;
use super::scoring::Rows;
use super::signature::{Affine, Range, Signature};
use crate::error::{InputFault, InputFaults};

impl Signature {
    /// Checks `payload` and encodes it.
    ///
    /// # Errors
    /// Returns all faults, by field: `tensors[temp][3]`, `tensors[temp].shape`, `rows[3].temp`, `rows`.
    pub fn encode(&self, payload: &Payload) -> Result<Rows, InputFaults> {
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
    ) -> Result<Rows, InputFaults> {
        match payload {
            Payload::Tensors(tensors) => tensors::encode(self, tensors, observer),
            Payload::Rows(rows) => rows::encode(self, rows, observer),
        }
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

impl Affine {
    /// Returns `(x - offset) * factor`.
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        (x - self.offset) * self.factor
    }
}

impl Range {
    /// Returns whether `x` is inside the range; false for NaN.
    #[must_use]
    pub fn contains(&self, x: f64) -> bool {
        self.min <= x && x <= self.max
    }
}
