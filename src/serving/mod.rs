//! serving
pub mod route;
