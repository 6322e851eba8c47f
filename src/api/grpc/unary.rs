//! The unary methods that are called most, without tonic's streams of messages.
//!
//! tonic reads a message through a stream that boxes the body, copies it and looks for further messages, and writes one in the same way.
//! Most calls come as one frame that is one message, and are decoded from it. All others, such as those in several frames, take tonic's way
//! from their first frame on, so that every rule about them has one place.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body as HttpBody, Frame};
use prost::{Message, Name};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;

use super::body::RequestBody;
use crate::proto::codec;

/// Bytes before a message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// A unary method of a service.
pub trait UnaryMethod: Send + Sync + 'static {
    /// The path of its calls.
    const PATH: &'static str;
    /// Its request.
    type Request: Name + Default + Send;
    /// Its response.
    type Response: Message;

    /// Answers a call.
    ///
    /// # Errors
    /// Returns the status that the call ends with.
    fn answer(
        &self,
        request: tonic::Request<Self::Request>,
    ) -> impl Future<Output = Result<tonic::Response<Self::Response>, Status>> + Send;
}

/// A service that answers whole messages of one method itself.
#[derive(Debug)]
pub struct DirectUnary<S, M> {
    service: S,
    method: Arc<M>,
    max_message_bytes: usize,
}

impl<S: Clone, M> Clone for DirectUnary<S, M> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            method: Arc::clone(&self.method),
            max_message_bytes: self.max_message_bytes,
        }
    }
}

impl<S, M: UnaryMethod> DirectUnary<S, M> {
    /// Answers calls of `method` whose messages have at most `max_message_bytes` bytes in either direction, and passes all others on to
    /// `service`, which has the same limit.
    pub fn new(service: S, method: Arc<M>, max_message_bytes: usize) -> Self {
        Self {
            service,
            method,
            max_message_bytes,
        }
    }
}

impl<S: NamedService, M> NamedService for DirectUnary<S, M> {
    const NAME: &'static str = S::NAME;
}

impl<S, M> Service<Request<RequestBody>> for DirectUnary<S, M>
where
    S: Service<
            Request<RequestBody>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        > + Clone
        + Send
        + 'static,
    M: UnaryMethod,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        if request.uri().path() != M::PATH || request.headers().contains_key("grpc-encoding") {
            return self.service.call(request);
        }
        let (mut service, method) = (self.service.clone(), Arc::clone(&self.method));
        let max_message_bytes = self.max_message_bytes;
        Box::pin(async move {
            let (parts, mut body) = request.into_parts();
            let first = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let Some(message) = whole_message(&first, &body, max_message_bytes) else {
                body.unread(first);
                return service.call(Request::from_parts(parts, body)).await;
            };
            let message = match codec::decode(message) {
                Ok(message) => message,
                Err(status) => return Ok(status.into_http()),
            };
            let metadata = MetadataMap::from_headers(parts.headers);
            let request = tonic::Request::from_parts(metadata, parts.extensions, message);
            let answered = method.answer(request).await;
            let written = answered.and_then(|answer| write(answer, max_message_bytes));
            Ok(written.unwrap_or_else(Status::into_http))
        })
    }
}

/// Returns the only message of a request, if `first` is all of its body and nothing but this message.
fn whole_message(
    first: &Option<Result<Frame<Bytes>, Status>>,
    rest: &RequestBody,
    max_message_bytes: usize,
) -> Option<Bytes> {
    let Some(Ok(frame)) = first else { return None };
    let data = frame.data_ref()?;
    if !rest.is_end_stream() {
        return None;
    }
    let mut head = data.get(..HEAD_BYTES)?;
    let is_plain = head.get_u8() == 0;
    let length = usize::try_from(head.get_u32()).ok()?;
    let is_whole = is_plain && length == data.len() - HEAD_BYTES && length <= max_message_bytes;
    is_whole.then(|| data.slice(HEAD_BYTES..))
}

/// Writes the response of a call.
///
/// # Errors
/// Returns OUT_OF_RANGE if it is larger than the limit.
fn write<T: Message>(
    answer: tonic::Response<T>,
    max_message_bytes: usize,
) -> Result<Response<Body>, Status> {
    let (metadata, message, extensions) = answer.into_parts();
    let length = message.encoded_len();
    let too_large = || {
        Status::out_of_range(format!(
            "the answer has {length} bytes, and the limit is {max_message_bytes} bytes"
        ))
    };
    let short = u32::try_from(length).ok();
    let short = short.filter(|_| length <= max_message_bytes);
    let mut data = BytesMut::with_capacity(HEAD_BYTES + length);
    data.put_u8(0);
    data.put_u32(short.ok_or_else(too_large)?);
    message
        .encode(&mut data)
        .map_err(|error| Status::internal(error.to_string()))?;
    let body = UnaryBody {
        data: data.freeze(),
        is_ended: false,
    };
    let mut response = Response::new(Body::new(body));
    *response.version_mut() = http::Version::HTTP_2;
    *response.headers_mut() = metadata.into_headers();
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    *response.extensions_mut() = extensions;
    Ok(response)
}

/// One message, and then the status OK.
struct UnaryBody {
    data: Bytes,
    is_ended: bool,
}

impl HttpBody for UnaryBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.is_ended {
            return Poll::Ready(None);
        }
        self.is_ended = true;
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended
    }
}
