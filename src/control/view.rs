//! What control knows, for whoever asks: published whole after each change, so a reader sees no half of it.
//!
//! It names versions and never holds them: a reader that keeps a view for long keeps no weights in memory.

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
    /// By name. A model whose `Arc` is the same as in an earlier view has not changed since.
    pub models: BTreeMap<ModelName, Arc<ModelView>>,
}

/// One model.
#[derive(Clone, Debug)]
pub struct ModelView {
    /// Its name.
    pub name: ModelName,
    /// The revision in force; 0 while nobody has changed anything.
    pub revision: Revision,
    /// What is wanted.
    pub wanted: Arc<Wanted>,
    /// Labels and the versions they name, `latest` among them.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// Every version that is known.
    pub versions: BTreeMap<VersionNumber, VersionView>,
    /// Why what is wanted cannot be honoured.
    pub problem: Option<String>,
}

impl ModelView {
    /// Its problem, where it has one, in a line that says whose it is.
    #[must_use]
    pub fn problem_line(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!("model {}: {problem}", self.name))
    }
}

/// One version.
#[derive(Clone, Debug)]
pub struct VersionView {
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: SystemTime,
    /// Why it was refused, for [`State::Failed`].
    pub faults: Option<Arc<Faults>>,
    /// Times that loading it has failed in a row.
    pub failures: u32,
    /// When it is tried again, for [`State::Failed`].
    pub retry_at: Option<SystemTime>,
    /// What it waits for, for [`State::Discovered`].
    pub waits_for: Option<String>,
    /// Who holds it, in words.
    pub held_by: Vec<String>,
    /// What it says about itself; only while it is in memory.
    pub about: Option<Arc<Manifest>>,
    /// Bytes of its weights; 0 unless it is in memory.
    pub weight_bytes: u64,
}

impl VersionView {
    /// Whether it has come to an end of its way for now: nothing moves it but a new event.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.state {
            State::Ready | State::Failed | State::Retired => true,
            State::Discovered => self.waits_for.is_some(),
            _ => false,
        }
    }
}
