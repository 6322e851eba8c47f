//! The way to the writer, for whoever wants something changed or wants to know what there is.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::difference::Difference;
use super::edit::{ChangeOptions, Edit};
use super::store::{Author, Record, RevisionRange, Store, StoreError};
use super::view::View;
use crate::error::AdminError;
use crate::ident::{ModelName, Revision, VersionNumber};

/// Changes that may wait for the writer.
pub(super) const WAITING: usize = 64;

/// What a change did, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The revision in force.
    pub revision: Revision,
    /// What differs.
    pub differences: Vec<Difference>,
    /// When it reverts unless confirmed.
    pub confirm_by: Option<SystemTime>,
}

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Command {
    Change {
        model: String,
        edit: Edit,
        terms: ChangeOptions,
        reply: oneshot::Sender<Result<Changed, AdminError>>,
    },
    Retry {
        model: String,
        version: u64,
        author: Author,
        reply: oneshot::Sender<Result<(), AdminError>>,
    },
    Uploaded {
        model: ModelName,
        version: VersionNumber,
        author: Author,
        outcome: Result<(), AdminError>,
        reply: oneshot::Sender<Result<(), AdminError>>,
    },
}

/// Sends changes to the writer and reads what it publishes. Cheap to clone.
#[derive(Debug)]
pub struct Control<S> {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) store: Arc<S>,
}

impl<S> Clone for Control<S> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            views: self.views.clone(),
            store: Arc::clone(&self.store),
        }
    }
}

impl<S: Store> Control<S> {
    /// Makes a change; answers once it is stored and live, and stands in the audit log.
    ///
    /// # Errors
    /// See [`AdminError`]; nothing was changed then.
    pub async fn change(
        &self,
        model: String,
        edit: Edit,
        terms: ChangeOptions,
    ) -> Result<Changed, AdminError> {
        self.ask(|reply| Command::Change {
            model,
            edit,
            terms,
            reply,
        })
        .await
    }

    /// Has a version that failed tried again now; does not wait for it.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn retry(
        &self,
        model: String,
        version: u64,
        author: Author,
    ) -> Result<(), AdminError> {
        self.ask(|reply| Command::Retry {
            model,
            version,
            author,
            reply,
        })
        .await
    }

    /// Puts an upload and how it ended into the audit log. Waits for its turn: what has happened already cannot be refused.
    ///
    /// # Errors
    /// The error that it ended with, or that the gateway went down before it was told.
    pub async fn uploaded(
        &self,
        model: ModelName,
        version: VersionNumber,
        author: Author,
        outcome: Result<(), AdminError>,
    ) -> Result<(), AdminError> {
        let (reply, answer) = oneshot::channel();
        let told = Command::Uploaded {
            model,
            version,
            author,
            outcome,
            reply,
        };
        let sent = self.commands.send(told).await;
        sent.map_err(|_| AdminError::Draining)?;
        answer.await.map_err(|_| AdminError::Draining)?
    }

    /// What there is now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }

    /// What there is, whenever it changes.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// The newest revision, whenever there is a newer one.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.store.watch()
    }

    /// The changes in `span`, ascending.
    ///
    /// # Errors
    /// [`AdminError::Storage`].
    pub async fn history(&self, span: RevisionRange<'_>) -> Result<Vec<Record>, AdminError> {
        self.store.history(span).await.map_err(unreadable)
    }

    /// The change with this revision, if it is kept.
    ///
    /// # Errors
    /// [`AdminError::Storage`].
    pub async fn at(&self, revision: Revision) -> Result<Option<Record>, AdminError> {
        self.store.at(revision).await.map_err(unreadable)
    }

    /// The highest revision that is no longer kept.
    ///
    /// # Errors
    /// [`AdminError::Storage`].
    pub async fn compacted(&self) -> Result<Revision, AdminError> {
        self.store.compacted().await.map_err(unreadable)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, AdminError>>) -> Command,
    ) -> Result<T, AdminError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send(command(reply))
            .map_err(|refused| match refused {
                TrySendError::Full(_) => AdminError::Busy {
                    what: "changes that wait",
                    limit: WAITING,
                },
                TrySendError::Closed(_) => AdminError::Draining,
            })?;
        answer.await.map_err(|_| AdminError::Draining)?
    }
}

fn unreadable(error: StoreError) -> AdminError {
    AdminError::Storage(error.to_string())
}
