//! Checks a parsed manifest and reports every fault at once, each with its JSON path.
//!
//! The schema has been checked before. The rules here relate fields to each other. Nothing here reads weights or other files.

mod encoding;
mod files;
mod inputs;
mod network;
mod reference;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::Manifest;
use super::raw::RawManifest;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::payload::{Cell, Payload};
use crate::model::signature::Signature;

/// The most golden requests of one version.
const MAX_GOLDEN: usize = 1_024;
/// The most rows of one request.
const MAX_ROWS: usize = 65_536;
/// The most values of one encoded batch, and of its scores: 256 MiB of f32.
const MAX_VALUES: usize = 1 << 26;

impl Manifest {
    /// Checks everything that can be checked without weights. `file` is used only in faults.
    ///
    /// # Errors
    /// Returns all faults, with their JSON paths.
    pub fn check(raw: RawManifest, file: &Path) -> Result<Self, Faults> {
        let mut report = Report::of(file);
        let model: Option<ModelName> = report.parsed("$.model_name", raw.model_name.parse());
        let version = report.parsed("$.version", VersionNumber::try_from(raw.version));
        let inputs = inputs::check(&raw, &mut report);
        let output = network::output(&raw, &mut report);
        network::classes(&raw, &mut report);
        let layers = network::layers(&raw, &mut report);
        let files = files::check(&raw, &mut report);
        provenance(&raw, &mut report);
        reference::check(&raw, &mut report);
        let signature = inputs.zip(output).map(|(inputs, output)| {
            Signature::new(inputs, output, raw.classes.clone(), raw.batching.max_rows)
        });
        if let Some(signature) = &signature {
            network::widths(&raw, signature, &mut report);
            batching(signature, &mut report);
            golden(&raw, signature, &mut report);
        }
        report.faults.into_result()?;
        // Not reached: each part that is `None` has reported a fault.
        let (Some(model), Some(version), Some(signature), Some(layers), Some(files)) =
            (model, version, signature, layers, files)
        else {
            return Err(Faults::one(file, "is invalid"));
        };
        Ok(Self {
            model,
            version,
            signature,
            layers,
            head: raw.architecture.head,
            files,
            golden: raw.golden.clone(),
            about: raw,
        })
    }
}

/// Collects the faults of one manifest.
struct Report<'a> {
    file: &'a Path,
    faults: Faults,
}

impl<'a> Report<'a> {
    fn of(file: &'a Path) -> Self {
        Self {
            file,
            faults: Faults::default(),
        }
    }

    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.add(self.file, path, message);
    }

    /// Adds a fault unless `holds`.
    fn require(&mut self, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.add(path, message());
        }
    }

    /// Returns the value, or adds the error as a fault.
    fn parsed<T>(&mut self, path: &str, parsed: Result<T, impl ToString>) -> Option<T> {
        parsed
            .map_err(|error| self.add(path, error.to_string()))
            .ok()
    }

    /// Adds a fault for every name that is repeated.
    fn unique<'n>(&mut self, path: impl Fn(usize) -> String, names: impl Iterator<Item = &'n str>) {
        let mut seen = std::collections::HashSet::new();
        for (at, name) in names.enumerate() {
            if !seen.insert(name) {
                self.add(
                    path(at),
                    format!("got {name:?} again, wants each name once"),
                );
            }
        }
    }
}

fn provenance(raw: &RawManifest, report: &mut Report<'_>) {
    if let Some(at) = &raw.created_at {
        let valid = at.parse::<jiff::Timestamp>().is_ok();
        report.require(valid, "$.created_at", || {
            format!("got {at:?}, wants an RFC 3339 time such as 2013-01-31T08:00:00Z")
        });
    }
    let digest = raw
        .training_data
        .as_ref()
        .and_then(|data| data.sha256.as_ref());
    if let Some(digest) = digest {
        report.parsed("$.training_data.sha256", files::digest(digest));
    }
    for (name, value) in &raw.metrics {
        report.require(value.is_finite(), &format!("$.metrics.{name}"), || {
            format!("got {value}, wants a finite number")
        });
    }
}

fn batching(signature: &Signature, report: &mut Report<'_>) {
    let (rows, columns) = (signature.max_rows, signature.columns());
    let output = signature.output.columns;
    let most = MAX_ROWS.min(MAX_VALUES / columns.max(output).max(1));
    report.require((1..=most).contains(&rows), "$.batching.max_rows", || {
        format!(
            "got {rows}, wants 1 to {most} for {columns} input columns and {output} output columns"
        )
    });
}

fn golden(raw: &RawManifest, signature: &Signature, report: &mut Report<'_>) {
    report.require(raw.golden.len() <= MAX_GOLDEN, "$.golden", || {
        format!(
            "got {} requests, wants at most {MAX_GOLDEN}",
            raw.golden.len()
        )
    });
    for (at, golden) in raw.golden.iter().take(MAX_GOLDEN).enumerate() {
        if let Err(faults) = signature.encode(&golden.payload()) {
            for fault in faults.iter() {
                let cell = fault.field.trim_start_matches("rows[0]");
                let path = format!("$.golden[{at}].row{cell}");
                report.add(path, format!("got {}, wants {}", fault.got, fault.wanted));
            }
        }
        let (got, wanted) = (golden.answer.len(), signature.output.columns);
        report.require(got == wanted, &format!("$.golden[{at}].answer"), || {
            format!("got {got} numbers, wants {wanted}: one per output column")
        });
        if let Some(place) = golden.answer.iter().position(|x| !x.is_finite()) {
            let got = golden.answer[place];
            report.add(
                format!("$.golden[{at}].answer[{place}]"),
                format!("got {got}, wants a finite number"),
            );
        }
    }
}

impl super::raw::Golden {
    /// Returns the request.
    #[must_use]
    pub fn payload(&self) -> Payload {
        let row = self.row.iter();
        Payload::Rows(vec![
            row.map(|(name, value)| (name.clone(), Cell::from(value)))
                .collect(),
        ])
    }
}

/// Returns whether `name` is valid for an input or for the prefix of tensors. Such names are used in field paths, metrics and JSON.
fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The rule of [`is_name`], as error messages state it.
const NAME: &str = "1 to 128 of a-z A-Z 0-9 . _ - starting with a letter, a digit or _";
