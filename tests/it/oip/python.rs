//! The published tritonclient.

use serde_json::json;
use taper::proto::v1;

use super::{natively, some_flights};
use crate::flights;
use crate::harness::{TestGateway, good, rows};
use crate::python::python;
use crate::tiny;

fn bits(response: &v1::PredictResponse) -> Vec<u32> {
    let scores = response.outputs[0].fp32_values.iter();
    scores.map(|score| score.to_bits()).collect()
}

/// Tests that call programs from Debian packages or PyPI. `make check` leaves them out.
mod peers {
    use super::*;

    /// Both protocols get the same requests. The script receives the scores of the native protocol as bits.
    #[tokio::test]
    async fn tritonclient_works_unchanged() {
        let toml = "[models.flight-delay]\nsplit = { 2 = 10000 }";
        let mut gateway = TestGateway::start(toml, |root| {
            flights::copy_models(root);
            (1..=2).for_each(|version| tiny::publish(root, "m", version));
        })
        .await;
        let (native, ..) = some_flights(16);
        let mut flights = Vec::new();
        for version in 1..=3 {
            flights.push(bits(&natively(&mut gateway, &native, version).await));
        }
        let asked = native.iter().map(|tensor| {
            let values = match tensor.datatype() {
                v1::Datatype::Int32 => json!(tensor.int32_values),
                v1::Datatype::Fp64 => json!(tensor.fp64_values),
                _ => {
                    let texts = tensor.bytes_values.iter();
                    texts.map(|text| String::from_utf8_lossy(text)).collect()
                }
            };
            (tensor.name.clone(), values)
        });
        let asked: serde_json::Map<_, _> = asked.collect();
        let tiny = gateway
            .predict(rows("m", [good()]))
            .await
            .expect("an answer");
        let answers =
            json!({"flights": asked, "answers": flights, "tiny": bits(&tiny)}).to_string();
        let addresses = gateway.addresses();
        let (data, admin) = (addresses.data.to_string(), addresses.admin.to_string());
        let output = python("triton_grpc.py", &[&data, &admin, &answers]).await;
        assert!(output.ends_with("all as it should be\n"), "{output}");
        gateway.drain().await;
    }
}
