//! Model metadata for clients of TensorFlow Serving: signatures and version states.

use std::collections::BTreeMap;

use prost::Message;
use taper::proto::tensorflow::TensorInfo;
use taper::proto::tensorflow::serving::model_service_client::ModelServiceClient;
use taper::proto::tensorflow::serving::model_spec::VersionChoice;
use taper::proto::tensorflow::serving::model_version_status::State;
use taper::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelStatusRequest, ModelSpec, SignatureDefMap,
};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::{connect, fields};
use crate::tfs::{by, client, spec, start};

fn metadata_request(spec: ModelSpec, field: &[&str]) -> GetModelMetadataRequest {
    GetModelMetadataRequest {
        model_spec: Some(spec),
        metadata_field: field.iter().map(|&field| field.into()).collect(),
    }
}

#[tokio::test]
async fn metadata_contains_the_signature_of_the_version_that_would_answer() {
    let gateway = start().await;
    let mut client = client(&gateway).await;
    for (asked, version) in [
        (spec("m"), 2),
        (by(VersionChoice::Version(1)), 1),
        (by(VersionChoice::VersionLabel("stable".into())), 1),
    ] {
        let answer = client.get_model_metadata(metadata_request(asked, &["signature_def"]));
        let answer = answer.await.expect("metadata").into_inner();
        let who = answer.model_spec.expect("who");
        assert_eq!(who.name, "m");
        assert_eq!(who.version_choice, Some(VersionChoice::Version(version)));
        let [(name, any)] = &answer.metadata.into_iter().collect::<Vec<_>>()[..] else {
            panic!("one field");
        };
        assert_eq!(name, "signature_def");
        assert_eq!(
            any.type_url,
            "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        );
        let map = SignatureDefMap::decode(&any.value[..]).expect("a map");
        assert_eq!(map.signature_def.len(), 1);
        let signature = &map.signature_def["serving_default"];
        assert_eq!(signature.method_name, "tensorflow/serving/predict");
        let describe = |tensors: &BTreeMap<_, TensorInfo>| {
            let lines = tensors.iter().map(|(name, info): (&String, _)| {
                assert_eq!(*name, info.name);
                let shape = info.tensor_shape.clone().expect("a shape");
                let axes: Vec<_> = shape.dim.iter().map(|axis| axis.size).collect();
                format!("{name} {} {axes:?}", info.dtype().as_str_name())
            });
            lines.collect::<Vec<_>>()
        };
        assert_eq!(
            describe(&signature.inputs),
            [
                "color DT_STRING [-1]",
                "n DT_INT64 [-1]",
                "pair DT_FLOAT [-1, 2]",
                "x DT_DOUBLE [-1]"
            ]
        );
        assert_eq!(describe(&signature.outputs), ["value DT_FLOAT [-1, 1]"]);
    }
    for (asked, fields_asked, code, field) in [
        (spec("m"), &[][..], Code::InvalidArgument, "metadata_field"),
        (
            spec("m"),
            &["signature_def", "assets"],
            Code::InvalidArgument,
            "metadata_field",
        ),
        (
            spec(""),
            &["signature_def"],
            Code::InvalidArgument,
            "model_spec.name",
        ),
        (
            spec("nobody"),
            &["signature_def"],
            Code::NotFound,
            "model_spec.name",
        ),
        (
            by(VersionChoice::Version(9)),
            &["signature_def"],
            Code::NotFound,
            "model_spec.version",
        ),
    ] {
        let refused = client
            .get_model_metadata(metadata_request(asked, fields_asked))
            .await;
        let refused = refused.expect_err("refused");
        assert_eq!(
            (refused.code(), fields(&refused)),
            (code, vec![field.to_owned()])
        );
    }
    gateway.drain().await;
}

async fn version_states(
    client: &mut ModelServiceClient<Channel>,
    spec: ModelSpec,
) -> Result<Vec<(i64, State, i32, String)>, Status> {
    let request = GetModelStatusRequest {
        model_spec: Some(spec),
    };
    let answer = client.get_model_status(request).await?.into_inner();
    let states = answer.model_version_status.into_iter().map(|state| {
        let status = state.status.clone().expect("a status");
        (
            state.version,
            state.state(),
            status.error_code,
            status.error_message,
        )
    });
    Ok(states.collect())
}

#[tokio::test]
async fn status_reports_version_states_without_the_reason_of_a_failure() {
    let gateway = start().await;
    let mut client = ModelServiceClient::new(connect(gateway.addresses().data).await);
    let fine = |version| (version, State::Available, 0, String::new());
    let failed = "version 7 failed to load; `GetModel` says why".to_owned();
    let seven = (7, State::End, 9, failed);
    let all = version_states(&mut client, spec("m")).await.expect("all");
    assert_eq!(all, [seven.clone(), fine(2), fine(1)]);
    for (choice, want) in [
        (VersionChoice::Version(7), seven),
        (VersionChoice::Version(1), fine(1)),
        (VersionChoice::VersionLabel("canary".into()), fine(2)),
        (VersionChoice::VersionLabel("latest".into()), fine(2)),
    ] {
        let one = version_states(&mut client, by(choice)).await.expect("one");
        assert_eq!(one, [want]);
    }
    for (asked, code, field) in [
        (spec(""), Code::InvalidArgument, "model_spec.name"),
        (spec("nobody"), Code::NotFound, "model_spec.name"),
        (
            by(VersionChoice::Version(9)),
            Code::NotFound,
            "model_spec.version",
        ),
        (
            by(VersionChoice::VersionLabel("nobody".into())),
            Code::InvalidArgument,
            "model_spec.version_label",
        ),
    ] {
        let refused = version_states(&mut client, asked)
            .await
            .expect_err("refused");
        assert_eq!(
            (refused.code(), fields(&refused)),
            (code, vec![field.to_owned()])
        );
    }
    gateway.drain().await;
}
