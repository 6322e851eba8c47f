//! Checks every source file against the arrows in `src/lib.rs` and against the list of crates that only some files may use. A room
//! is a top-level module of the crate.
//!
//! The test reads paths: `crate::room::...`, `super::super::...` and the first name of a path into another crate. It skips comments
//! and strings, so documentation may refer to anything. It reads paths in macro calls, but not paths that a macro
//! generates.
#![expect(
    clippy::expect_used,
    reason = "a file that cannot be read fails the test"
)]

#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/invariants.rs"]
mod invariants;
#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/words.rs"]
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use paths::{named, sources};

/// Rooms that each room may use. `src/lib.rs` contains the same text.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "main",
        &[
            "cli", "app", "config", "train", "import", "model", "demo", "client", "terminal",
        ],
    ),
    (
        "cli",
        &[
            "client", "terminal", "loadgen", "registry", "model", "audit",
        ],
    ),
    ("demo", &["app", "config", "client", "terminal"]),
    ("loadgen", &["client", "terminal", "model"]),
    ("client", &["proto", "model"]),
    ("terminal", &[]),
    (
        "app",
        &[
            "api", "audit", "config", "control", "insight", "model", "proto", "registry", "serving",
        ],
    ),
    (
        "api",
        &[
            "serving", "control", "registry", "insight", "model", "proto", "audit",
        ],
    ),
    (
        "control",
        &["registry", "model", "serving", "insight", "audit"],
    ),
    ("serving", &["model", "insight"]),
    ("registry", &["model"]),
    ("train", &["model", "registry"]),
    ("import", &["model", "registry"]),
    ("insight", &["model"]),
    (
        "config",
        &["control", "registry", "serving", "insight", "model"],
    ),
    ("audit", &[]),
    ("model", &[]),
    ("proto", &[]),
    ("ident", &[]),
    ("error", &[]),
    ("faults", &[]),
    ("priority", &[]),
    ("sync", &[]),
    ("text", &[]),
];

/// Rooms that every room may use.
const COMMON: &[&str] = &["ident", "error", "faults", "priority", "sync", "text"];

/// Crates that only some files may use, and the reason.
const RESTRICTED_CRATES: &[(&[&str], &[&str], &str)] = &[
    (
        &[
            "tonic",
            "tonic_health",
            "tonic_prost",
            "tonic_reflection",
            "tonic_types",
            "prost",
            "prost_types",
            "axum",
        ],
        &[
            "src/api/",
            "src/app/",
            "src/client/",
            "src/loadgen/",
            "src/model/format/onnx/",
            "src/proto/",
        ],
        "only ports and clients know the wire format, and one format of model files is made of it",
    ),
    (
        &["hyper", "hyper_util"],
        &["src/app/connections.rs"],
        "one place decides how HTTP is served",
    ),
    (
        &["candle_core", "candle_nn", "safetensors"],
        &["src/model/", "src/train/"],
        "all other files see rows and scores",
    ),
    (
        &["pulp"],
        &["src/model/format/"],
        "only the forward pass is compiled for several CPUs",
    ),
    (
        &["arc_swap"],
        &["src/serving/live.rs"],
        "one place decides how a snapshot is held",
    ),
    (
        &["rand"],
        &["src/serving/route/", "src/train/", "src/loadgen/"],
        "randomness is an argument everywhere else",
    ),
    (
        &["metrics", "metrics_exporter_prometheus", "metrics_util"],
        &["src/insight/metrics/"],
        "one folder registers series, by the rows of its table",
    ),
    (
        &["mimalloc", "libmimalloc_sys"],
        &["src/main.rs", "src/app/memory.rs"],
        "the binary chooses the allocator, and one function asks it to free unused memory",
    ),
    (
        &["libc"],
        &["src/app/linger.rs", "src/app/memory.rs", "src/priority.rs"],
        "three files call C functions, and explain why that is safe",
    ),
    (
        &["rustix"],
        &["src/insight/", "src/priority.rs", "src/registry/tests.rs"],
        "only the page size and the CPU time of a thread come from the system; a test gives up the rights of root",
    ),
    (
        &["notify"],
        &["src/registry/watch"],
        "every change in the registry leads to the complete list of versions, however it was noticed",
    ),
    (
        &["clap"],
        &[
            "src/main",
            "src/cli/",
            "src/client/port.rs",
            "src/demo/mod.rs",
            "src/loadgen/",
        ],
        "only files with the arguments of a verb parse the command line",
    ),
    (
        &["indicatif"],
        &["src/terminal/"],
        "one room writes to the terminal",
    ),
    (
        &["hdrhistogram"],
        &["src/loadgen/"],
        "the gateway itself records latencies in sketches that can be merged",
    ),
    (
        &["comfy_table"],
        &["src/terminal/", "src/train/report.rs"],
        "only the command line and the report of a training print tables",
    ),
];

