//! `taper train`: a progress bar during training, then a table of the results.

use std::path::PathBuf;

use taper::client::Failure;
use taper::ident::VersionNumber;
use taper::terminal::{output, progress};
use taper::train::{self, Options, Progress};

/// Train a new version of a model from a CSV file, and publish it to a registry
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The training spec, a TOML file
    spec: PathBuf,
    /// The registry to publish to
    #[arg(long, default_value = "models")]
    registry: PathBuf,
    /// Number of the version [default: the one after the highest]
    #[arg(long)]
    version: Option<VersionNumber>,
    /// Creation time, RFC 3339; with a fixed time, equal seeds give equal files [default: now]
    #[arg(long)]
    created_at: Option<String>,
    /// Seed to use instead of that in the spec
    #[arg(long)]
    seed: Option<u64>,
    /// Show no progress bar, and print only the folder of the version
    #[arg(long, short)]
    quiet: bool,
}

/// Trains a version, publishes it and prints the report.
///
/// # Errors
/// Returns an error if nothing was published, or if the report cannot be printed.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let bar = if args.quiet {
        progress::ProgressBar::hidden()
    } else {
        progress::bar("epoch {pos:>3} of {len} {bar:24} {msg}")
    };
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
    let printed = if args.quiet {
        output::print(&report.path.display().to_string())
    } else {
        output::print(&report.to_string())
    };
    // The error says that the version exists: running the command again would publish a second one.
    printed.map_err(|error| {
        Failure::new(format!(
            "{error}; {} is published nevertheless",
            report.path.display()
        ))
    })
}
