//! Which versions exist: the folder of all models, `ROOT/<model>/<version>/metadata.json`.
//!
//! [`scan()`] gives the complete list each time, and [`watch()`] gives it again whenever it has changed, so a lost event heals
//! at the next look. A version becomes visible by one rename ([`publish()`]) and does not change afterwards; a folder that is
//! written in place is waited for until it is [`complete()`]. Names that begin with `.` or `_` are nobody's version: staging
//! folders, a mount's own links, notes.
//! Not here: what is inside a version ([`model`](crate::model)), and which versions should serve (`control`).

mod check;
mod complete;
mod publish;
mod scan;
mod stamp;
mod upload;
mod watch;

#[cfg(test)]
mod tests;

pub use check::{Checked, Summary, check};
pub use complete::{Completeness, complete};
pub use publish::{PublishError, next_version, publish};
pub use scan::{Found, Scan, scan};
pub use stamp::Stamp;
pub use upload::{Aborted, Part, Received, UploadError, receive};
pub use watch::{Listing, Seen, Watch, WatchSettings, look, watch};
