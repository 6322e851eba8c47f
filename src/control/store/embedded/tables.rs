//! What the database holds, and the transactions over it. The only file that names its tables.
//!
//! A revision is in `changes` exactly if it is in `histories` under its model; `models` names the last one of each.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableError, WriteTransaction,
};

use crate::control::store::{Record, StoreError};
use crate::ident::{ModelName, Revision};

/// Revision -> JSON of its [`Record`].
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
/// Model -> its last revision.
const MODELS: TableDefinition<'_, &str, u64> = TableDefinition::new("models");
/// (Model, revision): every revision that is kept.
const HISTORIES: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("histories");
/// Numbers about the whole.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// In [`META`]: which tables there are and what is in them, [`FORMAT`].
const FORMAT_KEY: &str = "format";
/// In [`META`]: the highest revision that is no longer kept.
const COMPACTED_KEY: &str = "compacted";

/// Raised when a taper that knows only the number before could misread the tables.
pub(super) const FORMAT: u64 = 1;

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// What the database said.
    #[error(transparent)]
    Database(Box<redb::Error>),
    /// What is in it makes no sense, or a record cannot be written as JSON.
    #[error("{0}")]
    Content(String),
    /// A newer taper has written it.
    #[error("format {0} is newer than {FORMAT}")]
    Newer(u64),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Database(error) => match &**error {
                redb::Error::Io(error) if is_full(error) => Self::Full,
                error => Self::Failed(format!("the database failed: {error}")),
            },
            _ => Self::Failed(format!("the database failed: {fault}")),
        }
    }
}

