//! The verbs that talk to a running gateway, one file for each, and `taper check`.
//!
//! Verbs call a gateway through its public RPCs only, so a program can do whatever they do. Invariants: results go to stdout and
//! everything else to stderr; the exit code is 0 on success, 1 on failure with a message that says why, and 2 for wrong arguments.
//!
//! Not here: rules. A verb parses arguments, calls the gateway and shows the response. `serve`, `train` and `demo`, which start
//! their own gateway or need none, belong to the binary.

mod audit;
mod change;
pub mod check;
mod compare;
mod confirm;
mod drift;
mod fallback;
mod history;
mod label;
mod model;
mod models;
mod outcomes;
mod predict;
mod promote;
mod push;
mod rollback;
mod shadow;
mod split;
mod stats;
mod undo;
mod versions;
mod watch;

pub use push::{PushFlags, next_version, push_folder};

use crate::client::Failure;
use crate::loadgen;

/// A verb that talks to a running gateway.
#[derive(Debug, clap::Subcommand)]
#[expect(
    private_interfaces,
    reason = "only this module reads the arguments of its verbs"
)]
pub enum Verb {
    /// Score rows with a running gateway.
    Predict(predict::Args),
    /// List the models of a running gateway, or show one.
    Models(models::Args),
    /// Show or change how the traffic of a model is split between its versions.
    #[command(subcommand)]
    Split(split::Verb),
    /// Show recent requests of each version of a model: how many, how fast, what was predicted.
    Stats(stats::Args),
    /// Show whether inputs and predictions of versions differ from training, from another version or from earlier.
    Drift(Box<drift::Args>),
    /// Compare two versions: on the same requests, and on the split traffic that each got.
    Compare(Box<compare::Args>),
    /// Show or change which versions get copies of the traffic of a model.
    #[command(subcommand)]
    Shadow(Box<shadow::Verb>),
    /// Change which version answers when another version fails or takes too long.
    #[command(subcommand)]
    Fallback(Box<fallback::Verb>),
    /// Show past changes with time, author and reason.
    History(history::Args),
    /// Follow changes and states as they happen.
    Watch(watch::Args),
    /// Upload the folder of a version to a running gateway.
    Push(push::Args),
    /// Load a running gateway and measure its latency: at a steady rate, or with a fixed number of callers.
    Bench(Box<loadgen::Args>),
    /// Verify the hash chain of the audit log, and show its last lines.
    Audit(audit::Args),
    /// Show or move the labels of the versions of a model.
    #[command(subcommand)]
    Label(label::Verb),
    /// Send all traffic to the version of a label.
    Promote(promote::Args),
    /// Restore what was in force before the last change.
    Undo(undo::Args),
    /// Restore what an earlier revision contained.
    Rollback(rollback::Args),
    /// Keep a change that would otherwise revert.
    Confirm(confirm::Args),
    /// Show the state of each version of a model; load, unload or retry one.
    Versions(Box<versions::Args>),
    /// Show how well the predictions of each version agree with reported outcomes, or report outcomes.
    Outcomes(Box<outcomes::Args>),
}

impl Verb {
    /// Runs the verb.
    ///
    /// # Errors
    /// Returns what the verb could not do.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Predict(args) => on_runtime(predict::run(args)),
            Self::Models(args) => on_runtime(models::run(args)),
            Self::Split(verb) => on_runtime(split::run(verb)),
            Self::Stats(args) => on_runtime(stats::run(args)),
            Self::Drift(args) => on_runtime(drift::run(*args)),
            Self::Compare(args) => on_runtime(compare::run(*args)),
            Self::Shadow(verb) => on_runtime(shadow::run(*verb)),
            Self::Fallback(verb) => on_runtime(fallback::run(*verb)),
            Self::History(args) => on_runtime(history::run(args)),
            Self::Watch(args) => on_runtime(watch::run(args)),
            Self::Push(args) => on_runtime(push::run(args)),
            Self::Bench(args) => loadgen::run(*args),
            Self::Audit(args) => on_runtime(audit::run(args)),
            Self::Label(verb) => on_runtime(label::run(verb)),
            Self::Promote(args) => on_runtime(promote::run(args)),
            Self::Undo(args) => on_runtime(undo::run(args)),
            Self::Rollback(args) => on_runtime(rollback::run(args)),
            Self::Confirm(args) => on_runtime(confirm::run(args)),
            Self::Versions(args) => on_runtime(versions::run(*args)),
            Self::Outcomes(args) => on_runtime(outcomes::run(*args)),
        }
    }
}

/// Runs an asynchronous verb to its end, on a runtime of its own. Tasks that are still running then are not awaited.
///
/// # Errors
/// Returns the failure of the verb, or an error if threads cannot be started.
pub fn on_runtime<F: Future<Output = Result<(), Failure>>>(verb: F) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(verb);
    runtime.shutdown_background();
    outcome
}
