//! `taper import`: a model file of another library becomes the next version of a model.

use std::path::PathBuf;

use taper::cli::{self, PushFlags};
use taper::client::Failure;
use taper::ident::{ModelName, VersionNumber};
use taper::import::{self, Options};
use taper::model::manifest::raw::Iterations;
use taper::terminal::output;

/// Publish a model file of XGBoost, LightGBM or ONNX as the next version of a model
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file: JSON or UBJ of XGBoost, text of LightGBM, or ONNX
    file: PathBuf,
    /// Name of the model
    #[arg(long, value_name = "NAME")]
    model: ModelName,
    /// The registry to publish to
    #[arg(long, default_value = "models", conflicts_with = "push")]
    registry: PathBuf,
    /// Number of the version [default: the one after the highest]
    #[arg(long, value_name = "N")]
    version: Option<VersionNumber>,
    /// Rows for ranges, the reference profile and golden requests: CSV, JSON lines or npz
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// The answers of the original library to these rows: CSV, JSON lines or npz. The version is published only if taper gives the same
    #[arg(long, value_name = "FILE", requires = "rows")]
    expected: Option<PathBuf>,
    /// Take names, types and optional inputs from this version, so that both can share a split: its number, or its folder
    #[arg(long, value_name = "N|DIR")]
    like: Option<String>,
    /// Names of the classes, in their order [default: as the file says, or their numbers]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    classes: Vec<String>,
    /// Name of the output that is judged [default: the one that the file suggests]
    #[arg(long, value_name = "OUTPUT")]
    judged: Option<String>,
    /// XGBoost: use all trees, or those up to the best iteration of early stopping, as XGBClassifier does [default: all]
    #[arg(long, value_enum)]
    iterations: Option<Which>,
    /// A short description, for people
    #[arg(long)]
    description: Option<String>,
    /// Creation time, RFC 3339; with a fixed time, equal files give equal versions [default: now]
    #[arg(long)]
    created_at: Option<String>,
    /// Publish to a running gateway instead of a registry folder
    #[arg(long)]
    push: bool,
    #[command(flatten)]
    flags: PushFlags,
}

/// Which trees are used.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Which {
    All,
    Best,
}

impl Args {
    /// Returns the folder of the version that is meant by its number, in the registry, or by its folder.
    fn like(&self, like: &str) -> PathBuf {
        match like.parse::<VersionNumber>() {
            Ok(number) => {
                let model = self.registry.join(self.model.as_str());
                model.join(number.to_string())
            }
            Err(_) => like.into(),
        }
    }

    fn options(&self, version: Option<VersionNumber>) -> Options {
        let now = || {
            jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string()
        };
        Options {
            file: self.file.clone(),
            model: self.model.clone(),
            registry: self.registry.clone(),
            version,
            rows: self.rows.clone(),
            expected: self.expected.clone(),
            like: self.like.as_deref().map(|like| self.like(like)),
            classes: self.classes.clone(),
            judged: self.judged.clone(),
            iterations: self.iterations.map(|which| match which {
                Which::All => Iterations::All,
                Which::Best => Iterations::Best,
            }),
            description: self.description.clone(),
            created_at: Some(self.created_at.clone().unwrap_or_else(now)),
        }
    }
}

/// Imports a file, and prints what was found in it.
///
/// # Errors
/// Returns an error if nothing was published.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    if args.push {
        if args
            .like
            .as_ref()
            .is_some_and(|like| like.parse::<VersionNumber>().is_ok())
        {
            let why = "--like: got a number, expected the folder of a version: a gateway does not send its files";
            return Err(Failure::new(why));
        }
        return cli::on_runtime(push(args));
    }
    let report = import::import(&args.options(args.version));
    let report =
        report.map_err(|faults| Failure::new(format!("nothing was published\n{faults}")))?;
    output::print(&report.to_string())?;
    Ok(())
}

/// Imports a file into a folder that is only temporary, and uploads it.
async fn push(args: Args) -> Result<(), Failure> {
    let version = match args.version {
        Some(version) => version,
        None => cli::next_version(&args.model, &args.flags).await?,
    };
    let staging = tempfile::tempdir()
        .map_err(|error| Failure::new(format!("cannot create a temporary folder: {error}")))?;
    let report = import::import_to(&args.options(Some(version)), version, staging.path());
    report.map_err(|faults| Failure::new(format!("nothing was sent\n{faults}")))?;
    cli::push_folder(staging.path(), &args.flags).await
}
