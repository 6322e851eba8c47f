//! `taper train`: a progress bar while it learns, then a table of what came out.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use crate::client::Failure;
use crate::ident::VersionNumber;
use crate::terminal::output;
use crate::train::{self, Options, Progress};

/// Train a new version of a model from a CSV file, and publish it to a registry
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The training spec, a TOML file
    spec: PathBuf,
    /// The registry that gets the version
    #[arg(long, default_value = "models")]
    registry: PathBuf,
    /// Number of the version [default: the one after the highest]
    #[arg(long)]
    version: Option<VersionNumber>,
    /// When it was made, RFC 3339: given, the same seed makes the same bytes [default: now]
    #[arg(long)]
    created_at: Option<String>,
    /// In place of the spec's seed
    #[arg(long)]
    seed: Option<u64>,
    /// No progress bar, and only the version's folder at the end
    #[arg(long, short)]
    quiet: bool,
}

/// Trains, publishes and tells.
///
/// # Errors
/// Why nothing was published, or that it could not be told what was.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let bar = if args.quiet {
        ProgressBar::hidden()
    } else {
        bar()
    };
    let quiet = args.quiet;
    let options = Options {
        spec: args.spec,
        registry: args.registry,
        version: args.version,
        created_at: args.created_at,
        seed: args.seed,
    };
    let mut best = f64::INFINITY;
    let trained = train::train(&options, &mut |now: Progress| {
        best = best.min(now.validation_loss);
        bar.set_length(now.of as u64);
        bar.set_position(now.epoch as u64);
        bar.set_message(format!(
            "loss {:.4}, validation {:.4}, best {best:.4}",
            now.train_loss, now.validation_loss
        ));
    });
    bar.finish_and_clear();
    let report = trained.map_err(|error| Failure::new(error.to_string()))?;
    let told = if quiet {
        output::print(&report.path.display().to_string())
    } else {
        output::print(&report.to_string())
    };
    // A second run would publish a second version.
    told.map_err(|failure| {
        Failure::new(format!(
            "{failure}; {} is published all the same",
            report.path.display()
        ))
    })
}

/// Draws nothing where standard error is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("epoch {pos:>3} of {len} {bar:24} {msg}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
