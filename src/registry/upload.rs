//! Receives a version: writes its parts into a staging folder as they arrive, and publishes it if all of it is valid.
//!
//! The manifest arrives first and lists the other files with their sizes and digests. So only announced bytes are written, and an
//! invalid upload is rejected as early as possible. An upload that is rejected, interrupted or too large for the disk leaves nothing
//! behind.
//! Before it is published it is loaded once, as a gateway does.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, Builder};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::publish::{PublishError, publish};
use crate::error::panic_text;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::manifest::{File, Manifest};
use crate::model::{self, LoadOptions, Pace};
use crate::priority::set_idle_priority;
use crate::sync::lock;
use crate::text;

/// The largest uploaded manifest, in bytes. It is the only file that is kept in memory.
const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// The most characters of a path that a fault repeats.
const MAX_PATH_CHARS: usize = 255;

/// A piece of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Starts the file with this path, as the manifest lists it. `None` continues the current file.
    pub path: Option<String>,
    /// The next bytes of the file; may be empty.
    pub data: Bytes,
}

/// Limits on an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// The most bytes of all files together.
    pub bytes: u64,
    /// The most bytes of memory in which the version may be loaded; `None`: any number. A version that needs more is published without
    /// being loaded first.
    pub memory: Option<u64>,
}

/// The error of a sender that stopped before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

/// A published upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of all files, including the manifest.
    pub bytes: u64,
}

/// Reasons why an upload is not published. In each case, nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The version exists already.
    #[error("the version already exists, and a published version never changes")]
    Exists,
    /// The upload exceeds the size limit, or its manifest announces that it will.
    #[error("the files have more than {limit} bytes, the limit on uploads")]
    TooLarge {
        /// The most bytes of all files together.
        limit: u64,
    },
    /// The disk of the registry is full.
    #[error("the disk of the registry is full")]
    DiskFull,
    /// The files are not a valid version, or not the announced one. The faults name files as the manifest does.
    #[error("{0}")]
    Invalid(Faults),
    /// The sender stopped before the end.
    #[error("the upload was interrupted")]
    Aborted,
    /// The disk returned another error.
    #[error("the registry cannot be written: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

/// Receives version `version` of `model` from `parts` and publishes it below `root`.
///
/// The first part must start `metadata.json`. Blocks on the disk and on `parts`, so it must not run on a thread that serves requests.
///
/// # Errors
/// See [`UploadError`].
pub fn receive(
    root: &Path,
    model: &ModelName,
    version: VersionNumber,
    limits: UploadLimits,
    parts: impl Iterator<Item = Result<Part, Aborted>>,
) -> Result<Received, UploadError> {
    let mut bytes = 0;
    let fill = |dir: &Path| {
        let mut staging = UploadStaging {
            dir,
            model,
            version,
            limit: limits.bytes,
            received: 0,
            manifest: None,
            started: BTreeSet::new(),
            open: None,
        };
        for part in parts {
            staging.write(part.map_err(|Aborted| UploadError::Aborted)?)?;
        }
        bytes = staging.finish()?;
        load_once(dir, model, version, limits.memory)
    };
    match publish(root, model, version, fill) {
        Ok(_) => Ok(Received { bytes }),
        Err(PublishError::Exists(_)) => Err(UploadError::Exists),
        Err(PublishError::Io { source, .. }) => Err(source.into()),
        Err(PublishError::Fill(error)) => Err(error),
    }
}

