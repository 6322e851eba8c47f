//! Which model a verb is about. Where a gateway serves exactly one, nobody needs to name it.
//!
//! Not here: whether a named model exists; the gateway says that.

use crate::client::{AdminPort, Failure};
use crate::proto::v1::ListModelsRequest;

/// The model, as the command line names it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Model {
    /// Name of the model [default: the only one that the gateway serves].
    #[arg(long = "model", value_name = "NAME")]
    name: Option<String>,
}

impl Model {
    /// The name, asked of the gateway where the command line has none.
    ///
    /// # Errors
    /// Where the gateway serves none or several, or does not answer.
    pub(super) async fn resolve(&self, port: &AdminPort) -> Result<String, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let mut client = port.connect().await?;
        let request = port.patience.request(ListModelsRequest {});
        let listed = port.answer(client.list_models(request)).await?.models;
        only(listed.into_iter().map(|model| model.name).collect())
    }
}

/// The only one of `names`.
fn only(names: Vec<String>) -> Result<String, Failure> {
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok(name),
        Err(none) if none.is_empty() => Err(Failure::new(
            "this gateway serves no models: publish a version into its registry first",
        )),
        Err(several) => Err(Failure::new(format!(
            "this gateway serves several models ({}): say with --model NAME which one is meant",
            several.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_model_needs_no_name_and_of_several_one_must_be_named() {
        let names = |names: &[&str]| only(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(names(&["m"]).unwrap(), "m");
        insta::assert_snapshot!(names(&["a", "b"]).unwrap_err(), @"this gateway serves several models (a, b): say with --model NAME which one is meant");
        insta::assert_snapshot!(names(&[]).unwrap_err(), @"this gateway serves no models: publish a version into its registry first");
    }
}
