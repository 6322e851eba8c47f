//! The command line: one file a verb.
//!
//! The operator's verbs talk to a running gateway through its public RPCs only, so whatever they do, a program can do.
//! What always holds: answers go to stdout and everything else to stderr; exit code 0 means done, 1 that it was not
//! (one message says why), 2 that the arguments were wrong. All printing goes through `out`.
//! Not here: rules. A verb reads arguments, calls, and shows.

mod audit;
mod change;
mod check;
mod compare;
mod completions;
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
mod schema;
mod serve;
mod shadow;
mod split;
mod stats;
mod train;
mod undo;
mod versions;
mod watch;

use std::{io::IsTerminal, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::client::Failure;
use crate::demo;
use crate::loadgen;
use crate::terminal::output;

/// A gRPC inference gateway that shifts traffic between model versions gradually
/// and judges them by what they predict.
#[derive(Debug, Parser)]
#[command(name = "taper", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,

    /// What is logged to stderr: `warn`, `debug`, or per module as in `info,taper::serving=debug`
    /// [default: info for `serve`, warn otherwise].
    #[arg(long, global = true, value_name = "FILTER", env = "TAPER_LOG", value_parser = filter)]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve the models of a registry until SIGINT or SIGTERM.
    Serve(serve::Args),
    /// Score rows with a running gateway.
    Predict(predict::Args),
    /// List the models of a running gateway, or show one.
    Models(models::Args),
    /// Show or change how a model's traffic is split between its versions.
    #[command(subcommand)]
    Split(split::Verb),
    /// Show what the versions of a model saw lately: how many, how fast, what they predicted.
    Stats(stats::Args),
    /// Show whether what versions see and predict differs from training, from another version or from before.
    Drift(Box<drift::Args>),
    /// Show two versions beside each other: on the same requests, and on what each took of the split.
    Compare(Box<compare::Args>),
    /// Show or change which versions get copies of a model's traffic.
    #[command(subcommand)]
    Shadow(Box<shadow::Verb>),
    /// Change who answers where another version fails or takes too long.
    #[command(subcommand)]
    Fallback(Box<fallback::Verb>),
    /// Show what was changed, when, by whom and why.
    History(history::Args),
    /// Follow changes and states as they come.
    Watch(watch::Args),
    /// Send a version's folder to a running gateway.
    Push(push::Args),
    /// Load a running gateway and tell how fast it answers: at a steady rate, or with callers that wait.
    Bench(Box<loadgen::Args>),
    /// Prove that the audit log was not changed, and show its last lines.
    Audit(audit::Args),
    /// Show or move the labels of a model's versions.
    #[command(subcommand)]
    Label(label::Verb),
    /// Let the version of a label take over all traffic.
    Promote(promote::Args),
    /// Bring back what was in force before the last change.
    Undo(undo::Args),
    /// Bring back what an earlier revision wanted.
    Rollback(rollback::Args),
    /// Keep a change that would otherwise revert by itself.
    Confirm(confirm::Args),
    /// Show where the versions of a model stand; load, unload or retry one.
    Versions(Box<versions::Args>),
    /// Show what the truths that came later say about each version, or send such truths.
    Outcomes(Box<outcomes::Args>),
    /// Train a model from a CSV file and publish it as a new version.
    Train(train::Args),
    /// Check every version of a registry folder and list what is wrong.
    Check(check::Args),
    /// Print the JSON Schema of a file that people write.
    Schema(schema::Args),
    /// Serve three versions of a real model and replay real flights through them.
    Demo(demo::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
}

/// Does what the process's arguments say.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Also the way of `--help` and `--version`, which clap calls errors with exit code 0.
            let code = u8::try_from(usage.exit_code()).unwrap_or(2);
            return match usage.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    log_to_stderr(&cli);
    match cli.verb.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&format!("error: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

impl Verb {
    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => on_runtime(serve::run(args)),
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
            Self::Train(args) => train::run(args),
            Self::Check(args) => check::run(&args),
            Self::Schema(args) => schema::run(&args),
            Self::Demo(args) => on_runtime(demo::run(args)),
            Self::Completions(args) => completions::run(&args, &mut Cli::command()),
        }
    }
}

/// Runs an asynchronous verb to its end. What is still running then is not waited for: a verb waits for what it needs.
fn on_runtime<F: Future<Output = Result<(), Failure>>>(verb: F) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(verb);
    runtime.shutdown_background();
    outcome
}

/// A filter that can be read.
fn filter(raw: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(raw).map(|_| raw.to_owned())
}

fn log_to_stderr(cli: &Cli) {
    let default = match cli.verb {
        Verb::Serve(_) => "info",
        _ => "warn",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(cli.log.as_deref().unwrap_or(default)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
