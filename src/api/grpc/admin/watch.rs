//! Streams changes and states to watchers.
//!
//! Level-triggered: a watcher keeps the last revision and the view of each model that it was sent. Every difference from that is an event,
//! so a slow client receives every change from the history, but only the newest state of each model. A watcher holds at most one page of
//! changes, and no weights.
//! Invariant: a change is sent before the states that follow from it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, watch};
use tonic::codegen::BoxStream;

use super::{changes, versions};
use crate::api::lifecycle::{Stage, StageWatch};
use crate::api::status;
use crate::control::{Control, ModelView, Record, RevisionRange, View};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, Revision};
use crate::proto::v1;
use crate::proto::v1::watch_response::Event;

/// Limit on concurrent watchers.
pub(super) const AT_ONCE: usize = 64;
/// Number of revisions whose changes are read at once.
const PAGE: u64 = 100;

/// A watcher, and what it was sent.
#[derive(Debug)]
pub(super) struct Watcher {
    control: Control,
    revisions: watch::Receiver<Revision>,
    views: watch::Receiver<Arc<View>>,
    stage: StageWatch,
    /// The only model to watch; `None` for all.
    only: Option<ModelName>,
    /// Every change up to this revision was sent or is in `changes`.
    known: Revision,
    /// The changes to send next, at most one page.
    changes: VecDeque<Record>,
    /// The last state sent of each model.
    sent: BTreeMap<ModelName, Arc<ModelView>>,
    /// The model whose state was sent last. The next search begins after it, so that every model has its turn.
    last: Option<ModelName>,
    _permit: OwnedSemaphorePermit,
}

/// Creates a watcher.
///
/// # Errors
/// Returns [`AdminError::Busy`], [`AdminError::UnknownModel`], [`AdminError::Compacted`], [`AdminError::Storage`], or
/// [`AdminError::InvalidChange`] for a revision that does not exist yet.
pub(super) async fn start(
    control: Control,
    stage: StageWatch,
    permit: Result<OwnedSemaphorePermit, TryAcquireError>,
    request: v1::WatchRequest,
) -> Result<Watcher, AdminError> {
    let permit = permit.map_err(|_| AdminError::Busy {
        what: "watchers",
        limit: AT_ONCE,
    })?;
    let only = changes::read_filter(&control, &request.model).await?;
    let (revisions, views) = (control.revisions(), control.views());
    let newest = *revisions.borrow();
    let known = request.after_revision.map_or(newest, Revision);
    if known > newest {
        let wanted = format!("at most {newest}, the newest revision");
        let faults = InputFaults::one("after_revision", known.to_string(), wanted);
        return Err(AdminError::InvalidChange(faults));
    }
    let compacted = control.compacted().await?;
    if known < compacted {
        return Err(AdminError::Compacted(compacted));
    }
    Ok(Watcher {
        control,
        revisions,
        views,
        stage,
        only,
        known,
        changes: VecDeque::new(),
        sent: BTreeMap::new(),
        last: None,
        _permit: permit,
    })
}

/// Returns the events for `watcher`, until it disconnects or the gateway drains.
pub(super) fn events(watcher: Watcher) -> BoxStream<v1::WatchResponse> {
    let events = stream::try_unfold(watcher, async |mut watcher| {
        let event = watcher.next_event().await?;
        Ok(Some((v1::WatchResponse { event: Some(event) }, watcher)))
    });
    events
        .map_err(|error: AdminError| status::from_admin(&error))
        .boxed()
}

impl Watcher {
    async fn next_event(&mut self) -> Result<Event, AdminError> {
        loop {
            if self.stage.has_reached(Stage::Draining) {
                return Err(AdminError::Draining);
            }
            if let Some(record) = self.changes.pop_front() {
                let change = changes::write_revision(&self.control, record).await?;
                return Ok(Event::Change(change));
            }
            // Read before the revisions: a change is stored before the state that follows from it is published.
            let view = Arc::clone(&self.views.borrow_and_update());
            let newest = *self.revisions.borrow_and_update();
            if newest > self.known {
                self.read_changes(newest).await?;
                continue;
            }
            if let Some(event) = self.next_state(&view) {
                return Ok(event);
            }
            drop(view);
            let changed = tokio::select! {
                changed = self.revisions.changed() => changed.is_ok(),
                changed = self.views.changed() => changed.is_ok(),
                () = self.stage.reached(Stage::Draining) => false,
            };
            if !changed {
                return Err(AdminError::Draining);
            }
        }
    }

    /// Reads the next page of changes.
    async fn read_changes(&mut self, newest: Revision) -> Result<(), AdminError> {
        let through = newest.min(Revision(self.known.0.saturating_add(PAGE)));
        let range = RevisionRange {
            model: self.only.as_ref(),
            after: self.known,
            before: Some(Revision(through.0.saturating_add(1))),
            limit: usize::try_from(PAGE).unwrap_or(usize::MAX),
        };
        let records = self.control.history(range).await?;
        // Checked afterwards: revisions compacted meanwhile may be missing.
        let compacted = self.control.compacted().await?;
        if self.known < compacted {
            return Err(AdminError::Compacted(compacted));
        }
        self.changes.extend(records);
        self.known = through;
        Ok(())
    }

    /// Returns the next model whose state differs from the one that was sent, or that is gone.
    fn next_state(&mut self, view: &View) -> Option<Event> {
        let is_new = |(name, model): &(&ModelName, &Arc<ModelView>)| {
            self.only.as_ref().is_none_or(|only| only == *name)
                && !self
                    .sent
                    .get(*name)
                    .is_some_and(|sent| Arc::ptr_eq(sent, model))
        };
        let after = match &self.last {
            Some(last) => {
                let after = (Excluded(last), Unbounded);
                view.models.range::<ModelName, _>(after).find(is_new)
            }
            None => None,
        };
        if let Some((name, model)) = after.or_else(|| view.models.iter().find(is_new)) {
            self.last = Some(name.clone());
            self.sent.insert(name.clone(), Arc::clone(model));
            return Some(Event::Model(versions::write_model(model)));
        }
        let gone = self
            .sent
            .keys()
            .find(|name| !view.models.contains_key(*name))
            .cloned()?;
        self.sent.remove(&gone);
        Some(Event::Gone(gone.to_string()))
    }
}
