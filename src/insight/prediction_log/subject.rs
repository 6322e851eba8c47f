//! What the log needs to know of a version.

use super::key::HashKey;
use super::value::{Disclosure, InputFormat};
use crate::ident::{ModelName, VersionNumber};
use crate::model::payload::Datatype;
use crate::model::{Manifest, Sensitivity};

/// What the log needs to know of a version. It contains no weights.
#[derive(Debug)]
pub struct Subject {
    pub(super) model: ModelName,
    pub(super) version: VersionNumber,
    /// Inputs whose values may be written, plain or hashed.
    inputs: Vec<LoggedInput>,
}

/// An input whose values may be written.
#[derive(Debug)]
struct LoggedInput {
    name: String,
    datatype: Datatype,
    sensitive: Sensitivity,
}

impl Subject {
    /// Creates the subject for the version of this manifest.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        let inputs = manifest.signature.inputs().iter();
        let logged = inputs.filter(|input| input.sensitive != Sensitivity::Hidden);
        Self {
            model: manifest.model.clone(),
            version: manifest.version,
            inputs: logged
                .map(|input| LoggedInput {
                    name: input.name.clone(),
                    datatype: input.datatype,
                    sensitive: input.sensitive,
                })
                .collect(),
        }
    }

    /// Returns how values of `input` are written, or `None` if they are not: the version has no such input, the input is
    /// sensitive, or it is marked `hash` and there is no `key`.
    pub(super) fn format<'a>(
        &self,
        input: &'a str,
        key: Option<&'a HashKey>,
    ) -> Option<InputFormat<'a>> {
        let logged = self.inputs.iter().find(|logged| logged.name == input)?;
        let disclosure = match logged.sensitive {
            Sensitivity::Open => Disclosure::Plain,
            Sensitivity::Hashed => key.map(|key| Disclosure::Hashed { key, input })?,
            Sensitivity::Hidden => return None,
        };
        Some(InputFormat {
            datatype: logged.datatype,
            disclosure,
        })
    }
}
