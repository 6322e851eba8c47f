use std::fs;
use std::io;
use std::path::Path;

use super::*;
use crate::ident::{ModelName, VersionNumber};
use crate::model::{ContentStores, samples};

fn v(number: u64) -> VersionNumber {
    VersionNumber::try_from(number).unwrap()
}

fn name(name: &str) -> ModelName {
    name.parse().unwrap()
}

fn write(root: &Path, model: &str, version: u64) {
    let dir = root.join(model).join(version.to_string());
    samples::write(&dir, &samples::document(model, version));
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_scan_lists_every_version_in_order_and_every_invalid_folder() {
    let root = tempfile::tempdir().unwrap();
    for dir in [
        "b/2",
        "b/10",
        "b/1",
        "a/7",
        "b/.staging-3-x",
        "b/_old",
        "b/v3",
        "b/01",
        "b/0",
        "no such name/1",
        ".git/1",
        "empty",
    ] {
        fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    fs::write(root.path().join("README.md"), "").unwrap();
    fs::write(root.path().join("b/notes.txt"), "").unwrap();
    let scan = scan(root.path()).unwrap();
    let found: Vec<_> = scan
        .found
        .iter()
        .map(|f| (f.model.as_str(), f.version.get()))
        .collect();
    assert_eq!(found, [("a", 7), ("b", 1), ("b", 2), ("b", 10)]);
    assert_eq!(scan.found[0].dir, root.path().join("a/7"));
    let home = format!("{}/", root.path().display());
    let refused: Vec<_> = scan
        .refused
        .iter()
        .map(|f| f.to_string().replace(&home, ""))
        .collect();
    let number = "a positive integer up to 9223372036854775807";
    assert_eq!(
        refused,
        [
            "no such name: folder name: got \"no such name\", wants 1 to 128 of a-z A-Z 0-9 . _ - starting with a letter or digit".into(),
            format!("b/0: folder name: got \"0\", wants {number}"),
            format!("b/01: folder name: got \"01\", wants {number}"),
            format!("b/v3: folder name: got \"v3\", wants {number}"),
        ]
    );
}

#[test]
fn an_unreadable_registry_is_not_an_empty_one() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(scan(root.path()).unwrap(), Scan::default());
    let faults = scan(&root.path().join("gone")).unwrap_err().to_string();
    assert!(faults.contains("gone: cannot be read: "), "{faults}");
}

/// Runs `act` on a thread without the rights of root, which may read everything.
#[cfg(target_os = "linux")]
fn without_rights_of_root<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let act = || {
        let other = rustix::process::Uid::from_raw(65_534);
        // Another user than root has no such rights to give up, and may not change who it is.
        let _ = rustix::thread::set_thread_res_uid(other, other, other);
        act()
    };
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_that_cannot_be_read_hides_no_other_and_is_not_missing() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let set_mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(root, 0o755);
    write(root, "a", 1);
    write(root, "b", 1);
    fs::create_dir_all(root.join("lost+found")).unwrap();
    fs::create_dir_all(root.join("a/lost+found")).unwrap();
    // As `mkdtemp` makes it, with another owner.
    write(root, "m", 1);
    set_mode(&root.join("m"), 0o000);
    symlink("unmounted", root.join("n")).unwrap();
    symlink("unmounted", root.join("b/2")).unwrap();
    let scan = without_rights_of_root(|| scan(root).unwrap());
    set_mode(&root.join("m"), 0o700);
    let found: Vec<_> = scan
        .found
        .iter()
        .map(|one| (one.model.as_str(), one.version.get()))
        .collect();
    assert_eq!(found, [("a", 1), ("b", 1)]);
    let refused: Vec<_> = scan
        .refused
        .iter()
        .map(|fault| fault.file.strip_prefix(root).unwrap())
        .collect();
    assert_eq!(refused.len(), 3, "lost+found is no fault: {refused:?}");
    for (model, version, unread) in [
        ("a", 1, false),
        ("b", 1, false),
        ("b", 2, true),
        ("m", 7, true),
        ("n", 7, true),
    ] {
        assert_eq!(
            scan.unreadable.contains(&name(model), v(version)),
            unread,
            "{model} {version}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_broken_link_is_reported_and_not_ignored() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(root, "m", 1);
    write(&root.join(".elsewhere"), "m", 3);
    symlink("../.elsewhere/m/3", root.join("m/3")).unwrap();
    symlink("../unmounted", root.join("m/2")).unwrap();
    symlink("4", root.join("m/4")).unwrap();
    symlink("unmounted", root.join("n")).unwrap();
    symlink("unmounted", root.join("m/.staging")).unwrap();
    fs::write(root.join("m/notes.txt"), "").unwrap();
    symlink("notes.txt", root.join("m/notes")).unwrap();

    let scan = scan(root).unwrap();
    let found: Vec<_> = scan.found.iter().map(|f| f.version.get()).collect();
    assert_eq!(found, [1, 3]);
    let refused: Vec<_> = scan.refused.iter().map(ToString::to_string).collect();
    let fault = |at: &str, why: &str| format!("{}: cannot be read: {why}", root.join(at).display());
    let why = |at: &str| fs::metadata(root.join(at)).unwrap_err().to_string();
    let want = ["n", "m/2", "m/4"].map(|at| fault(at, &why(at)));
    assert_eq!(refused, want, "a model, a broken link, a circular link");
    let checked = check(&root.join("m"), &ContentStores::default()).unwrap();
    let wrong = checked.iter().filter(|one| one.outcome.is_err()).count();
    assert_eq!((checked.len(), wrong), (4, 2), "{checked:?}");
    assert_eq!(next_version(root, &name("m")).unwrap(), v(5), "4 is in use");
}

#[test]
fn a_version_is_published_as_a_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("models");
    let m = name("m");
    assert_eq!(next_version(&root, &m).unwrap(), v(1));
    let place = publish(&root, &m, v(1), |dir| {
        assert!(
            scan(&root).unwrap().found.is_empty(),
            "not visible while it is written"
        );
        fs::create_dir(dir.join("sub"))?;
        fs::write(dir.join("sub/file"), "one")
    });
    assert_eq!(place.unwrap(), root.join("m/1"));
    assert_eq!(
        fs::read_to_string(root.join("m/1/sub/file")).unwrap(),
        "one"
    );
    assert_eq!(next_version(&root, &m).unwrap(), v(2));

    let failed = publish(&root, &m, v(2), |dir| {
        fs::write(dir.join("half"), "")?;
        Err(io::Error::other("the disk is full"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
    assert_eq!(names(&root.join("m")), ["1"], "nothing is left behind");
}

#[test]
fn a_published_version_is_never_replaced() {
    let root = tempfile::tempdir().unwrap();
    let (root, m) = (root.path(), name("m"));
    let fill = |text: &'static str| move |dir: &Path| fs::write(dir.join("file"), text);
    publish(root, &m, v(5), fill("first")).unwrap();
    let again = publish(root, &m, v(5), |_| -> io::Result<()> {
        panic!("not called")
    });
    assert!(matches!(again, Err(PublishError::Exists(_))), "{again:?}");

    // Another publisher finishes while this one writes.
    let slower = publish(root, &m, v(6), |dir| {
        publish(root, &m, v(6), fill("faster")).unwrap();
        fill("slower")(dir)
    });
    assert!(matches!(slower, Err(PublishError::Exists(_))), "{slower:?}");
    assert_eq!(fs::read_to_string(root.join("m/5/file")).unwrap(), "first");
    assert_eq!(fs::read_to_string(root.join("m/6/file")).unwrap(), "faster");
    assert_eq!(names(&root.join("m")), ["5", "6"]);
    assert_eq!(next_version(root, &m).unwrap(), v(7));
}

#[cfg(unix)]
#[test]
fn a_published_folder_has_the_mode_of_any_new_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let dir = publish(root.path(), &name("m"), v(1), |dir| {
        fs::write(dir.join("f"), "")
    })
    .unwrap();
    let plain = root.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&dir), mode(&plain));
}

#[test]
fn a_staging_folder_goes_as_soon_as_its_process_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let (root, home) = (root.path(), root.path().join("m"));
    let dead = home.join(format!(".staging-1{}dead", super::publish::locked()));
    fs::create_dir_all(dead.join("sub")).unwrap();
    let published = publish(root, &name("m"), v(2), |staging| {
        assert!(!dead.exists(), "a publisher removes it");
        fs::create_dir(&dead)?;
        sweep(root);
        assert!(!dead.exists(), "a start removes it");
        assert!(staging.exists(), "this one is locked");
        fs::write(staging.join("file"), "two")
    });
    assert_eq!(published.unwrap(), home.join("2"));
    assert_eq!(names(&home), ["2"]);
}

#[cfg(unix)]
#[test]
fn only_staging_folders_without_changes_for_a_day_are_removed() {
    use std::time::{Duration, SystemTime};
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("m");
    let (hours, now) = (|n: u64| Duration::from_secs(n * 3600), SystemTime::now());
    for (dir, folder, file) in [
        (".staging-1-old", 25, 25),
        (".staging-1-recent", 23, 25),
        (".staging-1-growing", 25, 1),
        (".notes", 25, 25),
        ("2", 25, 25),
    ] {
        let sub = home.join(dir).join("sub");
        fs::create_dir_all(&sub).unwrap();
        fs::write(sub.join("file"), "").unwrap();
        // Folders can be opened only for reading, which is enough to change their times.
        let age = |path: &Path, age| {
            let opened = fs::File::options().read(true).open(path).unwrap();
            opened.set_modified(now - hours(age)).unwrap();
        };
        age(&sub.join("file"), file);
        age(&sub, folder);
        age(&home.join(dir), folder);
    }
    publish(root.path(), &name("m"), v(1), |dir| {
        fs::write(dir.join("f"), "")
    })
    .unwrap();
    let want = [
        ".notes",
        ".staging-1-growing",
        ".staging-1-recent",
        "1",
        "2",
    ];
    assert_eq!(names(&home), want);
}

#[test]
fn check_accepts_a_registry_a_model_or_a_version() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("models");
    write(&root, "m", 2);
    write(&root, "m", 10);
    write(&root, "42", 1);
    samples::write(&root.join("m/3"), &samples::document("m", 4));
    fs::create_dir_all(root.join("m/v5")).unwrap();
    let outcome = |dir: &Path| -> Vec<_> {
        let checked = check(dir, &ContentStores::default()).unwrap();
        let outcomes = checked.iter().map(|c| {
            let at = c.dir.strip_prefix(&root).unwrap().display().to_string();
            (at, c.outcome.is_ok())
        });
        outcomes.collect()
    };
    let m = [
        ("m/2", true),
        ("m/3", false),
        ("m/10", true),
        ("m/v5", false),
    ];
    let m = m.map(|(at, ok)| (at.to_owned(), ok));
    assert_eq!(outcome(&root.join("m")), m, "the folder of a model");
    assert_eq!(
        outcome(&root)[0],
        ("42/1".to_owned(), true),
        "the name of a model may be a number"
    );
    assert_eq!(outcome(&root)[1..], m, "a registry");
    assert_eq!(outcome(&root.join("m/3")), m[1..2], "a version");
    let checked = check(&root.join("m/2"), &ContentStores::default()).unwrap();
    assert_eq!(
        checked[0].outcome.as_ref().unwrap().to_string(),
        "m 2: 2 inputs in 2 columns, 1 outputs, 2 multiply-adds per row, 1 golden requests passed"
    );
    let nothing = check(&root.join("m/v5"), &ContentStores::default())
        .unwrap_err()
        .to_string();
    assert!(nothing.contains("contains no version"), "{nothing}");
}

