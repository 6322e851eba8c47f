//! Imports a model file of another library: reads it, derives a manifest, and publishes the next version.
//!
//! The signature comes from the file: names, types, categories, classes. Rows, if given, add what a file does not say: ranges, the
//! reference profile, and golden requests. The answers of the original library to these rows, if given, become the golden answers;
//! the version is published only if taper gives the same.
//!
//! Not here: how a file is read (`model::format`); uploading to a running gateway (`cli::push`).

mod answers;
mod few;
mod like;
mod observe;
mod recognise;
mod report;
mod rows;
mod seal;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::manifest::File;
use crate::model::manifest::raw::{
    FormatKind, FormatSettings, Iterations, RawBatching, RawFile, RawFormat, RawManifest,
    RawPredictionKind,
};
use crate::model::{self, Description, Version, folder_of};
use crate::registry::{self, PublishError};

use like::Like;
pub use report::Report;
pub use seal::seal;

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model file.
    pub file: PathBuf,
    /// The model.
    pub model: ModelName,
    /// The registry to publish to.
    pub registry: PathBuf,
    /// The version; `None`: the one after the highest.
    pub version: Option<VersionNumber>,
    /// A file with rows: CSV, JSON lines or npz.
    pub rows: Option<PathBuf>,
    /// A file with the answers of the original library to these rows: CSV, JSON lines or npz.
    pub expected: Option<PathBuf>,
    /// The folder of a version whose names, types and optional inputs the imported one gets; `None`: as the file says.
    pub like: Option<PathBuf>,
    /// Names of the classes, in their order; empty: as the file says.
    pub classes: Vec<String>,
    /// The output that is judged; `None`: the one that the file suggests.
    pub judged: Option<String>,
    /// Which trees of a model of XGBoost are used; `None`: all.
    pub iterations: Option<Iterations>,
    /// A short description.
    pub description: Option<String>,
    /// When the version was created, RFC 3339.
    pub created_at: Option<String>,
}

/// Imports a file and publishes it as a version.
///
/// # Errors
/// Returns what is wrong with the file, the rows or the answers, or why the version cannot be published. Nothing is published then.
pub fn import(options: &Options) -> Result<Report, Faults> {
    if let Some(version) = options.version {
        return import_as(options, version).map_err(|error| of_publishing(options, error));
    }
    loop {
        let version = registry::next_version(&options.registry, &options.model)?;
        match import_as(options, version) {
            // Another import has published this number meanwhile.
            Err(PublishError::Exists(_)) => {}
            imported => return imported.map_err(|error| of_publishing(options, error)),
        }
    }
}

fn of_publishing(options: &Options, error: PublishError<Faults>) -> Faults {
    match error {
        PublishError::Fill(faults) => faults,
        other => Faults::one(&options.registry, other.to_string()),
    }
}

/// Imports a file and publishes it as this version.
fn import_as(options: &Options, version: VersionNumber) -> Result<Report, PublishError<Faults>> {
    let draft = Draft::read(options, version).map_err(PublishError::Fill)?;
    let mut report = None;
    let fill = |staging: &Path| {
        report = Some(draft.complete(options, staging)?);
        Ok(())
    };
    let path = registry::publish(&options.registry, &options.model, version, fill)?;
    match report {
        Some(report) => Ok(report.published_at(path)),
        None => Err(PublishError::Fill(Faults::one(path, "was not written"))),
    }
}

/// Imports a file into the folder `dir`, which must exist, without publishing it.
///
/// # Errors
/// Returns the errors of [`import`].
pub fn import_to(options: &Options, version: VersionNumber, dir: &Path) -> Result<Report, Faults> {
    let report = Draft::read(options, version)?.complete(options, dir)?;
    Ok(report.published_at(dir.to_owned()))
}

/// A version that is being imported: its manifest and the content of its files.
struct Draft {
    manifest: RawManifest,
    version: VersionNumber,
    /// The version that it must be like.
    like: Option<Like>,
    /// Files by their paths in the version's folder: the model's own file, and others that it refers to.
    files: Vec<(String, Vec<u8>)>,
    notes: Vec<String>,
}

