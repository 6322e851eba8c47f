//! Folders control the versions of a model without configuration.

use std::fs;

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
async fn removing_a_folder_moves_traffic_to_the_next_lower_version_and_removing_the_last_one_ends_the_model()
 {
    let mut gateway = TestGateway::start("[watch]\npoll_ms = 100", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
        tiny::publish(root, "other", 1);
    })
    .await;
    assert_eq!(answers(&mut gateway).await, Ok(2));
    fs::remove_dir_all(gateway.models().join("m/2")).expect("removed");
    until(&mut gateway, "m", Ok(1)).await;
    // The only version that can answer stays while its model folder exists: an empty folder is no request to unload.
    fs::remove_dir_all(gateway.models().join("m/1")).expect("removed");
    for version in 2..=3 {
        // Only a later scan of the registry finds this version.
        tiny::drop_in(&gateway.models(), "other", version, |root| {
            tiny::publish(root, "other", version);
        });
        until(&mut gateway, "other", Ok(version)).await;
    }
    assert_eq!(answers(&mut gateway).await, Ok(1));
    fs::remove_dir_all(gateway.models().join("m")).expect("removed");
    until(&mut gateway, "m", Err(Code::NotFound)).await;
    gateway.drain().await;
}
