//! The one place that writes to the terminal.

use std::io::{self, ErrorKind, Write};

use super::failure::Failure;

/// Whether anybody reads stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Reader {
    /// As far as can be told.
    There,
    /// The pipe is closed, as in `taper demo | head -1`.
    Gone,
}

/// Writes `text` and an end of line to stdout.
///
/// # Errors
/// Where stdout cannot be written, unless its reader has gone, as in `taper models | head -1`.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    tell(text).map(|_| ())
}

/// As [`print()`], for those who would have more to tell.
///
/// # Errors
/// As [`print()`].
pub(super) fn tell(text: &str) -> Result<Reader, Failure> {
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
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
    print(&text)
}

/// Writes `text` and an end of line to stderr. There is nowhere to tell that this failed.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
