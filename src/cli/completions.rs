//! `taper completions`: what a shell needs to complete the command line.

use crate::client::Failure;
use crate::terminal::output;
use clap::Command;
use clap_complete::Shell;

/// Arguments of `taper completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell that is to complete.
    shell: Shell,
}

/// Writes the completions of `command` to stdout.
///
/// # Errors
/// Where stdout cannot be written.
pub(super) fn run(args: &Args, command: &mut Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "taper", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end())
}