#[test]
fn a_model_without_versions_is_listed() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("empty")).unwrap();
    write(root.path(), "m", 1);
    let scan = scan(root.path()).unwrap();
    assert_eq!(scan.models, [name("empty"), name("m")]);
    let listing = list(root.path()).unwrap();
    assert!(listing.versions["empty"].is_empty());
    let listed = &listing.versions["m"][&v(1)];
    assert_eq!(
        (&listed.stamp, &listed.waits_for),
        (&scan.found[0].stamp, &None)
    );
}

#[test]
fn a_stamp_changes_with_the_folder_and_only_then() {
    let root = tempfile::tempdir().unwrap();
    let (root, aside) = (root.path().join("m"), root.path().join("n"));
    write(&root, "m", 1);
    let dir = root.join("m/1");
    let mut last = Stamp::of(&dir);
    assert_eq!(Stamp::of(&dir), last, "reading changes nothing");
    let mut changed = |why: &str| {
        let now = Stamp::of(&dir);
        assert_ne!(now, last, "{why}");
        assert_eq!(Stamp::of(&dir), now, "{why}");
        last = now;
    };
    fs::write(dir.join("more"), "").unwrap();
    changed("a new file");
    fs::write(dir.join("more"), "1").unwrap();
    changed("a larger file");
    let file = fs::File::options().write(true).open(dir.join("more"));
    file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    changed("another modification time");
    fs::rename(dir.join("more"), dir.join("other")).unwrap();
    changed("another name");
    fs::create_dir(dir.join("sub")).unwrap();
    changed("a new folder");
    fs::write(dir.join("sub/file"), "1").unwrap();
    changed("a new file in it");
    #[cfg(unix)]
    {
        fs::write(root.join("target"), "1").unwrap();
        std::os::unix::fs::symlink(root.join("target"), dir.join("link")).unwrap();
        changed("a new link");
        fs::write(root.join("target"), "12").unwrap();
        changed("another target of the link");
    }
    fs::rename(&dir, &aside).unwrap();
    changed("the folder was removed");
    fs::rename(&aside, &dir).unwrap();
    changed("the folder is back");
}

