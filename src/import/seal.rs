//! Completes the manifest of a folder that was made by hand: it lists the files with their digests.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::faults::{self, Faults};
use crate::model::manifest::File;
use crate::model::{Manifest, folder_of, open_regular};

/// Replaces the list of files in the manifest of `dir` by the files that are there, with their sizes and digests. Returns how many
/// there are. The rest of the manifest stays as it is; only its layout may change.
///
/// # Errors
/// Returns an error if the folder or a file cannot be read, or every fault of the completed manifest. The manifest is unchanged then.
pub fn seal(dir: &Path) -> Result<usize, Faults> {
    let place = dir.join(File::MANIFEST);
    let text = fs::read(&place);
    let text = text.map_err(|error| Faults::one(&place, format!("cannot be read: {error}")))?;
    let mut document = faults::from_json(&place, &text)?;
    let mut paths = Vec::new();
    collect(dir, dir, &mut paths)?;
    paths.sort();
    let mut files = Vec::new();
    for path in &paths {
        let entry = entry(dir, path).map_err(|why| Faults::one(dir.join(path), why))?;
        files.push(entry);
    }
    let count = files.len();
    let Some(object) = document.as_object_mut() else {
        return Err(Faults::one(&place, "is not a JSON object"));
    };
    object.insert("files".into(), Value::Array(files));
    let pretty = serde_json::to_vec_pretty(&document);
    let mut sealed = pretty.map_err(|error| Faults::one(&place, error.to_string()))?;
    sealed.push(b'\n');
    Manifest::parse(&place, &sealed)?;
    replace(&place, &sealed)
        .map_err(|error| Faults::one(&place, format!("cannot be written: {error}")))?;
    Ok(count)
}

/// Collects the paths of all files below `at`, relative to `dir`, except the manifest and hidden files.
fn collect(dir: &Path, at: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Faults> {
    let failed = |error: io::Error| Faults::one(at, format!("cannot be read: {error}"));
    for entry in fs::read_dir(at).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            collect(dir, &path, paths)?;
        } else if let Ok(relative) = path.strip_prefix(dir)
            && relative != Path::new(File::MANIFEST)
        {
            paths.push(relative.to_owned());
        }
    }
    Ok(())
}

/// Returns the entry of a regular file. It may be a link to any place: which content stores there are is known only where the version is
/// loaded, and checked there.
fn entry(dir: &Path, path: &Path) -> Result<Value, String> {
    let mut file = open_regular(&dir.join(path))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0_u64;
    loop {
        let read = file.read(&mut buffer);
        let read = read.map_err(|error| format!("cannot be read: {error}"))?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        bytes += read as u64;
    }
    let sha256 = HEXLOWER.encode(&digest.finalize());
    let path = path
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    let path = path.collect::<Vec<_>>().join("/");
    Ok(json!({"path": path, "sha256": sha256, "bytes": bytes}))
}

/// Replaces a file by a rename, so that no reader sees half of it.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = tempfile::NamedTempFile::new_in(folder_of(file))?;
    io::Write::write_all(&mut draft, bytes)?;
    draft.as_file().sync_all()?;
    #[cfg(unix)]
    draft
        .as_file()
        .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    draft.persist(file)?;
    Ok(())
}
