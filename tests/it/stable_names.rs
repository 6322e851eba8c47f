//! Names that users rely on, from an earlier build: verbs, flags, fields of files, keys of JSON and series of metrics.
//! None of them may disappear. New ones may be added without a change here.
//!
//! `tests/fixtures/README.md` describes how the lists were made.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::json_shape::{lacks, without_revisions};
use crate::recording::{all_verbs, fields_of_files, fixture, present, verbs_and_flags};

/// Returns the lines of a list.
fn list(name: &str) -> Vec<String> {
    let text = fs::read_to_string(fixture("names/0.1.0").join(name)).expect("a list");
    text.lines().map(str::to_owned).collect()
}

/// Returns the names in `kept` that are missing in `present`.
fn missing(kept: &[String], present: Vec<String>) -> Vec<String> {
    let present: BTreeSet<_> = present.into_iter().collect();
    let missing = kept.iter().filter(|one| !present.contains(*one));
    missing.cloned().collect()
}

#[test]
fn no_verb_or_flag_disappears() {
    assert_eq!(
        missing(&list("verbs.txt"), verbs_and_flags(&present())),
        [""; 0]
    );
}

#[test]
fn no_field_of_a_written_file_disappears() {
    assert_eq!(
        missing(&list("files.txt"), fields_of_files(&present())),
        [""; 0]
    );
}

#[test]
fn no_json_key_or_metric_series_disappears() {
    let series = list("series.txt");
    let printed = all_verbs(&present(), &series);
    let mut faults = Vec::new();
    for entry in fs::read_dir(fixture("json/0.1.0")).expect("the documents") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a name");
        let text = fs::read_to_string(&path).expect("a document");
        let kept: Value = serde_json::from_str(&text).expect("JSON");
        match printed.documents.get(name) {
            Some(document) => {
                let lacks = lacks(&without_revisions(&kept), document);
                faults.extend(lacks.iter().map(|line| format!("{name}: {line}")));
            }
            None => faults.push(format!("{name} is not printed any more")),
        }
    }
    faults.extend(missing(&series, printed.series));
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
