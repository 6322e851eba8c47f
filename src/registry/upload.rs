//! A version that comes over the wire: written into a staging folder as it comes, and published only if all of it holds.
//!
//! The manifest comes first and says what else may come: which files, how long and of which digest. So nothing is written
//! that nobody announced, and an upload is refused at its first wrong byte and not at its last. What is refused, cut off or
//! does not fit on the disk leaves nothing behind.
//! Not here: whether the version answers as it should, which loading finds out.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::publish::{PublishError, publish};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::manifest::{File, Manifest};
use crate::text;

/// Bytes of an uploaded manifest at most; it is the one file that is held in memory.
const MOST_MANIFEST: usize = 4 << 20;
/// Characters of a path that a fault repeats.
const MOST_PATH: usize = 255;

/// A piece of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Begins the file of this path, as the manifest lists it; `None` goes on with the file before.
    pub path: Option<String>,
    /// The next bytes of the file; may be empty.
    pub data: Bytes,
}

/// The sender has gone before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted;

/// An upload that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of all files, the manifest among them.
    pub bytes: u64,
}

/// Why an upload was not published. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The version is there already.
    #[error("the version exists already; a published version never changes")]
    Exists,
    /// It is longer than an upload may be, or says that it will be.
    #[error("the files have more than {limit} bytes, the most an upload may have")]
    TooLarge {
        /// Bytes of all files at most.
        limit: u64,
    },
    /// There is no room on the disk of the registry.
    #[error("the disk of the registry is full")]
    DiskFull,
    /// What came is no version, or not the one that was announced. The faults name files as the manifest does.
    #[error("{0}")]
    Invalid(Faults),
    /// The sender has gone before the end.
    #[error("the upload was cut off")]
    Aborted,
    /// The disk refused for another reason.
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

/// Takes version `version` of `model` from `parts` and publishes it below `root`. The first part names `metadata.json`; all
/// files together may have `limit_bytes`. Blocks on the disk and on `parts`: not for a thread that serves.
///
/// # Errors
/// See [`UploadError`].
pub fn receive(
    root: &Path,
    model: &ModelName,
    version: VersionNumber,
    limit_bytes: u64,
    parts: impl Iterator<Item = Result<Part, Aborted>>,
) -> Result<Received, UploadError> {
    let mut bytes = 0;
    let fill = |dir: &Path| {
        let mut staging = UploadStaging {
            dir,
            model,
            version,
            limit: limit_bytes,
            received: 0,
            manifest: None,
            came: BTreeSet::new(),
            open: None,
        };
        for part in parts {
            staging.take(part.map_err(|Aborted| UploadError::Aborted)?)?;
        }
        bytes = staging.finish()?;
        Ok(())
    };
    match publish(root, model, version, fill) {
        Ok(_) => Ok(Received { bytes }),
        Err(PublishError::Exists(_)) => Err(UploadError::Exists),
        Err(PublishError::Io { source, .. }) => Err(source.into()),
        Err(PublishError::Fill(error)) => Err(error),
    }
}

/// Where an upload is put together.
struct UploadStaging<'a> {
    dir: &'a Path,
    model: &'a ModelName,
    version: VersionNumber,
    limit: u64,
    received: u64,
    manifest: Option<Manifest>,
    /// Files that were begun.
    came: BTreeSet<PathBuf>,
    open: Option<Open>,
}

/// The file that is coming.
enum Open {
    Manifest(Vec<u8>),
    File(Writing),
}

/// A listed file, and how much of it is written.
struct Writing {
    listed: File,
    to: fs::File,
    bytes: u64,
    digest: Sha256,
}

