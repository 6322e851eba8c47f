//! The tables of documents other than the desired state of models.
//!
//! They are made when the first document is written, and releases that do not know them ignore them, so they need no new
//! format number.

use std::collections::BTreeMap;

use redb::{
    AccessGuard, Database, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    TableHandle,
};

use super::transaction::{Fault, begin_durable};
use crate::control::store::document::{DocumentContent, DocumentId, RawDocument};
use crate::ident::Revision;

/// Revision, format version and JSON of a document.
type Row = (u64, u32, &'static [u8]);

/// (Kind, key) -> the document.
const DOCUMENTS: TableDefinition<'_, (&str, &str), Row> = TableDefinition::new("documents");
/// Kind -> its newest revision, which stays when all its documents are deleted.
const REVISIONS: TableDefinition<'_, &str, u64> = TableDefinition::new("document_revisions");

/// A write whose outcome is unknown because its commit failed.
#[derive(Debug)]
pub(super) struct UncertainDocument {
    kind: String,
    key: String,
    /// Revision that the write would have made.
    revision: u64,
    /// The document before the write.
    before: Option<RawDocument>,
}

/// What a write did.
pub(super) enum Written {
    /// The document was changed. This is the newest revision of its kind now.
    Changed(Revision),
    /// There was nothing to delete. This is the newest revision of the kind.
    Unchanged(Revision),
    /// The document has another revision than expected.
    Conflict(Revision),
}

/// Returns the newest revision of every kind.
pub(super) fn revisions(database: &Database) -> Result<BTreeMap<String, Revision>, Fault> {
    let transaction = database.begin_read()?;
    let Some(table) = existing(transaction.open_table(REVISIONS))? else {
        return Ok(BTreeMap::new());
    };
    let mut revisions = BTreeMap::new();
    for entry in table.iter()? {
        let (kind, revision) = entry?;
        revisions.insert(kind.value().to_owned(), Revision(revision.value()));
    }
    Ok(revisions)
}

/// Returns the document under (`kind`, `key`), if it exists.
pub(super) fn get(
    database: &Database,
    kind: &str,
    key: &str,
) -> Result<Option<RawDocument>, Fault> {
    let transaction = database.begin_read()?;
    match existing(transaction.open_table(DOCUMENTS))? {
        Some(table) => read(&table, kind, key),
        None => Ok(None),
    }
}

/// Returns all documents of `kind`, sorted by key.
pub(super) fn all(database: &Database, kind: &str) -> Result<Vec<RawDocument>, Fault> {
    let transaction = database.begin_read()?;
    let Some(table) = existing(transaction.open_table(DOCUMENTS))? else {
        return Ok(Vec::new());
    };
    let mut documents = Vec::new();
    for entry in table.range((kind, "")..)? {
        let (id, row) = entry?;
        let (other, key) = id.value();
        if other != kind {
            break;
        }
        documents.push(document(key, &row));
    }
    Ok(documents)
}

/// Writes or, if `content` is `None`, deletes one document if its revision is `expected`. On the disk when this returns.
///
/// `uncertain` is set before the commit: after an error it contains what [`take_back`] needs.
pub(super) fn set(
    database: &Database,
    id: DocumentId<'_>,
    expected: Revision,
    content: Option<&DocumentContent>,
    uncertain: &mut Option<UncertainDocument>,
) -> Result<Written, Fault> {
    let transaction = begin_durable(database)?;
    let revision;
    {
        let mut table = transaction.open_table(DOCUMENTS)?;
        let mut revisions = transaction.open_table(REVISIONS)?;
        let newest = revisions
            .get(id.kind)?
            .map_or(0, |revision| revision.value());
        let before = read(&table, id.kind, id.key)?;
        let current = before
            .as_ref()
            .map_or(Revision::default(), |before| before.revision);
        // A transaction that is dropped changes nothing.
        if current != expected {
            return Ok(Written::Conflict(current));
        }
        if content.is_none() && before.is_none() {
            return Ok(Written::Unchanged(Revision(newest)));
        }
        revision = newest.saturating_add(1);
        match content {
            Some(content) => {
                let row = (revision, content.version, content.json.as_slice());
                table.insert((id.kind, id.key), row)?;
            }
            None => drop(table.remove((id.kind, id.key))?),
        }
        revisions.insert(id.kind, revision)?;
        *uncertain = Some(UncertainDocument {
            kind: id.kind.to_owned(),
            key: id.key.to_owned(),
            revision,
            before,
        });
    }
    transaction.commit()?;
    Ok(Written::Changed(Revision(revision)))
}

/// Restores the document before the `uncertain` write if that write is in the database.
pub(super) fn take_back(database: &Database, uncertain: &UncertainDocument) -> Result<(), Fault> {
    let UncertainDocument {
        kind,
        key,
        revision,
        before,
    } = uncertain;
    let transaction = begin_durable(database)?;
    {
        let mut revisions = transaction.open_table(REVISIONS)?;
        let newest = revisions
            .get(kind.as_str())?
            .map_or(0, |newest| newest.value());
        if newest != *revision {
            return Ok(());
        }
        revisions.insert(kind.as_str(), revision.saturating_sub(1))?;
        let mut table = transaction.open_table(DOCUMENTS)?;
        match before {
            Some(RawDocument {
                revision, content, ..
            }) => {
                let row = (revision.0, content.version, content.json.as_slice());
                table.insert((kind.as_str(), key.as_str()), row)?;
            }
            None => drop(table.remove((kind.as_str(), key.as_str()))?),
        }
    }
    Ok(transaction.commit()?)
}

/// Returns `None` for a table that does not exist yet.
fn existing<T: TableHandle>(opened: Result<T, TableError>) -> Result<Option<T>, Fault> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read(
    table: &impl ReadableTable<(&'static str, &'static str), Row>,
    kind: &str,
    key: &str,
) -> Result<Option<RawDocument>, Fault> {
    let row = table.get((kind, key))?;
    Ok(row.map(|row| document(key, &row)))
}

fn document(key: &str, row: &AccessGuard<'_, Row>) -> RawDocument {
    let (revision, version, json) = row.value();
    RawDocument {
        key: key.to_owned(),
        revision: Revision(revision),
        content: DocumentContent {
            version,
            json: json.to_vec(),
        },
    }
}
