//! Which files of a room use which others, and the circles among them.
//!
//! A file uses the file that defines an item it names. A `pub use` only re-exports an item: it makes no arrow for the file that
//! contains it, and a path through it leads to the definition. An import of a module makes no arrow by itself;
//! the paths through it do.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::{Token, tokens};

/// A path into the crate: names of modules, and optionally the name of an item.
type ItemPath = Vec<String>;

/// Names and paths in the source of one module.
#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Paths of the names that other modules can reach through this one.
    exported: BTreeMap<String, ItemPath>,
    /// Paths that its code names.
    named: Vec<ItemPath>,
}

/// Returns groups of files of `room` that reach each other. Each group has at least two files.
pub(crate) fn circles(sources: &[(String, String)], room: &str) -> Vec<BTreeSet<String>> {
    let arrows = arrows(sources, room);
    let reached: BTreeMap<&String, BTreeSet<&String>> = arrows
        .keys()
        .map(|file| (file, reachable(&arrows, file)))
        .collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (file, others) in &reached {
        if !others.contains(*file) || found.iter().any(|group| group.contains(*file)) {
            continue;
        }
        let group = others.iter().filter(|other| {
            reached
                .get(**other)
                .is_some_and(|back| back.contains(*file))
        });
        found.push(group.map(|other| (*other).clone()).collect());
    }
    found
}

/// Returns the files of `room` that each of its files uses.
pub(crate) fn arrows(
    sources: &[(String, String)],
    room: &str,
) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeSet<ItemPath> = sources.iter().map(|(path, _)| module_of(path)).collect();
    let modules: BTreeMap<ItemPath, Module> = sources
        .iter()
        .map(|(path, code)| (module_of(path), read(path, code, &names)))
        .collect();
    let mut arrows = BTreeMap::new();
    for module in modules.values().filter(|module| is_in(&module.file, room)) {
        let used = module
            .named
            .iter()
            .filter_map(|path| definition(&modules, path, 0))
            .filter(|file| *file != module.file && is_in(file, room));
        arrows.insert(module.file.clone(), used.collect());
    }
    arrows
}

fn is_in(file: &str, room: &str) -> bool {
    file.strip_prefix("src/")
        .and_then(|inside| inside.strip_prefix(room))
        .is_some_and(|rest| rest.starts_with(['/', '.']))
}

fn reachable<'a>(
    arrows: &'a BTreeMap<String, BTreeSet<String>>,
    from: &String,
) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&String> = arrows.get(from).into_iter().flatten().collect();
    while let Some(file) = waiting.pop() {
        if found.insert(file) {
            waiting.extend(arrows.get(file).into_iter().flatten());
        }
    }
    found
}

/// Returns the module of a file: both `src/a/b.rs` and `src/a/b/mod.rs` are module `a::b`.
fn module_of(path: &str) -> ItemPath {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    inside
        .split('/')
        .filter(|step| !matches!(*step, "mod" | "lib" | "main"))
        .map(str::to_owned)
        .collect()
}

/// Returns the file that defines the item at `path`, or `None` if the path is only a module.
fn definition(
    modules: &BTreeMap<ItemPath, Module>,
    path: &ItemPath,
    depth: usize,
) -> Option<String> {
    let mut at = 0;
    while at < path.len() && modules.contains_key(&path[..=at]) {
        at += 1;
    }
    let module = modules.get(&path[..at])?;
    let item = path.get(at)?;
    match module.exported.get(item) {
        // A cycle of re-exports would not compile.
        Some(target) if depth < 16 => {
            let rest = path[at + 1..].iter().cloned();
            let target = target.iter().cloned().chain(rest).collect();
            definition(modules, &target, depth + 1)
        }
        _ => Some(module.file.clone()),
    }
}

fn read(path: &str, code: &str, modules: &BTreeSet<ItemPath>) -> Module {
    let mut reader = Reader {
        tokens: tokens(code),
        modules,
        module: Module {
            file: path.to_owned(),
            ..Module::default()
        },
        own: module_of(path),
        imported: Vec::new(),
    };
    reader.uses();
    reader.paths();
    reader.module
}

struct Reader<'a> {
    tokens: Vec<Token>,
    modules: &'a BTreeSet<ItemPath>,
    module: Module,
    own: ItemPath,
    /// Paths of the modules that this file imports, by name.
    imported: Vec<(String, ItemPath)>,
}

