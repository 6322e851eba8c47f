//! Messages in any number of frames are answered equally, and bodies that are not one message are refused equally by every method.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use taper::proto::{inference, v1};
use tonic::Code;
use tonic::body::Body;

use super::{OPEN, Sender, connection, frame, limited, request, until_idle};
use crate::harness::{good, rows};
use crate::oip;

/// Limit on the bytes of a message.
const LIMITS: &str = "max_message_bytes = 2000\n";

/// Sends frames, each as it is, and returns the status and the frame of the answer.
async fn send(sender: &Sender, path: &str, frames: Vec<Vec<u8>>) -> (Code, Bytes) {
    let mut sender = sender.clone();
    let frames = frames.into_iter().map(|data| {
        let data = Frame::data(Bytes::from(data));
        Ok::<_, std::io::Error>(data)
    });
    let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
    let response = sender.send_request(request(path, &[], body)).await;
    let (head, body) = response.expect("a response").into_parts();
    let body = body.collect().await.expect("a body");
    let in_trailers = body.trailers().and_then(|map| map.get("grpc-status"));
    let status = in_trailers.or(head.headers.get("grpc-status"));
    let code = Code::from_bytes(status.expect("a status").as_bytes());
    (code, body.to_bytes())
}

#[tokio::test]
async fn messages_in_any_number_of_frames_are_answered_equally() {
    let gateway = limited(LIMITS).await;
    let native = v1::PredictRequest {
        response_id: "id".to_owned(),
        ..rows("m", [good()])
    };
    let open_inference = inference::ModelInferRequest {
        id: "id".to_owned(),
        ..oip::typed(1)
    };
    let sender = connection(gateway.addresses().data, "127.0.0.1", OPEN).await;
    for (path, message) in [
        (
            "/taper.v1.PredictionService/Predict",
            native.encode_to_vec(),
        ),
        (
            "/inference.GRPCInferenceService/ModelInfer",
            open_inference.encode_to_vec(),
        ),
    ] {
        let whole = frame(&message);
        let length = whole.len();
        let mut answers = Vec::new();
        for piece in [length, 1, 4, 5, 6, length - 1] {
            let frames = whole.chunks(piece).map(<[u8]>::to_vec).collect();
            answers.push(send(&sender, path, frames).await);
        }
        // The end of the stream may come in a frame of its own, and there may be empty frames before.
        answers.push(send(&sender, path, vec![whole.clone(), Vec::new()]).await);
        answers.push(send(&sender, path, vec![Vec::new(), whole.clone()]).await);
        for (code, answer) in &answers {
            assert_eq!(*code, Code::Ok, "{path}");
            if path.starts_with("/taper") {
                assert_eq!(answer, &answers[0].1);
            }
            assert!(answer.len() > 5, "{path}");
        }
    }
    until_idle(&gateway).await;
    gateway.drain().await;
}

#[tokio::test]
async fn bodies_that_are_not_one_message_are_refused_equally_by_every_method() {
    let gateway = limited(LIMITS).await;
    let sender = connection(gateway.addresses().data, "127.0.0.1", OPEN).await;
    let flagged = |flag| [&[flag, 0, 0, 0, 1][..], b"x"].concat();
    for (frames, want) in [
        (vec![], Code::Internal),
        (vec![vec![0, 0]], Code::Internal),
        (vec![frame(b"abc")[..7].to_vec()], Code::Internal),
        (vec![flagged(1)], Code::Internal),
        (vec![flagged(7)], Code::Internal),
        (vec![frame(&[0xff; 9])], Code::InvalidArgument),
        (vec![frame(&[0; 2001])], Code::OutOfRange),
        (vec![frame(&[0; 2001])[..5].to_vec()], Code::OutOfRange),
    ] {
        for path in [
            "/taper.v1.PredictionService/Predict",
            // Not one of the methods that are answered without tonic's streams.
            "/taper.v1.PredictionService/ReportOutcomes",
            "/inference.GRPCInferenceService/ModelInfer",
            "/inference.GRPCInferenceService/ModelMetadata",
        ] {
            let (code, answer) = send(&sender, path, frames.clone()).await;
            assert_eq!(code, want, "{path} {frames:?}");
            assert!(answer.is_empty(), "{path} {frames:?}");
        }
    }
    until_idle(&gateway).await;
    gateway.drain().await;
}