impl Draft {
    /// Reads the model file and derives the manifest.
    fn read(options: &Options, version: VersionNumber) -> Result<Self, Faults> {
        let file = &options.file;
        let (kind, bytes) = recognise::read(file)?;
        if options.iterations.is_some() && kind != FormatKind::Xgboost {
            let message = "got --iterations, expected none: only a file of XGBoost says which of its trees are the best";
            return Err(Faults::one(file, message));
        }
        let home = folder_of(file);
        let mut others: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut external = |path: &str, offset: u64, length: u64| {
            let content = match others.get(path) {
                Some(content) => content,
                None => {
                    let content = recognise::external(home, path)?;
                    others.entry(path.to_owned()).or_insert(content)
                }
            };
            let begin = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = begin.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            let part = content.get(begin..end).map(<[u8]>::to_vec);
            part.ok_or_else(|| format!("has only {} bytes", content.len()))
        };
        let iterations = options.iterations;
        let described = model::describe(kind, bytes.clone(), iterations, &mut external);
        let description = described.map_err(|found| {
            let mut faults = Faults::default();
            for fault in found {
                faults.add(file, fault.at, fault.message);
            }
            faults
        })?;
        let own = recognise::stored_name(kind, &bytes);
        let mut notes = description.notes.clone();
        let mut manifest = manifest(options, version, description, own)?;
        let like = options.like.as_deref().map(Like::read).transpose()?;
        if let Some(like) = &like {
            notes.extend(like.adopt(&mut manifest));
        }
        let mut files = vec![(own.to_owned(), bytes)];
        files.extend(others);
        Ok(Self {
            manifest,
            version,
            like,
            files,
            notes,
        })
    }

    /// Writes the files and the manifest to `dir`, adds what the rows say, and loads the version as a gateway does.
    fn complete(mut self, options: &Options, dir: &Path) -> Result<Report, Faults> {
        for (name, bytes) in &self.files {
            write(&dir.join(name), bytes)?;
            self.manifest.files.push(RawFile {
                path: name.clone(),
                sha256: HEXLOWER.encode(&Sha256::digest(bytes)),
                bytes: bytes.len() as u64,
            });
        }
        self.files.clear();
        let mut version = self.load(options, dir)?;
        if let Some(like) = &self.like {
            like.compare(version.signature(), &options.file)?;
        }
        let rows = match &options.rows {
            None => 0,
            Some(path) => {
                let rows = rows::read(path, version.signature())?;
                self.notes
                    .extend(rows::absent_inputs(path, version.signature(), &rows)?);
                let expected = match &options.expected {
                    None => None,
                    Some(path) => Some(answers::read(path, version.signature(), rows.len())?),
                };
                let answers = expected.as_deref().zip(options.expected.as_deref());
                observe::add(&mut self.manifest, &version, &rows, answers, path)?;
                version = self.load(options, dir)?;
                rows.len()
            }
        };
        if options.rows.is_none() && options.expected.is_some() {
            let why = "expected answers need the rows that they answer; pass --rows FILE";
            return Err(Faults::one(&options.file, why));
        }
        let is_numbered = options.classes.is_empty() && has_numbered_classes(&self.manifest);
        let hint = "The file does not name its classes, so they are numbers; --classes NAME,NAME names them, in this order.";
        self.notes.extend(is_numbered.then(|| hint.to_owned()));
        Ok(Report::new(
            &version,
            rows,
            options.expected.is_some(),
            self.notes,
        ))
    }

    /// Writes the manifest and loads the version.
    fn load(&self, options: &Options, dir: &Path) -> Result<Version, Faults> {
        let file = dir.join(File::MANIFEST);
        let text = serde_json::to_vec_pretty(&self.manifest);
        let mut text = text.map_err(|error| Faults::one(&file, error.to_string()))?;
        text.push(b'\n');
        write(&file, &text)?;
        model::load(dir, &options.model, self.version)
            .map_err(|faults| of_import(&faults, &options.file, dir))
    }
}

