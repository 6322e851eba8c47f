//! Compressed requests are inflated within the limits, and large answers are compressed for clients that accept it.

use std::io::{Read, Write};
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use prost::Message;
use serde_json::json;
use taper::proto::v1;

use super::{
    OPEN, REST_PREDICT, calls, calls_without_admission, connection, frame, limited, request,
    series, until_idle, whole,
};
use crate::harness::{TestGateway, good, rows};
use crate::rest::{Reply, call};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("written")
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    let mut decoder = GzDecoder::new(bytes);
    decoder.read_to_end(&mut inflated).expect("gzip");
    inflated
}

/// Returns a compressed message as a frame of gRPC.
pub fn compressed(message: &[u8]) -> Vec<u8> {
    let mut frame = frame(&gzip(message));
    frame[0] = 1;
    frame
}

/// Sends a frame and returns the status and the frame of the answer, with the value of its header `grpc-encoding`.
async fn send(
    gateway: &TestGateway,
    path: &str,
    headers: &[(&'static str, &str)],
    frame: Vec<u8>,
) -> (tonic::Status, Bytes, Option<String>) {
    send_to(gateway.addresses().data, path, headers, frame).await
}

async fn send_to(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
    frame: Vec<u8>,
) -> (tonic::Status, Bytes, Option<String>) {
    let mut sender = connection(address, "127.0.0.1", OPEN).await;
    let request = request(path, headers, whole(frame));
    let response = sender.send_request(request).await.expect("a response");
    let (head, body) = response.into_parts();
    let encoding = head.headers.get("grpc-encoding");
    let encoding = encoding.map(|encoding| encoding.to_str().expect("ASCII").to_owned());
    let body = body.collect().await.expect("a body");
    let trailers = body.trailers().cloned().unwrap_or(head.headers);
    let status = tonic::Status::from_header_map(&trailers).expect("a status");
    (status, body.to_bytes(), encoding)
}

const GZIP: (&str, &str) = ("grpc-encoding", "gzip");

#[tokio::test]
async fn compressed_messages_get_the_same_answers_over_grpc() {
    let gateway = limited("").await;
    for (path, message) in calls() {
        let (status, answer, _) = send(&gateway, path, &[GZIP], compressed(&message)).await;
        assert_eq!(status.code(), tonic::Code::Ok, "{path}: {status:?}");
        let (_, want, encoding) = send(&gateway, path, &[], frame(&message)).await;
        assert_eq!((answer.len(), encoding), (want.len(), None), "{path}");
        let mixed = send(&gateway, path, &[GZIP], frame(&message)).await;
        assert_eq!(mixed.0.code(), tonic::Code::Ok, "{path}: {:?}", mixed.0);
    }
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn a_bomb_is_refused_within_the_limits_over_grpc() {
    let bomb = compressed(&vec![0; 64 << 20]);
    let gateway = limited("max_message_bytes = 100_000\nmax_in_flight_bytes = 100_000\n").await;
    for (path, message) in calls() {
        let (status, _, _) = send(&gateway, path, &[GZIP], bomb.clone()).await;
        assert_eq!(status.code(), tonic::Code::OutOfRange, "{path}: {status:?}");
        let (status, _, _) = send(&gateway, path, &[GZIP], compressed(&message)).await;
        assert_eq!(status.code(), tonic::Code::Ok, "{path}: {status:?}");
    }
    let mut broken = compressed(&[7; 100]);
    broken[10..].fill(0xff);
    let (status, _, _) = send(&gateway, calls()[0].0, &[GZIP], broken).await;
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    for (reason, count) in [("MESSAGE_TOO_LARGE", 3.0), ("MALFORMED_MESSAGE", 1.0)] {
        let name = format!(r#"taper_rejected_requests_total{{reason="{reason}"}}"#);
        assert_eq!(series(&gateway, &name).await, count, "{reason}");
    }
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn large_answers_are_compressed_for_clients_that_ask_for_it_over_grpc() {
    let gateway = limited("min_compressed_bytes = 100\n").await;
    let path = calls()[0].0;
    let many: Vec<_> = (0..60).map(|_| rows("m", [good()]).rows).collect();
    let request = v1::PredictRequest {
        rows: many.concat(),
        ..rows("m", [])
    };
    let message = request.encode_to_vec();
    let all = ("grpc-accept-encoding", "identity, deflate, gzip");
    let only = ("grpc-accept-encoding", "gzip");
    for (headers, frame) in [
        (&[only][..], frame(&message)),
        (&[all, GZIP], compressed(&message)),
    ] {
        let (status, answer, encoding) = send(&gateway, path, headers, frame).await;
        assert_eq!(status.code(), tonic::Code::Ok, "{status:?}");
        assert_eq!((encoding.as_deref(), answer[0]), (Some("gzip"), 1));
        let answer = v1::PredictResponse::decode(&*gunzip(&answer[5..])).expect("a response");
        assert_eq!(answer.outputs[0].fp32_values, [1.0; 60]);
    }
    // Clients on gRPC's C core list everything with every call.
    let (_, answer, encoding) = send(&gateway, path, &[all], frame(&message)).await;
    assert_eq!((encoding, answer[0]), (None, 0));
    gateway.drain().await;
}

#[tokio::test]
async fn compressed_messages_are_read_without_admission_control_too() {
    let gateway = limited("min_compressed_bytes = 1\n").await;
    let addresses = gateway.addresses();
    for (path, message, is_admin) in calls_without_admission() {
        if path.ends_with("Watch") {
            // Its answers have no end.
            continue;
        }
        let address = if is_admin {
            addresses.admin
        } else {
            addresses.data
        };
        let send = |headers: &'static [(&str, &str)], frame| send_to(address, path, headers, frame);
        let (status, want, _) = send(&[], frame(&message)).await;
        assert_eq!(status.code(), tonic::Code::Ok, "{path}: {status:?}");
        let (status, answer, encoding) = send(&[GZIP], compressed(&message)).await;
        assert_eq!(status.code(), tonic::Code::Ok, "{path}: {status:?}");
        assert_eq!((answer.len(), encoding), (want.len(), None), "{path}");
        let asked = &[("grpc-accept-encoding", "gzip")];
        let (_, answer, encoding) = send(asked, frame(&message)).await;
        assert_eq!(encoding.as_deref(), Some("gzip"), "{path}");
        let inflated = match answer[0] {
            1 => gunzip(&answer[5..]),
            // Gzip would make it longer.
            _ => answer[5..].to_vec(),
        };
        assert_eq!(inflated, want[5..], "{path}");
        assert_eq!(
            answer[0] == 1,
            path.contains("Reflection"),
            "{path}: {} bytes",
            want.len()
        );
        let truncated = compressed(&[7; 100]);
        let truncated = truncated[..truncated.len() - 1].to_vec();
        let (status, _, _) = send(&[GZIP], truncated).await;
        assert_eq!(
            status.code(),
            tonic::Code::InvalidArgument,
            "{path}: {status:?}"
        );
        let bomb = compressed(&vec![0; 64 << 20]);
        let (status, _, _) = send(&[GZIP], bomb).await;
        assert_eq!(status.code(), tonic::Code::OutOfRange, "{path}: {status:?}");
    }
    gateway.drain().await;
}

async fn rest(gateway: &TestGateway, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let address = gateway.addresses().http;
    call(address, "POST", REST_PREDICT, headers, body).await
}

#[tokio::test]
async fn bodies_and_answers_are_compressed_over_http() {
    let gateway = limited("max_message_bytes = 100_000\nmin_compressed_bytes = 100\n").await;
    let body = gzip(json!({"rows": vec![good(); 60]}).to_string().as_bytes());
    let encoding = ("content-encoding", "gzip");
    let plain = rest(&gateway, &[encoding], &body).await;
    assert_eq!(plain.status, 200, "{plain:?}");
    assert_eq!(plain.headers.get("content-encoding"), None);
    let headers = [encoding, ("accept-encoding", "br, gzip")];
    let smaller = rest(&gateway, &headers, &body).await;
    assert_eq!(
        (smaller.status, &*smaller.headers["content-encoding"]),
        (200, "gzip")
    );
    assert_eq!(smaller.headers["vary"], "accept-encoding");
    let inflated = gunzip(&smaller.body);
    let inflated: serde_json::Value = serde_json::from_slice(&inflated).expect("JSON");
    assert_eq!(inflated["outputs"], plain.json()["outputs"]);

    let bomb = gzip(&vec![b' '; 32 << 20]);
    let refused = rest(&gateway, &[encoding], &bomb).await;
    assert_eq!(
        (refused.status, &*refused.reason()),
        (413, "MESSAGE_TOO_LARGE")
    );
    let refused = rest(&gateway, &[encoding], b"no gzip").await;
    assert_eq!(
        (refused.status, &*refused.reason()),
        (400, "MALFORMED_MESSAGE")
    );
    until_idle(&gateway).await;
    gateway.drain().await;
}
