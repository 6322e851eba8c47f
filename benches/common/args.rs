//! The command line of a bench. It ignores unknown flags, such as the `--bench` of cargo.

use std::env;
use std::str::FromStr;

/// Arguments of a bench.
pub(crate) struct Args(pub(crate) Vec<String>);

impl Args {
    pub(crate) fn read() -> Self {
        Self(env::args().skip(1).collect())
    }

    /// Returns the value after `flag`, if there is one.
    pub(crate) fn after<T: FromStr>(&self, flag: &str) -> Option<T> {
        let at = self.0.iter().position(|arg| arg == flag)?;
        let value = self.0.get(at + 1).and_then(|value| value.parse().ok());
        Some(value.unwrap_or_else(|| panic!("{flag} wants another value")))
    }
}
