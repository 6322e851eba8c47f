//! The fast evaluator of ensembles of decision trees.
//!
//! [`Forest::new`] validates an [`Ensemble`] and lays it out. [`Forest::sum`] then passes rows through it:
//!
//! - Each value of a row becomes one or more [keys](key), unsigned integers in the order of the numbers. One comparison of keys then
//!   covers every condition and every treatment of missing values ([`columns`]). Conditions that are not one comparison, such as sets
//!   of categories, become a small tree of comparisons ([`edges`]).
//! - Trees of a small depth are laid out as complete trees ([`shallow`]), all others as nodes with links ([`linked`]). A row goes
//!   through eight trees at once.
//! - The values of the leaves are added in the order of the trees ([`leaves`]).
//!
//! Invariant: the sums of a row do not depend on the other rows of a call, bit for bit.
//! Not here: what the sums mean ([`Link`](super::Link)), and the types of inputs ([`Feature`](super::Feature)).

mod build;
mod check;
mod columns;
mod edges;
mod key;
mod layout;
mod leaves;
mod linked;
#[cfg(test)]
mod naive;
mod shallow;
#[cfg(test)]
mod tests;
mod window;

use layout::Layout;

use super::Ensemble;
use crate::model::format::FormatFault;

/// Trees that a row goes through at once. More would need more registers than x86-64 has.
const TOGETHER: usize = 8;

/// The arithmetic of an ensemble, which is that of the library that trained it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Inputs, thresholds and sums are f32: XGBoost. Thresholds and the numbers that are added are rounded to f32 first.
    Single,
    /// Everything is f64: LightGBM.
    Double,
    /// Inputs are f32, and leaves are summed in f64: scikit-learn, through ONNX. Inputs are compared with thresholds exactly: a
    /// threshold that f32 cannot represent is not rounded.
    SingleInputs,
}

/// Values of rows, row-major. NaN is a missing value.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// Values of 32 bits.
    Single(&'a [f32]),
    /// Values of 64 bits.
    Double(&'a [f64]),
}

impl Rows<'_> {
    /// Returns the number of values.
    fn len(&self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }
}

/// A valid ensemble of decision trees, laid out for fast scoring.
#[derive(Debug)]
pub struct Forest {
    inputs: usize,
    outputs: usize,
    layout: Variant,
}

/// The layout for each [`Arithmetic`].
#[derive(Debug)]
enum Variant {
    Single(Layout<f32, f32>),
    Double(Layout<f64, f64>),
    SingleInputs(Layout<f32, f64>),
}

/// Evaluates an expression with the layout of any variant.
macro_rules! each_variant {
    ($variant:expr, $layout:ident => $result:expr) => {
        match $variant {
            Variant::Single($layout) => $result,
            Variant::Double($layout) => $result,
            Variant::SingleInputs($layout) => $result,
        }
    };
}

impl Forest {
    /// Validates an ensemble and lays it out.
    ///
    /// # Errors
    ///
    /// Returns all faults of the ensemble, but at most about a hundred: numbers that are not finite, indices out of range, nodes with
    /// no parent or several, and so on. `at` is a place such as `trees[3].nodes[7]`.
    pub fn new(ensemble: Ensemble, arithmetic: Arithmetic) -> Result<Self, Vec<FormatFault>> {
        let faults = check::check(&ensemble, arithmetic);
        if !faults.is_empty() {
            return Err(faults);
        }
        let layout = match arithmetic {
            Arithmetic::Single => Variant::Single(Layout::new(&ensemble, arithmetic)),
            Arithmetic::Double => Variant::Double(Layout::new(&ensemble, arithmetic)),
            Arithmetic::SingleInputs => Variant::SingleInputs(Layout::new(&ensemble, arithmetic)),
        };
        Ok(Self {
            inputs: ensemble.inputs,
            outputs: ensemble.outputs,
            layout,
        })
    }

    /// Returns the number of values per row.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the number of sums per row.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the memory in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = size_of::<Self>() + each_variant!(&self.layout, layout => layout.bytes());
        bytes as u64
    }

    /// Returns roughly how many nodes a row visits.
    #[must_use]
    pub fn cost_per_row(&self) -> usize {
        each_variant!(&self.layout, layout => layout.cost())
    }

    /// Writes the sums of each row: the base plus all leaves that the row reaches, added in the order of the trees.
    ///
    /// If the divisor of the ensemble is not 1, the leaves are added from 0, their sum is divided, and then the base is added.
    /// [`Arithmetic::Single`] gives results that f32 represents exactly. Values of the other width are converted first; for f64 that
    /// become f32, this rounds.
    ///
    /// # Panics
    ///
    /// Panics if the lengths are not those of the same number of whole rows.
    pub fn sum(&self, rows: Rows<'_>, sums: &mut [f64]) {
        let count = sums.len() / self.outputs;
        assert_eq!(sums.len(), count * self.outputs, "expected whole rows");
        assert_eq!(rows.len(), count * self.inputs, "expected whole rows");
        match (&self.layout, rows) {
            (Variant::Single(layout), Rows::Single(rows)) => layout.sum(count, rows, sums),
            (Variant::SingleInputs(layout), Rows::Single(rows)) => layout.sum(count, rows, sums),
            (Variant::Double(layout), Rows::Double(rows)) => layout.sum(count, rows, sums),
            (Variant::Single(layout), Rows::Double(rows)) => {
                layout.sum(count, &narrowed(rows), sums);
            }
            (Variant::SingleInputs(layout), Rows::Double(rows)) => {
                layout.sum(count, &narrowed(rows), sums);
            }
            (Variant::Double(layout), Rows::Single(rows)) => {
                layout.sum(count, &widened(rows), sums);
            }
        }
    }
}

fn narrowed(values: &[f64]) -> Vec<f32> {
    values.iter().map(|x| *x as f32).collect()
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}
