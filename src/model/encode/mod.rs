//! From what a caller sends to the rows of the network: the one validation of input.
//!
//! [`Signature::encode`] looks at everything that can be wrong and names it; a [`Rows`] is what has passed. Tensors and
//! named rows of the same values give the same bits, and training goes the same way as serving. Values are scaled in
//! f64 and rounded once, to f32.
//! Not here: how values arrive on a wire (`api`), and what the rules of a version are (the manifest).

mod names;
mod observe;
mod rows;
mod tensors;
mod value;

pub use observe::{Observe, Observed};
pub(super) use value::shown;

#[cfg(test)]
mod tests;

use super::Rows;
use super::payload::Payload;
use super::signature::{Affine, Range, Signature};
use crate::error::{InputFault, InputFaults};

impl Signature {
    /// Checks `payload` and turns it into columns.
    ///
    /// # Errors
    /// Everything that is wrong, by field: `tensors[temp][3]`, `tensors[temp].shape`, `rows[3].temp`, `rows`.
    pub fn encode(&self, payload: &Payload) -> Result<Rows, InputFaults> {
        self.encode_with(payload, &mut ())
    }

    /// As [`encode`](Self::encode), and tells `observer` what every cell held.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); what the observer was told by then is of no use.
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

    /// Whether a request may have that many rows.
    fn takes(&self, rows: usize, field: &str, faults: &mut InputFaults) -> bool {
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
    /// `(x - offset) * factor`
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        (x - self.offset) * self.factor
    }
}

impl Range {
    /// Whether `x` lies inside. Never for NaN.
    #[must_use]
    pub fn holds(&self, x: f64) -> bool {
        self.min <= x && x <= self.max
    }
}
