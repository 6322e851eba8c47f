//! The tables of changes, and the transactions over them.
//!
//! A revision is in `changes` exactly if it is in `histories` under its model; `models` contains the last one of each
//! model.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use redb::{Database, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError};

use super::transaction::{FORMAT, Fault, begin_durable};
use crate::control::store::record::Record;
use crate::ident::{ModelName, Revision};

/// Revision -> JSON of its [`Record`].
const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
/// Model -> its last revision.
const MODELS: TableDefinition<'_, &str, u64> = TableDefinition::new("models");
/// (Model, revision): every revision that is kept.
const HISTORIES: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("histories");
/// Numbers about the whole database.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// In [`META`]: the format of all tables, [`FORMAT`].
const FORMAT_KEY: &str = "format";
/// In [`META`]: the highest revision that is no longer kept.
const COMPACTED_KEY: &str = "compacted";

/// The changes in an open database.
#[derive(Debug)]
pub(super) struct Changes {
    /// The last change of every model.
    pub(super) newest: BTreeMap<ModelName, Record>,
    /// The newest revision of all models; 0 if there are no changes.
    pub(super) revision: Revision,
}

/// Creates the tables of a new database.
pub(super) fn create(database: &Database) -> Result<(), Fault> {
    let transaction = begin_durable(database)?;
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

/// Reads the last change of every model, after checking the format.
pub(super) fn read_changes(database: &Database) -> Result<Changes, Fault> {
    let transaction = database.begin_read()?;
    let absent = |error| match error {
        TableError::Storage(error) => error.into(),
        error => Fault::Content(error.to_string()),
    };
    // Before anything else: a newer taper may have named the other tables differently.
    let meta = transaction.open_table(META).map_err(absent)?;
    match meta.get(FORMAT_KEY)?.map(|format| format.value()) {
        Some(FORMAT) => {}
        Some(format) if format > FORMAT => return Err(Fault::Newer(format)),
        format => {
            return Err(Fault::Content(format!(
                "its format is {format:?}, expected {FORMAT}"
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
    Ok(Changes { newest, revision })
}

/// Stores `record`, which is the newest of all, and drops the changes of its model that are older than the last `kept`,
/// except those that `record` requires. One transaction, on the disk when this returns.
pub(super) fn append(database: &Database, record: &Record, kept: usize) -> Result<(), Fault> {
    let json = serde_json::to_vec(record).map_err(|error| Fault::Content(error.to_string()))?;
    let (model, revision) = (record.model.as_str(), record.revision.0);
    let required: BTreeSet<u64> = record.required_revisions().collect();
    let transaction = begin_durable(database)?;
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
        old.retain(|revision| !required.contains(revision));
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

/// Removes `record` if it is in the database. The changes that were dropped for it do not come back.
pub(super) fn take_back(database: &Database, record: &Record) -> Result<(), Fault> {
    let (model, revision) = (record.model.as_str(), record.revision.0);
    let transaction = begin_durable(database)?;
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

/// Returns the change with this revision, if it is kept.
pub(super) fn at(database: &Database, revision: Revision) -> Result<Option<Record>, Fault> {
    get(&database.begin_read()?.open_table(CHANGES)?, revision.0)
}

/// Returns the newest `limit` changes among `revisions`, of one model or of all models, ascending.
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
            let range = (model.as_str(), first)..=(model.as_str(), last);
            for entry in histories.range(range)?.rev().take(limit) {
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

/// Returns the highest revision that is no longer kept.
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
