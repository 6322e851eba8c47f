//! The handle through which callers change control and read what it publishes.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::difference::Difference;
use super::edit::{ChangeOptions, Edit};
use super::store::{Author, Document, Documents, Record, RevisionRange, Store, StoreError};
use super::view::View;
use crate::error::AdminError;
use crate::ident::{ModelName, Revision, VersionNumber};

/// Maximum number of commands that wait for the writer.
pub(super) const QUEUE_CAPACITY: usize = 64;

/// What a change did, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeResult {
    /// Revision in force.
    pub revision: Revision,
    /// The revision whose desired state comes back; `None` for a change that restores nothing.
    pub restores: Option<Revision>,
    /// Fields that differ.
    pub differences: Vec<Difference>,
    /// Time at which the change reverts unless it is confirmed.
    pub confirm_by: Option<SystemTime>,
}

/// A request to the writer.
#[derive(Debug)]
pub(super) enum Command {
    Change {
        model: String,
        edit: Edit,
        options: ChangeOptions,
        reply: oneshot::Sender<Result<ChangeResult, AdminError>>,
    },
    Retry {
        model: String,
        version: u64,
        author: Author,
        reply: oneshot::Sender<Result<(), AdminError>>,
    },
    RecordUpload {
        model: ModelName,
        version: VersionNumber,
        author: Author,
        outcome: Result<(), AdminError>,
        reply: oneshot::Sender<Result<(), AdminError>>,
    },
    /// Shows whether the store is still the one that was opened.
    CheckStore { reply: oneshot::Sender<()> },
}

/// Sends changes to the writer and reads what it publishes. Inexpensive to clone.
#[derive(Clone, Debug)]
pub struct Control {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) store: Arc<dyn Store>,
}

impl Control {
    /// Makes a change. Returns after it is stored, live, and in the audit log.
    ///
    /// Without [`ChangeOptions::expected`], a change that loses a race against another writer is applied again, to the newer
    /// state.
    ///
    /// # Errors
    /// Returns an [`AdminError`] if nothing was changed.
    pub async fn change(
        &self,
        model: String,
        edit: Edit,
        options: ChangeOptions,
    ) -> Result<ChangeResult, AdminError> {
        self.send(|reply| Command::Change {
            model,
            edit,
            options,
            reply,
        })
        .await
    }

    /// Retries a version that failed to load now. Does not wait for the result.
    ///
    /// # Errors
    /// Returns an [`AdminError`] if the version cannot be retried.
    pub async fn retry(
        &self,
        model: String,
        version: u64,
        author: Author,
    ) -> Result<(), AdminError> {
        self.send(|reply| Command::Retry {
            model,
            version,
            author,
            reply,
        })
        .await
    }

    /// Writes an upload and its outcome into the audit log. Waits for room in the queue: the upload has already happened, so
    /// it cannot be refused.
    ///
    /// # Errors
    /// Returns the error of `outcome`, or [`AdminError::Draining`] if the gateway stopped before the line was written.
    pub async fn record_upload(
        &self,
        model: ModelName,
        version: VersionNumber,
        author: Author,
        outcome: Result<(), AdminError>,
    ) -> Result<(), AdminError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::RecordUpload {
            model,
            version,
            author,
            outcome,
            reply,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| AdminError::Draining)?;
        answer.await.map_err(|_| AdminError::Draining)?
    }

    /// Checks that the store is still the one that was opened. If it is not, operators see it before this returns, unless the queue of changes
    /// is full.
    ///
    /// # Errors
    /// Returns [`AdminError::Storage`] if what is stored would be lost with the next start.
    pub async fn check_store(&self) -> Result<(), AdminError> {
        let checked = self.store.check().await.map_err(storage_error);
        if checked.is_err() {
            let (reply, shown) = oneshot::channel();
            // While the queue is full, the writer checks at each change.
            if self
                .commands
                .try_send(Command::CheckStore { reply })
                .is_ok()
            {
                let _ = shown.await;
            }
        }
        checked
    }

    /// Returns what is published now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }

    /// Returns a receiver of what is published.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// Returns a receiver of the newest revision in the store. The store has a revision before it is live.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.store.watch()
    }

    /// Returns the changes in `range`, ascending.
    ///
    /// # Errors
    /// Returns [`AdminError::Storage`] if the store fails.
    pub async fn history(&self, range: RevisionRange<'_>) -> Result<Vec<Record>, AdminError> {
        self.store.history(range).await.map_err(storage_error)
    }

    /// Returns the change with this revision, if it is kept.
    ///
    /// # Errors
    /// Returns [`AdminError::Storage`] if the store fails.
    pub async fn at(&self, revision: Revision) -> Result<Option<Record>, AdminError> {
        self.store.at(revision).await.map_err(storage_error)
    }

    /// Returns the highest revision that is no longer kept.
    ///
    /// # Errors
    /// Returns [`AdminError::Storage`] if the store fails.
    pub async fn compacted(&self) -> Result<Revision, AdminError> {
        self.store.compacted().await.map_err(storage_error)
    }

    /// Returns the stored documents of one type.
    #[must_use]
    pub fn documents<D: Document>(&self) -> Documents<D> {
        Documents::new(Arc::clone(&self.store))
    }

    async fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, AdminError>>) -> Command,
    ) -> Result<T, AdminError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send(command(reply))
            .map_err(|refused| match refused {
                TrySendError::Full(_) => AdminError::Busy {
                    what: "queued changes",
                    limit: QUEUE_CAPACITY,
                },
                TrySendError::Closed(_) => AdminError::Draining,
            })?;
        answer.await.map_err(|_| AdminError::Draining)?
    }
}

fn storage_error(error: StoreError) -> AdminError {
    AdminError::Storage(error.to_string())
}
