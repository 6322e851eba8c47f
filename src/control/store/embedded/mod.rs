//! The store of one gateway: a database file in its state folder.
//!
//! redb was chosen because it is pure Rust and well maintained. Its B-trees are copy-on-write with a checksum on every page,
//! its transactions are on the disk (fsync) before they are acknowledged, and a process killed at any moment leaves a
//! readable file. The price: the format is not readable with a pager, as a file of fsynced lines would be; SQLite's tools do
//! not work on it; and the file never shrinks. A file of lines would have needed its own index, truncation and recovery.
//!
//! Invariants:
//! - One process at a time uses the folder. A lock beside the database ensures it.
//! - A change, its entry in the history and what the history drops for it are one transaction.
//! - After a disk error the database is opened again before it is used again. A write that was answered with an error is
//!   taken back if it is in the file nevertheless. It stays, completely, if the process ends before that.
//! - A database that is damaged, or that a newer taper has written, is refused by name and never replaced.
//!
//! Not here: what a change may do.

mod documents;
mod open;
mod tables;
mod transaction;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use redb::Database;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::contract::{MIN_HISTORY, Store, StoreError, StoreFuture};
use super::document::{DocumentContent, DocumentId, DocumentWatch, RawDocument};
use super::record::{Draft, Record, RevisionRange};
use crate::ident::{ModelName, Revision};
use crate::sync;

use documents::{UncertainDocument, Written};
pub use open::OpenError;
use open::OpenFolder;
use transaction::{Fault, catch_panics};

/// Keeps changes and documents in a folder. One process at a time.
#[derive(Debug)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Path of the database.
    file: PathBuf,
    /// `None` after an error, until the database is opened again.
    database: RwLock<Option<Database>>,
    /// The last change of every model, as the database has them: what is read most.
    newest: RwLock<BTreeMap<ModelName, Record>>,
    /// Locked by the writer. Contains the write that was answered with an error until it is known not to be in the database.
    uncertain: Mutex<Option<UncertainWrite>>,
    revision: watch::Sender<Revision>,
    /// Newest revision of each kind of document.
    document_revisions: Mutex<BTreeMap<String, watch::Sender<Revision>>>,
    /// Changes of each model that are kept.
    kept: usize,
    /// The folder as it was opened.
    folder: OpenFolder,
}

/// A write that was answered with an error, and may be in the database nevertheless.
#[derive(Debug)]
enum UncertainWrite {
    Change(Box<Record>),
    Document(UncertainDocument),
}

impl EmbeddedStore {
    /// Opens the store in `dir`, and creates both if they do not exist. Blocks while it reads the whole file to verify its
    /// checksums.
    ///
    /// # Errors
    /// Returns an error if another process uses the folder, if the file is damaged or a newer taper has written it, or if the
    /// file system fails.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let (file, lock) = open::lock_folder(dir)?;
        let opened = open::open_or_create(&file)?;
        let folder = OpenFolder::new(dir, lock)?;
        let kinds = opened.document_revisions.into_iter();
        let inner = Inner {
            file,
            database: RwLock::new(Some(opened.database)),
            newest: RwLock::new(opened.changes.newest),
            uncertain: Mutex::new(None),
            revision: watch::Sender::new(opened.changes.revision),
            document_revisions: Mutex::new(
                kinds
                    .map(|(kind, revision)| (kind, watch::Sender::new(revision)))
                    .collect(),
            ),
            kept: MIN_HISTORY,
            folder,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the last change of every model in `dir`, and the changes that are restored unless a last one is confirmed; none
    /// if there is no store.
    ///
    /// Blocks, changes nothing, and works while another process has the store open: it reads a copy of the file in the
    /// system's temporary folder. redb can share a file with readers, but only if the writer gives up the lock on the whole
    /// file. A copy during which the writer changed pages fails its checksums and is made again.
    ///
    /// # Errors
    /// Returns an error if the file is damaged or a newer taper has written it, or if the file system fails.
    pub fn read_only_records(dir: &Path) -> Result<Vec<Record>, OpenError> {
        open::copied_records(dir)
    }

    #[cfg(test)]
    pub(super) fn keeping(dir: &Path, kept: usize) -> Self {
        let mut store = Self::open(dir).unwrap();
        Arc::get_mut(&mut store.inner).unwrap().kept = kept;
        store
    }

    /// Runs `job` on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let done = spawn_blocking(move || job(&inner)).await;
        done.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }

    /// Runs `job`, which reads, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(move |inner| inner.run(None, job)).await
    }
}

impl Inner {
    /// Runs `job` on the database, which is opened again first if it has failed before.
    ///
    /// `uncertain`: the content of [`Self::uncertain`], if the caller has locked it.
    fn run<T>(
        &self,
        uncertain: Option<&mut Option<UncertainWrite>>,
        job: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let mut database = sync::read(&self.database);
        if database.is_none() {
            drop(database);
            match uncertain {
                Some(uncertain) => self.reopen(uncertain)?,
                None => self.reopen(&mut self.lock_for_writing())?,
            }
            database = sync::read(&self.database);
        }
        let Some(open) = database.as_ref() else {
            return Err(StoreError::Failed(
                "the database was closed after an error; try again".into(),
            ));
        };
        let done = catch_panics(|| job(open));
        drop(database);
        done.map_err(|fault| {
            tracing::error!(%fault, file = %self.file.display(), "the database failed, it is opened again before its next use");
            *sync::write(&self.database) = None;
            fault.into()
        })
    }

