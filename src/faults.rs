//! Faults of documents: all of them at once, each with its file, its path, what was found and what was expected.
//!
//! [`from_json`] and [`from_toml`] turn the text of a document into a JSON value. [`parse`] turns that value into a raw type, for any
//! document that serde can read: JSON manifests, TOML configurations, training specs. It validates the value against the JSON Schema
//! of the type, which finds all structural faults in one pass; serde has no further ones to find. Rules that a schema cannot express
//! are checked where the raw type becomes a checked one, and reported as the same [`Faults`].

mod document;
mod list;
mod schema;

pub use document::{from_json, from_toml};
pub use list::{Fault, Faults};
pub use schema::{Schema, got, parse, schema_of};