/// Returns the faults of the file at `path`, relative to the repository's root.
fn faults(path: &str, code: &str) -> Vec<String> {
    let room = room_of(path);
    let steps = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .split('/')
        .filter(|step| !matches!(*step, "mod" | "lib" | "main"));
    let named = named(code, steps.count());
    let mut faults = named.hidden.clone();
    match ARROWS.iter().find(|(from, _)| *from == room) {
        None => faults.push(format!("room `{room}` has no arrows: add them to ARROWS")),
        Some((_, to)) => faults.extend(
            named
                .rooms
                .iter()
                .filter(|other| *other != room && is_room(other))
                .filter(|other| !to.contains(&other.as_str()) && !COMMON.contains(&other.as_str()))
                .map(|other| format!("there is no arrow {room} > {other}")),
        ),
    }
    for (crates, allowed, why) in RESTRICTED_CRATES {
        if !allowed.iter().any(|prefix| path.starts_with(prefix)) {
            let foreign = crates
                .iter()
                .filter(|c| named.roots.contains(**c) && !named.own.contains(**c));
            faults.extend(foreign.map(|c| format!("`{c}` belongs to {allowed:?}: {why}")));
        }
    }
    faults
        .iter()
        .map(|fault| format!("{path}: {fault}"))
        .collect()
}

fn room_of(path: &str) -> &str {
    let inside = path.trim_start_matches("src/");
    inside.split(['/', '.']).next().unwrap_or(inside)
}

fn is_room(name: &str) -> bool {
    ARROWS.iter().any(|(room, _)| *room == name)
}

/// Returns the rooms of a circle, if there is one, and the rooms that lead to it.
fn circle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    // Removes rooms that lead nowhere until none is left. A remaining room is on a circle or leads to one.
    let mut left = arrows.clone();
    loop {
        let before = left.len();
        let rooms: BTreeSet<_> = left.keys().cloned().collect();
        left.retain(|_, to| to.iter().any(|other| rooms.contains(other)));
        if left.is_empty() {
            return None;
        }
        if left.len() == before {
            return Some(left.into_keys().collect());
        }
    }
}

#[test]
fn every_file_uses_only_allowed_modules_and_crates() {
    let sources = sources();
    assert!(sources.len() > 20, "only {} files found", sources.len());
    let faults: Vec<_> = sources
        .iter()
        .flat_map(|(path, code)| faults(path, code))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_modules_have_no_circle() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, code) in sources() {
        let room = room_of(&path).to_owned();
        let others = named(&code, usize::MAX).rooms;
        let others = others
            .into_iter()
            .filter(|other| *other != room && is_room(other));
        arrows.entry(room.clone()).or_default().extend(others);
    }
    assert_eq!(circle(&arrows), None, "rooms in a circle");
    let total: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(
        total > 20,
        "only {total} arrows seen: the parser of paths is broken"
    );
}

