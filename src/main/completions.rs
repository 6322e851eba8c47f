//! `taper completions`: the script with which a shell completes the command line.

use clap::Command;
use clap_complete::Shell;
use taper::client::Failure;
use taper::terminal::output;

/// Arguments of `taper completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the completions of `command`.
///
/// # Errors
/// Returns an error if stdout cannot be written.
pub(super) fn run(args: &Args, command: &mut Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "taper", &mut script);
    Ok(output::print(String::from_utf8_lossy(&script).trim_end())?)
}
