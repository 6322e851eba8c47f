//! The formats of model files. Each is one implementation of `Format`.
//!
//! A format says what it needs of a manifest, which files it reads, how much memory that takes, and builds a
//! [`Model`] from them. Everything that can be wrong with a file is found here, when a version is loaded, and never at a request.

mod dense;
mod describe;
mod fault;
mod graph;
mod trees;

pub mod lightgbm;
pub(crate) mod onnx;
pub mod xgboost;

use std::fmt::Debug;
use std::path::Path;

use super::manifest::raw::{FormatKind, FormatSettings, RawManifest};
use super::manifest::report::Report;
use super::scoring::Model;
use super::signature::{Signature, Target};
use crate::faults::Faults;

pub use describe::{Description, External, Judged, describe, recognise};
pub use fault::FormatFault;

/// A format of model files.
pub(in crate::model) trait Format: Debug + Sync {
    /// Returns what inputs are encoded as.
    fn target(&self) -> Target;

    /// Returns whether the model gives NaN a meaning: that the value is missing.
    fn understands_missing(&self) -> bool;

    /// Returns the name of the model's file if the manifest names none.
    fn default_file(&self) -> &'static str;

    /// Checks what the manifest says about this format, as far as it can be checked without the files. `signature` is `None` if it is
    /// faulty; those faults have been reported.
    fn check(&self, raw: &RawManifest, signature: Option<&Signature>, report: &mut Report<'_>);

    /// Returns the most bytes that the model and its files take while it is loaded, for files of `bytes` bytes.
    fn memory_to_load(&self, bytes: u64) -> u64;

    /// Builds the model from its files. Calls `rest` between pieces of work.
    ///
    /// # Errors
    /// Returns every fault of the files, and everything in which they differ from the manifest.
    fn load(
        &self,
        raw: &RawManifest,
        signature: &Signature,
        files: ModelFiles<'_>,
        rest: &mut dyn FnMut(),
    ) -> Result<Box<dyn Model>, Faults>;
}

impl dyn Format {
    /// Returns the format of this kind.
    pub(in crate::model) fn of(kind: FormatKind) -> &'static dyn Format {
        match kind {
            FormatKind::Dense => &dense::DenseFormat,
            FormatKind::Xgboost => &trees::XgboostFormat,
            FormatKind::Lightgbm => &trees::LightgbmFormat,
            FormatKind::Onnx => &graph::OnnxFormat,
        }
    }

    /// Returns the paths of the files that the model is read from: its own file first.
    pub(in crate::model) fn files<'a>(
        &self,
        settings: &'a FormatSettings,
    ) -> impl Iterator<Item = &'a str> {
        let own = settings.file.as_deref().unwrap_or(self.default_file());
        let external = settings.external.iter().map(String::as_str);
        std::iter::once(own).chain(external)
    }
}

/// The content of the files of a model, with verified digests.
#[derive(Debug)]
pub(in crate::model) struct ModelFiles<'a> {
    /// The folder of the version, for faults.
    pub(in crate::model) dir: &'a Path,
    /// Path and content of each file: the model's own file first.
    pub(in crate::model) files: Vec<(String, Vec<u8>)>,
}

impl ModelFiles<'_> {
    /// Takes the content of the model's own file, with its path for faults.
    pub(in crate::model) fn take_own(&mut self) -> (std::path::PathBuf, Vec<u8>) {
        match self.files.first_mut() {
            Some((path, bytes)) => (self.dir.join(path), std::mem::take(bytes)),
            None => (self.dir.to_owned(), Vec::new()),
        }
    }
}

/// Returns the faults of a reader as faults of its file.
fn to_faults(found: Vec<FormatFault>, file: &Path) -> Faults {
    let mut faults = Faults::default();
    for fault in found {
        faults.add(file, fault.at, fault.message);
    }
    faults
}

/// Reports an architecture, which only format `dense` has.
fn require_no_architecture(raw: &RawManifest, report: &mut Report<'_>) {
    report.require(raw.architecture.is_none(), "$.architecture", || {
        "belongs to format dense only".into()
    });
}

/// Reports external files, which only format `onnx` has.
fn require_no_external(raw: &RawManifest, report: &mut Report<'_>) {
    let external = raw.format.settings().external;
    report.require(external.is_empty(), "$.format.external", || {
        "belongs to kind onnx only".into()
    });
}

/// Reports more than one output, which only format `onnx` has.
fn require_one_output(raw: &RawManifest, report: &mut Report<'_>) {
    let is_reported = raw.manifest_version == 1;
    report.require(is_reported || raw.outputs.len() <= 1, "$.outputs", || {
        format!("got {} outputs, expected exactly one", raw.outputs.len())
    });
}
