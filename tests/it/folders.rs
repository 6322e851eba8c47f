//! Folders control the versions of a model without configuration.

use std::fs;

use taper::proto::v1;
use tonic::Code;

use crate::harness::{TestGateway, eventually, good, rows};
use crate::tiny;

/// Returns the version that answers, or the error code.
async fn answers(gateway: &mut TestGateway) -> Result<u64, Code> {
    let answer = gateway.data.predict(rows("m", [good()])).await;
    answer
        .map(|answer| answer.into_inner().version)
        .map_err(|status| status.code())
}

/// Waits until `model` gives this answer.
async fn until(gateway: &mut TestGateway, model: &str, wanted: Result<u64, Code>) {
    let data = gateway.data.clone();
    eventually(&format!("the answer of {model} is {wanted:?}"), || {
        let mut data = data.clone();
        async move {
            let answer = data.predict(rows(model, [good()])).await;
            let answer = answer.map(|answer| answer.into_inner().version);
            (answer.map_err(|status| status.code()) == wanted).then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn traffic_moves_down_with_a_removed_folder_and_a_model_that_is_gone_answers_until_it_is_forgotten()
 {
    let toml = "[watch]\npoll_ms = 100\n[models.m]\nsplit = { latest = 10000 }\n\
                [models.other]\nsplit = { latest = 10000 }\n";
    let mut gateway = TestGateway::start(toml, |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
        tiny::publish(root, "other", 1);
    })
    .await;
    assert_eq!(answers(&mut gateway).await, Ok(2));
    fs::remove_dir_all(gateway.models().join("m/2")).expect("removed");
    until(&mut gateway, "m", Ok(1)).await;
    // The only version that can answer stays: an empty folder is no request to unload.
    fs::remove_dir_all(gateway.models().join("m/1")).expect("removed");
    wait_for_other(&mut gateway, 2).await;
    assert_eq!(answers(&mut gateway).await, Ok(1));
    // Nor is a folder that went away, as when a volume is not mounted.
    fs::remove_dir_all(gateway.models().join("m")).expect("removed");
    wait_for_other(&mut gateway, 3).await;
    assert_eq!(answers(&mut gateway).await, Ok(1));
    let (status, body) = gateway.http_get("/readyz").await;
    assert!(status.ends_with("200 OK"), "{status}");
    assert!(
        body.starts_with("ready\nmodel m: ") && body.contains("taper models forget m"),
        "{body}"
    );
    let forget = v1::ForgetModelRequest {
        model: "m".into(),
        terms: None,
    };
    gateway.admin.forget_model(forget).await.expect("forgotten");
    until(&mut gateway, "m", Err(Code::NotFound)).await;
    assert_eq!(gateway.http_get("/readyz").await.1, "ready\n");
    gateway.drain().await;
}

/// Waits until a later scan of the registry has found this version of another model.
async fn wait_for_other(gateway: &mut TestGateway, version: u64) {
    tiny::drop_in(&gateway.models(), "other", version, |root| {
        tiny::publish(root, "other", version);
    });
    until(gateway, "other", Ok(version)).await;
}