/// Whether there is no room: on the disk, within a quota, or for a file of this size.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// What `job` answers; a panic is a fault: redb may panic at a file that somebody else has changed.
pub(super) fn guarded<T>(job: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| Err(Fault::Content(words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the database panicked").to_owned()
}

/// What an opened database holds.
#[derive(Debug)]
pub(super) struct Held {
    /// The last change of every model.
    pub(super) newest: BTreeMap<ModelName, Record>,
    /// The newest revision of all; 0 where nobody has changed anything.
    pub(super) revision: Revision,
}

/// Has `transaction` on the disk when its commit returns, in two phases: with one, damage to the newest commit would bring
/// back the one before it without a word, and an acknowledged change would be gone.
fn durable(transaction: &mut WriteTransaction) -> Result<(), Fault> {
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(())
}

/// Makes the tables of a new database.
pub(super) fn create(database: &Database) -> Result<(), Fault> {
    let mut transaction = database.begin_write()?;
    durable(&mut transaction)?;
    {
        transaction.open_table(CHANGES)?;
        transaction.open_table(MODELS)?;
        transaction.open_table(HISTORIES)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT)?;
        meta.insert(COMPACTED_KEY, 0)?;
    }
    Ok(transaction.commit()?)
}

/// Looks through an opened database.
pub(super) fn held(database: &Database) -> Result<Held, Fault> {
    let transaction = database.begin_read()?;
    let absent = |error| match error {
        TableError::Storage(error) => error.into(),
        error => Fault::Content(error.to_string()),
    };
    // Before anything else: what a newer taper has written may be named otherwise.
    let meta = transaction.open_table(META).map_err(absent)?;
    match meta.get(FORMAT_KEY)?.map(|format| format.value()) {
        Some(FORMAT) => {}
        Some(format) if format > FORMAT => return Err(Fault::Newer(format)),
        format => {
            return Err(Fault::Content(format!(
                "its format is {format:?}, wants {FORMAT}"
            )));
        }
    }
    let changes = transaction.open_table(CHANGES).map_err(absent)?;
    transaction.open_table(HISTORIES).map_err(absent)?;
    let mut newest = BTreeMap::new();
    for entry in transaction.open_table(MODELS).map_err(absent)?.iter()? {
        let (model, revision) = entry?;
        let (model, revision) = (model.value(), revision.value());
        let record = get(&changes, revision)?;
        let record = record.filter(|record| record.model.as_str() == model);
        let Some(record) = record else {
            return Err(Fault::Content(format!(
                "revision {revision} of `{model}` is not in it"
            )));
        };
        newest.insert(record.model.clone(), record);
    }
    let revision = Revision(changes.last()?.map_or(0, |(revision, _)| revision.value()));
    Ok(Held { newest, revision })
}

/// Stores `record`, which is the newest of all, and drops what is older than the last `kept` changes of its model, but for
/// what it needs; both or neither. On the disk when this returns.
pub(super) fn append(database: &Database, record: &Record, kept: usize) -> Result<(), Fault> {
    let json = serde_json::to_vec(record).map_err(|error| Fault::Content(error.to_string()))?;
    let (model, revision) = (record.model.as_str(), record.revision.0);
    let needed: BTreeSet<u64> = record.needs().collect();
    let mut transaction = database.begin_write()?;
    durable(&mut transaction)?;
    {
        let mut changes = transaction.open_table(CHANGES)?;
        let mut histories = transaction.open_table(HISTORIES)?;
        changes.insert(revision, json.as_slice())?;
        histories.insert((model, revision), ())?;
        transaction.open_table(MODELS)?.insert(model, revision)?;
        let mut old = Vec::new();
        for entry in histories
            .range((model, 0)..=(model, u64::MAX))?
            .rev()
            .skip(kept)
        {
            old.push(entry?.0.value().1);
        }
        old.retain(|revision| !needed.contains(revision));
        for revision in &old {
            changes.remove(revision)?;
            histories.remove((model, *revision))?;
        }
        if let Some(highest) = old.into_iter().max() {
            let mut meta = transaction.open_table(META)?;
            let before = meta
                .get(COMPACTED_KEY)?
                .map_or(0, |compacted| compacted.value());
            meta.insert(COMPACTED_KEY, before.max(highest))?;
        }
    }
    Ok(transaction.commit()?)
}

/// Removes `record` if it is the newest of all. What was dropped for it does not come back.
pub(super) fn take_back(database: &Database, record: &Record) -> Result<(), Fault> {
    let (model, revision) = (record.model.as_str(), record.revision.0);
    let mut transaction = database.begin_write()?;
    durable(&mut transaction)?;
    {
        let mut changes = transaction.open_table(CHANGES)?;
        if changes.remove(revision)?.is_none() {
            return Ok(());
        }
        transaction
            .open_table(HISTORIES)?
            .remove((model, revision))?;
        let mut models = transaction.open_table(MODELS)?;
        if record.previous == Revision::default() {
            models.remove(model)?;
        } else {
            models.insert(model, record.previous.0)?;
        }
    }
    Ok(transaction.commit()?)
}

/// The change with this revision, if it is kept.
pub(super) fn at(database: &Database, revision: Revision) -> Result<Option<Record>, Fault> {
    get(&database.begin_read()?.open_table(CHANGES)?, revision.0)
}

/// The newest `limit` of the changes with `revisions`, of one model or of all, ascending.
pub(super) fn history(
    database: &Database,
    model: Option<&ModelName>,
    revisions: RangeInclusive<u64>,
    limit: usize,
) -> Result<Vec<Record>, Fault> {
    let transaction = database.begin_read()?;
    let changes = transaction.open_table(CHANGES)?;
    let mut records = Vec::new();
    match model {
        Some(model) => {
            let (first, last) = revisions.into_inner();
            let histories = transaction.open_table(HISTORIES)?;
            let span = (model.as_str(), first)..=(model.as_str(), last);
            for entry in histories.range(span)?.rev().take(limit) {
                records.extend(get(&changes, entry?.0.value().1)?);
            }
        }
        None => {
            for entry in changes.range(revisions)?.rev().take(limit) {
                let (revision, json) = entry?;
                records.push(parse(revision.value(), json.value())?);
            }
        }
    }
    records.reverse();
    Ok(records)
}

/// The highest revision that is no longer kept.
pub(super) fn compacted(database: &Database) -> Result<Revision, Fault> {
    let meta = database.begin_read()?.open_table(META)?;
    let compacted = meta
        .get(COMPACTED_KEY)?
        .map_or(0, |compacted| compacted.value());
    Ok(Revision(compacted))
}

fn get(
    changes: &impl ReadableTable<u64, &'static [u8]>,
    revision: u64,
) -> Result<Option<Record>, Fault> {
    let json: Result<_, StorageError> = changes.get(revision);
    json?.map(|json| parse(revision, json.value())).transpose()
}

fn parse(revision: u64, json: &[u8]) -> Result<Record, Fault> {
    let record: Result<Record, _> = serde_json::from_slice(json);
    record.map_err(|error| Fault::Content(format!("revision {revision} cannot be read: {error}")))
}

#[cfg(test)]
pub(super) fn set_format(database: &Database, format: u64) {
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(META)
        .unwrap()
        .insert(FORMAT_KEY, format)
        .unwrap();
    transaction.commit().unwrap();
}
