//! A version in memory.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{ForwardError, panic_text};
use crate::model::manifest::Manifest;
use crate::model::manifest::raw::Head;
use crate::model::scoring::{Model, Rows, Scores, TopClass};
use crate::model::signature::Signature;

/// A version in memory: its manifest and its network.
pub struct Version {
    manifest: Arc<Manifest>,
    model: Box<dyn Model>,
    /// Batch sizes in rows, each with the duration of a forward pass.
    pass_durations: Vec<(usize, Duration)>,
}

impl Version {
    /// Creates a version from a given network, which must fit the manifest's signature. It is not verified or warmed up.
    #[must_use]
    pub fn new(manifest: Manifest, model: Box<dyn Model>) -> Self {
        let manifest = Arc::new(manifest);
        Self {
            manifest,
            model,
            pass_durations: Vec::new(),
        }
    }

    /// Returns self with the durations that were measured while it was warmed up.
    pub(super) fn with_pass_durations(self, pass_durations: Vec<(usize, Duration)>) -> Self {
        Self {
            pass_durations,
            ..self
        }
    }

    /// Returns batch sizes in rows, ascending, each with the CPU time of a forward pass, as measured while the version was warmed up.
    /// Empty if it was not warmed up.
    #[must_use]
    pub fn measured(&self) -> &[(usize, Duration)] {
        &self.pass_durations
    }

    /// Returns the manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns a shared handle to the manifest, which does not keep the weights in memory.
    #[must_use]
    pub fn manifest_arc(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest)
    }

    /// Returns the inputs and outputs.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.manifest.signature
    }

    /// Returns the size of the weights in memory, in bytes. This is the size of their file, which differs from the size in memory only
    /// by its header and by folded layers.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.manifest.weight_bytes()
    }

    /// Returns the multiply-adds of one row.
    #[must_use]
    pub fn cost_per_row(&self) -> usize {
        self.model.cost_per_row()
    }

    /// Scores `rows`, which this version's signature must have encoded. Blocks until the network has finished.
    ///
    /// # Errors
    /// Returns an error if the network fails or panics, or if its scores are not finite or have the wrong shape.
    pub fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError> {
        // Unwind-safe because the network is immutable: a panic leaves no broken state behind.
        let result = catch_unwind(AssertUnwindSafe(|| self.model.forward(rows)));
        let scores =
            result.map_err(|panic| ForwardError::Panicked(panic_text(&*panic).to_owned()))??;
        let columns = self.manifest.signature.output.columns;
        let (got, wanted) = (scores.as_slice().len(), rows.len() * columns);
        if scores.columns() != columns || got != wanted {
            let message = format!("{} rows got {got} scores, wants {wanted}", rows.len());
            return Err(ForwardError::Failed(message));
        }
        match scores.as_slice().iter().position(|x| !x.is_finite()) {
            Some(at) => Err(ForwardError::NotFinite { row: at / columns }),
            None => Ok(scores),
        }
    }

    /// Returns the most probable class for the scores of one row; `None` for a regression. Of equally probable classes, a sigmoid head
    /// takes the second, a softmax head the first.
    #[must_use]
    pub fn top_class(&self, row: &[f32]) -> Option<TopClass> {
        match (self.manifest.head, row) {
            (Head::Sigmoid, [p, ..]) if *p >= 0.5 => Some(TopClass {
                index: 1,
                probability: *p,
            }),
            (Head::Sigmoid, [p, ..]) => Some(TopClass {
                index: 0,
                probability: 1.0 - p,
            }),
            (Head::Softmax, [first, rest @ ..]) => {
                let mut top = TopClass {
                    index: 0,
                    probability: *first,
                };
                for (at, p) in rest.iter().enumerate() {
                    if *p > top.probability {
                        (top.index, top.probability) = (at + 1, *p);
                    }
                }
                Some(top)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Version({} {})",
            self.manifest.model, self.manifest.version
        )
    }
}
