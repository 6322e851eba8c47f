//! Output, tables and signals.

pub(crate) mod output;
mod signals;
pub(crate) mod table;

pub(crate) use signals::Signals;
