//! The prediction log: a sample of the requests as lines of JSON, for training the next version. Off unless configured.
//!
//! The request path decides with one comparison whether a request is sampled, and puts a copy into a bounded queue (`queue.rs`). If the
//! queue is full, the line is dropped and counted. One thread writes the lines (`line.rs` defines their form) and begins a new file
//! when the old one is too large, too old or gone (`log_file.rs`). Another thread, at the lowest priority, compresses the full files and
//! removes the oldest (`full_files.rs`), so that writing does not wait for it.
//!
//! Invariants:
//! * No request waits for the log.
//! * Values of inputs that the manifest marks sensitive, and of names that the signature does not have, are never written. For inputs
//!   marked `hash`, keyed hashes are written if there is a key (`key.rs`).
//! * After a crash the file contains whole lines, except for the last one.
//!
//! Not here: requests that were refused before a version was chosen, because it is not known then which inputs are sensitive, and
//! requests whose client went away before the answer.

mod entry;
mod full_files;
mod key;
mod line;
mod log_file;
mod paths;
mod queue;
mod settings;
mod subject;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use entry::{Entry, LoggedOutput};
pub use key::HashKey;
pub use queue::PredictionLog;
pub use settings::LogSettings;
pub use subject::Subject;
pub use writer::LogThread;
