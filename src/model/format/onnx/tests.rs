//! Tests of the format: graphs that exporters write, refusals, and hostile files.

mod answers;
mod build;
mod external;
mod fusion;
mod hostile;
mod refusals;
mod rows;
mod runs;

use std::path::{Path, PathBuf};

use super::*;
use crate::model::format::FormatFault;

/// Returns the folder of graphs that torch has exported.
fn torch_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/formats/torch")
}

/// Reads a file that has no external data.
fn read_alone(file: Vec<u8>) -> Result<Graph, Vec<FormatFault>> {
    let mut external = |_: &str, _, _| Err("there are no other files".to_owned());
    read(file.into(), &mut external, &mut || {})
}

/// Returns faults as texts.
fn texts(faults: &[FormatFault]) -> Vec<String> {
    let text = |fault: &FormatFault| format!("{}: {}", fault.at, fault.message);
    faults.iter().map(text).collect()
}
