//! Output, tables, progress bars and signals: everything that talks to the terminal of a person.
//!
//! Answers go to stdout and everything else to stderr. Errors of this module are [`io::Error`](std::io::Error)s that say what could
//! not be done.
//!
//! Not here: what is shown.

pub mod output;
pub mod progress;
mod signals;
pub mod table;

pub use signals::{Notice, Notices, Signals};