#[test]
fn the_picture_in_lib_rs_has_the_same_arrows_and_modules() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
        .expect("lib.rs is readable");
    let mut listed: Vec<_> = lib
        .lines()
        .filter_map(|line| {
            line.strip_prefix("pub mod ")
                .or(line.strip_prefix("pub(crate) mod "))?
                .strip_suffix(';')
        })
        .collect();
    listed.push("main");
    let mut drawn: Vec<_> = ARROWS.iter().map(|(room, _)| *room).collect();
    listed.sort_unstable();
    drawn.sort_unstable();
    assert_eq!(listed, drawn, "rooms of lib.rs and of this test");
    for (room, to) in ARROWS.iter().filter(|(_, to)| !to.is_empty()) {
        let words = match *room {
            "app" => "app > everything below".to_owned(),
            _ => format!("{room} > {}", to.join(", ")),
        };
        // The text must end with a gap or with the line, so that a longer list does not match.
        let ends = ["  ", "\n"];
        assert!(
            ends.iter()
                .any(|end| lib.contains(&format!("{words}{end}"))),
            "lib.rs does not contain `{words}`"
        );
    }
}

#[test]
fn a_forbidden_line_is_found() {
    for (path, code, want) in [
        (
            "src/model/mod.rs",
            "use crate::serving::Pipeline;",
            "no arrow model > serving",
        ),
        (
            "src/model/mod.rs",
            "fn f() { crate::api::x() }",
            "no arrow model > api",
        ),
        (
            "src/serving/a.rs",
            "use crate::{model, control};",
            "list or a star",
        ),
        ("src/serving/a.rs", "use crate::*;", "list or a star"),
        (
            "src/serving/mod.rs",
            "use super::control;",
            "leaves the room",
        ),
        (
            "src/serving/a/b.rs",
            "use super::super::super::control;",
            "leaves the room",
        ),
        (
            "src/serving/mod.rs",
            "mod t { fn f() { super::super::api::x() } }",
            "leaves the room",
        ),
        (
            "src/control/a.rs",
            "fn f() -> tonic::Status { x }",
            "`tonic` belongs",
        ),
        (
            "src/control/a.rs",
            "use ::prost::Message;",
            "`prost` belongs",
        ),
        (
            "src/api/a.rs",
            "metrics::counter!(\"x\");",
            "`metrics` belongs",
        ),
        ("src/api/a.rs", "use rand as dice;", "`rand` belongs"),
        (
            "src/serving/pipeline.rs",
            "use arc_swap::ArcSwap;",
            "`arc_swap` belongs",
        ),
        ("src/attic/mod.rs", "", "has no arrows"),
        // Strings and comments that could hide a path from a simple parser.
        (
            "src/model/a.rs",
            "let a = '\"'; use crate::api::x; let b = '\"';",
            "model > api",
        ),
        (
            "src/model/a.rs",
            "let a = r#\"\"\"#; use crate::api::x;",
            "model > api",
        ),
        (
            "src/model/a.rs",
            "let a = \"\\\\\"; use crate::api::x; // \"",
            "model > api",
        ),
        (
            "src/model/a.rs",
            "/* /* */ */ use crate::api::x;",
            "model > api",
        ),
        (
            "src/model/a.rs",
            "fn f<'a>(x: &'a str) { crate::api::x(x) }",
            "model > api",
        ),
    ] {
        let found = faults(path, code);
        assert!(
            found.len() == 1 && found[0].contains(want),
            "{path}: {code}: {found:?}, wants {want}"
        );
    }
}

#[test]
fn an_allowed_line_passes() {
    for (path, code) in [
        (
            "src/model/mod.rs",
            "//! See [`api`](crate::api).\nuse crate::error::Code;",
        ),
        (
            "src/model/mod.rs",
            "let text = \"use crate::api::x; tonic::Status\";",
        ),
        ("src/model/mod.rs", "let text = r#\"\" crate::api::x\"#;"),
        (
            "src/model/mod.rs",
            "/* crate::api::x */ pub(crate) fn f() {}",
        ),
        ("src/ident.rs", "mod tests { use super::*; }"),
        ("src/serving/a/b.rs", "use super::super::pipeline;"),
        (
            "src/api/http/mod.rs",
            "use crate::insight::metrics::Page; self.metrics::<u8>();",
        ),
        (
            "src/train/a.rs",
            "use super::metrics::{self, Bin}; metrics::auc();",
        ),
        ("src/train/mod.rs", "pub mod metrics; metrics::auc();"),
        ("src/api/a.rs", "use tonic::Status;"),
        ("src/main.rs", "use taper::cli;"),
    ] {
        assert_eq!(faults(path, code), [""; 0], "{path}: {code}");
    }
}