/// Returns faults of the draft in `dir`, which is gone when they are read, as faults of the imported `file`.
fn of_import(found: &Faults, file: &Path, dir: &Path) -> Faults {
    let mut faults = Faults::default();
    for fault in found.iter() {
        match fault.file.strip_prefix(dir) {
            Ok(part) if part == Path::new(File::MANIFEST) => {
                faults.add(file, format!("manifest {}", fault.path), &fault.message);
            }
            Ok(_) => faults.add(file, &fault.path, &fault.message),
            Err(_) => faults.add(&fault.file, &fault.path, &fault.message),
        }
    }
    faults
}

/// Returns whether the model is one of trees whose classes are called 0, 1, 2 and so on. In graphs such names may be the labels of the model.
fn has_numbered_classes(manifest: &RawManifest) -> bool {
    let of_probabilities = manifest
        .prediction
        .as_ref()
        .is_some_and(|prediction| prediction.kind == RawPredictionKind::Probabilities);
    manifest.format.kind() != FormatKind::Onnx
        && of_probabilities
        && are_numbered(&manifest.classes)
}

/// Returns whether the classes are called 0, 1, 2 and so on.
fn are_numbered(classes: &[String]) -> bool {
    let mut classes = classes.iter().enumerate();
    classes.all(|(at, class)| *class == at.to_string())
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Faults> {
    let made = file.parent().map_or(Ok(()), fs::create_dir_all);
    let written = made.and_then(|()| fs::write(file, bytes));
    written.map_err(|error| Faults::one(file, format!("cannot be written: {error}")))
}

/// Returns the manifest of a version whose model is in the file `own`.
fn manifest(
    options: &Options,
    version: VersionNumber,
    description: Description,
    own: &str,
) -> Result<RawManifest, Faults> {
    let (prediction, classes) = recognise::judged(options, &description)?;
    let batching = batching(&description);
    let used = description.inputs.iter().map(|input| input.name.clone());
    Ok(RawManifest {
        manifest_version: 2,
        model_name: options.model.to_string(),
        version: version.get(),
        description: options.description.clone(),
        created_at: options.created_at.clone(),
        created_by: Some("taper import".into()),
        framework: Some(description.framework).filter(|text| !text.is_empty()),
        target: Some(description.objective).filter(|text| !text.is_empty()),
        features: used.collect(),
        training_data: None,
        metrics: BTreeMap::new(),
        format: RawFormat::Tagged(FormatSettings {
            file: Some(own.to_owned()),
            external: description.external,
            ..description.format
        }),
        architecture: None,
        batching,
        inputs: description.inputs,
        matrix: description.matrix,
        outputs: description.outputs,
        prediction: Some(prediction),
        classes,
        files: Vec::new(),
        reference: None,
        golden: Vec::new(),
    })
}

/// Returns limits that fit the model: one row where its file says so, and fewer rows of larger inputs.
fn batching(description: &Description) -> RawBatching {
    const VALUES: i64 = 1 << 24;
    if description.single_row {
        return RawBatching {
            max_rows: 1,
            ..RawBatching::default()
        };
    }
    let inputs = &description.inputs;
    let axes = |shape: &[i64]| {
        shape.iter().fold(1_i64, |product, axis| {
            product.saturating_mul((*axis).max(1))
        })
    };
    let per_row = inputs
        .iter()
        .fold(0_i64, |sum, input| sum.saturating_add(axes(&input.shape)));
    let default = RawBatching::default();
    let most = usize::try_from(VALUES / per_row.max(1)).unwrap_or(1).max(1);
    RawBatching {
        max_rows: default.max_rows.min(most),
        ..default
    }
}

/// Returns a value of a row as JSON; `None` for a missing one.
fn json(cell: &model::payload::Cell) -> Option<Value> {
    use model::payload::Cell;
    Some(match cell {
        Cell::Missing | Cell::Object => return None,
        Cell::Bool(value) => (*value).into(),
        Cell::Integer(value) => (*value).into(),
        Cell::Unsigned(value) => (*value).into(),
        Cell::Number(value) => (*value).into(),
        Cell::Text(text) => text.as_str().into(),
        Cell::List(cells) => cells
            .iter()
            .map(|cell| json(cell).unwrap_or(Value::Null))
            .collect(),
    })
}

/// Returns whether the format has one file that taper reads without a manifest.
#[must_use]
pub fn is_importable(kind: FormatKind) -> bool {
    kind != FormatKind::Dense
}
