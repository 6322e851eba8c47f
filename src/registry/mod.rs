//! The registry: the folder of all models and versions, `ROOT/<model>/<version>/metadata.json`.
//!
//! [`scan()`] returns the complete list of versions each time. [`RegistryWatcher`] reports the complete list whenever it has changed, so the
//! next scan makes up for a lost event. A version becomes visible by one rename ([`publish()`]) and does not change afterwards. A folder
//! that is written in place is reported as incomplete until it is [`complete()`]. Names that start with `.` or `_` are ignored: staging
//! folders, links of a mount, notes.
//! Not here: the content of a version ([`model`](crate::model)), and which versions should serve (`control`).

mod check;
mod complete;
mod publish;
mod scan;
mod stamp;
mod upload;
mod watch;

#[cfg(test)]
mod tests;

pub use check::{CheckResult, Summary, check};
pub use complete::{Completeness, complete};
pub use publish::{PublishError, next_version, publish, sweep};
pub use scan::{Scan, VersionFolder, scan};
pub use stamp::Stamp;
pub use upload::{Aborted, Part, Received, UploadError, UploadLimits, receive};
pub use watch::{ListedVersion, Listing, RegistryWatcher, WatchSettings, list};
