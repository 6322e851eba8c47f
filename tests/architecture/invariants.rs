//! The page `docs/architecture.md`: each invariant names the tests that hold it.

use std::fs;
use std::path::Path;

/// How a line that states an invariant begins.
const INVARIANT: &str = "- **";

/// What is wrong with the invariants of the page `text`. `read` returns the source of a file, if there is one.
pub(crate) fn faults(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for item in items(text) {
        let title: String = item.chars().take(60).collect();
        let tests: Vec<_> = item
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(|name| name.split_once(".rs::"))
            .collect();
        if tests.is_empty() {
            found.push(format!(
                "{title}...: no test is named, as `tests/it/swap.rs::name`"
            ));
        }
        for (file, name) in tests {
            let file = format!("{file}.rs");
            match read(&file) {
                None => found.push(format!("{title}...: there is no file {file}")),
                Some(code) if !has_test(&code, name) => {
                    found.push(format!("{title}...: {file} has no test `{name}`"));
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// The invariants of a page, each on one line.
pub(crate) fn items(text: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with(INVARIANT) {
            items.push(line.to_owned());
            inside = true;
        } else if let (true, Some(rest), Some(item)) =
            (inside, line.strip_prefix("  "), items.last_mut())
        {
            item.push(' ');
            item.push_str(rest);
        } else {
            inside = false;
        }
    }
    items
}

/// Whether `code` has a function of that name with an attribute that makes it a test.
fn has_test(code: &str, name: &str) -> bool {
    let mut is_test = false;
    for line in code.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("proptest!") {
            // Its functions get the attribute inside the macro.
        } else if line.starts_with("fn ") || line.starts_with("async fn ") {
            let declared = line.trim_start_matches("async ").trim_start_matches("fn ");
            let declared = declared.split(['(', '<']).next().unwrap_or_default();
            if is_test && declared == name {
                return true;
            }
            is_test = false;
        }
    }
    false
}

/// A file of the repository, if there is one at `path`.
pub(crate) fn file(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}
