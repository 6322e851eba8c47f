//! The verbs that need no gateway.

use std::{fs, process::Command};

use serde_json::json;

use crate::cli::two_versions;
use crate::process::{self, run};
use crate::tiny;

#[test]
fn check_distinguishes_good_versions_from_bad_ones() {
    let dir = two_versions();
    let models = dir.path().join("models");
    let models = models.to_str().expect("UTF-8");
    let good = run(&["check", models]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert_eq!(
        run(&["serve", "--check", "--registry", models]).code,
        Some(0)
    );
    tiny::publish_with(dir.path().join("models").as_path(), "m", 3, |manifest| {
        manifest["architecture"]["head"] = json!("crystal ball");
        manifest["nonsense"] = json!(1);
    });
    for args in [
        &["check", models][..],
        &["serve", "--check", "--registry", models],
    ] {
        let bad = run(args);
        assert_eq!(bad.code, Some(1), "{bad:?}");
        for fault in ["$.architecture.head", "$.nonsense: unknown field"] {
            assert!(
                bad.stdout.contains(fault),
                "{fault} is missing in {}",
                bad.stdout
            );
        }
        assert!(
            bad.stderr.contains("1 of 3 versions cannot be served"),
            "{}",
            bad.stderr
        );
    }
}

#[test]
fn check_does_not_block_on_a_pipe() {
    let dir = two_versions();
    let manifest = dir.path().join("models/m/2/metadata.json");
    fs::remove_file(&manifest).expect("manifest");
    let made = Command::new("mkfifo").arg(&manifest).status();
    assert!(made.expect("mkfifo").success());
    let models = dir.path().join("models");
    let ended = run(&["check", models.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = format!("{}: is not a regular file", manifest.display());
    assert!(ended.stdout.contains(&expected), "{}", ended.stdout);
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_that_cannot_print_its_report_fails_and_names_the_published_version() {
    let dir = tempfile::tempdir().expect("folder");
    let rows: String = (0..60).map(|at| format!("{at},{}\n", at % 2)).collect();
    fs::write(dir.path().join("rows.csv"), format!("x,late\n{rows}")).expect("rows");
    let spec = dir.path().join("spec.toml");
    let toml = "model = 'm'\n[data]\ntrain = 'rows.csv'\n[target]\ncolumn = 'late'\nclasses = ['0', '1']\n\
                [[features]]\nname = 'x'\ndatatype = 'FP64'\nkind = 'numeric'\n[training]\nepochs = 1\n";
    fs::write(&spec, toml).expect("spec");
    let models = dir.path().join("models");
    let [spec, models] = [&spec, &models].map(|path| path.to_str().expect("UTF-8"));
    for (how, published) in [(&["-q"][..], "m/1"), (&[], "m/2")] {
        let full = fs::File::options().write(true).open("/dev/full");
        let ended = process::taper(&[&["train", spec, "--registry", models], how].concat())
            .stdout(full.expect("a full disk"))
            .output()
            .expect("runs");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{stderr}");
        let wanted = format!("{models}/{published} is published nevertheless");
        assert!(
            stderr.contains("cannot write to stdout: ") && stderr.contains(&wanted),
            "{stderr}"
        );
    }
}
