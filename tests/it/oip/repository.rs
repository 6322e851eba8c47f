//! Models that operators load and unload, and that other clients cannot.

use taper::proto::inference as wire;
use taper::proto::inference::ModelRepositoryParameter;
use taper::proto::inference::model_repository_parameter::ParameterChoice;
use taper::proto::v1;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Client, infer, raw, two_versions};
use crate::harness::{TestGateway, connect, eventually, fields, reason};
use crate::lifecycle::becomes;
use crate::tiny;

async fn admin(gateway: &TestGateway) -> Client {
    Client::new(connect(gateway.addresses().admin).await)
}

async fn load(client: &mut Client, model: &str) -> Result<bool, Status> {
    let request = wire::RepositoryModelLoadRequest {
        model_name: model.to_owned(),
        ..Default::default()
    };
    let loaded = client.repository_model_load(request).await?.into_inner();
    assert_eq!(loaded.model_name, model);
    Ok(loaded.is_loaded)
}

async fn unload(client: &mut Client, model: &str) -> Result<bool, Status> {
    let request = wire::RepositoryModelUnloadRequest {
        model_name: model.to_owned(),
        ..Default::default()
    };
    let unloaded = client.repository_model_unload(request).await?.into_inner();
    assert_eq!(unloaded.model_name, model);
    Ok(unloaded.is_unloaded)
}

async fn state_of(client: &mut Client, version: &str) -> String {
    let index = client
        .repository_index(wire::RepositoryIndexRequest::default())
        .await;
    let index = index.expect("an index").into_inner();
    let found = index.models.into_iter().find(|one| one.version == version);
    found.expect("listed").state
}

#[tokio::test]
async fn a_version_without_references_is_unloaded_and_can_be_loaded_again() {
    let (mut gateway, mut services) = two_versions("").await;
    let mut operators = admin(&gateway).await;
    let pinned = || wire::ModelInferRequest {
        model_version: "1".into(),
        ..raw(1)
    };
    infer(&mut services, pinned()).await.expect("an answer");
    let all = unload(&mut operators, "m").await.expect("unloaded");
    assert!(!all, "version 2 is held by the split");
    becomes(&gateway, 1, v1::VersionState::Retired).await;
    assert_eq!(state_of(&mut services, "1").await, "UNAVAILABLE");
    let gone = infer(&mut services, pinned()).await.expect_err("unloaded");
    assert_eq!(
        (gone.code(), reason(&gone).as_str()),
        (Code::Unavailable, "VERSION_NOT_READY")
    );
    infer(&mut services, raw(1))
        .await
        .expect("version 2 answers");
    assert!(load(&mut operators, "m").await.expect("loaded"));
    let answer = infer(&mut services, pinned())
        .await
        .expect("READY when the call is answered");
    assert_eq!(answer.model_version, "1");
    assert!(
        load(&mut operators, "m").await.expect("again"),
        "nothing is to be loaded"
    );
    let request = v1::ListRevisionsRequest {
        model: "m".into(),
        ..Default::default()
    };
    let history = gateway
        .admin
        .list_revisions(request)
        .await
        .expect("history")
        .into_inner();
    let actions: Vec<_> = history
        .revisions
        .iter()
        .map(|one| (one.action.as_str(), one.reason.as_str()))
        .collect();
    let want = [
        (
            "load version 1",
            "RepositoryModelLoad of the Open Inference Protocol",
        ),
        (
            "unload version 1",
            "RepositoryModelUnload of the Open Inference Protocol",
        ),
        ("first version 2", "the model had no traffic policy"),
    ];
    assert_eq!(actions, want);
    assert!(
        history.revisions[0].actor.starts_with("127.0.0.1:"),
        "{history:?}"
    );
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_in_a_split_or_label_is_not_unloaded_and_the_error_names_the_reference() {
    let toml = "[models.m]\nlabels = { stable = 1 }\nsplit = { 2 = 10000 }";
    let (gateway, mut services) = two_versions(toml).await;
    let mut operators = admin(&gateway).await;
    let status = unload(&mut operators, "m").await.expect_err("held");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "VERSION_HELD")
    );
    let failure = status.get_details_precondition_failure().expect("details");
    let by: Vec<_> = failure
        .violations
        .iter()
        .map(|one| one.description.as_str())
        .collect();
    assert_eq!(
        by,
        [
            "held by label stable (version 1)",
            "held by split (2: 100%) (version 2)"
        ]
    );
    for version in ["1", "2"] {
        assert_eq!(state_of(&mut services, version).await, "READY");
    }
    gateway.drain().await;
}

#[tokio::test]
async fn the_name_in_the_field_that_kserve_uses_is_read() {
    let (gateway, _) = two_versions("").await;
    let mut operators = admin(&gateway).await;
    let request = wire::RepositoryModelUnloadRequest {
        repository_name: "m".into(),
        ..Default::default()
    };
    let unloaded = operators
        .repository_model_unload(request)
        .await
        .expect("unloaded");
    assert_eq!(unloaded.into_inner().model_name, "m");
    let request = wire::RepositoryModelLoadRequest {
        repository_name: "m".into(),
        ..Default::default()
    };
    let loaded = operators
        .repository_model_load(request)
        .await
        .expect("loaded")
        .into_inner();
    assert_eq!((loaded.model_name.as_str(), loaded.is_loaded), ("m", true));
    gateway.drain().await;
}