    fn lock_for_writing(&self) -> MutexGuard<'_, Option<UncertainWrite>> {
        sync::lock(&self.uncertain)
    }

    /// Opens the database again. After that it contains what was acknowledged, and no more.
    fn reopen(&self, uncertain: &mut Option<UncertainWrite>) -> Result<(), StoreError> {
        self.folder.check()?;
        let mut database = sync::write(&self.database);
        if database.is_none() {
            let opened = open::open_existing(&self.file)?.database;
            if let Some(write) = uncertain.as_ref() {
                catch_panics(|| match write {
                    UncertainWrite::Change(record) => tables::take_back(&opened, record),
                    UncertainWrite::Document(write) => documents::take_back(&opened, write),
                })?;
            }
            *uncertain = None;
            *database = Some(opened);
            tracing::info!(file = %self.file.display(), "the database is open again");
        }
        Ok(())
    }

    fn compare_and_set(
        &self,
        model: &ModelName,
        expected: Revision,
        draft: Draft,
    ) -> Result<Record, StoreError> {
        let mut uncertain = self.lock_for_writing();
        self.folder.check()?;
        // There is one writer at a time, so `newest` is what the database contains.
        let newest = sync::read(&self.newest);
        let current = newest
            .get(model)
            .map_or(Revision::default(), |record| record.revision);
        drop(newest);
        if current != expected {
            return Err(StoreError::Conflict { current });
        }
        let record = draft.into_record(model, *self.revision.borrow(), current);
        let mut begun = false;
        let appended = self.run(Some(&mut uncertain), |database| {
            begun = true;
            tables::append(database, &record, self.kept)
        });
        if let Err(error) = appended {
            if begun {
                *uncertain = Some(UncertainWrite::Change(Box::new(record)));
            }
            return Err(error);
        }
        let mut newest = sync::write(&self.newest);
        newest.insert(model.clone(), record.clone());
        drop(newest);
        self.revision.send_replace(record.revision);
        Ok(record)
    }

    fn set_document(
        &self,
        id: DocumentId<'_>,
        expected: Revision,
        content: Option<&DocumentContent>,
    ) -> Result<Revision, StoreError> {
        let mut uncertain = self.lock_for_writing();
        self.folder.check()?;
        let mut begun = None;
        let written = self.run(Some(&mut uncertain), |database| {
            documents::set(database, id, expected, content, &mut begun)
        });
        match written {
            Ok(Written::Changed(revision)) => {
                self.with_document_revision(id.kind, |newest| newest.send_replace(revision));
                Ok(revision)
            }
            Ok(Written::Unchanged(revision)) => Ok(revision),
            Ok(Written::Conflict(current)) => Err(StoreError::Conflict { current }),
            Err(error) => {
                if let Some(write) = begun {
                    *uncertain = Some(UncertainWrite::Document(write));
                }
                Err(error)
            }
        }
    }

    fn with_document_revision<T>(
        &self,
        kind: &str,
        with: impl FnOnce(&watch::Sender<Revision>) -> T,
    ) -> T {
        let mut revisions = sync::lock(&self.document_revisions);
        let newest = revisions
            .entry(kind.to_owned())
            .or_insert_with(|| watch::Sender::new(Revision::default()));
        with(newest)
    }
}

impl Store for EmbeddedStore {
    fn all(&self) -> StoreFuture<'_, Vec<Record>> {
        Box::pin(async {
            let newest = sync::read(&self.inner.newest);
            Ok(newest.values().cloned().collect())
        })
    }

    fn at(&self, revision: Revision) -> StoreFuture<'_, Option<Record>> {
        Box::pin(self.read(move |database| tables::at(database, revision)))
    }

    fn compare_and_set<'a>(
        &'a self,
        model: &'a ModelName,
        expected: Revision,
        draft: Draft,
    ) -> StoreFuture<'a, Record> {
        let model = model.clone();
        Box::pin(self.blocking(move |inner| inner.compare_and_set(&model, expected, draft)))
    }

    fn history<'a>(&'a self, range: RevisionRange<'a>) -> StoreFuture<'a, Vec<Record>> {
        Box::pin(async move {
            let Some(revisions) = range.revisions() else {
                return Ok(Vec::new());
            };
            let (model, limit) = (range.model.cloned(), range.limit);
            self.read(move |database| tables::history(database, model.as_ref(), revisions, limit))
                .await
        })
    }

    fn compacted(&self) -> StoreFuture<'_, Revision> {
        Box::pin(self.read(tables::compacted))
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.inner.revision.subscribe()
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.blocking(|inner| inner.folder.check()))
    }

    fn document<'a>(&'a self, id: DocumentId<'a>) -> StoreFuture<'a, Option<RawDocument>> {
        let (kind, key) = (id.kind.to_owned(), id.key.to_owned());
        Box::pin(self.read(move |database| documents::get(database, &kind, &key)))
    }

    fn documents<'a>(&'a self, kind: &'a str) -> StoreFuture<'a, Vec<RawDocument>> {
        let kind = kind.to_owned();
        Box::pin(self.read(move |database| documents::all(database, &kind)))
    }

    fn set_document<'a>(
        &'a self,
        id: DocumentId<'a>,
        expected: Revision,
        content: Option<DocumentContent>,
    ) -> StoreFuture<'a, Revision> {
        let (kind, key) = (id.kind.to_owned(), id.key.to_owned());
        Box::pin(self.blocking(move |inner| {
            let (kind, key) = (kind.as_str(), key.as_str());
            inner.set_document(DocumentId { kind, key }, expected, content.as_ref())
        }))
    }

    fn watch_documents(&self, kind: &str) -> DocumentWatch {
        self.inner
            .with_document_revision(kind, watch::Sender::subscribe)
    }
}

#[cfg(test)]
mod tests;
