//! `taper completions`: what a shell needs to complete the command line.

use clap::Command;
use clap_complete::Shell;

use super::{failure::Failure, out};

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
    out::print(String::from_utf8_lossy(&script).trim_end())
}