impl Reader<'_> {
    fn name(&self, at: usize) -> &str {
        match self.tokens.get(at) {
            Some(Token::Name(name)) => name,
            _ => "",
        }
    }

    fn is(&self, at: usize, token: &Token) -> bool {
        self.tokens.get(at) == Some(token)
    }

    /// Returns, for each token, the inline modules that contain it.
    fn inline(&self) -> Vec<Vec<String>> {
        let mut open: Vec<Option<String>> = Vec::new();
        let mut found = Vec::with_capacity(self.tokens.len());
        for (at, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Mark('{') => {
                    let is_module = at >= 2 && self.name(at - 2) == "mod";
                    open.push(is_module.then(|| self.name(at - 1).to_owned()));
                }
                Token::Mark('}') => {
                    open.pop();
                }
                _ => {}
            }
            found.push(open.iter().flatten().cloned().collect());
        }
        found
    }

    /// Reads every `use`.
    fn uses(&mut self) {
        for (at, inline) in self.inline().iter().enumerate() {
            if self.name(at) != "use" {
                continue;
            }
            let is_public =
                at > 0 && (self.name(at - 1) == "pub" || self.is(at - 1, &Token::Mark(')')));
            let mut leaves = Vec::new();
            self.tree(at + 1, &mut Vec::new(), &mut leaves);
            for (path, name) in leaves {
                let Some(target) = self.absolute(&path, inline) else {
                    continue;
                };
                if is_public && inline.is_empty() {
                    self.module.exported.insert(name, target);
                } else if self.modules.contains(&target) {
                    self.imported.push((name, target));
                } else {
                    self.module.named.push(target);
                }
            }
        }
    }

    /// Reads one tree of a `use` from `at` on and returns where it ends. A leaf is its path and the name that it gets.
    fn tree(
        &self,
        mut at: usize,
        path: &mut Vec<String>,
        leaves: &mut Vec<(Vec<String>, String)>,
    ) -> usize {
        let depth = path.len();
        loop {
            match self.tokens.get(at) {
                Some(Token::Name(name)) if self.is(at + 1, &Token::Sep) => {
                    path.push(name.clone());
                    at += 2;
                }
                Some(Token::Name(name)) => {
                    let mut full = path.clone();
                    if name != "self" || full.is_empty() {
                        full.push(name.clone());
                    }
                    let mut known = full.last().cloned().unwrap_or_default();
                    at += 1;
                    if self.name(at) == "as" {
                        self.name(at + 1).clone_into(&mut known);
                        at += 2;
                    }
                    leaves.push((full, known));
                    break;
                }
                Some(Token::Mark('*')) => {
                    let mut full = path.clone();
                    full.push("*".into());
                    leaves.push((full, "*".into()));
                    at += 1;
                    break;
                }
                Some(Token::Mark('{')) => {
                    at += 1;
                    while !self.is(at, &Token::Mark('}')) && at < self.tokens.len() {
                        at = self.tree(at, path, leaves);
                        if self.is(at, &Token::Mark(',')) {
                            at += 1;
                        }
                    }
                    at += 1;
                    break;
                }
                Some(Token::Sep) => at += 1,
                _ => break,
            }
        }
        path.truncate(depth);
        at
    }

    /// Reads the paths that start at `crate`, `super`, `self`, at a child module or at an imported module.
    fn paths(&mut self) {
        let mut in_use = false;
        for (at, inline) in self.inline().iter().enumerate() {
            match self.name(at) {
                "use" => in_use = true,
                _ if self.is(at, &Token::Mark(';')) => in_use = false,
                _ => {}
            }
            let begins =
                at == 0 || !(self.is(at - 1, &Token::Sep) || self.is(at - 1, &Token::Mark('.')));
            if in_use || self.name(at).is_empty() || !begins || !self.is(at + 1, &Token::Sep) {
                continue;
            }
            let mut path = vec![self.name(at).to_owned()];
            let mut next = at + 1;
            while self.is(next, &Token::Sep) && !self.name(next + 1).is_empty() {
                path.push(self.name(next + 1).to_owned());
                next += 2;
            }
            if let Some(target) = self.absolute(&path, inline) {
                self.module.named.push(target);
            }
        }
    }

    /// Returns `path` from the crate's root, or `None` if it does not lead into the crate.
    fn absolute(&self, path: &[String], inline: &[String]) -> Option<ItemPath> {
        let here: Vec<String> = self.own.iter().chain(inline).cloned().collect();
        let (first, rest) = path.split_first()?;
        let target: ItemPath = match first.as_str() {
            "crate" => rest.to_vec(),
            "self" => here.into_iter().chain(rest.iter().cloned()).collect(),
            "super" => {
                let ups = path.iter().take_while(|step| *step == "super").count();
                let kept = here.len().checked_sub(ups)?;
                let rest = path[ups..].iter().cloned();
                here.into_iter().take(kept).chain(rest).collect()
            }
            name => {
                let below: ItemPath = self.own.iter().cloned().chain([name.to_owned()]).collect();
                let imported = self.imported.iter().find(|(known, _)| known == name);
                let base = match imported {
                    Some((_, target)) => target.clone(),
                    None if self.modules.contains(&below) => below,
                    None => return None,
                };
                base.into_iter().chain(rest.iter().cloned()).collect()
            }
        };
        // Items in inline modules belong to the file.
        let own_inside = target.len() > self.own.len()
            && target.starts_with(&self.own)
            && inline.first() == target.get(self.own.len());
        (!own_inside).then_some(target)
    }
}
