//! TensorFlow Serving's `PredictRequest` to a query, an answer to its `PredictResponse`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use super::SIGNATURE;
use super::tensor::{self, Filling};
use crate::api::catalog::Catalog;
use crate::api::read;
use crate::error::InputFaults;
use crate::ident::VersionNumber;
use crate::model::payload::Payload;
use crate::proto::tensorflow::serving::model_spec::VersionChoice;
use crate::proto::tensorflow::serving::{ModelSpec, PredictRequest, PredictResponse};
use crate::serving::admission::RequestPermit;
use crate::serving::{Answer, Pin, Query};

/// Reads a request that has its place and came with `headers`; what its fields mean to the model is checked later.
///
/// # Errors
/// Every field that no model could accept, and outputs that the model does not give.
pub(super) fn query(
    message: PredictRequest,
    headers: HeaderMap,
    permit: Arc<RequestPermit>,
    catalog: &Catalog,
    filling: &mut Filling,
) -> Result<Query, InputFaults> {
    let mut faults = InputFaults::default();
    let spec = message.model_spec.unwrap_or_default();
    if !["", SIGNATURE].contains(&spec.signature_name.as_str()) {
        let got = tensor::quoted(&spec.signature_name);
        let wanted = format!("`{SIGNATURE}` or nothing");
        faults.add("model_spec.signature_name", got, wanted);
    }
    let (model, pin) = named(spec, &mut faults);
    let routing_key = read::routing_key_of(None, &headers, &mut faults);
    let response_id = read::response_id_of(None, &headers, &mut faults);
    outputs(
        &message.output_filter,
        &model,
        pin.as_ref(),
        catalog,
        &mut faults,
    );
    let read = |(name, tensor)| tensor::read(name, tensor, filling, &mut faults);
    let tensors = message.inputs.into_iter().filter_map(read).collect();
    faults.into_result()?;
    Ok(Query {
        model,
        pin,
        routing_key,
        response_id,
        headers,
        payload: Payload::Tensors(tensors),
        permit,
    })
}

/// The model and the pin that `spec` names.
pub(super) fn named(spec: ModelSpec, faults: &mut InputFaults) -> (String, Option<Pin>) {
    if spec.name.is_empty() {
        faults.add("model_spec.name", "nothing", "the name of a model");
    }
    let pin = spec.version_choice.and_then(|choice| match choice {
        VersionChoice::Version(version) => {
            let number = u64::try_from(version);
            let fault = |_| {
                let got = version.to_string();
                faults.add("model_spec.version", got, "a positive number");
            };
            number.map_err(fault).ok().map(Pin::Version)
        }
        // Some clients write numbers as labels. An empty label is none that a model could have, and not the same as no label.
        VersionChoice::VersionLabel(label) => {
            Some(read::pin(label).unwrap_or_else(|| Pin::Label(String::new())))
        }
    });
    (spec.name, pin)
}

/// Whether the version that would answer gives the outputs in `filter`. Versions that share a policy give the same ones. Where no
/// version would answer, the prediction says why.
fn outputs(
    filter: &[String],
    model: &str,
    pin: Option<&Pin>,
    catalog: &Catalog,
    faults: &mut InputFaults,
) {
    if filter.is_empty() {
        return;
    }
    let Ok(version) = catalog.version(model, pin) else {
        return;
    };
    let output = &version.version.signature().output.name;
    let names = filter.iter().map(String::as_str);
    read::outputs(names, output, |at| format!("output_filter[{at}]"), faults);
}

/// Writes an answer.
pub(super) fn response(answer: Answer) -> PredictResponse {
    let version = answer.version.number();
    let output = answer.version.signature().output.name.clone();
    PredictResponse {
        outputs: BTreeMap::from([(output, tensor::write(answer.scores))]),
        model_spec: Some(ModelSpec {
            signature_name: SIGNATURE.to_owned(),
            ..spec(answer.model, version)
        }),
    }
}

/// A version of a model.
pub(super) fn spec(model: String, version: VersionNumber) -> ModelSpec {
    // Every version number fits.
    let version = i64::try_from(version.get()).unwrap_or(i64::MAX);
    ModelSpec {
        name: model,
        version_choice: Some(VersionChoice::Version(version)),
        ..ModelSpec::default()
    }
}
