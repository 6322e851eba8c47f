//! Recognises model files, and refuses those that only other programs can read with the export to run instead.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde::de::IgnoredAny;

use super::Options;
use crate::faults::Faults;
use crate::model::manifest::raw::{FormatKind, RawOutput, RawPrediction, RawPredictionKind};
use crate::model::payload::Datatype;
use crate::model::{self, Description, Judged};
use crate::model::{open_file, open_regular};

/// The largest file that is imported: 8 GiB.
const MAX_BYTES: u64 = 8 << 30;

/// A file that is recognised and refused.
struct Refused {
    /// How its content begins; empty if it is known by its name only.
    begins: &'static [u8],
    /// Extensions of its name.
    extensions: &'static [&'static str],
    /// What it is.
    what: &'static str,
    /// What to do instead.
    instead: &'static str,
}

impl Refused {
    fn is_json(&self) -> bool {
        matches!(self.begins, b"[" | b"{")
    }
}

/// Files that are recognised and refused. A name counts more than a content.
const REFUSED: &[Refused] = &[
    Refused {
        begins: b"\x80",
        extensions: &["pkl", "pickle", "joblib", "sav"],
        what: "a pickle, which runs code when it is read",
        instead: "export the model and import that file: skl2onnx.to_onnx(model, X[:1]) for scikit-learn, \
                  booster.save_model(\"model.ubj\") for XGBoost, booster.save_model(\"model.txt\") for LightGBM",
    },
    Refused {
        begins: b"",
        extensions: &["pt", "pth", "ckpt"],
        what: "a file of torch.save, which is a pickle and runs code when it is read",
        instead: "export the model and import that file: torch.onnx.export(model, (example,), \"model.onnx\", dynamo=True, \
                  dynamic_shapes=({0: \"rows\"},))",
    },
    Refused {
        begins: b"\x89HDF",
        extensions: &["h5", "hdf5", "keras"],
        what: "a model of Keras",
        instead: "export it and import that file: model.export(\"model.onnx\", format=\"onnx\")",
    },
    Refused {
        begins: b"CBM1",
        extensions: &["cbm"],
        what: "a model of CatBoost",
        instead: "export it and import that file: model.save_model(\"model.onnx\", format=\"onnx\")",
    },
    Refused {
        begins: b"binf",
        extensions: &[],
        what: "a model of XGBoost in its old binary form",
        instead: "save it with XGBoost and import that file: booster.save_model(\"model.ubj\")",
    },
    Refused {
        begins: b"",
        extensions: &["safetensors"],
        what: "a file of weights, which does not say what the layers are",
        instead: "write a manifest for it and run `taper seal`, or export the model as ONNX",
    },
    Refused {
        begins: b"",
        extensions: &["npz", "npy", "csv", "jsonl", "ndjson", "parquet"],
        what: "a file of rows",
        instead: "expected a model file; rows are passed with --rows, and answers with --expected",
    },
    Refused {
        begins: b"\x1f\x8b",
        extensions: &["gz", "bz2", "xz", "zst"],
        what: "compressed",
        instead: "unpack it first",
    },
    Refused {
        begins: b"PK\x03\x04",
        extensions: &["zip"],
        what: "a zip archive",
        instead: "torch.save and Keras write such files; export the model as ONNX and import that file",
    },
    Refused {
        begins: b"[",
        extensions: &[],
        what: "a list in JSON, as Booster.dump_model writes it for people",
        instead: "save the model and import that file: booster.save_model(\"model.ubj\")",
    },
    Refused {
        begins: b"{",
        extensions: &[],
        what: "JSON, but not a model that XGBoost saved",
        instead: "expected what booster.save_model(\"model.json\") of XGBoost writes; LightGBM saves text with \
                  booster.save_model(\"model.txt\")",
    },
];

/// Reads a model file and recognises its format.
pub(super) fn read(file: &Path) -> Result<(FormatKind, Vec<u8>), Faults> {
    if file.is_dir() {
        let why = "is a folder, expected one model file; a version's folder with a manifest is completed by `taper seal`";
        return Err(Faults::one(file, why));
    }
    let bytes = content(file).map_err(|why| Faults::one(file, why))?;
    match model::recognise(&bytes) {
        Some(kind) => Ok((kind, bytes)),
        None => Err(Faults::one(file, unknown(file, &bytes))),
    }
}