#[cfg(unix)]
#[test]
fn a_stamp_covers_only_the_first_entries_of_a_large_folder() {
    let root = tempfile::tempdir().unwrap();
    for at in 0..200 {
        fs::write(root.path().join(at.to_string()), "").unwrap();
    }
    let folder = fs::File::open(root.path()).unwrap();
    folder.set_modified(std::time::UNIX_EPOCH).unwrap();
    let stamp = Stamp::of(root.path());
    assert_eq!(Stamp::of(root.path()), stamp);
    fs::write(root.path().join("200"), "").unwrap();
    assert_ne!(
        Stamp::of(root.path()),
        stamp,
        "the folder's own time has changed"
    );
}

#[test]
fn a_folder_waits_only_for_files_that_may_still_be_written() {
    let root = tempfile::tempdir().unwrap();
    let (dir, text) = (root.path(), samples::document("m", 1).to_string());
    let weights = samples::weights();
    let (all, half) = (weights.len(), weights[..10].to_vec());
    let two = text.replacen(
        "\"files\":[",
        "\"files\":[{\"path\":\"a/more\",\"bytes\":1,\"sha256\":\"00\"},",
        1,
    );
    let two = two.replacen("\"00\"", &format!("\"{}\"", "00".repeat(32)), 1);
    let longer = [weights.clone(), vec![0]].concat();
    let (no_manifest, truncated) = ("metadata.json is missing", "metadata.json is truncated");
    let short = format!("weights.safetensors has 10 of {all} bytes");
    let more = "a/more is missing, and 1 more";
    type Case<'a> = (Option<&'a str>, Option<&'a [u8]>, Option<&'a str>);
    let cases: [Case<'_>; 10] = [
        (None, None, Some(no_manifest)),
        (None, Some(&weights), Some(no_manifest)),
        (Some(""), None, Some(truncated)),
        (Some(&text[..text.len() / 2]), None, Some(truncated)),
        (Some("{}"), None, None),
        (Some("not JSON"), None, None),
        (Some(&text), Some(&half), Some(&short)),
        (Some(&text), Some(&weights), None),
        (Some(&text), Some(&longer), None),
        (Some(&two), Some(&half), Some(more)),
    ];
    for (manifest, weights, want) in cases {
        let dir = tempfile::tempdir_in(dir).unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        manifest.inspect(|text| put("metadata.json", text.as_bytes()));
        weights.inspect(|bytes| put("weights.safetensors", bytes));
        let want = match want {
            Some(missing) => Completeness::Waits(missing.to_owned()),
            None => Completeness::Complete,
        };
        assert_eq!(complete(dir.path()), want, "{manifest:?}");
    }
}

#[test]
fn a_manifest_that_is_truncated_anywhere_waits() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    let mut document = samples::document("m", 1);
    document["golden"][0]["row"]["a"] = (-1.5e-20).into();
    document["description"] = "\u{e9}\n".into();
    let text = document.to_string();
    for length in 0..text.len() {
        fs::write(dir.join("metadata.json"), &text.as_bytes()[..length]).unwrap();
        let want = Completeness::Waits("metadata.json is truncated".to_owned());
        assert_eq!(
            complete(dir),
            want,
            "after {}",
            String::from_utf8_lossy(&text.as_bytes()[..length])
        );
    }
}
