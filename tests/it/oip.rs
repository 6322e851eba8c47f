//! The Open Inference Protocol over gRPC, on both ports.

use taper::model::payload::{Cell, Datatype};
use taper::proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use taper::proto::inference::infer_parameter::ParameterChoice;
use taper::proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use taper::proto::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
};
use taper::proto::v1;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::flights;
use crate::harness::{TestGateway, connect, fields, good, reason, rows, single_score, with_header};
use crate::tiny;

mod metadata;
mod python;
mod refusals;
mod repository;
mod statistics;
mod stream;
mod timeout;

pub type Client = GrpcInferenceServiceClient<Channel>;

/// Returns a client of the data port.
pub async fn data(gateway: &TestGateway) -> Client {
    Client::new(connect(gateway.addresses().data).await)
}

/// Starts a gateway with versions 1 and 2 of the tiny model `m` and the configuration `toml`.
pub async fn two_versions(toml: &str) -> (TestGateway, Client) {
    let gateway = TestGateway::start(toml, |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    let client = data(&gateway).await;
    (gateway, client)
}

/// Returns an input without elements.
pub fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..Default::default()
    }
}

/// Adds typed contents to an input.
fn with_contents(
    input: InferInputTensor,
    fill: impl FnOnce(&mut InferTensorContents),
) -> InferInputTensor {
    let mut contents = InferTensorContents::default();
    fill(&mut contents);
    InferInputTensor {
        contents: Some(Box::new(contents)),
        ..input
    }
}

/// Returns a valid request of `rows` rows to the tiny model, with typed contents.
pub fn typed(rows: usize) -> ModelInferRequest {
    let axis = i64::try_from(rows).expect("few");
    let inputs = vec![
        with_contents(input("x", "FP64", &[axis]), |contents| {
            contents.fp64_contents = vec![1.5; rows];
        }),
        with_contents(input("n", "INT64", &[axis]), |contents| {
            contents.int64_contents = vec![3; rows];
        }),
        with_contents(input("color", "BYTES", &[axis]), |contents| {
            contents.bytes_contents = vec!["green".into(); rows];
        }),
        with_contents(input("pair", "FP32", &[axis, 2]), |contents| {
            contents.fp32_contents = vec![0.5; 2 * rows];
        }),
    ];
    ModelInferRequest {
        model_name: "m".into(),
        inputs,
        ..Default::default()
    }
}

/// Returns the request of [`typed`] with raw contents.
pub fn raw(rows: usize) -> ModelInferRequest {
    let mut request = typed(rows);
    for input in &mut request.inputs {
        let contents = input.contents.take().expect("typed");
        let green = [&5_u32.to_le_bytes()[..], b"green"].concat();
        let bytes: Vec<u8> = match input.datatype.as_str() {
            "FP64" => contents
                .fp64_contents
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect(),
            "INT64" => contents
                .int64_contents
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect(),
            "FP32" => contents
                .fp32_contents
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect(),
            _ => green.repeat(rows),
        };
        request.raw_input_contents.push(bytes.into());
    }
    request
}

/// Returns a string parameter.
pub fn text(text: &str) -> InferParameter {
    InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(text.to_owned())),
    }
}

/// Returns an integer parameter.
pub fn number(number: i64) -> InferParameter {
    InferParameter {
        parameter_choice: Some(ParameterChoice::Int64Param(number)),
    }
}

/// Adds a parameter to a request.
pub fn with_parameter(
    mut request: ModelInferRequest,
    name: &str,
    value: InferParameter,
) -> ModelInferRequest {
    request.parameters.insert(name.to_owned(), value);
    request
}

