use serde_json::{Value, json};

use super::*;
use crate::model::{load, samples};

const LIMIT: u64 = 1 << 20;
const NOTHING: [PathBuf; 0] = [];

fn m() -> ModelName {
    "m".parse().unwrap()
}

fn one() -> VersionNumber {
    1.try_into().unwrap()
}

/// Returns a file in pieces of at most seven bytes.
fn file(path: &str, bytes: &[u8]) -> Vec<Result<Part, Aborted>> {
    let first = Part {
        path: Some(path.to_owned()),
        data: Bytes::new(),
    };
    let pieces = bytes.chunks(7).map(|piece| Part {
        path: None,
        data: Bytes::copy_from_slice(piece),
    });
    std::iter::once(first).chain(pieces).map(Ok).collect()
}

/// Returns the manifest of the sample with a second file in a subfolder, after `change`.
fn document(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut document = samples::document("m", 1);
    let files = [
        document["files"][0].clone(),
        samples::file("a/notes", b"ok"),
    ];
    document["files"] = json!(files);
    change(&mut document);
    document.to_string().into_bytes()
}

fn limits(bytes: u64) -> UploadLimits {
    UploadLimits {
        bytes,
        memory: None,
    }
}

/// Receives `files`, in order, as version 1 of `m`.
fn upload(root: &Path, limit: u64, files: &[(&str, &[u8])]) -> Result<u64, UploadError> {
    let parts = files.iter().flat_map(|(path, bytes)| file(path, bytes));
    receive(root, &m(), one(), limits(limit), parts).map(|received| received.bytes)
}

/// Lists everything in `root`, including hidden entries.
fn entries(root: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(root).unwrap();
    found.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_valid_upload_is_published_and_can_be_loaded() {
    let root = tempfile::tempdir().unwrap();
    let (manifest, weights) = (document(|_| {}), samples::weights());
    let files: [(&str, &[u8]); 3] = [
        ("metadata.json", &manifest),
        ("a/notes", b"ok"),
        ("weights.safetensors", &weights),
    ];
    let all = (manifest.len() + weights.len() + 2) as u64;
    assert_eq!(upload(root.path(), all, &files).unwrap(), all);
    let dir = root.path().join("m/1");
    load(&dir, &m(), one()).unwrap();
    assert_eq!(fs::read(dir.join("a/notes")).unwrap(), b"ok");
    assert_eq!(entries(&root.path().join("m")), [dir], "no staging folder");
    let again = upload(root.path(), LIMIT, &files);
    assert!(matches!(again, Err(UploadError::Exists)), "{again:?}");
}

/// Files of an upload, and the start of the fault.
type Case<'a> = (&'a [(&'a str, &'a [u8])], String);

/// Gives the cases their type.
fn cases<const N: usize>(cases: [Case<'_>; N]) -> [Case<'_>; N] {
    cases
}

#[test]
fn an_invalid_upload_is_refused_with_its_fault_and_leaves_nothing() {
    let (manifest, weights) = (document(|_| {}), samples::weights());
    let (m, w) = ("metadata.json", "weights.safetensors");
    let flipped: Vec<u8> = weights.iter().map(|byte| byte ^ 1).collect();
    let longer = [&weights[..], b"1"].concat();
    let (huge, other) = (
        vec![b' '; MAX_MANIFEST_BYTES + 1],
        document(|d| {
            d["model_name"] = json!("n");
            d["version"] = json!(2);
        }),
    );
    let both = document(|d| {
        let notes = samples::file("a", b"ok");
        d["files"].as_array_mut().unwrap().push(notes);
    });
    let below = document(|d| d["files"][1]["path"] = json!("metadata.json/notes"));
    let out = document(|d| d["files"][1]["path"] = json!("../notes"));
    let length = weights.len();
    for (files, want) in cases([
        (&[], format!("{m}: missing")),
        (&[(w, &weights)], format!("{w}: sent before {m}")),
        (&[(m, b"{")], format!("{m}: invalid JSON: EOF")),
        (&[(m, b"{}")], format!("{m}: $.")),
        (&[(m, &huge)], format!("{m}: larger than 4194304 bytes")),
        (
            &[(m, &other)],
            format!(
                "{m}: $.model_name: got \"n\", wants \"m\", as announced by the upload\n{m}: $.version: got 2, wants 1"
            ),
        ),
        (
            &[(m, &both)],
            format!("{m}: $.files[1].path: \"a\" would be a file and a folder"),
        ),
        (
            &[(m, &below)],
            format!("{m}: $.files[1].path: \"{m}\" would be a file and a folder"),
        ),
        (
            &[(m, &out)],
            format!("{m}: $.files[1].path: got \"../notes\", wants a plain path"),
        ),
        (&[(m, &manifest)], format!("{w}: missing\na/notes: missing")),
        (
            &[(m, &manifest), (m, &manifest)],
            format!("{m}: sent twice"),
        ),
        (
            &[(m, &manifest), ("b", b"")],
            format!("b: not listed in {m}"),
        ),
        (
            &[(m, &manifest), ("a//notes", b"ok")],
            format!("a//notes: not listed in {m}"),
        ),
        (
            &[(m, &manifest), ("a/notes", b"ok"), ("a/notes", b"ok")],
            "a/notes: sent twice".into(),
        ),
        (
            &[(m, &manifest), ("a/notes", b"o"), (w, &weights)],
            "a/notes: got 1 bytes, wants 2".into(),
        ),
        (
            &[(m, &manifest), (w, &longer)],
            format!("{w}: larger than {length} bytes, the size in the manifest"),
        ),
        (
            &[(m, &manifest), ("a/notes", b"ok"), (w, &flipped)],
            format!("{w}: got sha256 "),
        ),
    ]) {
        let root = tempfile::tempdir().unwrap();
        match upload(root.path(), 8 * LIMIT, files).unwrap_err() {
            UploadError::Invalid(faults) => {
                let text = faults.to_string();
                assert!(text.starts_with(&want), "got {text}, wants {want}");
            }
            other => panic!("{other:?}, wants {want}"),
        }
        assert_eq!(entries(root.path()), NOTHING, "{want}");
    }
}

#[test]
fn data_before_the_first_path_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let nameless = [Ok(Part::default())].into_iter();
    let refused = receive(root.path(), &m(), one(), limits(LIMIT), nameless).unwrap_err();
    let want = "metadata.json: must be the first file, named by its path";
    assert_eq!(refused.to_string(), want);
}

