//! Changes that nobody confirmed in time go back by themselves.

use std::time::SystemTime;

use tokio::time::Instant;

use super::{REVERT_AGAIN, Writer, now_ms};
use crate::control::store::{Author, Draft, Record, Store};
use crate::control::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::{ModelName, Revision};

/// Who reverts what was not confirmed.
const OURSELVES: &str = "taper";

impl<S: Store> Writer<S> {
    /// Brings back what changes that nobody confirmed have replaced.
    pub(super) async fn revert_what_is_due(&mut self) {
        let now = SystemTime::now();
        if self
            .revert_again
            .is_some_and(|again| again > Instant::now())
        {
            return;
        }
        self.revert_again = None;
        let due: Vec<ModelName> = self
            .models
            .iter()
            .filter(|(_, state)| {
                state
                    .wanted
                    .pending
                    .is_some_and(|pending| pending.until() <= now)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for model in due {
            let before = self.wanted_of(model.as_str());
            match self.revert(&model).await {
                Ok(record) => self.tell(&record, &before).await,
                Err(error) => {
                    tracing::error!(%model, %error, "a change that nobody confirmed cannot be reverted");
                    self.revert_again = Some(Instant::now() + REVERT_AGAIN);
                    if let Some(state) = self.models.get_mut(&model) {
                        let revision = state.revision();
                        state.stuck = Some(format!(
                            "revision {revision} was not confirmed and cannot be reverted: {error}"
                        ));
                        self.moved.insert(model);
                    }
                }
            }
        }
    }

    async fn revert(&mut self, model: &ModelName) -> Result<Record, AdminError> {
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
            .unwrap_or_default();
        // Traffic stays where it is rather than go to a version that cannot answer.
        state.admits(&wanted)?;
        let draft = Draft {
            at_ms: now_ms(),
            author: Author {
                actor: OURSELVES.into(),
                reason: format!("revision {current} was not confirmed in time"),
            },
            action: format!("revert to revision {back}"),
            base: restored.map_or(Revision::default(), |record| record.base),
            wanted: Wanted {
                pending: None,
                ..wanted
            },
        };
        self.commit(model.as_str(), current, draft, None).await
    }
}
