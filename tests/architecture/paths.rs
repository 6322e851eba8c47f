//! The source files, and the paths that each of them contains.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Returns every source file except `lib.rs`, which only lists the rooms.
pub(crate) fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join("src")];
    let mut found = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("src is readable") {
            let path: PathBuf = entry.expect("src is readable").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let code = fs::read_to_string(&path).expect("source is text");
                let path = path.strip_prefix(root).expect("it is inside");
                found.push((path.to_string_lossy().replace('\\', "/"), code));
            }
        }
    }
    found.retain(|(path, _)| path != "src/lib.rs");
    found.sort();
    found
}

/// Names that one file uses.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Rooms, from paths such as `crate::room`.
    pub(crate) rooms: BTreeSet<String>,
    /// First names of paths, and names right after `use`.
    pub(crate) roots: BTreeSet<String>,
    /// Its own modules and the names that it imports from this crate. They do not refer to another crate.
    pub(crate) own: BTreeSet<String>,
    /// Paths in a form that hides their target.
    pub(crate) hidden: Vec<String>,
}

/// Reads the names in `code`. `depth` is the number of modules above the code of this file, 0 for the root.
pub(crate) fn named(code: &str, depth: usize) -> Named {
    let tokens = tokens(code);
    let name = |i: usize| match tokens.get(i) {
        Some(Token::Name(name)) => name.as_str(),
        _ => "",
    };
    let sep = |i: usize| tokens.get(i) == Some(&Token::Sep);
    let mut found = Named::default();
    // Open braces, and whether each is the body of a module.
    let mut open: Vec<bool> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => open.push(i >= 2 && name(i - 2) == "mod"),
            Token::Mark('}') => {
                open.pop();
            }
            Token::Name(root) => {
                if i > 0 && name(i - 1) == "mod" {
                    found.own.insert(root.clone());
                }
                // `a::name` and `x.name::<T>()` do not start at a crate; `::name` does.
                let is_root = match i.checked_sub(1).map(|before| &tokens[before]) {
                    Some(Token::Sep) => match i.checked_sub(2).map(|before| &tokens[before]) {
                        Some(Token::Name(before)) => before == "use",
                        before => before != Some(&Token::Mark('>')),
                    },
                    before => before != Some(&Token::Mark('.')),
                };
                let used = i > 0 && name(i - 1) == "use";
                if !is_root || !(sep(i + 1) || used) {
                    continue;
                }
                found.roots.insert(root.clone());
                if used && matches!(root.as_str(), "crate" | "super" | "self") {
                    found.own.extend(
                        tokens[i..]
                            .iter()
                            .take_while(|token| **token != Token::Mark(';'))
                            .filter_map(|token| match token {
                                Token::Name(name) => Some(name.clone()),
                                _ => None,
                            }),
                    );
                }
                if root == "crate" || root == "taper" {
                    match name(i + 2) {
                        "" => found.hidden.push(format!(
                            "`{root}::` is followed by a list or a star: write one full path a room"
                        )),
                        room => {
                            found.rooms.insert(room.to_owned());
                        }
                    }
                }
                if root == "super" {
                    let mut ups = 1;
                    while name(i + 2 * ups) == "super" && sep(i + 2 * ups - 1) {
                        ups += 1;
                    }
                    let inner = open.iter().filter(|module| **module).count();
                    if ups >= depth.saturating_add(inner) {
                        found
                            .hidden
                            .push("`super` leaves the room: write `crate::`".into());
                    }
                }
            }
            _ => {}
        }
    }
    found
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Name(String),
    /// `::`
    Sep,
    Mark(char),
}

/// The names and marks of Rust code, without comments, texts and numbers' insides.
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            let mut open = 0;
            while i < chars.len() {
                match (chars[i], at(i + 1)) {
                    ('/', '*') => (open, i) = (open + 1, i + 2),
                    ('*', '/') => (open, i) = (open - 1, i + 2),
                    _ => i += 1,
                }
                if open == 0 {
                    break;
                }
            }
        } else if c == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if let Some(hashes) = raw_text(&chars[i..]) {
            let end: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', hashes))
                .collect();
            // Past `r`, the hashes and the opening quote.
            i += hashes + 2;
            while i < chars.len() && !chars[i..].starts_with(&end) {
                i += 1;
            }
            i += end.len();
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            // A character, not a lifetime.
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c == '_' || c.is_alphanumeric() {
            let start = i;
            while at(i) == '_' || at(i).is_alphanumeric() {
                i += 1;
            }
            found.push(Token::Name(chars[start..i].iter().collect()));
        } else if c == ':' && at(i + 1) == ':' {
            found.push(Token::Sep);
            i += 2;
        } else {
            if !c.is_whitespace() {
                found.push(Token::Mark(c));
            }
            i += 1;
        }
    }
    found
}

/// How many hashes open the raw text that starts here, if one does.
fn raw_text(rest: &[char]) -> Option<usize> {
    let after = rest.strip_prefix(&['r'])?;
    let hashes = after.iter().take_while(|c| **c == '#').count();
    (after.get(hashes) == Some(&'"')).then_some(hashes)
}
