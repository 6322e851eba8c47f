//! Names of metrics, of verbs and their flags, and of the fields of files.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tokio::time::Instant;

use super::Gateway;
use crate::harness::{PATIENCE, http_get};
use crate::process::{Process, command};

/// Returns the types of the metrics and their series without values, once all of `wanted` are exported. Returns the present
/// ones after a time limit, so that the caller can report the missing ones.
pub(super) fn until_there(gateway: &Gateway<'_>, wanted: &[String]) -> Vec<String> {
    let begin = Instant::now();
    loop {
        let series = series(gateway);
        let is_there = wanted.iter().all(|one| series.contains(one));
        if is_there || begin.elapsed() > PATIENCE {
            return series.into_iter().collect();
        }
    }
}

fn series(gateway: &Gateway<'_>) -> BTreeSet<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (_, page) = runtime.block_on(http_get(gateway.http, "/metrics"));
    let named = page.lines().filter_map(|line| {
        if line.starts_with("# TYPE ") {
            return Some(line.to_owned());
        }
        let (name, _) = line.rsplit_once(' ')?;
        (!line.starts_with('#')).then(|| without_bound(name))
    });
    named.collect()
}

/// Returns the series `name` without the bound of its bucket, or without the version of the build.
fn without_bound(name: &str) -> String {
    let masked = [",le=\"", "{le=\"", "info{version=\""];
    let start = masked
        .iter()
        .find_map(|label| Some(name.find(label)? + label.len()));
    match start.map(|start| name.split_at(start)) {
        Some((start, rest)) => start.to_owned() + rest.trim_start_matches(|letter| letter != '"'),
        None => name.to_owned(),
    }
}

/// Returns every verb of `binary` with its flags, one per line, such as `split set --rule`, as the help texts list them.
pub fn verbs_and_flags(binary: &Path) -> Vec<String> {
    let mut lines = BTreeSet::new();
    let mut verbs = vec![Vec::new()];
    while let Some(verb) = verbs.pop() {
        let args: Vec<&str> = verb.iter().map(String::as_str).collect();
        let ended = Process::start(&mut command(binary, &[&args[..], &["--help"]].concat())).end();
        assert_eq!(ended.code, Some(0), "{verb:?}: {ended:?}");
        for name in listed(&ended.stdout) {
            let whole = [&args[..], &[name]].concat();
            lines.insert(whole.join(" "));
            if !name.starts_with('-') {
                verbs.push(whole.into_iter().map(str::to_owned).collect());
            }
        }
    }
    lines.into_iter().collect()
}

/// Returns the verbs and flags that a help text lists.
fn listed(help: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut are_verbs = false;
    for line in help.lines() {
        if line.ends_with(':') && !line.starts_with(' ') {
            are_verbs = line == "Commands:";
            continue;
        }
        let text = line.trim_start();
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        if are_verbs {
            // Continuation lines of a description are indented more.
            let is_verb = line.len() - text.len() == 2;
            names.extend(words.take(1).filter(|word| is_verb && *word != "help"));
        } else if !text.starts_with("- ") {
            names.extend(words.take_while(|word| word.starts_with('-')));
        }
    }
    names
}

/// Returns the fields in the JSON Schema of each file that users write, such as `config.limits.max_in_flight`.
pub fn fields_of_files(binary: &Path) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for of in ["manifest", "config", "train"] {
        let ended = Process::start(&mut command(binary, &["schema", of])).end();
        let schema: Value = serde_json::from_str(&ended.stdout).expect("a schema");
        fields(of, &schema, &schema, &mut lines);
    }
    lines.into_iter().collect()
}

/// Adds every field below `schema` to `lines` with its path from `path` on, and every string constant that a field allows.
/// Names of types are left out, because no file contains them.
fn fields(path: &str, schema: &Value, all: &Value, lines: &mut BTreeSet<String>) {
    // Limits the depth of recursive types.
    const DEEPEST: usize = 12;
    if path.split('.').count() > DEEPEST {
        return;
    }
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        fields(path, all.pointer(pointer).expect("a type"), all, lines);
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        lines.insert(path.clone());
        fields(&path, field, all, lines);
    }
    for of_many in ["additionalProperties", "items"] {
        fields(&format!("{path}.*"), &schema[of_many], all, lines);
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        for one in schema[list].as_array().into_iter().flatten() {
            fields(path, one, all, lines);
        }
    }
    let words = schema["enum"].as_array().into_iter().flatten();
    for word in words.chain(schema.get("const")).filter_map(Value::as_str) {
        lines.insert(format!("{path} = {word}"));
    }
}
