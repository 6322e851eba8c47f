//! What control publishes for readers: one immutable value after each change, so a reader never sees half of a change.
//!
//! It names versions and never holds them: a reader that keeps a view keeps no weights in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::state::State;
use super::wanted::Wanted;
use crate::faults::Faults;
use crate::ident::{Label, ModelName, Revision, VersionNumber};
use crate::model::Manifest;

/// All models.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Models by name. A model whose `Arc` is the same as in an earlier view has not changed since.
    pub models: BTreeMap<ModelName, Arc<ModelView>>,
    /// Why no change can be stored, if it is known.
    pub store_problem: Option<String>,
}

/// One model.
#[derive(Clone, Debug)]
pub struct ModelView {
    /// Its name.
    pub name: ModelName,
    /// Revision in force; 0 before the first change.
    pub revision: Revision,
    /// Its desired state.
    pub wanted: Arc<Wanted>,
    /// Labels and the versions that they name, including `latest`.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// All known versions.
    pub versions: BTreeMap<VersionNumber, VersionView>,
    /// Why the desired state cannot be honoured.
    pub problem: Option<String>,
}

impl ModelView {
    /// Returns the problem as a line that names the model; `None` if there is no problem.
    #[must_use]
    pub fn problem_line(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!("model {}: {problem}", self.name))
    }
}

/// One version.
#[derive(Clone, Debug)]
pub struct VersionView {
    /// Its state.
    pub state: State,
    /// Time of the last change of state.
    pub since: SystemTime,
    /// Why it was refused, for [`State::Failed`].
    pub faults: Option<Arc<Faults>>,
    /// Number of consecutive failures to load it.
    pub failures: u32,
    /// Time of the next retry, for [`State::Failed`].
    pub retry_at: Option<SystemTime>,
    /// What it waits for, for [`State::Discovered`].
    pub waits_for: Option<String>,
    /// Descriptions of everything that refers to it.
    pub held_by: Vec<String>,
    /// How its folder differs from what is in memory, if it was replaced.
    pub replaced: Option<Arc<Faults>>,
    /// Its manifest, while it is in memory.
    pub manifest: Option<Arc<Manifest>>,
    /// Bytes of its weights; 0 unless it is in memory.
    pub weight_bytes: u64,
}
