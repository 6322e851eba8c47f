//! Folders that cannot be loaded, and the phases that loading reaches.

use safetensors::{Dtype, tensor::TensorView};

use super::*;

/// Tensors by name: shape and values.
type Tensors<'a> = &'a [(&'a str, &'a [usize], &'a [f32])];

/// The sample's tensors.
const GOOD: Tensors<'_> = &[
    ("0.weight", &[1, 2], &[1.0, -1.0]),
    ("0.bias", &[1], &[0.5]),
];

fn weights(tensors: Tensors<'_>) -> Vec<u8> {
    let raw: Vec<_> = tensors
        .iter()
        .map(|(name, shape, values)| {
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            (*name, shape.to_vec(), bytes)
        })
        .collect();
    let views = raw.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (*name, view.unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Creates a folder whose weights are `bytes`, with a matching manifest after `change`.
fn with_weights(bytes: &[u8], change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, PathBuf) {
    let (root, dir) = folder(|document| {
        document["files"][0] = samples::file("weights.safetensors", bytes);
        change(document);
    });
    fs::write(dir.join("weights.safetensors"), bytes).unwrap();
    (root, dir)
}

#[test]
fn tensors_that_do_not_fit_the_layers_are_reported_by_name() {
    let (nan, wide) = (&[1.0, f32::NAN], &[1.0, 1.0, 1.0]);
    for (tensors, want) in [
        (&GOOD[1..], "weights.safetensors: 0.weight: missing"),
        (
            &[GOOD[0], GOOD[1], ("1.bias", &[1], &[0.0])],
            "weights.safetensors: 1.bias: not used by any layer",
        ),
        (
            &[("0.weight", &[1, 3], wide), GOOD[1]],
            "weights.safetensors: 0.weight: got shape [1, 3], wants [1, 2]",
        ),
        (
            &[("0.weight", &[1, 2], nan), GOOD[1]],
            "weights.safetensors: 0.weight: got NaN at element 1, wants finite weights",
        ),
    ] {
        let (_root, dir) = with_weights(&weights(tensors), |_| {});
        assert_eq!(load_it(&dir).unwrap_err(), [want]);
    }
}

/// The lengths in a header are compared with the file before memory is allocated for them.
#[test]
fn a_header_that_claims_a_gigabyte_allocates_nothing() {
    let headed = |claimed: u64, header: &str| [&claimed.to_le_bytes(), header.as_bytes()].concat();
    let tensor = |shape: &str, end: u64| {
        let header =
            format!(r#"{{"0.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        headed(header.len() as u64, &header)
    };
    for (bytes, want) in [
        (headed(1 << 30, "{}"), "header too large"),
        (headed(u64::MAX, "{}"), "header too large"),
        (headed(99_000_000, "{}"), "invalid header length"),
        (tensor("[1,268435456]", 1 << 30), "incomplete metadata"),
        (tensor("[4294967296,4294967296]", 8), "overflow computing"),
        (tensor("[1,2]", 1 << 30), "invalid shape"),
    ] {
        let (_root, dir) = with_weights(&bytes, |_| {});
        let faults = load_it(&dir).unwrap_err().join("\n");
        assert!(
            faults.starts_with("weights.safetensors: invalid safetensors: ")
                && faults.contains(want),
            "{faults}, wants {want}"
        );
    }
}

#[test]
fn truncated_weights_are_refused_before_they_are_read() {
    let (_root, dir) = folder(|_| {});
    let file = fs::File::options()
        .write(true)
        .open(dir.join(File::WEIGHTS))
        .unwrap();
    let whole = file.metadata().unwrap().len();
    file.set_len(whole - 4).unwrap();
    let cut = whole - 4;
    let want =
        format!("weights.safetensors: differs from the manifest: got {cut} bytes, wants {whole}");
    assert_eq!(load_it(&dir).unwrap_err(), [want.as_str()]);
    let fault = memory_to_load(&dir, &ContentStores::default())
        .unwrap_err()
        .to_string();
    assert!(fault.ends_with(&want), "{fault}");
}

#[test]
fn a_removed_folder_is_reported() {
    let (root, dir) = folder(|_| {});
    fs::remove_dir_all(&dir).unwrap();
    let want = ["metadata.json: cannot be read: No such file or directory (os error 2)"];
    assert_eq!(load_it(&dir).unwrap_err(), want);
    drop(root);
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_refused_and_a_pipe_is_not_opened() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (_root, dir) = folder(|_| {});
    let file = dir.join("weights.safetensors");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Root can open any file.
    if fs::File::open(&file).is_err() {
        let want = ["weights.safetensors: cannot be read: Permission denied (os error 13)"];
        assert_eq!(load_it(&dir).unwrap_err(), want);
    }
    fs::remove_file(&file).unwrap();
    symlink("weights.safetensors", &file).unwrap();
    let circle = load_it(&dir).unwrap_err().join("\n");
    assert!(
        circle.starts_with("weights.safetensors: cannot be read: "),
        "{circle}"
    );
    fs::remove_file(&file).unwrap();
    let mkfifo = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(mkfifo.unwrap().success());
    assert_eq!(
        load_it(&dir).unwrap_err(),
        ["weights.safetensors: is not a regular file"]
    );
}

/// Returns the phases that loading `dir` reported, and whether it succeeded.
fn phases(dir: &Path) -> (Vec<Phase>, bool) {
    let (mut phases, one) = (Vec::new(), VersionNumber::try_from(1).unwrap());
    let mut note = |phase| phases.push(phase);
    let options = LoadOptions {
        pace: Pace::Shared,
        ..LoadOptions::default()
    };
    let loaded = load_with(dir, &"m".parse().unwrap(), one, &options, &mut note);
    (phases, loaded.is_ok())
}

#[test]
fn each_phase_is_reported_at_its_start() {
    let (_root, dir) = folder(|_| {});
    assert_eq!(phases(&dir), (vec![Phase::Verifying, Phase::Warming], true));
    let (_root, dir) = folder(|document| document["golden"][0]["answer"] = json!([0.5]));
    assert_eq!(phases(&dir), (vec![Phase::Verifying], false));
    let (_root, dir) = folder(|document| document["files"][0]["sha256"] = json!("00".repeat(32)));
    assert_eq!(phases(&dir), (vec![], false));
}

#[test]
fn files_of_many_slices_are_checked_against_their_digests() {
    let (hidden, notes) = (200_000, vec![7; 2_500_000]);
    let zeros = vec![0.0; 2 * hidden];
    let bytes = weights(&[
        ("0.weight", &[hidden, 2], &zeros),
        ("1.weight", &[1, hidden], &zeros[..hidden]),
        ("1.bias", &[1], &[0.5]),
    ]);
    let (_root, dir) = with_weights(&bytes, |document| {
        let layer = |name: &str| json!({"kind": "linear", "name": name});
        document["architecture"]["layers"] = json!([layer("0"), layer("1")]);
        document["files"] = json!([document["files"][0], samples::file("notes", &notes)]);
    });
    fs::write(dir.join("notes"), &notes).unwrap();
    assert_eq!(phases(&dir), (vec![Phase::Verifying, Phase::Warming], true));
    let twice = 2 * u64::try_from(bytes.len()).unwrap();
    assert_eq!(
        memory_to_load(&dir, &ContentStores::default()).unwrap(),
        twice,
        "the file and the network"
    );
    assert_eq!(load_it(&dir).unwrap().weight_bytes(), twice / 2);
    for (file, whole) in [("notes", notes), ("weights.safetensors", bytes)] {
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(dir.join(file), changed).unwrap();
        let faults = load_it(&dir).unwrap_err();
        let want = format!("{file}: differs from the manifest: got sha256 ");
        assert!(faults[0].starts_with(&want), "{faults:?}");
        fs::write(dir.join(file), whole).unwrap();
    }
}