#[test]
fn a_circle_is_found() {
    let arrows = |pairs: &[(&str, &str)]| {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            arrows
                .entry((*from).into())
                .or_default()
                .insert((*to).into());
        }
        arrows
    };
    assert_eq!(circle(&arrows(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = circle(&arrows(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert!(found.is_some_and(|rooms| rooms.contains(&"b".into()) && rooms.contains(&"c".into())));
}

/// Rooms whose files have no circle.
const WITHOUT_CIRCLES: &[&str] = &["control", "insight", "serving"];

#[test]
fn the_files_of_a_module_use_each_other_in_one_direction() {
    let sources = sources();
    let mut found = Vec::new();
    for room in WITHOUT_CIRCLES {
        let arrows = files::arrows(&sources, room);
        let total: usize = arrows.values().map(BTreeSet::len).sum();
        assert!(
            total > 20,
            "{room}: only {total} arrows seen: the parser of paths is broken"
        );
        found.extend(files::circles(&sources, room));
    }
    assert!(found.is_empty(), "files that reach each other: {found:#?}");
}

#[test]
fn a_circle_of_files_is_found() {
    let file = |path: &str, code: &str| (path.to_owned(), code.to_owned());
    let circles = |files: &[(String, String)]| files::circles(files, "room");
    let module = file("src/room/mod.rs", "pub use a::A; mod a; mod b; fn f() {}");
    let b = file("src/room/b.rs", "pub struct B;");
    for code in [
        "use super::b::B;",
        "fn f(_: super::b::B) {}",
        "use crate::room::b; fn f(_: b::B) {}",
    ] {
        let a = file("src/room/a.rs", code);
        assert_eq!(
            circles(&[module.clone(), a.clone(), b.clone()]).len(),
            0,
            "{code}"
        );
        let back = file("src/room/b.rs", "use super::A;");
        let found = circles(&[module.clone(), a, back]);
        assert_eq!(
            found.len(),
            1,
            "{code}: the re-export leads to the definition"
        );
        assert_eq!(found[0].len(), 2, "{code}: {found:?}");
    }
    // A file uses an item of its parent, and the parent uses the file.
    let parent = file("src/room/mod.rs", "mod a; use a::A; struct P;");
    let child = file("src/room/a.rs", "use super::P; pub struct A;");
    assert_eq!(circles(&[parent, child.clone()]).len(), 1);
    let parent = file("src/room/mod.rs", "mod a; pub use a::A; struct P;");
    assert_eq!(circles(&[parent, child]).len(), 0);
    // Tests inside and below a file use the file, and it does not use them.
    let tested = file("src/room/a.rs", "mod tests; mod more { use super::*; }");
    let tests = file(
        "src/room/a/tests.rs",
        "use super::*; use crate::room::a::A;",
    );
    assert_eq!(circles(&[module, tested, tests]).len(), 0);
}

#[test]
fn no_page_or_source_uses_a_refused_word() {
    let files = words::files();
    assert!(files.len() > 100, "only {} files found", files.len());
    let mut used = BTreeSet::new();
    let refused: Vec<_> = files
        .iter()
        .flat_map(|(path, text)| words::refused(path, text, &mut used))
        .collect();
    assert!(refused.is_empty(), "\n{}\n", refused.join("\n"));
    let stale = words::stale(&used);
    assert!(
        stale.is_empty(),
        "exemptions that nothing needs: {stale:#?}"
    );
}

#[test]
fn a_refused_word_is_found_in_prose_and_in_names() {
    for (line, word) in [
        ("/// What callers are told.", "told"),
        ("fn was_told() {}", "told"),
        ("struct ToldColumn;", "told"),
        ("// Nobody waits.", "nobody"),
        ("// kept for ever", "for ever"),
        ("fn stand_in() {}", "stand_in"),
    ] {
        let found = words::refused("src/model/a.rs", line, &mut BTreeSet::new());
        assert!(
            found.iter().any(|f| f.contains(&format!("`{word}`"))),
            "{line}: {found:?}"
        );
    }
    for line in [
        "/// Ground truth of a row.",
        "a retold story",
        "let folder = hotel();",
    ] {
        let found = words::refused("src/model/a.rs", line, &mut BTreeSet::new());
        assert_eq!(found, [""; 0], "{line}");
    }
}

#[test]
fn every_invariant_of_the_page_names_tests_that_exist() {
    let page = invariants::file("docs/architecture.md").expect("the page exists");
    let items = invariants::items(&page);
    assert!(items.len() > 13, "only {} invariants found", items.len());
    let faults = invariants::faults(&page, invariants::file);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn an_invariant_without_a_test_is_found() {
    let read = |path: &str| {
        (path == "tests/it/a.rs")
            .then(|| "#[tokio::test]\nasync fn it_holds() {}\nfn no_test() {}".to_owned())
    };
    let faults = |page: &str| invariants::faults(page, read);
    assert_eq!(
        faults("- **It holds.** Always:\n  `tests/it/a.rs::it_holds`.\n"),
        [""; 0]
    );
    for (page, want) in [
        (
            "- **It holds.** Always.\n\n`tests/it/a.rs::it_holds`\n",
            "no test is named",
        ),
        (
            "- **It holds.** `tests/it/a.rs::no_test`\n",
            "has no test `no_test`",
        ),
        (
            "- **It holds.** `tests/it/a.rs::it_held`\n",
            "has no test `it_held`",
        ),
        (
            "- **It holds.** `tests/it/b.rs::it_holds`\n",
            "no file tests/it/b.rs",
        ),
    ] {
        let found = faults(page);
        assert!(
            found.len() == 1 && found[0].contains(want),
            "{page}: {found:?}"
        );
    }
}

/// What a test calls that needs programs from Debian packages or PyPI.
const NEEDS_PROGRAMS: &[&str] = &[
    "python(",
    "installed(",
    "promtool(",
    "Prometheus::",
    "has_data(",
];

/// Names of the tests in `code` that need such programs and stand outside a module `peers`.
fn tests_outside_peers(code: &str) -> Vec<String> {
    let before = code.split("\nmod peers {").next().unwrap_or_default();
    let tests = before
        .split("\n#[tokio::test")
        .flat_map(|part| part.split("\n#[test]"))
        .skip(1);
    tests
        .map(|test| test.split("\n}\n").next().unwrap_or_default())
        .filter(|test| NEEDS_PROGRAMS.iter().any(|call| test.contains(call)))
        .filter_map(|test| {
            test.split("fn ")
                .nth(1)?
                .split('(')
                .next()
                .map(str::to_owned)
        })
        .collect()
}

#[test]
fn tests_that_need_installed_programs_are_in_modules_named_peers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["tests/it", "tests/it/oip"] {
        for entry in fs::read_dir(root.join(folder)).expect("tests are readable") {
            let path = entry.expect("tests are readable").path();
            if path.extension().is_some_and(|end| end == "rs") {
                let code = fs::read_to_string(&path).expect("a test is text");
                found.extend(tests_outside_peers(&code));
            }
        }
    }
    assert_eq!(
        found, [""; 0],
        "`make check` skips only modules named `peers`"
    );
    let outside = "use x;\n#[tokio::test]\nasync fn alone() {\n    python(x).await;\n}\n";
    assert_eq!(tests_outside_peers(outside), ["alone"]);
    assert_eq!(
        tests_outside_peers(&format!("use x;\nmod peers {{{outside}}}")),
        [""; 0]
    );
}
