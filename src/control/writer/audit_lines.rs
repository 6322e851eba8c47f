//! Lines for the audit log. A line that cannot be written is reported in the process log. The line of a change is written
//! later, from the history, once the disk accepts it.
//!
//! A writer writes lines for its own changes only. Other writers that share the store have audit logs of their own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::follow::Committed;
use super::task::Writer;
use crate::audit::{AuditError, Entry, Log};
use crate::control::clock::unix_ms;
use crate::control::store::{Author, Record, RevisionRange};
use crate::control::wanted::Wanted;
use crate::error::AdminError;
use crate::ident::Revision;
use crate::sync;

/// Changes that are read at one time while lines are missing.
const PAGE: usize = 256;
/// Wait before missing lines are written again after a failure.
const AUDIT_AGAIN: Duration = Duration::from_secs(5);

impl Writer {
    /// Records a change of this writer. Lines of earlier changes that are missing come first.
    pub(super) async fn audit_change(&mut self, committed: &Committed) {
        if self.audit_again.is_some() {
            self.complete_audit_log().await;
        }
        if self.audit_again.is_some() {
            // An earlier line is still missing. This one is written after it, from the history, so that none is skipped.
            return;
        }
        let Committed { record, before } = committed;
        if record.revision <= self.audited {
            return;
        }
        if self.append(change_entry(record, Some(before))).await {
            self.audited = record.revision;
        } else {
            self.audit_again = Some(Instant::now() + AUDIT_AGAIN);
        }
    }

    /// Records an action that makes no revision, and its outcome.
    pub(super) async fn audit_outcome(
        &mut self,
        model: &str,
        action: &str,
        author: Author,
        outcome: &Result<(), AdminError>,
    ) {
        if let Err(error) = outcome {
            return self.audit_refusal(model, action, author, None, error).await;
        }
        let entry = Entry {
            outcome: Entry::DONE.to_owned(),
            ..self.entry_of(model, action, author)
        };
        self.append(entry).await;
    }

    /// Records a change that was refused.
    pub(super) async fn audit_refusal(
        &mut self,
        model: &str,
        action: &str,
        author: Author,
        expected: Option<Revision>,
        error: &AdminError,
    ) {
        let entry = Entry {
            expected: expected.map(|revision| revision.0),
            outcome: error.reason().to_owned(),
            message: error.to_string(),
            ..self.entry_of(model, action, author)
        };
        self.append(entry).await;
    }

    fn entry_of(&self, model: &str, action: &str, author: Author) -> Entry {
        Entry {
            at_ms: unix_ms(self.clock.now()),
            actor: author.actor,
            reason: author.reason,
            action: action.to_owned(),
            model: crate::text::truncate(model, 128).to_owned(),
            ..Entry::default()
        }
    }

    /// Writes missing lines if the time for the next attempt has come.
    pub(super) async fn complete_audit_log_if_due(&mut self) {
        let now = Instant::now();
        if self.audit_again.is_some_and(|again| again <= now) {
            self.complete_audit_log().await;
        }
    }

    /// Writes the lines of own changes that are stored and not in the audit log: the process or the disk failed between the
    /// two.
    pub(super) async fn complete_audit_log(&mut self) {
        self.audit_again = Some(Instant::now() + AUDIT_AGAIN);
        if self.try_to_complete_audit_log().await {
            self.audit_again = None;
        }
    }

    /// Returns whether no line is missing any more.
    async fn try_to_complete_audit_log(&mut self) -> bool {
        loop {
            let newest = *self.store.watch().borrow();
            if newest <= self.audited || self.audit.is_none() {
                return true;
            }
            let through = Revision(self.audited.0.saturating_add(PAGE as u64)).min(newest);
            let range = RevisionRange {
                after: self.audited,
                before: Some(through.next()),
                limit: PAGE,
                ..RevisionRange::default()
            };
            let records = match self.store.history(range).await {
                Ok(records) => records,
                Err(error) => {
                    tracing::error!(%error, "changes are missing in the audit log, and the history cannot be read");
                    return false;
                }
            };
            for record in records.iter().filter(|record| record.writer == self.name) {
                tracing::warn!(revision = %record.revision, "this change was missing in the audit log");
                let previous = self.record_of(&record.model, record.previous).await;
                let before = previous
                    .ok()
                    .map(|previous| previous.map(|previous| previous.wanted).unwrap_or_default());
                if !self.append(change_entry(record, before.as_ref())).await {
                    return false;
                }
                self.audited = record.revision;
            }
            self.audited = through;
        }
    }

    /// Appends `entry` to the audit log. Returns whether it is on the disk.
    async fn append(&self, entry: Entry) -> bool {
        let Some(log) = self.audit.clone() else {
            return true;
        };
        let appended = tokio::task::spawn_blocking(move || write(&log, &entry)).await;
        let error = match appended {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(error, "a line of the audit log could not be written");
        false
    }
}

fn write(log: &Arc<Mutex<Log>>, entry: &Entry) -> Result<(), AuditError> {
    sync::lock(log).append(entry).map(drop)
}

fn change_entry(record: &Record, before: Option<&Wanted>) -> Entry {
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
