//! Gives an imported version the names, types and optional inputs of another version, so that the two can share traffic.
//!
//! A model file says nothing about the clients of a model. `--like` says: those of this version. What the file and that version
//! cannot have in common remains, and is reported after the draft has been loaded.

use std::path::Path;

use super::are_numbered;
use crate::faults::Faults;
use crate::model::manifest::raw::{
    EncodingKind, FormatKind, MissingPolicy, RawEncoding, RawInput, RawManifest, UnknownPolicy,
};
use crate::model::payload::Datatype;
use crate::model::{Encoding, Input, Manifest, Signature};

/// The version that the imported one must be able to replace.
pub(super) struct Like {
    manifest: Manifest,
}

impl Like {
    /// Reads the manifest in the folder of a version.
    pub(super) fn read(dir: &Path) -> Result<Self, Faults> {
        let manifest = Manifest::read(dir)?;
        Ok(Self { manifest })
    }

    /// Changes `manifest` as far as its format allows, and returns notes for people.
    pub(super) fn adopt(&self, manifest: &mut RawManifest) -> Vec<String> {
        let like = &self.manifest.about;
        let mut notes = vec![format!(
            "The names, types and optional inputs are those of version {}.",
            like.version
        )];
        if let Some(names) = self.names_of_columns(manifest) {
            notes.push(format!(
                "The file does not name its inputs; they are those of version {} in their order: {}.",
                like.version,
                names.join(", ")
            ));
            let unnamed = manifest.inputs[0].clone();
            manifest.inputs = names
                .into_iter()
                .map(|name| column(&unnamed, name))
                .collect();
        }
        for input in &mut manifest.inputs {
            let known = like
                .inputs
                .iter()
                .position(|known| known.name == input.name);
            if let Some(at) = known {
                adopt_input(input, &like.inputs[at], &self.signature().inputs()[at]);
            }
        }
        let added = self.inputs_not_used(manifest);
        if !added.is_empty() {
            let names: Vec<_> = added.iter().map(|input| input.name.as_str()).collect();
            notes.push(format!(
                "Accepted, although the model does not use them: {}.",
                names.join(", ")
            ));
        }
        manifest.inputs.extend(added);
        let used = manifest.inputs.iter();
        let used = used.filter(|input| input.encoding.kind.reaches_model());
        manifest.features = used.map(|input| input.name.clone()).collect();
        self.adopt_matrix(manifest);
        self.adopt_outputs(manifest);
        if manifest.batching.max_rows > 1 {
            manifest.batching.max_rows = like.batching.max_rows;
        }
        notes
    }

    /// Checks that clients of the other version can use `imported`.
    pub(super) fn compare(&self, imported: &Signature, file: &Path) -> Result<(), Faults> {
        let differences = self.signature().differences(imported);
        if differences.is_empty() {
            return Ok(());
        }
        let version = self.manifest.version;
        let message = format!(
            "cannot be like version {version}; it is the first below, and this file the second"
        );
        let mut faults = Faults::one(file, message);
        for difference in differences {
            faults.add(file, "", difference);
        }
        Err(faults)
    }

    fn signature(&self) -> &Signature {
        &self.manifest.signature
    }

    /// Returns the names for the columns of trees whose file names none of them; `None` if it names them, or if the other version
    /// uses another number of columns.
    fn names_of_columns(&self, manifest: &RawManifest) -> Option<Vec<String>> {
        let ([only], false) = (manifest.inputs.as_slice(), is_graph(manifest)) else {
            return None;
        };
        let [-1, columns] = only.shape.as_slice() else {
            return None;
        };
        let used = self
            .signature()
            .inputs()
            .iter()
            .filter(|input| input.is_used());
        let names: Vec<_> = used.map(|input| input.name.clone()).collect();
        let all_scalars = self
            .signature()
            .inputs()
            .iter()
            .all(|input| input.shape.axes.is_empty());
        let fits = all_scalars && i64::try_from(names.len()) == Ok(*columns);
        fits.then_some(names)
    }