#[tokio::test]
async fn models_that_cannot_be_loaded_are_refused_by_name() {
    let (gateway, mut services) = two_versions("").await;
    let mut operators = admin(&gateway).await;
    for (repository, model, parameter, field) in [
        ("", "", "", "model_name"),
        ("r", "m", "", "repository_name"),
        ("", "m", "config", "parameters[config]"),
        (
            "",
            "m",
            "file:1/model.onnx",
            "parameters[file:1/model.onnx]",
        ),
    ] {
        let value = ModelRepositoryParameter {
            parameter_choice: Some(ParameterChoice::StringParam("{}".into())),
        };
        let parameters = Some(parameter).filter(|name| !name.is_empty());
        let request = wire::RepositoryModelLoadRequest {
            repository_name: repository.into(),
            model_name: model.into(),
            parameters: parameters
                .map(|name| (name.to_owned(), value))
                .into_iter()
                .collect(),
        };
        let status = operators
            .repository_model_load(request)
            .await
            .expect_err(field);
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec![field.to_owned()])
        );
    }
    for status in [
        load(&mut operators, "nobody").await,
        unload(&mut operators, "nobody").await,
    ] {
        assert_eq!(status.expect_err("unknown").code(), Code::NotFound);
    }
    for (status, message) in [
        (
            load(&mut services, "m").await,
            "models are loaded on the admin port",
        ),
        (
            unload(&mut services, "m").await,
            "models are unloaded on the admin port",
        ),
    ] {
        let status = status.expect_err("not here");
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, message)
        );
        assert_eq!(reason(&status), "WRONG_PORT");
    }
    let status = infer(&mut operators, raw(1)).await.expect_err("not here");
    assert_eq!(
        (status.code(), status.message()),
        (
            Code::Unimplemented,
            "inference requests are answered on the data port"
        )
    );
    let stream = operators
        .model_stream_infer(tokio_stream::once(raw(1)))
        .await;
    assert_eq!(stream.expect_err("not here").code(), Code::Unimplemented);
    gateway.drain().await;
}

#[tokio::test]
async fn a_load_request_fails_if_a_version_does_not_load_again() {
    let (gateway, mut services) = two_versions("").await;
    let mut operators = admin(&gateway).await;
    unload(&mut operators, "m").await.expect("unloaded");
    becomes(&gateway, 1, v1::VersionState::Retired).await;
    std::fs::write(
        gateway.models().join("m/1/weights.safetensors"),
        "not weights",
    )
    .expect("written");
    let status = load(&mut operators, "m")
        .await
        .expect_err("its files are not what they were");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "VERSION_NOT_READY")
    );
    assert!(status.message().contains("version 1"), "{status:?}");
    eventually("its failure is reported", || async {
        let state = state_of(&mut services.clone(), "1").await;
        (state == "UNAVAILABLE").then_some(())
    })
    .await;
    infer(&mut services, raw(1))
        .await
        .expect("version 2 answers");
    // Restoring the folder causes another load.
    tiny::publish(&gateway.models(), "m", 1);
    gateway.drain().await;
}

#[tokio::test]
async fn a_load_request_fails_while_a_version_of_the_model_is_failed() {
    let gateway = TestGateway::start("", |root| {
        tiny::publish(root, "m", 1);
        for model in ["broken", "short"] {
            tiny::publish(root, model, 1);
        }
        let weights = |model: &str| root.join(model).join("1/weights.safetensors");
        let bytes = std::fs::read(weights("broken")).expect("weights");
        let others: Vec<_> = bytes.iter().map(|byte| !byte).collect();
        std::fs::write(weights("broken"), others).expect("broken");
        std::fs::write(weights("short"), &bytes[1..]).expect("short");
    })
    .await;
    let mut operators = admin(&gateway).await;
    assert!(load(&mut operators, "m").await.expect("loaded"));
    // Every call fails, not only the first one.
    for model in ["broken", "short", "broken", "short"] {
        let failed = load(&mut operators, model).await.expect_err("not READY");
        assert_eq!(failed.code(), Code::FailedPrecondition, "{failed:?}");
        assert!(
            failed.message().contains("weights.safetensors"),
            "{failed:?}"
        );
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_version_without_its_folder_does_not_block_loading_the_others() {
    let (mut gateway, _) = two_versions("").await;
    let mut operators = admin(&gateway).await;
    let set = gateway.set_split("m", &[(2, 10_000)], 0).await;
    set.expect("a split");
    unload(&mut operators, "m").await.expect("unloaded");
    becomes(&gateway, 1, v1::VersionState::Retired).await;
    std::fs::remove_dir_all(gateway.models().join("m/1")).expect("removed");
    eventually("the folder is missed", || async {
        let index = wire::RepositoryIndexRequest::default();
        let index = operators.clone().repository_index(index).await;
        let models = index.expect("an index").into_inner().models;
        models.iter().all(|one| one.version != "1").then_some(())
    })
    .await;
    assert!(load(&mut operators, "m").await.expect("version 2 exists"));
    gateway.drain().await;
}
