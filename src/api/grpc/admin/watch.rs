//! Changes and states as they come, to whoever watches.
//!
//! Level-triggered: a watcher remembers the last revision and, of each model, the view that it was sent. Whatever differs from
//! that is news, so a slow reader gets every change from the history, and of the states the newest. It holds no more than one
//! page of changes, and no version's weights.
//! What always holds: a change is sent before the states that follow from it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, watch};
use tonic::codegen::BoxStream;

use super::{changes, versions};
use crate::api::status;
use crate::control::{Control, ModelView, Record, RevisionRange, View};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, Revision};
use crate::proto::v1;
use crate::proto::v1::watch_response::Event;

/// Watchers at one time.
pub(super) const AT_ONCE: usize = 64;
/// Revisions whose changes are read at one time.
const PAGE: u64 = 100;

/// One who watches, and what they have been sent.
#[derive(Debug)]
pub(super) struct Watcher {
    control: Control,
    revisions: watch::Receiver<Revision>,
    views: watch::Receiver<Arc<View>>,
    closing: watch::Receiver<bool>,
    /// Only this model; `None`: all.
    only: Option<ModelName>,
    /// Every change up to this one was sent or is among `changes`.
    known: Revision,
    /// To be sent next: at most a page.
    changes: VecDeque<Record>,
    /// The state of each model that was sent last.
    sent: BTreeMap<ModelName, Arc<ModelView>>,
    /// The model whose state was sent last: the search for news goes on after it, so that none is passed over for ever.
    last: Option<ModelName>,
    _place: OwnedSemaphorePermit,
}

/// Begins to watch.
///
/// # Errors
/// [`AdminError::Busy`], [`AdminError::UnknownModel`], [`AdminError::Compacted`], [`AdminError::Storage`], or
/// [`AdminError::InvalidChange`] for a revision that there has not been yet.
pub(super) async fn begin(
    control: Control,
    closing: watch::Receiver<bool>,
    place: Result<OwnedSemaphorePermit, TryAcquireError>,
    request: v1::WatchRequest,
) -> Result<Watcher, AdminError> {
    let place = place.map_err(|_| AdminError::Busy {
        what: "watchers",
        limit: AT_ONCE,
    })?;
    let only = changes::filter(&control, &request.model).await?;
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
        closing,
        only,
        known,
        changes: VecDeque::new(),
        sent: BTreeMap::new(),
        last: None,
        _place: place,
    })
}

/// Everything that `watcher` is to be sent, until it goes away or the gateway goes down.
pub(super) fn events(watcher: Watcher) -> BoxStream<v1::WatchResponse> {
    let events = stream::try_unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Ok(Some((v1::WatchResponse { event: Some(event) }, watcher)))
    });
    events
        .map_err(|error: AdminError| status::from_admin(&error))
        .boxed()
}

impl Watcher {
    async fn next(&mut self) -> Result<Event, AdminError> {
        loop {
            if *self.closing.borrow() {
                return Err(AdminError::Draining);
            }
            if let Some(record) = self.changes.pop_front() {
                let change = changes::revision(&self.control, record).await?;
                return Ok(Event::Change(change));
            }
            // Before the revisions: what a state follows from is stored before the state is published.
            let view = Arc::clone(&self.views.borrow_and_update());
            let newest = *self.revisions.borrow_and_update();
            if newest > self.known {
                self.read(newest).await?;
                continue;
            }
            if let Some(event) = self.state(&view) {
                return Ok(event);
            }
            drop(view);
            let moved = tokio::select! {
                moved = self.revisions.changed() => moved.is_ok(),
                moved = self.views.changed() => moved.is_ok(),
                _ = self.closing.wait_for(|closing| *closing) => false,
            };
            if !moved {
                return Err(AdminError::Draining);
            }
        }
    }

    /// Reads the next page of changes.
    async fn read(&mut self, newest: Revision) -> Result<(), AdminError> {
        let through = newest.min(Revision(self.known.0.saturating_add(PAGE)));
        let span = RevisionRange {
            model: self.only.as_ref(),
            after: self.known,
            before: Some(Revision(through.0.saturating_add(1))),
            limit: usize::try_from(PAGE).unwrap_or(usize::MAX),
        };
        let records = self.control.history(span).await?;
        // Asked afterwards: what was given up meanwhile may be missing.
        let compacted = self.control.compacted().await?;
        if self.known < compacted {
            return Err(AdminError::Compacted(compacted));
        }
        self.changes.extend(records);
        self.known = through;
        Ok(())
    }

    /// A model whose state is not the one that was sent.
    fn state(&mut self, view: &View) -> Option<Event> {
        let is_news = |(name, model): &(&ModelName, &Arc<ModelView>)| {
            self.only.as_ref().is_none_or(|only| only == *name)
                && !self
                    .sent
                    .get(*name)
                    .is_some_and(|sent| Arc::ptr_eq(sent, model))
        };
        let after = match &self.last {
            Some(last) => {
                let after = (Excluded(last), Unbounded);
                view.models.range::<ModelName, _>(after).find(is_news)
            }
            None => None,
        };
        if let Some((name, model)) = after.or_else(|| view.models.iter().find(is_news)) {
            self.last = Some(name.clone());
            self.sent.insert(name.clone(), Arc::clone(model));
            return Some(Event::Model(versions::model(model)));
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
