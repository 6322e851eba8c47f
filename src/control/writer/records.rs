//! What happened, into the audit log. A line that cannot be written is told in the log of the process; that of a change is
//! written from the history as soon as the disk takes it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::{AUDIT_AGAIN, Writer, now_ms};
use crate::audit::{AuditError, Entry, Log};
use crate::control::store::{Author, Record, RevisionRange, Store};
use crate::control::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::Revision;

/// Changes that are read at one time when lines are missing.
const AT_ONCE: usize = 256;

impl<S: Store> Writer<S> {
    /// A change is in force.
    pub(super) async fn tell(&mut self, record: &Record, before: &Wanted) {
        if record.revision.0 > self.audited.0 + 1 {
            self.catch_up().await;
        }
        if record.revision > self.audited {
            if self.append(entry(record, Some(before))).await {
                self.audited = record.revision;
            } else {
                self.audit_again = Some(Instant::now() + AUDIT_AGAIN);
            }
        }
    }

    /// A change was refused.
    pub(super) async fn tell_refused(
        &mut self,
        model: &str,
        action: &str,
        author: Author,
        expected: Option<Revision>,
        error: &AdminError,
    ) {
        let entry = Entry {
            at_ms: now_ms(),
            actor: author.actor,
            reason: author.reason,
            action: action.to_owned(),
            model: crate::text::truncate(model, 128).to_owned(),
            expected: expected.map(|revision| revision.0),
            outcome: error.reason().to_owned(),
            message: error.to_string(),
            ..Entry::default()
        };
        self.append(entry).await;
    }

    /// Something was done that makes no revision.
    pub(super) async fn tell_done(&mut self, model: &str, action: &str, author: Author) {
        let entry = Entry {
            at_ms: now_ms(),
            actor: author.actor,
            reason: author.reason,
            action: action.to_owned(),
            model: model.to_owned(),
            outcome: Entry::DONE.to_owned(),
            ..Entry::default()
        };
        self.append(entry).await;
    }

    /// Writes the lines of changes that are stored and not told: the process or the disk ended between the two.
    pub(super) async fn catch_up(&mut self) {
        self.audit_again = Some(Instant::now() + AUDIT_AGAIN);
        if self.try_to_catch_up().await {
            self.audit_again = None;
        }
    }

    /// Whether no line is lacking any more.
    async fn try_to_catch_up(&mut self) -> bool {
        loop {
            let newest = *self.store.watch().borrow();
            if newest <= self.audited || self.audit.is_none() {
                return true;
            }
            let span = RevisionRange {
                after: self.audited,
                before: Some(Revision(self.audited.0.saturating_add(AT_ONCE as u64 + 1))),
                limit: AT_ONCE,
                ..RevisionRange::default()
            };
            let records = match self.store.history(span).await {
                Ok(records) => records,
                Err(error) => {
                    tracing::error!(%error, "the audit log lacks changes, and the history cannot be read");
                    return false;
                }
            };
            let through = Revision(self.audited.0.saturating_add(AT_ONCE as u64)).min(newest);
            for record in records {
                tracing::warn!(revision = %record.revision, "the audit log lacked this change");
                let before = match self.record_of(&record.model, record.previous).await {
                    Ok(previous) => {
                        Some(previous.map(|previous| previous.wanted).unwrap_or_default())
                    }
                    Err(_) => None,
                };
                if !self.append(entry(&record, before.as_ref())).await {
                    return false;
                }
                self.audited = record.revision;
            }
            self.audited = through;
        }
    }

    /// Whether `entry` is on the disk now.
    async fn append(&self, entry: Entry) -> bool {
        let Some(log) = self.audit.clone() else {
            return true;
        };
        let appended = tokio::task::spawn_blocking(move || write(&log, &entry)).await;
        match appended {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(%error, "a line of the audit log could not be written");
                false
            }
            Err(error) => {
                tracing::error!(%error, "a line of the audit log could not be written");
                false
            }
        }
    }
}

fn write(log: &Arc<Mutex<Log>>, entry: &Entry) -> Result<(), AuditError> {
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .append(entry)
        .map(drop)
}

fn entry(record: &Record, before: Option<&Wanted>) -> Entry {
    Entry {
        at_ms: record.at_ms,
        actor: record.author.actor.clone(),
        reason: record.author.reason.clone(),
        action: record.action.clone(),
        model: record.model.to_string(),
        before: before.and_then(|before| serde_json::to_value(before).ok()),
        after: serde_json::to_value(&record.wanted).ok(),
        expected: Some(record.previous.0),
        revision: Some(record.revision.0),
        outcome: Entry::DONE.to_owned(),
        ..Entry::default()
    }
}
