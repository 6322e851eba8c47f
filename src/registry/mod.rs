//! Which versions exist: the folder of all models, `ROOT/<model>/<version>/metadata.json`.
//!
//! [`scan()`] gives the complete list each time, so a lost event heals at the next look. A version becomes visible by one
//! rename ([`publish()`]) and does not change afterwards. Names that begin with `.` or `_` are nobody's version: staging
//! folders, a mount's own links, notes.
//! Not here: what is inside a version ([`model`](crate::model)), and which versions should serve (`control`).

mod check;
mod publish;
mod scan;

#[cfg(test)]
mod tests;

pub use check::{Checked, Summary, check};
pub use publish::{PublishError, next_version, publish};
pub use scan::{Found, Scan, scan};
