//! `taper seal`: completes the manifest of a folder that was made by hand.

use std::path::PathBuf;

use taper::client::Failure;
use taper::import;
use taper::terminal::output;

/// Write sizes and digests of the files in a folder into its metadata.json
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of one version, with its metadata.json; `files` in it may be an empty list
    dir: PathBuf,
}

/// Completes the manifest.
///
/// # Errors
/// Returns an error if the folder cannot be read, or if the completed manifest has faults.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let sealed = import::seal(&args.dir);
    let files = sealed.map_err(|faults| Failure::new(format!("nothing was changed\n{faults}")))?;
    let dir = args.dir.display();
    let plural = if files == 1 { "file" } else { "files" };
    output::print(&format!(
        "{dir}: metadata.json lists {files} {plural} with their digests"
    ))?;
    Ok(())
}