/// Returns the scores of a response.
pub fn scores(response: &ModelInferResponse) -> Vec<f32> {
    let ([output], [raw]) = (&response.outputs[..], &response.raw_output_contents[..]) else {
        panic!("one raw output, got {response:?}")
    };
    assert_eq!(
        (output.datatype.as_str(), &output.contents),
        ("FP32", &None)
    );
    let (whole, rest) = raw.as_chunks::<4>();
    assert_eq!(rest, [0; 0]);
    assert_eq!(
        output.shape.iter().product::<i64>(),
        i64::try_from(whole.len()).expect("few")
    );
    whole
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

/// Returns a parameter of a response as text.
pub fn parameter_of(response: &ModelInferResponse, name: &str) -> Option<String> {
    match response.parameters.get(name)?.parameter_choice.clone()? {
        ParameterChoice::StringParam(text) => Some(text),
        ParameterChoice::Int64Param(number) => Some(number.to_string()),
        ParameterChoice::BoolParam(is) => Some(is.to_string()),
        other => panic!("{other:?}"),
    }
}

/// Sends a request and returns the message of the response.
pub async fn infer(
    client: &mut Client,
    request: impl tonic::IntoRequest<ModelInferRequest>,
) -> Result<ModelInferResponse, Status> {
    let answer = client.model_infer(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn typed_and_raw_requests_get_equal_answers_that_name_the_version() {
    let (gateway, mut client) = two_versions("[models.m]\nsplit = { 2 = 10000 }").await;
    for (request, how) in [(typed(3), "typed"), (raw(3), "raw")] {
        let request = ModelInferRequest {
            id: "ours".into(),
            ..with_parameter(request, "nobody_knows", number(1))
        };
        let request = with_parameter(request, "response_id", text("r-1"));
        let answer = infer(&mut client, request).await.expect(how);
        assert_eq!(scores(&answer), [2.0; 3], "{how}");
        let output = &answer.outputs[0];
        assert_eq!(
            (output.name.as_str(), &output.shape[..]),
            ("value", &[3, 1][..])
        );
        let who = (answer.model_name.as_str(), answer.model_version.as_str());
        assert_eq!((who, answer.id.as_str()), (("m", "2"), "ours"));
        assert_eq!(parameter_of(&answer, "role").as_deref(), Some("primary"));
        assert_eq!(parameter_of(&answer, "response_id").as_deref(), Some("r-1"));
        assert_eq!(
            parameter_of(&answer, "policy_revision").as_deref(),
            Some("1")
        );
        assert_eq!(parameter_of(&answer, "failed_version"), None);
    }
    let by_header = with_header(raw(1), "taper-response-id", "r-2");
    let answer = infer(&mut client, by_header).await.expect("an answer");
    assert_eq!(parameter_of(&answer, "response_id").as_deref(), Some("r-2"));
    let both = with_header(
        with_parameter(raw(1), "response_id", text("r-3")),
        "taper-response-id",
        "r-4",
    );
    let answer = infer(&mut client, both).await.expect("an answer");
    assert_eq!(parameter_of(&answer, "response_id").as_deref(), Some("r-3"));
    gateway.drain().await;
}

/// Returns the first flights as tensors of both protocols.
pub fn some_flights(rows: usize) -> (Vec<v1::Tensor>, Vec<InferInputTensor>, Vec<Vec<u8>>) {
    let versions = flights::versions();
    let signature = versions[0].signature();
    let (live, _) = flights::live(signature);
    let (mut native, mut open, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
    let axis = i64::try_from(rows).expect("few");
    for (at, about) in signature.inputs().iter().enumerate() {
        let cells = live[..rows].iter().map(|row| &row[at].1);
        let numbers = || {
            cells.clone().map(|cell| match cell {
                Cell::Number(number) => *number,
                other => panic!("{other}"),
            })
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole numbers of the example"
        )]
        let whole = || numbers().map(|number| number as i32);
        let texts = || {
            cells.clone().map(|cell| match cell {
                Cell::Text(text) => text.clone(),
                other => panic!("{other}"),
            })
        };
        let mut tensor = v1::Tensor {
            name: about.name.clone(),
            shape: vec![axis],
            ..Default::default()
        };
        let block = match about.datatype {
            Datatype::Int32 => {
                tensor.datatype = v1::Datatype::Int32.into();
                tensor.int32_values = whole().collect();
                whole().flat_map(i32::to_le_bytes).collect()
            }
            Datatype::Fp64 => {
                tensor.datatype = v1::Datatype::Fp64.into();
                tensor.fp64_values = numbers().collect();
                numbers().flat_map(f64::to_le_bytes).collect()
            }
            Datatype::Bytes => {
                tensor.datatype = v1::Datatype::Bytes.into();
                tensor.bytes_values = texts().map(bytes::Bytes::from).collect();
                let length = |text: &String| u32::try_from(text.len()).expect("short");
                let each = |text: String| [&length(&text).to_le_bytes(), text.as_bytes()].concat();
                texts().flat_map(each).collect()
            }
            other => panic!("the flights have no {other}"),
        };
        native.push(tensor);
        open.push(input(&about.name, &about.datatype.to_string(), &[axis]));
        blocks.push(block);
    }
    (native, open, blocks)
}

/// Starts a gateway with the flight models and the split `split`.
pub async fn with_flights(split: &str) -> TestGateway {
    let toml = format!("[models.flight-delay]\nsplit = {split}");
    TestGateway::start(&toml, flights::copy_models).await
}

/// Returns the answer of the native protocol.
pub async fn natively(
    gateway: &mut TestGateway,
    tensors: &[v1::Tensor],
    version: u64,
) -> v1::PredictResponse {
    let request = v1::PredictRequest {
        model: "flight-delay".into(),
        pin: Some(v1::predict_request::Pin::Version(version)),
        tensors: tensors.to_vec(),
        ..Default::default()
    };
    gateway.predict(request).await.expect("an answer")
}

#[tokio::test]
async fn answers_for_flights_equal_those_of_the_native_protocol_to_the_last_bit() {
    let mut gateway = with_flights("{ 1 = 10000 }").await;
    let mut client = data(&gateway).await;
    for rows in [1, 64, 1024] {
        let (native, inputs, blocks) = some_flights(rows);
        for version in 1..=3 {
            let want = natively(&mut gateway, &native, version).await;
            let request = ModelInferRequest {
                model_name: "flight-delay".into(),
                model_version: version.to_string(),
                inputs: inputs.clone(),
                raw_input_contents: blocks.iter().cloned().map(Into::into).collect(),
                ..Default::default()
            };
            let got = infer(&mut client, request).await.expect("an answer");
            let bits = |scores: &[f32]| scores.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let want = bits(&want.outputs[0].fp32_values);
            assert_eq!(bits(&scores(&got)), want, "{rows} rows, version {version}");
            assert_eq!(got.model_version, version.to_string());
        }
    }
    gateway.drain().await;
}

#[tokio::test]
async fn classes_have_score_index_and_label_with_the_most_probable_first() {
    let mut gateway = with_flights("{ 2 = 10000 }").await;
    let mut client = data(&gateway).await;
    let rows = 8;
    let (native, inputs, blocks) = some_flights(rows);
    let native = natively(&mut gateway, &native, 2).await;
    let late = &native.outputs[0].fp32_values;
    let asks = |classes: i64| {
        let wanted = InferRequestedOutputTensor {
            name: "probability".into(),
            parameters: [("classification".to_owned(), number(classes))].into(),
        };
        ModelInferRequest {
            model_name: "flight-delay".into(),
            inputs: inputs.clone(),
            raw_input_contents: blocks.iter().cloned().map(Into::into).collect(),
            outputs: vec![wanted],
            ..Default::default()
        }
    };
    for (classes, shown) in [(1, 1), (2, 2), (99, 2)] {
        let answer = infer(&mut client, asks(classes)).await.expect("an answer");
        let output = &answer.outputs[0];
        assert_eq!(output.datatype, "BYTES");
        assert_eq!(output.shape, [8, shown]);
        let want: Vec<u8> = late
            .iter()
            .flat_map(|&late| {
                let on_time = 1.0 - late;
                let mut ranked = [format!("{on_time}:0:on time"), format!("{late}:1:late")];
                if late > on_time {
                    ranked.reverse();
                }
                ranked
                    .into_iter()
                    .take(usize::try_from(shown).expect("few"))
            })
            .flat_map(|text| {
                let length = u32::try_from(text.len()).expect("short").to_le_bytes();
                [&length[..], text.as_bytes()].concat()
            })
            .collect();
        assert_eq!(answer.raw_output_contents[0], want, "{classes}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_is_selected_by_number_or_label() {
    let toml = "[models.m]\nlabels = { stable = 1 }\nsplit = { 2 = 10000 }";
    let (gateway, mut client) = two_versions(toml).await;
    let asks = |version: &str| ModelInferRequest {
        model_version: version.to_owned(),
        ..raw(1)
    };
    for (named, by) in [
        ("", "2"),
        ("1", "1"),
        ("2", "2"),
        ("stable", "1"),
        ("latest", "2"),
    ] {
        let answer = infer(&mut client, asks(named)).await.expect("an answer");
        assert_eq!(answer.model_version, by, "{named:?}");
    }
    for (named, why) in [
        ("7", "UNKNOWN_VERSION"),
        ("0", "UNKNOWN_VERSION"),
        ("canary", "UNKNOWN_LABEL"),
    ] {
        let status = infer(&mut client, asks(named)).await.expect_err(why);
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, why)
        );
        assert_eq!(fields(&status), ["model_version"], "{named:?}");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_routing_key_selects_the_same_version_from_every_field() {
    let toml = "[models.m]\nsplit = { 1 = 5000, 2 = 5000 }";
    let (mut gateway, mut client) = two_versions(toml).await;
    let mut seen = std::collections::BTreeSet::new();
    for key in 0..200 {
        let key = format!("caller-{key}");
        let native = v1::PredictRequest {
            routing_key: key.clone(),
            ..rows("m", [good()])
        };
        let native = gateway.predict(native).await.expect("an answer");
        let want = native.version.to_string();
        assert_eq!(single_score(&native).to_string(), want);
        let by_parameter = with_parameter(raw(1), "routing_key", text(&key));
        let by_header = with_header(raw(1), "taper-routing-key", &key);
        let both = with_header(
            with_parameter(raw(1), "routing_key", text(&key)),
            "taper-routing-key",
            "somebody else",
        );
        for (request, how) in [
            (tonic::Request::new(by_parameter), "parameter"),
            (by_header, "header"),
            (both, "both"),
        ] {
            let answer = infer(&mut client, request).await.expect(how);
            assert_eq!(answer.model_version, want, "{key} by {how}");
        }
        seen.insert(want);
    }
    assert_eq!(seen.len(), 2, "both versions take keys");
    gateway.drain().await;
}
