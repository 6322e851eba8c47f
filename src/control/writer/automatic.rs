//! Makes the changes that taper decides itself; see [`control::automatic`](crate::control::automatic).

use std::time::Duration;

use tokio::time::Instant;

use super::change::store_error;
use super::follow::Committed;
use super::revert::ACTOR;
use super::task::Writer;
use crate::control::automatic::AutomaticChange;
use crate::control::clock::unix_ms;
use crate::control::model_state::ModelState;
use crate::control::store::{Author, Draft, Origin, StoreError};
use crate::error::AdminError;
use crate::ident::{ModelName, Revision};

/// Wait before failed changes are tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Writer {
    /// Makes all changes that are due. A model whose first version cannot be stored serves it nevertheless, and the change is tried
    /// again.
    pub(super) async fn make_automatic_changes(&mut self) {
        let now = Instant::now();
        if self.automatic_again.is_some_and(|again| again > now) {
            return;
        }
        self.automatic_again = None;
        let models = self.models.values();
        let due: Vec<_> = models
            .filter_map(|model| Some((model.name.clone(), model.automatic_change()?)))
            .collect();
        for (model, change) in due {
            match self.make(&model, change).await {
                Ok(Some(committed)) => self.audit_change(&committed).await,
                Ok(None) => {}
                Err(error) => self.report_failed_change(&model, &error),
            }
        }
    }

    /// Makes one change. Returns `None` if another writer changed the model first; its change is followed then.
    async fn make(
        &mut self,
        model: &ModelName,
        change: AutomaticChange,
    ) -> Result<Option<Committed>, AdminError> {
        let state = self
            .models
            .get(model)
            .ok_or_else(|| AdminError::unknown_model(model.as_str()))?;
        if change.origin == Origin::Latest {
            state.check_admissible(&change.wanted)?;
        }
        let current = state.revision();
        let draft = Draft {
            at_ms: unix_ms(self.clock.now()),
            author: Author {
                actor: ACTOR.into(),
                reason: change.reason,
            },
            action: change.action,
            base: base(change.origin, state),
            wanted: change.wanted,
            origin: change.origin,
            writer: self.name.clone(),
        };
        let committed = self.commit_unless_overtaken(model, current, draft).await?;
        if committed.is_none() {
            self.automatic_again = Some(Instant::now() + AGAIN);
        }
        Ok(committed)
    }

    /// Does what [`commit`](Self::commit) does, for a change that taper decides itself. Returns `None` if another writer changed the
    /// model first; its change is followed then. A store may announce that change later than it refuses this one, so the caller
    /// waits before it tries again.
    pub(super) async fn commit_unless_overtaken(
        &mut self,
        model: &ModelName,
        expected: Revision,
        draft: Draft,
    ) -> Result<Option<Committed>, AdminError> {
        match self.commit(model, expected, draft).await {
            Ok(committed) => Ok(Some(committed)),
            Err(StoreError::Conflict { .. }) => {
                self.follow_store().await?;
                Ok(None)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    fn report_failed_change(&mut self, model: &ModelName, error: &AdminError) {
        self.automatic_again = Some(Instant::now() + AGAIN);
        let Some(state) = self.models.get_mut(model) else {
            return;
        };
        state.use_first_version();
        let problem = format!("a change by taper itself cannot be made: {error}");
        if state.automatic_problem.as_ref() != Some(&problem) {
            tracing::error!(%model, %error, "a change by taper itself cannot be made; it is tried again");
            state.automatic_problem = Some(problem);
        }
        self.unpublished.insert(model.clone());
    }
}

/// Returns the revision that an undo of the change restores. The first version is not a step of its own: an undo goes to what was
/// before the change that it completes.
fn base(origin: Origin, state: &ModelState) -> Revision {
    match (origin, &state.record) {
        (Origin::FirstVersion, Some(record)) => record.base,
        _ => state.revision(),
    }
}
