//! Durable transactions, and why one fails.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, Durability, WriteTransaction};

use crate::control::store::contract::StoreError;
use crate::error::panic_text;

/// The newest format of the database that this taper reads. Increased when a taper that knows only the previous format could
/// misread the tables.
pub(super) const FORMAT: u64 = 1;

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// An error of the database.
    #[error(transparent)]
    Database(Box<redb::Error>),
    /// The content of the database is inconsistent, or a value cannot be written as JSON.
    #[error("{0}")]
    Content(String),
    /// A newer taper has written the database.
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

/// Returns whether there is no room left: on the disk, within a quota, or for a file of this size.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Runs `job` and turns a panic into a fault: redb may panic on a file that another program has changed.
pub(super) fn catch_panics<T>(job: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|panic| {
        let text = panic_text(&*panic);
        Err(Fault::Content(format!("the database panicked: {text}")))
    })
}

/// Begins a transaction whose changes are on the disk when its commit returns.
///
/// It commits in two phases. With one phase, damage to the newest commit would silently bring back the commit before it, and
/// an acknowledged change would be lost.
pub(super) fn begin_durable(database: &Database) -> Result<WriteTransaction, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}
