//! Refuses words that the project's language does not use, in the sources, the protocol files and the pages.
//!
//! A word is found in prose, in `snake_case` and in `CamelCase` alike. Names of the wire keep working, so they are exempt, each with
//! its reason. An exemption that nothing needs any more fails the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that are refused, and what to write in their place.
const WORDS: &[(&[&str], &str)] = &[
    (
        &["told", "tell", "tells", "telling", "untold"],
        "report, return, record, say which",
    ),
    (&["whoever", "nobody"], "clients, callers, none"),
    (
        &["dear", "dearer", "dearest", "cheap", "cheaper", "cheaply"],
        "expensive, inexpensive",
    ),
    (
        &["crew", "crews", "lane", "lanes", "desk"],
        "shadow pool, shadow queue, recorder",
    ),
    (
        &["doorman", "door", "doors"],
        "connection limiter, router, port",
    ),
    (&["face", "faces"], "port"),
    (&["punctual"], "deadline service"),
    (&["dialect", "dialects"], "error mapping"),
    (
        &["fleet", "fleets", "member", "members"],
        "model state, version entry",
    ),
    (&["standing", "standings"], "facts, status"),
    (
        &["settle", "settles", "settled", "settling"],
        "reconcile, wait until, become stable",
    ),
    (&["helper", "helpers"], "say what it does"),
    (&["truth", "truths"], "outcome, ground truth"),
    (&["amid", "hears", "hither", "thus"], "during, receives"),
];

/// Phrases that are refused, in lower case, and what to write in their place.
const PHRASES: &[(&str, &str)] = &[
    ("step_back", "set_idle_priority"),
    ("step_in(", "set_latency_sensitive"),
    ("step_aside", "set_background"),
    ("stand_in", "fallback_for"),
    ("came true", "ground truth"),
    (
        "for ever",
        "for as long as the process runs; without a limit",
    ),
    ("is no file", "is not a regular file"),
    ("who asks", "clients, callers"),
    ("too late hears", "say what is returned"),
];

/// A word that a file may use: the word, the beginning of the file's path, a part of the line (empty: any line), and the reason.
const EXEMPT: &[(&str, &str, &str, &str)] = &[
    ("truth", "", "ground truth", "the field's term"),
    ("truth", "", "ground_truth", "the field's term"),
    ("truth", "", "groundtruth", "the field's term"),
    (
        "truth",
        "proto/",
        "",
        "`oneof truth` and the path of its field",
    ),
    (
        "truth",
        "src/demo/outcomes.rs",
        "",
        "`oneof truth` of the wire",
    ),
    (
        "truth",
        "src/cli/outcomes/report.rs",
        "",
        "the column `truth` of the file that operators write",
    ),
    (
        "truth",
        "src/insight/outcomes/",
        "",
        "the field `truth` in errors",
    ),
    (
        "settle",
        "src/config/",
        "settle_ms",
        "a key of the configuration",
    ),
    (
        "lanes",
        "src/model/format/",
        "",
        "lanes of a vector register",
    ),
    (
        "truth",
        "src/insight/metrics/",
        "after_truth",
        "a label value",
    ),
    ("truth", "docs/metrics.md", "after_truth", "a label value"),
    ("settle", "docs/", "settle_ms", "a key of the configuration"),
    (
        "dialect",
        "src/api/http/openapi.rs",
        "",
        "a dialect of JSON Schema",
    ),
    ("member", "src/audit/", "", "a member of a JSON object"),
    ("members", "src/audit/", "", "a member of a JSON object"),
    ("face", "", "hugging face", "a company and its cache"),
];

/// Every refused word in `text`, the file at `path`. Sets the exemptions that it used.
pub(crate) fn refused(path: &str, text: &str, used: &mut BTreeSet<usize>) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let mut refuse = |word: &str, instead: &str| {
            let exempt = EXEMPT.iter().position(|(exempt, file, part, _)| {
                *exempt == word && path.starts_with(file) && lower.contains(part)
            });
            match exempt {
                Some(at) => _ = used.insert(at),
                None => found.push(format!("{path}:{}: `{word}`; write {instead}", number + 1)),
            }
        };
        for word in words(line) {
            let entry = WORDS
                .iter()
                .find(|(words, _)| words.contains(&word.as_str()));
            if let Some((_, instead)) = entry {
                refuse(&word, instead);
            }
        }
        for (phrase, instead) in PHRASES {
            if has_phrase(&lower, phrase) {
                refuse(phrase, instead);
            }
        }
    }
    found
}

/// Whether `line` contains `phrase`, and not only as the beginning of a longer word.
fn has_phrase(line: &str, phrase: &str) -> bool {
    line.match_indices(phrase).any(|(at, found)| {
        let next = line[at + found.len()..].chars().next();
        !next.is_some_and(char::is_alphabetic)
    })
}

/// The words of a line in lower case: `was_told`, `WasTold` and "was told" all contain `told`.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for letter in line.chars().chain([' ']) {
        let new_hump = letter.is_uppercase() && before.is_lowercase();
        if (!letter.is_alphabetic() || new_hump) && !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
        if letter.is_alphabetic() {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    found
}

/// The files that are read: their paths from the repository's root, and their text.
pub(crate) fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<PathBuf> = ["src", "proto/taper", "docs", "README.md"]
        .iter()
        .map(|place| root.join(place))
        .collect();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the folder is readable");
            waiting.extend(entries.map(|entry| entry.expect("the folder is readable").path()));
        } else if path
            .extension()
            .is_some_and(|end| ["rs", "proto", "md"].iter().any(|read| end == *read))
        {
            let text = fs::read_to_string(&path).expect("the file is text");
            let path = path.strip_prefix(root).expect("it is inside");
            found.push((path.to_string_lossy().replace('\\', "/"), text));
        }
    }
    found.sort();
    found
}

/// Exemptions that are not in `used`.
pub(crate) fn stale(used: &BTreeSet<usize>) -> Vec<String> {
    EXEMPT
        .iter()
        .enumerate()
        .filter(|(at, _)| !used.contains(at))
        .map(|(_, (word, path, part, reason))| {
            format!("`{word}` in {path}, line {part:?}: {reason}")
        })
        .collect()
}
