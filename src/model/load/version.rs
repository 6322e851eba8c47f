//! A version in memory.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{ForwardError, panic_text};
use crate::model::batch::Batch;
use crate::model::judge;
use crate::model::manifest::Manifest;
use crate::model::scoring::{Model, Pass, TopClass};
use crate::model::signature::Signature;

/// A version in memory: its manifest and its model.
pub struct Version {
    manifest: Arc<Manifest>,
    model: Box<dyn Model>,
    /// Batch sizes in rows, each with the duration of a forward pass.
    pass_durations: Vec<(usize, Duration)>,
}

impl Version {
    /// Creates a version from a given model, which must fit the manifest's signature. It is not verified or warmed up.
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

    /// Returns the size of the weights in memory, in bytes. For some formats this is the size of their files, which differs from the size
    /// in memory only by headers and by folded layers.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        let own = self.model.weight_bytes();
        own.unwrap_or_else(|| self.manifest.weight_bytes())
    }

    /// Returns whether rows of several requests may share a pass.
    #[must_use]
    pub fn joins_requests(&self) -> bool {
        self.model.joins_requests()
    }

    /// Returns the multiply-adds of one row.
    #[must_use]
    pub fn cost_per_row(&self) -> usize {
        self.model.cost_per_row()
    }

    /// Scores `batch`, which this version's signature must have encoded. Blocks until the model has finished.
    ///
    /// # Errors
    /// Returns an error if the model fails or panics, if its scores are not finite, or if its outputs are not as the signature says.
    pub fn forward(&self, batch: &Batch) -> Result<Pass, ForwardError> {
        // Unwind-safe because the model is immutable: a panic leaves no broken state behind.
        let result = catch_unwind(AssertUnwindSafe(|| self.model.forward(batch)));
        let outputs =
            result.map_err(|panic| ForwardError::Panicked(panic_text(&*panic).to_owned()))??;
        judge::pass(&self.manifest.signature, batch.len(), outputs)
    }

    /// Returns the most probable class for the scores of one row; `None` if no class is predicted. Of equally probable classes, it is the
    /// second if its probability is the only column, and otherwise the first.
    #[must_use]
    pub fn top_class(&self, row: &[f32]) -> Option<TopClass> {
        judge::top_class(&self.manifest.signature.prediction, row)
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