/// Loads the version in the staging folder `dir`, with its golden requests: one that a gateway could not serve must not use up the
/// number.
fn load_once(
    dir: &Path,
    model: &ModelName,
    version: VersionNumber,
    memory: Option<u64>,
) -> Result<(), UploadError> {
    /// Two loads would compete for memory.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let options = LoadOptions {
        pace: Pace::Shared,
        ..LoadOptions::default()
    };
    let load = || {
        // A load may take longer; requests may not.
        set_idle_priority();
        let needs = model::memory_to_load(dir, &options.stores)?;
        if memory.is_some_and(|memory| needs > memory) {
            return Ok(());
        }
        model::load_with(dir, model, version, &options, &mut |_| {}).map(drop)
    };
    let _one = lock(&ONE_AT_A_TIME);
    let loaded = thread::scope(|scope| {
        let thread = Builder::new().name("taper-upload".into());
        Ok::<_, io::Error>(thread.spawn_scoped(scope, load)?.join())
    })?;
    let loaded = loaded.unwrap_or_else(|panic| {
        let why = format!("loading panicked: {}", panic_text(&*panic));
        Err(Faults::one(dir.join(File::MANIFEST), why))
    });
    loaded.map_err(|found| {
        let mut faults = Faults::default();
        for fault in found.iter() {
            let file = fault.file.strip_prefix(dir).unwrap_or(&fault.file);
            faults.add(file, &fault.path, &fault.message);
        }
        UploadError::Invalid(faults)
    })
}

/// Assembles an upload in a staging folder.
struct UploadStaging<'a> {
    dir: &'a Path,
    model: &'a ModelName,
    version: VersionNumber,
    limit: u64,
    received: u64,
    manifest: Option<Manifest>,
    /// Files that have been started.
    started: BTreeSet<PathBuf>,
    open: Option<OpenFile>,
}

/// The file that is being received.
enum OpenFile {
    Manifest(Vec<u8>),
    Listed(FileWriter),
}

/// Writes a listed file and computes its digest.
struct FileWriter {
    listed: File,
    to: fs::File,
    bytes: u64,
    digest: Sha256,
}

