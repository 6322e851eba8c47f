//! Changes that are not confirmed in time are reverted.
//!
//! Every writer that shares a store tries to revert at the due time. Compare-and-set lets one of them succeed, and the others
//! follow it.

use std::time::Duration;

use tokio::time::Instant;

use super::follow::Committed;
use super::task::Writer;
use crate::control::clock::unix_ms;
use crate::control::store::{Author, Draft, Origin};
use crate::control::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::{ModelName, Revision};

/// Author of the changes that taper makes itself.
pub(super) const ACTOR: &str = "taper";
/// Wait before failed reverts are tried again.
const REVERT_AGAIN: Duration = Duration::from_secs(1);

impl Writer {
    /// Reverts the changes that were not confirmed in time.
    pub(super) async fn revert_due_changes(&mut self) {
        let now = Instant::now();
        if self.revert_again.is_some_and(|again| again > now) {
            return;
        }
        self.revert_again = None;
        let due: Vec<ModelName> = self
            .models
            .values()
            .filter(|model| {
                let due = model.reverts_at();
                due.is_some_and(|due| due <= now)
            })
            .map(|model| model.name.clone())
            .collect();
        for model in due {
            match self.revert(&model).await {
                Ok(Some(committed)) => self.audit_change(&committed).await,
                Ok(None) => {}
                Err(error) => self.report_failed_revert(&model, &error),
            }
        }
    }

    /// Reverts the change in force. Returns `None` if another writer changed the model first; its change is followed then.
    async fn revert(&mut self, model: &ModelName) -> Result<Option<Committed>, AdminError> {
        let unknown = || AdminError::UnknownModel(model.to_string());
        let state = self.models.get(model).ok_or_else(unknown)?;
        let current = state.revision();
        let back = state
            .wanted
            .pending
            .map_or(current, |pending| pending.restores);
        let restored = self.record_of(model, back).await?;
        let wanted = restored
            .as_ref()
            .map(|record| record.wanted.clone())
            .unwrap_or_default()
            .with_explicit_policy();
        // If a restored version cannot answer, traffic stays where it is.
        state.check_admissible(&wanted)?;
        let draft = Draft {
            at_ms: unix_ms(self.clock.now()),
            author: Author {
                actor: ACTOR.into(),
                reason: format!("revision {current} was not confirmed in time"),
            },
            action: format!("revert to revision {back}"),
            base: restored.map_or(Revision::default(), |record| record.base),
            wanted: Wanted {
                pending: None,
                ..wanted
            },
            origin: Origin::Operator,
            writer: self.name.clone(),
        };
        let committed = self.commit_unless_overtaken(model, current, draft).await?;
        if committed.is_none() {
            self.revert_again = Some(Instant::now() + REVERT_AGAIN);
        }
        Ok(committed)
    }

    fn report_failed_revert(&mut self, model: &ModelName, error: &AdminError) {
        tracing::error!(%model, %error, "an unconfirmed change cannot be reverted");
        self.revert_again = Some(Instant::now() + REVERT_AGAIN);
        if let Some(state) = self.models.get_mut(model) {
            let revision = state.revision();
            state.automatic_problem = Some(format!(
                "revision {revision} was not confirmed and cannot be reverted: {error}"
            ));
            self.unpublished.insert(model.clone());
        }
    }
}
