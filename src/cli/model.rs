//! The `--model` flag, which may be left out where a gateway serves exactly one model.
//!
//! Not here: whether a named model exists. The gateway checks that.

use crate::client::v1::ListModelsRequest;
use crate::client::{AdminPort, Failure};

/// The `--model` flag.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ModelFlag {
    /// Name of the model [default: the only one that the gateway serves].
    #[arg(long = "model", value_name = "NAME")]
    name: Option<String>,
}

impl ModelFlag {
    /// The flag with this name.
    pub(super) fn named(name: String) -> Self {
        Self { name: Some(name) }
    }

    /// Returns the name. Without the flag, asks the gateway for its only model.
    ///
    /// # Errors
    /// Returns an error if the gateway serves no model or several, or does not answer.
    pub(super) async fn resolve(&self, port: &AdminPort) -> Result<String, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let models = port.call(ListModelsRequest {}).await?.models;
        only(models.into_iter().map(|model| model.name).collect())
    }
}

/// Returns the only name in `names`.
fn only(names: Vec<String>) -> Result<String, Failure> {
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok(name),
        Err(none) if none.is_empty() => Err(Failure::new(
            "this gateway serves no models; publish a version to its registry first",
        )),
        Err(several) => Err(Failure::new(format!(
            "this gateway serves several models ({}); select one with --model NAME",
            several.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_needed_unless_there_is_exactly_one_model() {
        let names = |names: &[&str]| only(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(names(&["m"]).unwrap(), "m");
        insta::assert_snapshot!(names(&["a", "b"]).unwrap_err(), @"this gateway serves several models (a, b); select one with --model NAME");
        insta::assert_snapshot!(names(&[]).unwrap_err(), @"this gateway serves no models; publish a version to its registry first");
    }
}
