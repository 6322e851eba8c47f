//! From a folder to a version that answers.
//!
//! [`load_with`] does everything that can fail: it reads the manifest, holds every file to its digest, builds the network,
//! lets it answer the golden requests and warms it up. What it returns is ready to be published. Slow, and blocking:
//! never on a thread that serves. Beside requests it goes at [`Pace::Shared`].
//!
//! Memory: the file of the weights is read whole, the network's own weights are built from it, and the file's bytes are
//! let go before the weights are laid out for scoring. So it never holds more than two copies of the weights; [`needs`]
//! tells how much that is before anything is read.

mod files;
mod pace;
mod trial;

#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::dense::Dense;
use super::manifest::raw::{Format, Head};
use super::manifest::{File, Manifest};
use super::signature::Signature;
use super::{Model, Rows, Scores, TopClass};
use crate::error::{ForwardError, panic_text};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use pace::Throttle;

pub use pace::Pace;

/// What loading does after it has read the files and built the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The golden requests are answered.
    Verifying,
    /// Batches of every size are scored.
    Warming,
}

/// As [`load_with`], as fast as it can, telling nobody.
///
/// # Errors
/// As [`load_with`].
pub fn load(dir: &Path, model: &ModelName, version: VersionNumber) -> Result<Version, Faults> {
    load_with(dir, model, version, Pace::Full, &mut |_| {})
}

/// Loads version `version` of `model` from `dir` and tries it out. `phase` is called as each phase begins, in order; the
/// files are held to their digests before the first one.
///
/// # Errors
/// Everything that is wrong, as far as it can be judged: a manifest with faults has no files to look at, and a network
/// that cannot be built answers no golden request.
pub fn load_with(
    dir: &Path,
    model: &ModelName,
    version: VersionNumber,
    pace: Pace,
    phase: &mut dyn FnMut(Phase),
) -> Result<Version, Faults> {
    let mut throttle = Throttle::new(pace);
    let manifest = Manifest::read(dir)?;
    let mut faults = misplaced(&manifest, dir, model, version);
    let weights = files::read(&manifest, dir, &mut throttle, &mut faults);
    let network = weights.and_then(|bytes| {
        let file = dir.join(File::WEIGHTS);
        let network = match manifest.about.format {
            Format::Dense => Dense::read(&manifest, bytes, &file, &mut || throttle.rest()),
        };
        network.map_err(|wrong| faults.extend(wrong)).ok()
    });
    faults.into_result()?;
    let Some(network) = network else {
        return Err(Faults::one(dir, "has no weights"));
    };
    let version = Version::new(manifest, Box::new(network));
    phase(Phase::Verifying);
    trial::golden(&version, &dir.join(File::MANIFEST), &mut throttle)?;
    phase(Phase::Warming);
    let measured = trial::warm_up(&version, dir, &mut throttle)?;
    Ok(Version {
        measured,
        ..version
    })
}

/// Bytes that loading the version in `dir` takes at most, while it builds the network: the file of the weights, and the
/// weights that are made of it. The manifest and what one forward pass needs come on top; requests need those at any time.
/// Looks at the manifest and at the length of the weights; reads no other file.
///
/// # Errors
/// The manifest's faults, or what is wrong with the file of the weights, in the words of [`load_with`].
pub fn needs(dir: &Path) -> Result<u64, Faults> {
    let manifest = Manifest::read(dir)?;
    for file in manifest.files.iter().filter(|file| file.is_weights()) {
        files::opened(dir, file).map_err(|why| Faults::one(dir.join(&file.path), why))?;
    }
    Ok(manifest.weight_bytes().saturating_mul(2))
}

/// The folder says who a version is; a manifest that says otherwise was copied and not changed.
fn misplaced(manifest: &Manifest, dir: &Path, model: &ModelName, version: VersionNumber) -> Faults {
    let mut faults = Faults::default();
    let file = dir.join(File::MANIFEST);
    if manifest.model != *model {
        let message = format!(
            "got {:?}, wants {model:?}, as the folder says",
            manifest.model
        );
        faults.add(&file, "$.model_name", message);
    }
    if manifest.version != version {
        let message = format!(
            "got {}, wants {version}, as the folder says",
            manifest.version
        );
        faults.add(&file, "$.version", message);
    }
    faults
}

/// A version in memory: what it says about itself, and the network that answers.
pub struct Version {
    manifest: Arc<Manifest>,
    model: Box<dyn Model>,
    /// Rows, and what a pass of them took.
    measured: Vec<(usize, Duration)>,
}

impl Version {
    /// A version whose network comes from elsewhere: trusted to fit the manifest's signature, and not tried out.
    #[must_use]
    pub fn new(manifest: Manifest, model: Box<dyn Model>) -> Self {
        let manifest = Arc::new(manifest);
        Self {
            manifest,
            model,
            measured: Vec::new(),
        }
    }

    /// What forward passes took while it was warmed up: rows, and how long. Ascending; empty where it was not.
    #[must_use]
    pub fn measured(&self) -> &[(usize, Duration)] {
        &self.measured
    }

    /// What it says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The same, for whoever wants to keep it without keeping the weights in memory.
    #[must_use]
    pub fn manifest_arc(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest)
    }

    /// What it takes and gives.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.manifest.signature
    }

    /// Bytes of its weights in memory: the length of their file, which is what the network holds, give or take its header
    /// and what was folded.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.manifest.weight_bytes()
    }

    /// Multiply-adds of one row.
    #[must_use]
    pub fn cost_per_row(&self) -> usize {
        self.model.cost_per_row()
    }

    /// Scores `rows`, which this version's signature has encoded. Blocks for as long as the network takes.
    ///
    /// # Errors
    /// The network failed, panicked, or gave an answer that is not finite or not of the shape it promised.
    pub fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError> {
        // The network is immutable, so a panic leaves nothing half done.
        let answer = catch_unwind(AssertUnwindSafe(|| self.model.forward(rows)));
        let scores =
            answer.map_err(|panic| ForwardError::Panicked(panic_text(&*panic).to_owned()))??;
        let columns = self.manifest.signature.output.columns;
        let (got, wanted) = (scores.data.len(), rows.len() * columns);
        if scores.columns != columns || got != wanted {
            let message = format!("{} rows got {got} values, wants {wanted}", rows.len());
            return Err(ForwardError::Failed(message));
        }
        match scores.data.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(ForwardError::NotFinite { row: at / columns }),
            None => Ok(scores),
        }
    }

    /// The most probable class of one answered row; `None` for a regression. At an even chance the later class wins
    /// for a sigmoid head, the earlier one for softmax.
    #[must_use]
    pub fn top_class(&self, row: &[f32]) -> Option<TopClass> {
        match (self.manifest.head, row) {
            (Head::Sigmoid, [p, ..]) if *p >= 0.5 => Some(TopClass {
                index: 1,
                probability: *p,
            }),
            (Head::Sigmoid, [p, ..]) => Some(TopClass {
                index: 0,
                probability: 1.0 - p,
            }),
            (Head::Softmax, [first, rest @ ..]) => {
                let mut top = TopClass {
                    index: 0,
                    probability: *first,
                };
                for (at, p) in rest.iter().enumerate() {
                    if *p > top.probability {
                        (top.index, top.probability) = (at + 1, *p);
                    }
                }
                Some(top)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Version({} {})",
            self.manifest.model, self.manifest.version
        )
    }
}
