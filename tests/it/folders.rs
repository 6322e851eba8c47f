//! Folders as the operator of a model that nobody has configured.

use std::fs;

use tonic::Code;

use crate::harness::{Running, eventually, good, rows};
use crate::tiny;

/// The version that answers; the code where none does.
async fn answers(gateway: &mut Running) -> Result<u64, Code> {
    let answer = gateway.data.predict(rows("m", [good()])).await;
    answer
        .map(|answer| answer.into_inner().version)
        .map_err(|status| status.code())
}

/// Waits until `model` answers so.
async fn until(gateway: &mut Running, model: &str, wanted: Result<u64, Code>) {
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
async fn a_folder_that_is_removed_gives_way_to_the_next_lower_version_and_the_last_one_to_nobody() {
    let mut gateway = Running::start("[watch]\npoll_ms = 100", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
        tiny::publish(root, "other", 1);
    })
    .await;
    assert_eq!(answers(&mut gateway).await, Ok(2));
    fs::remove_dir_all(gateway.models().join("m/2")).expect("removed");
    until(&mut gateway, "m", Ok(1)).await;
    // The only one that can answer stays while its model is there: an empty folder says nothing.
    fs::remove_dir_all(gateway.models().join("m/1")).expect("removed");
    for version in 2..=3 {
        // Found only by a later look at the registry.
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
