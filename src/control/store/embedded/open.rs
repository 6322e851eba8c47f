//! Opening: the folder, its lock, the file, and what is wrong with them in words.
//!
//! A database appears under its name once it is whole, so a file that is there and is none has been damaged since.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database};

use super::tables::{self, FORMAT, Fault, Held, guarded, is_full};
use crate::control::store::{Record, StoreError};

/// In the state folder: the database.
const DATABASE: &str = "state.redb";
/// In the state folder: a database that is being made.
const UNFINISHED: &str = "state.redb.new";
/// In the state folder: who has it open holds this locked; in it is the number of that process.
const LOCK: &str = "lock";
/// Bytes of the file that redb may hold in memory.
const CACHE: usize = 16 << 20;
/// Times that a copy is made again because the writer has overtaken it.
const COPIES: usize = 8;

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the state folder {dir} is used by another taper{process}: stop it, or give this one another state folder",
        dir = dir.display(),
        process = process.as_ref().map_or(String::new(), |process| format!(", process {process}"))
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// The number of the process, if it has told.
        process: Option<u32>,
    },
    /// The disk refused.
    #[error("the state folder cannot be used: {path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what taper has written.
    #[error(
        "the state in {file} is damaged ({why}): put back a copy of it, or move it away to start without the policies, \
         labels and history that it holds",
        file = file.display()
    )]
    Damaged {
        /// The database.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A newer taper has written the file.
    #[error(
        "the state in {file} has format {found}, which a newer taper has written; this one knows format {FORMAT}: run \
         that taper, or give this one another state folder",
        file = file.display()
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its format.
        found: u64,
    },
}

impl OpenError {
    fn new(file: &Path, fault: Fault) -> Self {
        let file = file.to_owned();
        let error = match fault {
            Fault::Newer(found) => return Self::Newer { file, found },
            Fault::Content(why) => return Self::Damaged { file, why },
            Fault::Database(error) => *error,
        };
        match error {
            // Neither is the disk's: there is less in the file than the file says, or something else.
            redb::Error::Io(source)
                if !matches!(
                    source.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                Self::Io { path: file, source }
            }
            redb::Error::DatabaseAlreadyOpen => {
                let source =
                    io::Error::other("another process has it open without the lock of the folder");
                Self::Io { path: file, source }
            }
            error => Self::Damaged {
                file,
                why: error.to_string(),
            },
        }
    }
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io { source, .. } if is_full(&source) => Self::Full,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// For [`Result::map_err`]: what the system said about `path`.
fn io_at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Makes `dir` where it does not exist and locks it. Returns the database's path, and the lock, which holds until it is
/// dropped.
pub(super) fn folder(dir: &Path) -> Result<(PathBuf, File), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io_at(dir))?;
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    let options = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut lock = options.open(&path).map_err(io_at(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut told = String::new();
            // Told or not, it is locked.
            let _ = lock.take(32).read_to_string(&mut told);
            return Err(OpenError::InUse {
                dir: dir.to_owned(),
                process: told.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
    }
    // Who holds the lock is good to know; on a full disk it is held all the same.
    let told = lock
        .set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
    if let Err(error) = told {
        tracing::warn!(%error, file = %path.display(), "the lock cannot say who holds it");
    }
    Ok((dir.join(DATABASE), lock))
}

/// Opens the database `file`, and makes it where there is none.
pub(super) fn database(file: &Path) -> Result<(Database, Held), OpenError> {
    if !file.try_exists().map_err(io_at(file))? {
        create(file)?;
    }
    existing(file)
}

/// Opens the database `file`, after all its checksums have been verified.
pub(super) fn existing(file: &Path) -> Result<(Database, Held), OpenError> {
    let mut options = OpenOptions::new();
    let opened = options
        .read(true)
        .write(true)
        .open(file)
        .map_err(io_at(file))?;
    verified(opened).map_err(|fault| OpenError::new(file, fault))
}

fn verified(file: File) -> Result<(Database, Held), Fault> {
    if file.metadata().map_err(redb::Error::Io)?.len() == 0 {
        // redb would make a new database of it.
        return Err(Fault::Content("it is empty".into()));
    }
    guarded(|| {
        let mut builder = Builder::new();
        builder
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true);
        let database = builder.create_with_backend(FileBackend::new(file)?)?;
        let held = tables::held(&database)?;
        Ok((database, held))
    })
}

/// Makes an empty database beside its place, and moves it there once all of it is on the disk.
fn create(file: &Path) -> Result<(), OpenError> {
    let unfinished = file.with_file_name(UNFINISHED);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(OpenError::Io {
                path: unfinished,
                source: error,
            });
        }
        _ => {}
    }
    let made = guarded(|| {
        let database = Builder::new().set_cache_size(CACHE).create(&unfinished)?;
        tables::create(&database)?;
        Ok(database.close()?)
    });
    made.map_err(|fault| OpenError::new(&unfinished, fault))?;
    fs::rename(&unfinished, file).map_err(io_at(file))?;
    let dir = file.parent().unwrap_or(Path::new("."));
    sync(dir).map_err(io_at(dir))?;
    // The folder itself may be new. Not everybody may read the one that it is in, and then nothing can be done.
    let _ = fs::canonicalize(dir).and_then(|dir| dir.parent().map_or(Ok(()), sync));
    Ok(())
}

/// Names that came and went in `dir` are on the disk after this.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// See [`EmbeddedStore::read_only_records`](super::EmbeddedStore::read_only_records).
pub(super) fn copied_records(dir: &Path) -> Result<Vec<Record>, OpenError> {
    let file = dir.join(DATABASE);
    let mut left = COPIES;
    loop {
        let Some(copy) = copy(&file)? else {
            return Ok(Vec::new());
        };
        left -= 1;
        match verified(copy).and_then(|(database, held)| guarded(|| needed(&database, held))) {
            Ok(records) => return Ok(records),
            Err(fault) => match OpenError::new(&file, fault) {
                OpenError::Damaged { .. } if left > 0 => {}
                error => return Err(error),
            },
        }
    }
}

/// A copy of `file` without a name; `None` where it does not exist.
fn copy(file: &Path) -> Result<Option<File>, OpenError> {
    let mut original = match File::open(file) {
        Ok(original) => original,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_at(file)(error)),
    };
    let temporary = std::env::temp_dir();
    let mut copy = tempfile::tempfile().map_err(io_at(&temporary))?;
    io::copy(&mut original, &mut copy).map_err(io_at(file))?;
    copy.rewind().map_err(io_at(&temporary))?;
    Ok(Some(copy))
}

fn needed(database: &Database, held: Held) -> Result<Vec<Record>, Fault> {
    let mut records: Vec<Record> = Vec::new();
    for record in held.newest.into_values() {
        if let Some(pending) = record.wanted.pending {
            records.extend(tables::at(database, pending.restores)?);
        }
        records.push(record);
    }
    Ok(records)
}
