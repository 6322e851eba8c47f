//! Following the store: every record becomes live, whichever writer stored it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::task::Writer;
use crate::control::store::{Draft, Record, RevisionRange, StoreError};
use crate::control::view::View;
use crate::control::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::{ModelName, Revision};

/// Records that are read at one time.
const PAGE: u64 = 256;
/// Wait before the store is read again after a failure.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// A change of this writer that is stored and live.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) record: Record,
    /// The desired state before it.
    pub(super) before: Arc<Wanted>,
}

impl Writer {
    /// Follows the store, unless it failed a moment ago.
    pub(super) async fn follow_store_if_due(&mut self) {
        let now = Instant::now();
        if self.follow_again.is_some_and(|again| again > now) {
            return;
        }
        self.follow_again = None;
        if let Err(error) = self.follow_store().await {
            tracing::error!(%error, "the history cannot be read, so newer changes are not live here yet");
            self.follow_again = Some(Instant::now() + FOLLOW_AGAIN);
        }
    }

    /// Shows it where operators look if what is stored would be lost with a restart.
    pub(super) async fn check_store(&mut self) {
        let problem = self
            .store
            .check()
            .await
            .err()
            .map(|error| error.to_string());
        if problem == self.store_problem {
            return;
        }
        match &problem {
            Some(problem) => tracing::error!(problem, "changes are refused"),
            None => tracing::info!("changes can be stored again"),
        }
        self.telemetry.state_folder_lost(problem.is_some());
        self.store_problem.clone_from(&problem);
        self.views.send_modify(|view| {
            *view = Arc::new(View {
                store_problem: problem,
                ..View::clone(view)
            });
        });
    }

    /// Follows all records that are newer than the last one followed. If some of them are no longer kept, it follows the last
    /// record of each model instead. Nothing is published yet.
    ///
    /// # Errors
    /// Returns [`AdminError::Storage`] if the store cannot be read.
    pub(super) async fn follow_store(&mut self) -> Result<(), AdminError> {
        loop {
            let newest = *self.stored.borrow_and_update();
            if newest <= self.followed {
                return Ok(());
            }
            let page_end = newest.min(Revision(self.followed.0.saturating_add(PAGE)));
            let (records, reached) = self
                .newer_records(newest, page_end)
                .await
                .map_err(|error| AdminError::Storage(error.to_string()))?;
            for record in records {
                let (model, revision) = (record.model.clone(), record.revision);
                if self.follow(record).await? {
                    tracing::info!(%model, %revision, "change of another writer is in force");
                }
            }
            self.followed = reached;
        }
    }

    /// Returns the records after the last one followed, and the revision that is reached with them: `page_end`, or `newest`
    /// if records are missing.
    async fn newer_records(
        &self,
        newest: Revision,
        page_end: Revision,
    ) -> Result<(Vec<Record>, Revision), StoreError> {
        let range = RevisionRange {
            after: self.followed,
            before: Some(page_end.next()),
            limit: usize::try_from(PAGE).unwrap_or(usize::MAX),
            ..RevisionRange::default()
        };
        let records = self.store.history(range).await?;
        // Read after the history, because records that are dropped meanwhile are missing in it.
        if self.followed < self.store.compacted().await? {
            Ok((self.store.all().await?, newest))
        } else {
            Ok((records, page_end))
        }
    }

    /// Makes `record` the change in force of its model. Does nothing and returns `false` if the model already has this revision
    /// or a later one, or if the model cannot be served.
    ///
    /// # Errors
    /// Returns [`AdminError::Storage`] if the revision that the record reverts to cannot be read. The record is not followed
    /// then: without that revision, versions that the revert needs could be unloaded.
    pub(super) async fn follow(&mut self, record: Record) -> Result<bool, AdminError> {
        let restored = if self.is_newer(&record) {
            self.restored_by_revert(&record.model, &record.wanted)
                .await?
        } else {
            None
        };
        Ok(self.put_in_force(record, restored))
    }

    /// Does what [`follow`](Self::follow) does, with the desired state that a revert of `record` restores.
    fn put_in_force(&mut self, record: Record, restored: Option<Arc<Wanted>>) -> bool {
        if record.revision == self.followed.next() {
            self.followed = record.revision;
        }
        if !self.is_newer(&record) {
            return false;
        }
        let (name, now) = (record.model.clone(), self.now());
        let Some(model) = self.model_state(&name) else {
            tracing::error!(model = %name, "a change of this model cannot be followed, because the model cannot be served");
            return false;
        };
        model.follow(record, restored, now);
        self.unpublished.insert(name);
        true
    }

    /// Returns whether `record` is newer than what is followed of its model.
    fn is_newer(&self, record: &Record) -> bool {
        self.models
            .get(&record.model)
            .is_none_or(|model| model.revision() < record.revision)
    }

    /// Returns the desired state that is restored unless the change of `model` to `wanted` is confirmed.
    async fn restored_by_revert(
        &self,
        model: &ModelName,
        wanted: &Wanted,
    ) -> Result<Option<Arc<Wanted>>, AdminError> {
        let Some(pending) = wanted.pending else {
            return Ok(None);
        };
        let restores = pending.restores;
        let in_force = self.models.get(model).filter(|model| {
            let record = model.record.as_ref();
            record.is_some_and(|record| record.revision == restores)
        });
        if let Some(model) = in_force {
            return Ok(Some(Arc::clone(&model.wanted)));
        }
        match self.record_of(model, restores).await {
            Ok(restored) => Ok(Some(Arc::new(
                restored.map(|restored| restored.wanted).unwrap_or_default(),
            ))),
            Err(error @ AdminError::Storage(_)) => Err(error),
            Err(error) => {
                tracing::error!(%model, %error, "the revision that an unconfirmed change reverts to cannot be read");
                Ok(None)
            }
        }
    }

    /// Stores `draft` as the next change of `model`, follows it and publishes it.
    pub(super) async fn commit(
        &mut self,
        model: &ModelName,
        expected: Revision,
        draft: Draft,
    ) -> Result<Committed, StoreError> {
        let before = self
            .models
            .get(model)
            .map_or_else(Arc::default, |model| Arc::clone(&model.wanted));
        // Read before the change is stored, so that a change that is stored also becomes live.
        let restored = self.restored_by_revert(model, &draft.wanted).await;
        let restored = restored.map_err(|error| StoreError::Failed(error.to_string()))?;
        let record = self.store.compare_and_set(model, expected, draft).await?;
        self.put_in_force(record.clone(), restored);
        // Live before it is acknowledged.
        self.reconcile_and_publish();
        tracing::info!(
            %model, revision = %record.revision, action = record.action, actor = record.author.actor,
            "change is in force"
        );
        Ok(Committed { record, before })
    }

    /// Returns the record of a revision of `model`; `None` for revision 0, which has none.
    pub(super) async fn record_of(
        &self,
        model: &ModelName,
        revision: Revision,
    ) -> Result<Option<Record>, AdminError> {
        if revision == Revision::default() {
            return Ok(None);
        }
        let record = self.store.at(revision).await;
        let record = record.map_err(|error| AdminError::Storage(error.to_string()))?;
        match record.filter(|record| record.model == *model) {
            Some(record) => Ok(Some(record)),
            None => Err(AdminError::UnknownRevision {
                model: model.to_string(),
                revision,
            }),
        }
    }
}
