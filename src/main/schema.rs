//! `taper schema`: the JSON Schemas of the files that people write.

use taper::client::Failure;
use taper::config::Config;
use taper::faults;
use taper::model::manifest::raw::RawManifest;
use taper::terminal::output;
use taper::train::spec::raw::RawSpec;

/// Arguments of `taper schema`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which file.
    of: Of,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    /// `metadata.json` of a version.
    Manifest,
    /// The TOML file of `taper serve --config`.
    Config,
    /// The TOML file of `taper train`.
    Train,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let schema = match args.of {
        Of::Manifest => faults::schema_of::<RawManifest>(),
        Of::Config => Config::schema(),
        Of::Train => faults::schema_of::<RawSpec>(),
    };
    Ok(output::print_json(&schema)?)
}
