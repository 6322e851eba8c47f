//! Arbitrary bodies are parsed or refused, and what is parsed equals what was written.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use tokio::time::Instant;

use super::form::ParseError;
use super::infer::{self, JSON_LENGTH};
use super::predict;
use super::target::PathTarget;
use crate::insight::metrics::Telemetry;
use crate::model::payload::{Payload, TensorData};
use crate::serving::Query;
use crate::serving::admission::{AdmissionControl, Limits, RequestPermit};

static ADMISSION: LazyLock<Arc<AdmissionControl>> = LazyLock::new(|| {
    let limits = Limits {
        max_in_flight: 1000,
        max_in_flight_bytes: 1000,
    };
    AdmissionControl::new(limits, Telemetry::new().unwrap())
});

fn permit() -> Arc<RequestPermit> {
    Arc::new(ADMISSION.enter(Instant::now(), None).unwrap())
}

fn target() -> PathTarget {
    PathTarget {
        model: "m".into(),
        ..PathTarget::default()
    }
}

fn infer(headers: HeaderMap, body: Vec<u8>) -> Result<Query, ParseError> {
    let parts = infer::split_body(&headers, body.into()).map_err(ParseError::Invalid)?;
    infer::parse(target(), headers, parts, &permit()).map(|(query, _)| query)
}

/// Parses the elements of a tensor.
fn data(datatype: &str, elements: &str) -> TensorData {
    let body = format!(
        r#"{{"inputs":[{{"data":{elements},"datatype":"{datatype}","shape":[1],"name":"x"}}]}}"#
    );
    let query = infer(HeaderMap::new(), body.into_bytes()).unwrap();
    let Payload::Tensors(mut tensors) = query.payload else {
        panic!("tensors")
    };
    tensors.remove(0).data
}

/// A valid body with some of its bytes changed, left out or added.
fn mutated(good: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        prop::sample::select(br#"[]{},:"\0-9.eEntu "#.to_vec()),
        any::<u8>()
    ];
    let change = (0..good.len(), 0..4_u8, bytes);
    prop::collection::vec(change, 0..4).prop_map(move |changes| {
        let mut body = good.as_bytes().to_vec();
        for (at, how, byte) in changes {
            match how {
                _ if at >= body.len() => body.push(byte),
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => drop(body.remove(at)),
                _ => body.truncate(at),
            }
        }
        body
    })
}

const INFER: &str = r#"{"id":"7","inputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[[1.5],[-2e3]]},
    {"name":"t","shape":[2],"datatype":"BYTES","data":["a\u00e9\"","é"]},
    {"name":"b","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}}],
    "outputs":[{"name":"y","parameters":{"binary_data":true}}],"parameters":{"routing_key":"k"}}01234567"#;
const PREDICT: &str = r#"{"rows":[{"x":1.5,"t":"a\u00e9\"","l":[1,null,true]},{"o":{"p":[{}]}}],"routing_key":"k","timeout_ms":5}"#;

proptest! {
    #[test]
    fn no_body_panics_the_parser_of_tensors(body in mutated(INFER), length in 0..600_usize) {
        let mut headers = HeaderMap::new();
        let _ = infer(headers.clone(), body.clone());
        headers.insert(JSON_LENGTH, HeaderValue::from(length));
        let _ = infer(headers.clone(), body.clone());
        headers.insert(JSON_LENGTH, HeaderValue::from(INFER.len() - 8));
        let _ = infer(headers, body);
    }

    #[test]
    fn no_body_panics_the_parser_of_rows(body in mutated(PREDICT)) {
        let _ = predict::parse(target(), HeaderMap::new(), &body, &permit());
    }

    #[test]
    fn numbers_survive_the_round_trip(float: f32, double: f64, whole: i64) {
        prop_assume!(float.is_finite() && double.is_finite());
        let text = |json: serde_json::Value| json.to_string();
        let shortest = serde_json::to_string(&[float]).unwrap();
        let TensorData::Fp32(read) = data("FP32", &shortest) else { panic!("FP32") };
        prop_assert_eq!(read[0].to_bits(), float.to_bits());
        let TensorData::Fp64(read) = data("FP64", &text(serde_json::json!([double]))) else { panic!("FP64") };
        prop_assert_eq!(read[0].to_bits(), double.to_bits());
        prop_assert_eq!(data("INT64", &text(serde_json::json!([whole]))), TensorData::Int64(vec![whole]));
    }

    #[test]
    fn strings_survive_the_round_trip(words: String) {
        let json = serde_json::to_string(&[&words]).unwrap();
        prop_assert_eq!(data("BYTES", &json), TensorData::Bytes(vec![Bytes::from(words)]));
    }
}

#[test]
fn the_bodies_that_are_mutated_are_valid() {
    let mut headers = HeaderMap::new();
    headers.insert(JSON_LENGTH, HeaderValue::from(INFER.len() - 8));
    let query = infer(headers, INFER.into()).unwrap();
    let Payload::Tensors(tensors) = query.payload else {
        panic!("tensors")
    };
    assert_eq!(tensors.len(), 3);
    let wanted = TensorData::Int64(vec![i64::from_le_bytes(*b"01234567")]);
    assert_eq!(tensors[2].data, wanted);
    let read = predict::parse(target(), HeaderMap::new(), PREDICT.as_bytes(), &permit());
    assert!(matches!(read.unwrap().payload, Payload::Rows(rows) if rows.len() == 2));
}
