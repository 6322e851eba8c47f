//! Writes to stdout and stderr.
//!
//! Invariant: the only control characters that reach the terminal are line ends and tabs. Printed text contains text of clients,
//! files and other operators, and a terminal would obey control characters in it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Whether stdout still has a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reader {
    /// As far as this process can know.
    Present,
    /// The pipe is closed, as in `taper demo | head -1`.
    Gone,
}

/// Writes `text` and a line end to stdout. A closed pipe, as in `taper models | head -1`, is not an error.
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    print_to_reader(text).map(|_| ())
}

/// Writes `text` and a line end to stdout, and returns whether a reader is left.
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub fn print_to_reader(text: &str) -> io::Result<Reader> {
    let text = escape(text);
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::Present),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("cannot write to stdout: {error}"),
        )),
    }
}

/// Writes `value` as indented JSON to stdout.
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| io::Error::other(format!("cannot write JSON: {error}")))?;
    print(&text)
}

/// Writes `text` and a line end to stderr. A failure to write is ignored: there is nowhere left to report it.
pub fn print_to_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape(text));
}

/// Runs `write` on a thread of its own and waits for its end, but no longer than `patience`: for a process that goes on although
/// nothing reads its output.
pub fn within(patience: Duration, write: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel();
    let started = thread::Builder::new()
        .name("taper-output".into())
        .spawn(move || {
            write();
            // The waiting thread may have given up.
            let _ = ended.send(());
        });
    if started.is_ok() {
        let _ = end.recv_timeout(patience);
    }
}

/// Returns `text` with every character that a terminal obeys written as `\u001b`, which means the same in the strings of JSON.
/// Line ends and tabs stay.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| is_obeyed(c) && c != '\n' && c != '\t')
}

/// Returns `text` on one line: as [`escape`], with line ends and tabs escaped too. For text of others inside a line of ours, which
/// could otherwise add lines that look like ours.
#[must_use]
pub fn escape_line(text: &str) -> Cow<'_, str> {
    escape_where(text, is_obeyed)
}

/// Returns whether `c` is a control character, or one that changes the direction of the text after it.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape_where(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            // Writing to a `String` cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_a_terminal_obeys_are_escaped() {
        for (text, escaped) in [
            ("é 漢\n\tx", "é 漢\n\tx"),
            (
                "\x1b[2J\x07\r\0\x7f",
                "\\u001b[2J\\u0007\\u000d\\u0000\\u007f",
            ),
            ("\u{9b}31m", "\\u009b31m"),
            ("a\u{202e}b\u{2066}", "a\\u202eb\\u2066"),
        ] {
            assert_eq!(escape(text), escaped);
        }
        assert_eq!(escape_line("a\nerror: b\t"), "a\\u000aerror: b\\u0009");
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let value = serde_json::json!({"\u{9b}": ["\x1b\n\u{202e}\x7f\"\\", {"tab\t": 1}]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let escaped = escape(&text);
        assert!(
            !escaped.contains(|c| is_obeyed(c) && c != '\n'),
            "{escaped}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
            value
        );
    }
}
