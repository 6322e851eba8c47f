//! Converts TensorFlow Serving's `PredictRequest` to a query, and an answer to its `PredictResponse`.

use std::sync::Arc;

use http::HeaderMap;

use super::SIGNATURE;
use super::tensor::{self, FillBudget};
use crate::api::catalog::Catalog;
use crate::api::read;
use crate::error::InputFaults;
use crate::ident::VersionNumber;
use crate::model::payload::Payload;
use crate::proto::tensorflow::serving::model_spec::VersionChoice;
use crate::proto::tensorflow::serving::{ModelSpec, PredictRequest, PredictResponse};
use crate::serving::admission::RequestPermit;
use crate::serving::{Answer, Pin, Query};

/// Reads a request with its `headers` and its permit. Whether the model accepts its fields is checked later.
///
/// # Errors
/// Returns every fault that no model could accept, and the outputs that the model does not have.
pub(super) fn read_query(
    message: PredictRequest,
    headers: HeaderMap,
    permit: Arc<RequestPermit>,
    catalog: &Catalog,
    budget: &mut FillBudget,
) -> Result<Query, InputFaults> {
    let mut faults = InputFaults::default();
    let spec = message.model_spec.unwrap_or_default();
    if !["", SIGNATURE].contains(&spec.signature_name.as_str()) {
        let got = tensor::quote(&spec.signature_name);
        let wanted = format!("`{SIGNATURE}` or nothing");
        faults.add("model_spec.signature_name", got, wanted);
    }
    let (model, pin) = read_target(spec, &mut faults);
    let routing_key = read::routing_key_of(None, &headers, &mut faults);
    let response_id = read::response_id_of(None, &headers, &mut faults);
    check_outputs(
        &message.output_filter,
        &model,
        pin.as_ref(),
        catalog,
        &mut faults,
    );
    let read = |(name, tensor)| tensor::read(name, tensor, budget, &mut faults);
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

/// Returns the model and the pin that `spec` names. Adds faults to `faults`.
pub(super) fn read_target(spec: ModelSpec, faults: &mut InputFaults) -> (String, Option<Pin>) {
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
        // Some clients write numbers as labels. An empty label is not the same as no label: it is one that no model has.
        VersionChoice::VersionLabel(label) => {
            Some(read::pin(label).unwrap_or_else(|| Pin::Label(String::new())))
        }
    });
    (spec.name, pin)
}

/// Adds a fault for each output in `filter` that the version that would answer does not have. Versions in one policy have the same outputs.
/// If no version would answer, the prediction reports why.
fn check_outputs(
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
    let signature = version.version.signature();
    let names = filter.iter().map(String::as_str);
    read::check_outputs(
        names,
        signature,
        |at| format!("output_filter[{at}]"),
        faults,
    );
}

/// Writes the response to a request, with the outputs in `filter`; all if it is empty.
pub(super) fn write_response(answer: Answer, filter: &[String]) -> PredictResponse {
    let version = answer.version.number();
    let outputs = answer.outputs();
    let outputs = outputs.filter(|one| filter.is_empty() || filter.contains(&one.output.name));
    let outputs = outputs.map(|one| (one.output.name.clone(), tensor::write(&one)));
    PredictResponse {
        outputs: outputs.collect(),
        model_spec: Some(ModelSpec {
            signature_name: SIGNATURE.to_owned(),
            ..make_spec(answer.model, version)
        }),
    }
}

/// Returns the spec of a version.
pub(super) fn make_spec(model: String, version: VersionNumber) -> ModelSpec {
    // Version numbers fit into 63 bits.
    let version = i64::try_from(version.get()).unwrap_or(i64::MAX);
    ModelSpec {
        name: model,
        version_choice: Some(VersionChoice::Version(version)),
        ..ModelSpec::default()
    }
}
