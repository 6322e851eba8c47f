//! A loaded version, and everything that serving it needs.

use std::sync::Arc;
use std::time::Duration;

use super::batch::cost::Costs;
use super::batch::queue::BatchQueue;
use super::batch::settings::{Batching, BatchingHints};
use super::isolation::FallbackIsolation;
use super::shadow::slots::ShadowSlots;
use crate::ident::VersionNumber;
use crate::insight::VersionInsight;
use crate::insight::metrics::Weights;
use crate::insight::query::ObservedVersion;
use crate::model::{Manifest, Signature, Version};

/// A loaded version: its identity, its model and its weights. It has no knowledge of requests.
#[derive(Debug)]
pub struct ServingVersion {
    model: Version,
    /// Counts the weights of `model`. Declared after it, so dropped after it: weights count until they are freed.
    weights: Weights,
}

impl ServingVersion {
    /// Creates a version from a loaded `model`, whose weights `weights` counts.
    #[must_use]
    pub fn new(model: Version, weights: Weights) -> Self {
        Self { model, weights }
    }

    /// Returns its number.
    #[must_use]
    pub fn number(&self) -> VersionNumber {
        self.manifest().version
    }

    /// Returns its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.model.manifest()
    }

    /// Returns its signature.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        self.model.signature()
    }

    /// Returns the bytes of its weights in memory.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.model.weight_bytes()
    }

    /// Returns the loaded model.
    #[must_use]
    pub fn model(&self) -> &Version {
        &self.model
    }

    /// Marks the version as draining: no published snapshot contains it any more. The gauges of draining versions count it
    /// until it is freed.
    pub fn mark_draining(&self) {
        self.weights.draining();
    }
}

/// A version while it serves: the loaded version with its queue, its limits and its observations.
#[derive(Debug)]
pub struct VersionRuntime {
    /// Everything that is observed of it.
    pub insight: Arc<VersionInsight>,
    /// Requests that wait for the compute pool.
    pub queue: BatchQueue,
    /// The copies that it scores now as a shadow.
    pub(super) shadow_slots: ShadowSlots,
    /// The passes that it runs while a fallback is ready.
    pub(super) isolation: FallbackIsolation,
    /// The loaded version. Declared last, so dropped last.
    pub version: ServingVersion,
}

impl VersionRuntime {
    /// Creates the runtime of a version, with the batching settings that its manifest hints at.
    #[must_use]
    pub fn new(version: ServingVersion, insight: VersionInsight) -> Self {
        Self::with_batching(version, insight, &BatchingHints::default())
    }

    /// Creates the runtime of a version. What `batching` sets takes precedence over the hints of the manifest.
    #[must_use]
    pub fn with_batching(
        version: ServingVersion,
        insight: VersionInsight,
        batching: &BatchingHints,
    ) -> Self {
        let mut rules = Batching::of(version.manifest(), batching);
        if !version.model().joins_requests() {
            // Each request is a pass of its own, so waiting for others only delays it, and several threads can compute them.
            rules.max_batch_rows = 1;
            rules.max_queue_delay = Duration::ZERO;
        }
        let costs = Costs::of(version.model().measured());
        Self {
            insight: Arc::new(insight),
            queue: BatchQueue::new(rules, costs),
            shadow_slots: ShadowSlots::default(),
            isolation: FallbackIsolation::default(),
            version,
        }
    }

    /// Returns the number of the version.
    #[must_use]
    pub fn number(&self) -> VersionNumber {
        self.version.number()
    }

    /// Returns the signature of the version.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        self.version.signature()
    }

    /// Returns what `insight::query` reads of the version.
    #[must_use]
    pub fn observed(&self) -> ObservedVersion<'_> {
        ObservedVersion {
            manifest: self.version.manifest(),
            insight: &self.insight,
        }
    }
}