/// Describes a file that is not recognised.
fn unknown(file: &Path, bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "is empty".to_owned();
    }
    let extension = file.extension().and_then(|extension| extension.to_str());
    let extension = extension.unwrap_or_default().to_ascii_lowercase();
    let named = REFUSED
        .iter()
        .find(|one| one.extensions.contains(&extension.as_str()));
    let content = bytes.trim_ascii_start();
    let is_json = || serde_json::from_slice::<IgnoredAny>(content).is_ok();
    let mut known = REFUSED.iter().filter(|one| !one.begins.is_empty());
    let begins = known.find(|one| content.starts_with(one.begins) && (!one.is_json() || is_json()));
    if let Some(Refused { what, instead, .. }) = named.or(begins) {
        return format!("is {what}; {instead}");
    }
    "is not a model that taper knows; expected JSON or UBJ of XGBoost, text of LightGBM, or ONNX"
        .to_owned()
}

fn content(file: &Path) -> Result<Vec<u8>, String> {
    read_bounded(open_regular(file)?)
}

fn read_bounded(file: fs::File) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

/// Reads a file that the model refers to, which must be inside the folder `home`.
pub(super) fn external(home: &Path, path: &str) -> Result<Vec<u8>, String> {
    read_bounded(open_file(home, Path::new(path), None)?)
}

/// Returns the name of a model's file in the version's folder.
pub(super) fn stored_name(kind: FormatKind, bytes: &[u8]) -> &'static str {
    let is_text = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && std::str::from_utf8(bytes).is_ok();
    match kind {
        FormatKind::Dense => "weights.safetensors",
        FormatKind::Xgboost if is_text => "model.json",
        FormatKind::Xgboost => "model.ubj",
        FormatKind::Lightgbm => "model.txt",
        FormatKind::Onnx => "model.onnx",
    }
}

/// Returns which output is judged, and its classes: the one that was asked for, or else the best.
pub(super) fn judged(
    options: &Options,
    description: &Description,
) -> Result<(RawPrediction, Vec<String>), Faults> {
    let names = || {
        let names = description.outputs.iter().map(|one| one.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let refused = |why| Err(Faults::one(&options.file, why));
    let chosen = match &options.judged {
        Some(name) => {
            let Some(output) = description.outputs.iter().find(|one| one.name == *name) else {
                return refused(format!(
                    "--judged: got {name:?}, expected an output of the model: {}",
                    names()
                ));
            };
            let known = description.judged.iter().find(|one| one.output == *name);
            known
                .cloned()
                .map(|one| with_classes(one, output, options))
                .or_else(|| labels(output, options))
        }
        None => description.judged.first().cloned(),
    };
    let Some(mut chosen) = chosen else {
        return refused(format!(
            "no output can be judged: got {}, expected one of numbers, or one of texts with --judged and --classes",
            names()
        ));
    };
    if !options.classes.is_empty() {
        let (got, expected) = (options.classes.len(), chosen.classes.len());
        if got != expected {
            return refused(format!(
                "--classes: got {got} names, expected {expected}, one for each class of the model"
            ));
        }
        chosen.classes.clone_from(&options.classes);
    }
    let prediction = RawPrediction {
        output: (description.outputs.len() > 1).then_some(chosen.output),
        kind: chosen.kind,
        cosine: None,
    };
    Ok((prediction, chosen.classes))
}

/// Returns how an output is judged whose classes are named although the file does not say that it predicts any.
fn with_classes(known: Judged, output: &RawOutput, options: &Options) -> Judged {
    if !known.classes.is_empty() || options.classes.is_empty() {
        return known;
    }
    Judged {
        kind: if output.datatype.is_float() {
            RawPredictionKind::Probabilities
        } else {
            RawPredictionKind::Labels
        },
        classes: options.classes.clone(),
        ..known
    }
}

/// Returns an output of texts as labels if their classes are named.
fn labels(output: &RawOutput, options: &Options) -> Option<Judged> {
    let is_named = output.datatype == Datatype::Bytes && !options.classes.is_empty();
    is_named.then(|| Judged {
        output: output.name.clone(),
        kind: RawPredictionKind::Labels,
        classes: options.classes.clone(),
    })
}
