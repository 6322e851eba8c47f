//! Opening the state folder: its lock, its database, and what can be wrong with them.
//!
//! A new database gets its name once it is complete. A file of that name that is not a valid database has therefore been
//! damaged since.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database};

use super::documents;
use super::tables::{self, Changes};
use super::transaction::{FORMAT, Fault, catch_panics, is_full};
use crate::control::store::contract::StoreError;
use crate::control::store::record::Record;
use crate::ident::Revision;

/// Name of the database in the state folder.
const DATABASE: &str = "state.redb";
/// Name of a database that is being created.
const UNFINISHED: &str = "state.redb.new";
/// Name of the lock file in the state folder. The process that has the folder open locks it; it contains that process's id.
const LOCK: &str = "lock";
/// Bytes of the file that redb may hold in memory.
const CACHE: usize = 16 << 20;
/// Maximum number of attempts to copy the file while another process writes it.
const COPY_ATTEMPTS: usize = 8;

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error(
        "the state folder {dir} is used by another taper{process}: stop it, or give this one another state folder",
        dir = dir.display(),
        process = process.as_ref().map_or(String::new(), |process| format!(", process {process}"))
    )]
    InUse {
        /// The folder.
        dir: PathBuf,
        /// Id of the other process, if the lock file contains it.
        process: Option<u32>,
    },
    /// The file system returned an error.
    #[error("the state folder cannot be used: {path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The file is not what taper has written.
    #[error(
        "the state in {file} is damaged ({why}): put back a copy of it, or move it away to start without the policies, \
         labels and history that it contains",
        file = file.display()
    )]
    Damaged {
        /// The database.
        file: PathBuf,
        /// The damage.
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
            // These two kinds are damage, not errors of the file system: the file is shorter than it says, or inconsistent.
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

/// Returns a function for [`Result::map_err`] that adds `path` to an error.
fn io_at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

/// An open database and what is read from it at that time.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) changes: Changes,
    /// Newest revision of each kind of document.
    pub(super) document_revisions: BTreeMap<String, Revision>,
}

/// A folder whose lock and database are open. Their names may be removed or replaced meanwhile, which open files do not notice.
#[derive(Debug)]
pub(super) struct OpenFolder {
    dir: PathBuf,
    lock_file: FileId,
    database: FileId,
    /// Locked until this is dropped.
    _lock: File,
}

impl OpenFolder {
    /// Describes `dir`, which `lock` locks and whose database exists.
    pub(super) fn new(dir: &Path, lock: File) -> Result<Self, OpenError> {
        let database = dir.join(DATABASE);
        let metadata = fs::metadata(&database).map_err(io_at(&database))?;
        let locked = lock.metadata().map_err(io_at(dir))?;
        Ok(Self {
            dir: dir.to_owned(),
            lock_file: FileId::of(&locked),
            database: FileId::of(&metadata),
            _lock: lock,
        })
    }

    /// Checks that lock and database are still found under their names. Without the lock, a second process could use the folder.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (name, opened) in [(LOCK, self.lock_file), (DATABASE, self.database)] {
            match fs::metadata(self.dir.join(name)) {
                Ok(metadata) if FileId::of(&metadata) == opened => {}
                Ok(_) => return Err(StoreError::Lost(self.dir.clone())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(StoreError::Lost(self.dir.clone()));
                }
                Err(error) => {
                    let path = self.dir.join(name);
                    return Err(StoreError::Failed(format!("{}: {error}", path.display())));
                }
            }
        }
        Ok(())
    }
}

/// Identifies a file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// Creates `dir` if it does not exist, and locks it. Returns the path of the database, and the lock, which holds until it is
/// dropped.
pub(super) fn lock_folder(dir: &Path) -> Result<(PathBuf, File), OpenError> {
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
            let mut process = String::new();
            // The folder is locked even if the id cannot be read.
            let _ = lock.take(32).read_to_string(&mut process);
            return Err(OpenError::InUse {
                dir: dir.to_owned(),
                process: process.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
    }
    // The id is for people. If the disk is full, the lock holds without it.
    let written = lock
        .set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::warn!(%error, file = %path.display(), "the process id could not be written into the lock file");
    }
    Ok((dir.join(DATABASE), lock))
}

/// Opens the database `file`, and creates it if it does not exist.
pub(super) fn open_or_create(file: &Path) -> Result<Opened, OpenError> {
    if !file.try_exists().map_err(io_at(file))? {
        create(file)?;
    }
    open_existing(file)
}

/// Opens the database `file` after verifying all its checksums.
pub(super) fn open_existing(file: &Path) -> Result<Opened, OpenError> {
    let mut options = OpenOptions::new();
    let opened = options
        .read(true)
        .write(true)
        .open(file)
        .map_err(io_at(file))?;
    verify(opened).map_err(|fault| OpenError::new(file, fault))
}

fn verify(file: File) -> Result<Opened, Fault> {
    if file.metadata().map_err(redb::Error::Io)?.len() == 0 {
        // redb would create a new database in it.
        return Err(Fault::Content("it is empty".into()));
    }
    catch_panics(|| {
        let mut builder = Builder::new();
        builder
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true);
        let database = builder.create_with_backend(FileBackend::new(file)?)?;
        Ok(Opened {
            // First: it checks the format, and a newer taper may have named other tables differently.
            changes: tables::read_changes(&database)?,
            document_revisions: documents::revisions(&database)?,
            database,
        })
    })
}

/// Creates an empty database under another name, and renames it once all of it is on the disk.
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
    let created = catch_panics(|| {
        let database = Builder::new().set_cache_size(CACHE).create(&unfinished)?;
        tables::create(&database)?;
        Ok(database.close()?)
    });
    created.map_err(|fault| OpenError::new(&unfinished, fault))?;
    fs::rename(&unfinished, file).map_err(io_at(file))?;
    let dir = file.parent().unwrap_or(Path::new("."));
    sync(dir).map_err(io_at(dir))?;
    // The folder itself may be new. The folder above it may not be readable, and then its entry cannot be synced.
    let _ = fs::canonicalize(dir).and_then(|dir| dir.parent().map_or(Ok(()), sync));
    Ok(())
}

/// Writes the names in `dir` to the disk.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// See [`EmbeddedStore::read_only_records`](super::EmbeddedStore::read_only_records).
pub(super) fn copied_records(dir: &Path) -> Result<Vec<Record>, OpenError> {
    let file = dir.join(DATABASE);
    let mut attempts = COPY_ATTEMPTS;
    loop {
        let Some(copy) = copy(&file)? else {
            return Ok(Vec::new());
        };
        attempts -= 1;
        match verify(copy).and_then(|opened| catch_panics(|| restorable_records(opened))) {
            Ok(records) => return Ok(records),
            Err(fault) => match OpenError::new(&file, fault) {
                OpenError::Damaged { .. } if attempts > 0 => {}
                error => return Err(error),
            },
        }
    }
}

/// Returns a copy of `file` without a name; `None` if it does not exist.
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

fn restorable_records(opened: Opened) -> Result<Vec<Record>, Fault> {
    let mut records: Vec<Record> = Vec::new();
    for record in opened.changes.newest.into_values() {
        if let Some(pending) = record.wanted.pending {
            records.extend(tables::at(&opened.database, pending.restores)?);
        }
        records.push(record);
    }
    Ok(records)
}
