//! The client of taper's own RPCs: connections, deadlines, and errors as messages for people.
//!
//! The command line, the load generator and the demo reach a gateway only through this module, so a program can do whatever they
//! do. Messages are those of [`v1`].
//!
//! Not here: arguments, tables and any rule about models and traffic.

mod failure;
pub(crate) mod input;
pub(crate) mod message;
mod port;
mod rpc;
pub(crate) mod tensors;
mod upload;
mod watch;

pub use failure::Failure;
pub(crate) use failure::code_name;
pub(crate) use port::timed_out;
pub use port::{
    ADMIN_URL, Admin, AdminClient, AdminPort, DATA_URL, Data, DataClient, DataPort, Port, PortKind,
    Timeout,
};
pub(crate) use rpc::Rpc;
pub(crate) use upload::{find_version, upload};
pub(crate) use watch::Watch;

/// The messages of `taper.v1`, and the names of their enums.
pub(crate) use crate::proto::{names, v1};
/// The types of `google.protobuf` that messages of `taper.v1` contain.
pub(crate) use prost_types as well_known;
