//! The store of one gateway: a database file in its state folder.
//!
//! redb keeps it: pure Rust, well kept, copy-on-write B-trees with a checksum on every page, transactions that are on the
//! disk (fsync) before they are acknowledged, and a file that a process killed at any moment leaves readable. Given up for
//! it: a format that people can read with a pager, as one file of fsynced lines would be, and the tools that SQLite has; and
//! the file does not shrink. The lines would have needed an index, a way to cut the tail and a recovery of their own.
//!
//! What always holds: one process at a time has it, which a lock beside the file makes sure of; a change, its place in the
//! history and what the history drops for it are one transaction; after an error of the disk the file is opened anew before
//! it is used again, and a change that was answered with an error is taken back if it got into the file after all (it stays,
//! as a whole, if the process ends before that); a file that is damaged or from a newer taper is refused with its name and
//! never replaced.
//! Not here: what a change may do.

mod open;
mod tables;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::Database;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::{Draft, Record, RevisionRange, Store, StoreError};
use crate::ident::{ModelName, Revision};

pub use open::OpenError;
use tables::{Fault, guarded};

/// Keeps changes in a folder, for good. One process at a time.
#[derive(Debug)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The database.
    file: PathBuf,
    /// `None` after it has failed, until it is opened anew.
    database: RwLock<Option<Database>>,
    /// The last change of every model, as the database has them: what is read most.
    newest: RwLock<BTreeMap<ModelName, Record>>,
    /// Held by the one that writes. In it the change that was answered with an error, until it is known not to be there.
    doubtful: Mutex<Option<Record>>,
    revision: watch::Sender<Revision>,
    /// Changes of one model that are kept.
    kept: usize,
    /// Locked as long as this store lives.
    _lock: File,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, and creates both where they do not exist. Blocks, for as long as it takes to read the whole
    /// file and verify its checksums.
    ///
    /// # Errors
    /// That another process uses the folder, that the file is damaged or from a newer taper, or what the disk said.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let (file, lock) = open::folder(dir)?;
        let (database, held) = open::database(&file)?;
        let inner = Inner {
            file,
            database: RwLock::new(Some(database)),
            newest: RwLock::new(held.newest),
            doubtful: Mutex::new(None),
            revision: watch::Sender::new(held.revision),
            kept: <Self as Store>::KEPT,
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The last change of every model in `dir`, and those that come back unless a last one is confirmed; none where there is
    /// no store. Blocks, changes nothing and works while another process has the store open, from a copy of the file in the
    /// system's temporary folder: redb can share a file with readers, but only since lately, and only if the writer gives up
    /// the lock on the whole file; a look from outside is not worth that. A copy in which the writer has overtaken the
    /// reader fails its checksums, and is made again.
    ///
    /// # Errors
    /// That the file is damaged or from a newer taper, or what the disk said.
    pub fn read_only_records(dir: &Path) -> Result<Vec<Record>, OpenError> {
        open::copied_records(dir)
    }

    #[cfg(test)]
    pub(super) fn keeping(dir: &Path, kept: usize) -> Self {
        let mut store = Self::open(dir).unwrap();
        Arc::get_mut(&mut store.inner).unwrap().kept = kept;
        store
    }

    /// Runs `job` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        let done = spawn_blocking(move || job(&inner)).await;
        done.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }
}

impl Inner {
    /// What `job` reads or writes in the database, which is opened anew first if it has failed before.
    ///
    /// `doubtful`: what the guard of [`Self::doubtful`] holds, if the caller has it.
    fn run<T>(
        &self,
        doubtful: Option<&mut Option<Record>>,
        job: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let mut database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            drop(database);
            match doubtful {
                Some(doubtful) => self.reopen(doubtful)?,
                None => {
                    self.reopen(&mut self.doubtful.lock().unwrap_or_else(PoisonError::into_inner))?;
                }
            }
            database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        }
        let Some(open) = database.as_ref() else {
            return Err(StoreError::Failed(
                "the database was closed after an error; try again".into(),
            ));
        };
        let done = guarded(|| job(open));
        drop(database);
        done.map_err(|fault| {
            tracing::error!(%fault, file = %self.file.display(), "the database failed and is opened anew");
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
            fault.into()
        })
    }

    /// Opens the database again, which then holds what was acknowledged and no more.
    fn reopen(&self, doubtful: &mut Option<Record>) -> Result<(), StoreError> {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            let (opened, _) = open::existing(&self.file)?;
            if let Some(record) = doubtful.as_ref() {
                guarded(|| tables::take_back(&opened, record))?;
            }
            *doubtful = None;
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
        let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that writes is alone, so what is held in memory is what the database holds.
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        let current = newest
            .get(model)
            .map_or(Revision::default(), |record| record.revision);
        drop(newest);
        if current != expected {
            return Err(StoreError::Conflict { current });
        }
        let record = draft.into_record(model, *self.revision.borrow(), current);
        let mut begun = false;
        let appended = self.run(Some(&mut doubtful), |database| {
            begun = true;
            tables::append(database, &record, self.kept)
        });
        if let Err(error) = appended {
            if begun {
                *doubtful = Some(record);
            }
            return Err(error);
        }
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        newest.insert(model.clone(), record.clone());
        drop(newest);
        self.revision.send_replace(record.revision);
        Ok(record)
    }
}

impl Store for EmbeddedStore {
    async fn all(&self) -> Result<Vec<Record>, StoreError> {
        let newest = self
            .inner
            .newest
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(newest.values().cloned().collect())
    }

    async fn at(&self, revision: Revision) -> Result<Option<Record>, StoreError> {
        self.blocking(move |inner| inner.run(None, |database| tables::at(database, revision)))
            .await
    }

    async fn compare_and_set(
        &self,
        model: &ModelName,
        expected: Revision,
        draft: Draft,
    ) -> Result<Record, StoreError> {
        let model = model.clone();
        self.blocking(move |inner| inner.compare_and_set(&model, expected, draft))
            .await
    }

    async fn history(&self, span: RevisionRange<'_>) -> Result<Vec<Record>, StoreError> {
        let Some(revisions) = span.revisions() else {
            return Ok(Vec::new());
        };
        let (model, limit) = (span.model.cloned(), span.limit);
        let read =
            move |database: &Database| tables::history(database, model.as_ref(), revisions, limit);
        self.blocking(move |inner| inner.run(None, read)).await
    }

    async fn compacted(&self) -> Result<Revision, StoreError> {
        self.blocking(|inner| inner.run(None, tables::compacted))
            .await
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.inner.revision.subscribe()
    }
}

#[cfg(test)]
mod tests;