impl UploadStaging<'_> {
    fn write(&mut self, part: Part) -> Result<(), UploadError> {
        self.received = self.received.saturating_add(part.data.len() as u64);
        if self.received > self.limit {
            return Err(UploadError::TooLarge { limit: self.limit });
        }
        if let Some(path) = &part.path {
            self.close()?;
            self.open = Some(self.start(path)?);
        }
        match &mut self.open {
            Some(OpenFile::Listed(writer)) => writer.write(&part.data),
            Some(OpenFile::Manifest(text)) if text.len() + part.data.len() > MAX_MANIFEST_BYTES => {
                let why =
                    format!("larger than {MAX_MANIFEST_BYTES} bytes, the limit on a manifest");
                Err(invalid(File::MANIFEST, why))
            }
            Some(OpenFile::Manifest(text)) => {
                text.extend_from_slice(&part.data);
                Ok(())
            }
            None => Err(invalid(
                File::MANIFEST,
                "must be the first file, named by its path",
            )),
        }
    }

    /// Returns the bytes of all files, if all of them have been received.
    fn finish(mut self) -> Result<u64, UploadError> {
        self.close()?;
        let Some(manifest) = &self.manifest else {
            return Err(invalid(File::MANIFEST, "missing"));
        };
        let mut faults = Faults::default();
        let listed = manifest.files.iter();
        for file in listed.filter(|file| !self.started.contains(&file.path)) {
            faults.add(&file.path, "", "missing");
        }
        faults.into_result().map_err(UploadError::Invalid)?;
        Ok(self.received)
    }

    /// Starts the file that the manifest lists as `path`, or the manifest itself.
    fn start(&mut self, path: &str) -> Result<OpenFile, UploadError> {
        let Some(manifest) = &self.manifest else {
            return match path {
                File::MANIFEST => Ok(OpenFile::Manifest(Vec::new())),
                _ => Err(invalid(path, format!("sent before {}", File::MANIFEST))),
            };
        };
        // Compared as strings: as paths, `a//b` and `a/b` would be equal.
        let same = |file: &&File| file.path.to_str() == Some(path);
        let listed = manifest.files.iter().find(same).cloned();
        let repeated = path == File::MANIFEST || self.started.contains(Path::new(path));
        match listed {
            _ if repeated => Err(invalid(path, "sent twice")),
            None => Err(invalid(path, format!("not listed in {}", File::MANIFEST))),
            Some(listed) => {
                self.started.insert(listed.path.clone());
                Ok(OpenFile::Listed(FileWriter::create(self.dir, listed)?))
            }
        }
    }

    /// Checks the current file against its announcement.
    fn close(&mut self) -> Result<(), UploadError> {
        match self.open.take() {
            None => Ok(()),
            Some(OpenFile::Listed(writer)) => writer.finish(),
            Some(OpenFile::Manifest(text)) => {
                let manifest = Manifest::parse(Path::new(File::MANIFEST), &text);
                let manifest = manifest.map_err(UploadError::Invalid)?;
                let faults = self.faults_of(&manifest);
                faults.into_result().map_err(UploadError::Invalid)?;
                let announced = manifest.files.iter().map(|file| file.bytes);
                let all = announced.fold(self.received, u64::saturating_add);
                if all > self.limit {
                    return Err(UploadError::TooLarge { limit: self.limit });
                }
                fs::write(self.dir.join(File::MANIFEST), &text)?;
                self.manifest = Some(manifest);
                Ok(())
            }
        }
    }

    /// Returns the differences between a valid manifest and the announced version, and conflicts between paths.
    fn faults_of(&self, manifest: &Manifest) -> Faults {
        let mut faults = Faults::default();
        let differs = |got: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            format!("got {got:?}, wants {wanted:?}, as announced by the upload")
        };
        if manifest.model != *self.model {
            let message = differs(&manifest.model, &self.model);
            faults.add(File::MANIFEST, "$.model_name", message);
        }
        if manifest.version != self.version {
            let message = differs(&manifest.version.get(), &self.version.get());
            faults.add(File::MANIFEST, "$.version", message);
        }
        let listed = manifest.files.iter().map(|file| &*file.path);
        let files: BTreeSet<&Path> = listed.chain([Path::new(File::MANIFEST)]).collect();
        for (at, file) in manifest.files.iter().enumerate() {
            let mut folders = file.path.ancestors().skip(1);
            if let Some(both) = folders.find(|folder| files.contains(folder)) {
                let message = format!("{:?} would be a file and a folder", both.display());
                faults.add(File::MANIFEST, format!("$.files[{at}].path"), message);
            }
        }
        faults
    }
}

impl FileWriter {
    fn create(dir: &Path, listed: File) -> io::Result<Self> {
        let place = dir.join(&listed.path);
        fs::create_dir_all(place.parent().unwrap_or(dir))?;
        Ok(Self {
            to: fs::File::create_new(place)?,
            listed,
            bytes: 0,
            digest: Sha256::new(),
        })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), UploadError> {
        self.bytes += data.len() as u64;
        let (path, wanted) = (&self.listed.path, self.listed.bytes);
        if self.bytes > wanted {
            let why = format!("larger than {wanted} bytes, the size in the manifest");
            return Err(UploadError::Invalid(Faults::one(path, why)));
        }
        self.digest.update(data);
        Ok(self.to.write_all(data)?)
    }

    fn finish(self) -> Result<(), UploadError> {
        let File {
            path,
            sha256,
            bytes,
        } = self.listed;
        let digest: [u8; 32] = self.digest.finalize().into();
        let why = if self.bytes != bytes {
            format!("got {} bytes, wants {bytes}", self.bytes)
        } else if digest != sha256 {
            let [got, wanted] = [digest, sha256].map(|digest| HEXLOWER.encode(&digest));
            format!("got sha256 {got}, wants {wanted}")
        } else {
            return Ok(());
        };
        Err(UploadError::Invalid(Faults::one(path, why)))
    }
}

/// Returns one fault of a file. `path` may come from the sender, so it is truncated.
fn invalid(path: &str, message: impl Into<String>) -> UploadError {
    UploadError::Invalid(Faults::one(text::truncate(path, MAX_PATH_CHARS), message))
}