    /// Returns inputs of the other version that the model does not have: accepted and not used, or masks of inputs that it has.
    fn inputs_not_used(&self, manifest: &RawManifest) -> Vec<RawInput> {
        let has = |name: &str| manifest.inputs.iter().any(|input| input.name == name);
        let known = self.manifest.about.inputs.iter();
        let known = known.zip(self.signature().inputs());
        let added = known.filter(|(raw, _)| !has(&raw.name));
        let added = added.map(|(raw, input)| {
            if raw.encoding.of.as_deref().is_some_and(has) {
                return raw.clone();
            }
            RawInput {
                encoding: RawEncoding {
                    missing: Some(if input.optional() {
                        MissingPolicy::Accept
                    } else {
                        MissingPolicy::Reject
                    }),
                    ..RawEncoding::of(EncodingKind::Ignore)
                },
                ..raw.clone()
            }
        });
        added.collect()
    }

    /// Accepts a matrix where the other version does, with the same columns.
    fn adopt_matrix(&self, manifest: &mut RawManifest) {
        let names = self.signature().inputs().iter().map(|input| &input.name);
        let same = names.eq(manifest.inputs.iter().map(|input| &input.name));
        let wanted = &self.manifest.about.matrix;
        let used = manifest
            .inputs
            .iter()
            .all(|input| input.encoding.kind.reaches_model());
        if !used {
            manifest.matrix = None;
        }
        if wanted.is_none() || manifest.matrix.is_some() && same {
            manifest.matrix.clone_from(wanted);
        }
    }

    /// Gives the only output of trees the name and the type of the other version's, and its classes their names.
    fn adopt_outputs(&self, manifest: &mut RawManifest) {
        let like = &self.manifest.about;
        let is_graph = is_graph(manifest);
        if let ([output], [known]) = (manifest.outputs.as_mut_slice(), like.outputs.as_slice())
            && !is_graph
        {
            output.name.clone_from(&known.name);
            if output.datatype.is_float() && known.datatype.is_float() {
                output.datatype = known.datatype;
            }
        }
        if are_numbered(&manifest.classes) && manifest.classes.len() == like.classes.len() {
            manifest.classes.clone_from(&like.classes);
        }
    }
}

/// Returns whether the model gets its inputs as tensors, of the types and shapes in its file.
fn is_graph(manifest: &RawManifest) -> bool {
    manifest.format.kind() == FormatKind::Onnx
}

/// Returns an input for one column of `unnamed`.
fn column(unnamed: &RawInput, name: String) -> RawInput {
    RawInput {
        name,
        shape: vec![-1],
        ..unnamed.clone()
    }
}

/// Gives `input` the type, the shape and the policies of the input `known` of the other version.
fn adopt_input(input: &mut RawInput, raw: &RawInput, known: &Input) {
    input.sensitive = raw.sensitive;
    let encoding = &mut input.encoding;
    if encoding.kind == EncodingKind::Tensor {
        return;
    }
    let by_integers = encoding.categories.is_some() && input.datatype.is_integer();
    let are_numbers = input.datatype != Datatype::Bytes && known.datatype != Datatype::Bytes;
    if are_numbers && (!by_integers || known.datatype.is_integer()) {
        input.datatype = known.datatype;
    }
    let is_one = |shape: &[i64]| matches!(shape, [-1] | [-1, 1]);
    if encoding.kind == EncodingKind::Numeric && is_one(&input.shape) && is_one(&raw.shape) {
        input.shape.clone_from(&raw.shape);
    }
    if !known.optional() {
        encoding.missing = Some(MissingPolicy::Reject);
    }
    if encoding.kind == EncodingKind::Ordinal && accepts_unknown(&known.encoding) {
        encoding.unknown = Some(UnknownPolicy::Missing);
    }
}

/// Returns whether texts and numbers beyond the known categories are accepted.
fn accepts_unknown(encoding: &Encoding) -> bool {
    match encoding {
        Encoding::Categorical { unknown_bucket, .. } => *unknown_bucket,
        Encoding::Ordinal {
            unknown_is_missing, ..
        } => *unknown_is_missing,
        _ => true,
    }
}
