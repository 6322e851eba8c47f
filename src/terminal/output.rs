//! The one place that writes to the terminal.
//!
//! What always holds: of the control characters only line ends and tabs get there. Texts of callers, of files and of other operators
//! stand in what is printed, and a terminal would obey them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};

use crate::client::Failure;

/// Whether anybody reads stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Reader {
    /// As far as can be told.
    There,
    /// The pipe is closed, as in `taper demo | head -1`.
    Gone,
}

/// Writes `text` and an end of line to stdout.
///
/// # Errors
/// Where stdout cannot be written, unless its reader has gone, as in `taper models | head -1`.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    tell(text).map(|_| ())
}

/// As [`print()`], for those who would have more to tell.
///
/// # Errors
/// As [`print()`].
pub(crate) fn tell(text: &str) -> Result<Reader, Failure> {
    let text = harmless(text);
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new(format!("cannot write to stdout: {error}"))),
    }
}

/// Writes `value` as indented JSON to stdout.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
    print(&text)
}

/// Writes `text` and an end of line to stderr. There is nowhere to tell that this failed.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
}

/// `text` with whatever a terminal obeys spelt out as `\u001b`, which in the strings of JSON means the same; but for line ends
/// and tabs.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    spelt_out(text, |c| is_obeyed(c) && c != '\n' && c != '\t')
}

/// As [`harmless()`], on one line: for a text of somebody else among others, which could otherwise pose as lines of ours.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    spelt_out(text, is_obeyed)
}

/// Control characters, and those that turn the direction of what follows.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn spelt_out(text: &str, is_wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_wanted) {
        return text.into();
    }
    let mut told = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_wanted(c) {
            // Writing to a text cannot fail.
            let _ = write!(told, "\\u{:04x}", u32::from(c));
        } else {
            told.push(c);
        }
    }
    told.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out() {
        for (text, told) in [
            ("é 漢\n\tx", "é 漢\n\tx"),
            (
                "\x1b[2J\x07\r\0\x7f",
                "\\u001b[2J\\u0007\\u000d\\u0000\\u007f",
            ),
            ("\u{9b}31m", "\\u009b31m"),
            ("a\u{202e}b\u{2066}", "a\\u202eb\\u2066"),
        ] {
            assert_eq!(harmless(text), told);
        }
        assert_eq!(one_line("a\nerror: b\t"), "a\\u000aerror: b\\u0009");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"\u{9b}": ["\x1b\n\u{202e}\x7f\"\\", {"tab\t": 1}]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let told = harmless(&text);
        assert!(!told.contains(|c| is_obeyed(c) && c != '\n'), "{told}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&told).unwrap(),
            value
        );
    }
}