/// The limit applies to received and to announced bytes.
#[test]
fn the_limit_applies_to_all_files_together() {
    let (manifest, weights) = (document(|_| {}), samples::weights());
    let all = (manifest.len() + weights.len() + 2) as u64;
    let files: [(&str, &[u8]); 1] = [("metadata.json", &manifest)];
    let root = tempfile::tempdir().unwrap();
    for limit in [10, all - 1] {
        let first_file_only = file("metadata.json", &manifest).into_iter();
        let next = file("weights.safetensors", b"")[0].clone();
        let never = std::iter::from_fn(|| panic!("{limit}: no further part is read"));
        let parts = first_file_only.chain([next]).chain(never);
        let refused = receive(root.path(), &m(), one(), limits(limit), parts).unwrap_err();
        assert!(
            matches!(refused, UploadError::TooLarge { limit: reported } if reported == limit),
            "{refused:?}"
        );
    }
    let enough = upload(root.path(), all, &files).unwrap_err();
    assert!(matches!(enough, UploadError::Invalid(_)), "{enough:?}");
    assert_eq!(entries(root.path()), NOTHING);
}

#[test]
fn an_interrupted_upload_leaves_nothing() {
    let manifest = document(|_| {});
    let parts = file("metadata.json", &manifest);
    let next_parts = file("weights.safetensors", &[1; 20]);
    for count in [0, 1, parts.len(), parts.len() + 2] {
        let root = tempfile::tempdir().unwrap();
        let sent = parts.iter().chain(&next_parts).take(count).cloned();
        let interrupted = sent.chain([Err(Aborted)]);
        let refused = receive(root.path(), &m(), one(), limits(LIMIT), interrupted).unwrap_err();
        assert!(matches!(refused, UploadError::Aborted), "{refused:?}");
        assert_eq!(entries(root.path()), NOTHING);
    }
}

#[test]
fn a_full_disk_is_distinguished_from_a_broken_one() {
    for (kind, full) in [
        (ErrorKind::StorageFull, true),
        (ErrorKind::QuotaExceeded, true),
        (ErrorKind::PermissionDenied, false),
    ] {
        let error = UploadError::from(io::Error::from(kind));
        assert_eq!(matches!(error, UploadError::DiskFull), full, "{error:?}");
    }
    #[cfg(target_os = "linux")]
    {
        let full = fs::File::options().write(true).open("/dev/full");
        let mut writer = FileWriter {
            listed: samples::manifest(samples::document("m", 1)).files.remove(0),
            to: full.unwrap(),
            bytes: 0,
            digest: Sha256::new(),
        };
        let error = writer.write(b"1").unwrap_err();
        assert!(matches!(error, UploadError::DiskFull), "{error:?}");
    }
}
