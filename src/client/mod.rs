//! The client of taper's own RPCs.

mod failure;
pub(crate) mod input;
mod port;
pub(crate) mod wire;

pub(crate) use failure::Failure;
pub(crate) use failure::code_name;
pub(crate) use port::{ADMIN_URL, AdminPort, DATA_URL, DataPort, Patience, timed_out};
