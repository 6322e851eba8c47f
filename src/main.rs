//! The `taper` binary: arguments in, exit code out.

#[path = "main/completions.rs"]
mod completions;
#[path = "main/import.rs"]
mod import;
#[path = "main/schema.rs"]
mod schema;
#[path = "main/seal.rs"]
mod seal;
#[path = "main/serve.rs"]
mod serve;
#[path = "main/train.rs"]
mod train;

use std::{env, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, Subcommand};
use taper::app;
use taper::cli::{self, check, on_runtime};
use taper::client::Failure;
use taper::demo;
use taper::terminal::output;
use tracing_subscriber::EnvFilter;

/// candle reads /proc/cpuinfo at every matmul unless this is set; for a small network that costs 40 times the network.
const CANDLE_THREADS: &str = "RAYON_NUM_THREADS";

/// How long the end of the process waits for a reader of stderr.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests make many small allocations on many threads, which costs a good part of their time with glibc's allocator. Huge pages
/// are off, because they make a small process large.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    #[command(flatten)]
    Gateway(cli::Verb),
    /// Train a model from a CSV file and publish it as a new version.
    Train(train::Args),
    /// Publish a model file of XGBoost, LightGBM or ONNX as the next version of a model.
    Import(Box<import::Args>),
    /// Write sizes and digests of the files in a folder into its metadata.json.
    Seal(seal::Args),
    /// Check every version in a registry folder and list all faults.
    Check(check::Args),
    /// Print the JSON Schema of a file that people write.
    Schema(schema::Args),
    /// Serve four versions of a real model and replay real flights through them.
    Demo(demo::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
}

#[expect(
    unsafe_code,
    reason = "the environment can only be written while the process has one thread, which is true here and nowhere later"
)]
fn main() -> ExitCode {
    if env::var_os(CANDLE_THREADS).is_none() {
        // SAFETY: the first statement of the process; no other thread exists that could read the environment.
        unsafe { env::set_var(CANDLE_THREADS, "1") };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // `--help` and `--version` also arrive here: clap reports them as errors with exit code 0.
            let code = u8::try_from(usage.exit_code()).unwrap_or(2);
            return match usage.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let filter = EnvFilter::new(cli.log.as_deref().unwrap_or(cli.verb.default_filter()));
    let _last_lines = match app::log_to_stderr(filter) {
        Ok(last_lines) => last_lines,
        Err(error) => {
            output::print_to_stderr(&format!("error: cannot start the log: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match cli.verb.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = format!("error: {failure}");
            output::within(PATIENCE, move || output::print_to_stderr(&text));
            ExitCode::from(failure.exit_code())
        }
    }
}

impl Verb {
    /// Returns what is logged unless the caller says otherwise.
    fn default_filter(&self) -> &'static str {
        match self {
            Self::Serve(_) => "info",
            _ => "warn",
        }
    }

    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => on_runtime(serve::run(args)),
            Self::Gateway(verb) => verb.run(),
            Self::Train(args) => train::run(args),
            Self::Import(args) => import::run(*args),
            Self::Seal(args) => seal::run(&args),
            Self::Check(args) => check::run(&args),
            Self::Schema(args) => schema::run(&args),
            Self::Demo(args) => on_runtime(demo::run(args)),
            Self::Completions(args) => completions::run(&args, &mut Cli::command()),
        }
    }
}

/// Accepts a filter that `tracing` can parse.
fn filter(raw: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(raw).map(|_| raw.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::Cli;

    #[test]
    fn the_definition_of_the_command_line_is_valid() {
        Cli::command().debug_assert();
    }
}