impl UploadStaging<'_> {
    fn take(&mut self, part: Part) -> Result<(), UploadError> {
        self.received = self.received.saturating_add(part.data.len() as u64);
        if self.received > self.limit {
            return Err(UploadError::TooLarge { limit: self.limit });
        }
        if let Some(path) = &part.path {
            self.close()?;
            self.open = Some(self.begin(path)?);
        }
        match &mut self.open {
            Some(Open::File(writing)) => writing.add(&part.data),
            Some(Open::Manifest(text)) if text.len() + part.data.len() > MOST_MANIFEST => {
                let why = format!("longer than {MOST_MANIFEST} bytes, the most it may have");
                Err(invalid(File::MANIFEST, why))
            }
            Some(Open::Manifest(text)) => {
                text.extend_from_slice(&part.data);
                Ok(())
            }
            None => Err(invalid(File::MANIFEST, "has to come first, by its name")),
        }
    }

    /// Bytes of all files, if all of them came.
    fn finish(mut self) -> Result<u64, UploadError> {
        self.close()?;
        let Some(manifest) = &self.manifest else {
            return Err(invalid(File::MANIFEST, "missing"));
        };
        let mut faults = Faults::default();
        let listed = manifest.files.iter();
        for file in listed.filter(|file| !self.came.contains(&file.path)) {
            faults.add(&file.path, "", "missing");
        }
        faults.into_result().map_err(UploadError::Invalid)?;
        Ok(self.received)
    }

    /// Begins the file that the manifest lists as `path`, or the manifest itself.
    fn begin(&mut self, path: &str) -> Result<Open, UploadError> {
        let Some(manifest) = &self.manifest else {
            return match path {
                File::MANIFEST => Ok(Open::Manifest(Vec::new())),
                _ => Err(invalid(path, format!("comes before {}", File::MANIFEST))),
            };
        };
        // Texts are compared: as paths, `a//b` and `a/b` would be one.
        let same = |file: &&File| file.path.to_str() == Some(path);
        let listed = manifest.files.iter().find(same).cloned();
        let came = path == File::MANIFEST || self.came.contains(Path::new(path));
        match listed {
            _ if came => Err(invalid(path, "came already")),
            None => Err(invalid(path, format!("not listed in {}", File::MANIFEST))),
            Some(listed) => {
                self.came.insert(listed.path.clone());
                Ok(Open::File(Writing::begin(self.dir, listed)?))
            }
        }
    }

    /// Holds the file that came to what was announced.
    fn close(&mut self) -> Result<(), UploadError> {
        match self.open.take() {
            None => Ok(()),
            Some(Open::File(writing)) => writing.end(),
            Some(Open::Manifest(text)) => {
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

    /// What keeps a good manifest from being the one that was announced, or from lying on a disk.
    fn faults_of(&self, manifest: &Manifest) -> Faults {
        let mut faults = Faults::default();
        let wants = |wanted: &dyn std::fmt::Debug, got: &dyn std::fmt::Debug| {
            format!("got {got:?}, wants {wanted:?}, as the upload says")
        };
        if manifest.model != *self.model {
            let message = wants(&self.model, &manifest.model);
            faults.add(File::MANIFEST, "$.model_name", message);
        }
        if manifest.version != self.version {
            let message = wants(&self.version.get(), &manifest.version.get());
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

impl Writing {
    fn begin(dir: &Path, listed: File) -> io::Result<Self> {
        let place = dir.join(&listed.path);
        fs::create_dir_all(place.parent().unwrap_or(dir))?;
        Ok(Self {
            to: fs::File::create_new(place)?,
            listed,
            bytes: 0,
            digest: Sha256::new(),
        })
    }

    fn add(&mut self, data: &[u8]) -> Result<(), UploadError> {
        self.bytes += data.len() as u64;
        let (path, wanted) = (&self.listed.path, self.listed.bytes);
        if self.bytes > wanted {
            let why = format!("longer than {wanted} bytes, as it is listed");
            return Err(UploadError::Invalid(Faults::one(path, why)));
        }
        self.digest.update(data);
        Ok(self.to.write_all(data)?)
    }

    fn end(self) -> Result<(), UploadError> {
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

/// One fault of a file; its path may be the sender's own.
fn invalid(path: &str, message: impl Into<String>) -> UploadError {
    UploadError::Invalid(Faults::one(text::truncate(path, MOST_PATH), message))
}
