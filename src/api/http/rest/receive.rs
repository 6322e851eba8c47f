//! The first and the last step of a prediction over HTTP: a permit of admission control before the body is read, within its limits on bytes
//! and time. The permit is released after the response body has been handed to the operating system.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::StreamExt;

use super::error_response::ErrorResponse;
use super::form::ParseError;
use crate::api::MESSAGE_PATIENCE;
use crate::api::context::RequestContext;
use crate::api::gzip::{InflateError, Inflater, SLICE, WHOLE, count_beyond};
use crate::api::http::HttpState;
use crate::error::{InputFaults, PredictError};
use crate::insight::metrics::MessageFault;
use crate::serving::admission::{ConnectionUsage, RequestPermit};
use crate::serving::{Answer, Query};

/// How long the rest of a refused body may take to arrive.
const LINGER: Duration = Duration::from_secs(1);

/// Largest body, in bytes, that is parsed on the thread of its connection: less than a millisecond of work. Another thread costs some
/// ten microseconds, which would make small requests slower.
const MAX_INLINE_BYTES: usize = 64 * 1024;

/// A request whose body has arrived, with its permit.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) permit: Arc<RequestPermit>,
}

impl HttpState {
    /// Gets a permit and reads the body.
    ///
    /// # Errors
    /// Returns an error response if the request is not admitted, or if its body does not arrive within its limits.
    pub(super) async fn receive(&self, request: Request) -> Result<Received, ErrorResponse> {
        let (mut head, body) = request.into_parts();
        let usage = RequestContext::take_usage(&mut head.extensions);
        let headers = head.headers;
        let mut body = body.into_data_stream();
        let permit = match self.enter(&headers, usage) {
            Ok(permit) => Arc::new(permit),
            Err(response) => {
                self.linger(&headers, body).await;
                return Err(response);
            }
        };
        let is_gzip = is_compressed(&headers) == Ok(true);
        match self.read_body(&mut body, &permit, is_gzip).await {
            Ok(body) => Ok(Received {
                headers,
                body,
                permit,
            }),
            Err(response) => {
                // The bytes that arrived are dropped; the permit is held until the error response has been
                // handed to the operating system.
                permit.release_bytes();
                // Another connection waits for the permit of an evicted request.
                let permit = (!permit.is_evicted()).then_some(permit);
                self.linger(&headers, body).await;
                Err(match permit {
                    Some(permit) => response.holding(permit),
                    None => response,
                })
            }
        }
    }

    /// Gets a permit for a request with these headers.
    fn enter(
        &self,
        headers: &HeaderMap,
        usage: Option<Arc<ConnectionUsage>>,
    ) -> Result<RequestPermit, ErrorResponse> {
        let admission = self.predictor.admission();
        if admission.is_draining() {
            return Err(ErrorResponse::draining());
        }
        if let Err(got) = is_compressed(headers) {
            self.telemetry.unreadable(MessageFault::Malformed);
            let response = ErrorResponse::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "MALFORMED_MESSAGE",
                "unsupported compression of the body: use gzip, or send the body uncompressed",
            );
            return Err(response.about(
                "content-encoding",
                got,
                "gzip, identity, or no such header",
            ));
        }
        let length = headers.get(header::CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let max = u64::try_from(self.max_body_bytes).unwrap_or(u64::MAX);
        if length.is_some_and(|length| length > max) {
            return Err(self.too_large());
        }
        Ok(admission.enter_from(usage, Instant::now(), None)?)
    }

    fn too_large(&self) -> ErrorResponse {
        self.telemetry.unreadable(MessageFault::TooLarge);
        let max = self.max_body_bytes;
        let text =
            format!("the body is larger than the limit, {max} bytes: send fewer rows at a time");
        let response = ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, "MESSAGE_TOO_LARGE", text);
        response.about("body", "more", &format!("at most {max} bytes"))
    }

    /// Reads all of `body`, within [`MESSAGE_PATIENCE`].
    async fn read_body(
        &self,
        body: &mut BodyDataStream,
        permit: &RequestPermit,
        is_gzip: bool,
    ) -> Result<Bytes, ErrorResponse> {
        let mut read = pin!(self.collect_body(body, permit, is_gzip));
        tokio::select! {
            // Most bodies are there already, and then no timer is created.
            biased;
            read = &mut read => return read,
            () = permit.cut_off() => {
                permit.mark_interrupted();
                return Err(PredictError::Draining.into());
            }
            () = permit.evicted() => return Err(permit.eviction().into()),
            () = sleep_until(permit.arrived + MESSAGE_PATIENCE) => {}
        }
        // The timer also runs while the thread does something else. What arrived meanwhile is still read, one piece at a time as the
        // connection hands it over, until there is none.
        let mut bytes_before = None;
        while bytes_before != Some(permit.bytes()) {
            bytes_before = Some(permit.bytes());
            tokio::select! {
                biased;
                read = &mut read => return read,
                () = yield_now() => {}
            }
        }
        self.telemetry.unreadable(MessageFault::TooSlow);
        let text = format!("the body did not arrive within {MESSAGE_PATIENCE:?}");
        let status = StatusCode::REQUEST_TIMEOUT;
        Err(ErrorResponse::new(status, "MESSAGE_TOO_SLOW", text))
    }

    async fn collect_body(
        &self,
        body: &mut BodyDataStream,
        permit: &RequestPermit,
        is_gzip: bool,
    ) -> Result<Bytes, ErrorResponse> {
        if is_gzip {
            return self.inflate_body(body, permit).await;
        }
        // A body in one piece, as most are, is not copied. Several pieces are, since small ones may keep large buffers alive.
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| self.incomplete())?;
            permit.hold(piece.len())?;
            if permit.bytes() > self.max_body_bytes {
                return Err(self.too_large());
            }
            if first.is_empty() {
                first = piece;
            } else {
                if joined.is_empty() {
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&piece);
            }
        }
        permit.mark_read();
        Ok(if joined.is_empty() {
            first
        } else {
            joined.freeze()
        })
    }

    /// Reads and inflates all of `body`. Its inflated bytes are counted.
    async fn inflate_body(
        &self,
        body: &mut BodyDataStream,
        permit: &RequestPermit,
    ) -> Result<Bytes, ErrorResponse> {
        let fault = |error| match error {
            InflateError::Refused(response) => response,
            InflateError::Malformed(why) => {
                self.telemetry.unreadable(MessageFault::Malformed);
                let text = format!("the body is not well-formed gzip: {why}");
                ErrorResponse::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", text)
            }
        };
        let mut collected = BytesMut::new();
        let mut is_end = false;
        while !is_end && collected.len() < WHOLE {
            match body.next().await {
                Some(piece) => {
                    let piece = piece.map_err(|_| self.incomplete())?;
                    permit.hold(piece.len())?;
                    collected.extend_from_slice(&piece);
                }
                None => is_end = true,
            }
        }
        let hold = |more| permit.hold(more).map_err(ErrorResponse::from);
        let mut count = count_beyond(collected.len(), hold);
        let charge = |before: usize, more: usize| {
            if before + more > self.max_body_bytes {
                return Err(self.too_large());
            }
            count(more)
        };
        let mut inflater = Inflater::new(Vec::new(), charge);
        let mut inflated = 0;
        let mut next = Some(Ok(collected.freeze()));
        while let Some(piece) = next {
            let mut piece = piece.map_err(|_| self.incomplete())?;
            while !piece.is_empty() {
                let taken = inflater.push(&piece).map_err(fault)?;
                piece.advance(taken);
                if inflater.output() - inflated >= SLICE {
                    inflated = inflater.output();
                    yield_now().await;
                }
            }
            next = if is_end { None } else { body.next().await };
        }
        let inflated = inflater.finish().map_err(fault)?;
        permit.mark_read();
        Ok(inflated.into())
    }

    fn incomplete(&self) -> ErrorResponse {
        self.telemetry.unreadable(MessageFault::Malformed);
        let text = "the body ended before it was complete";
        ErrorResponse::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", text)
    }

    /// Runs `parse` over a body of `bytes` bytes whose request holds `permit`: on this thread, or on a blocking thread if the body is
    /// large. Counts a body that cannot be parsed.
    ///
    /// # Errors
    /// Returns an error response if the body cannot be parsed, or if the gateway cuts the request off while it waits for a thread.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        bytes: usize,
        permit: &Arc<RequestPermit>,
        parse: impl FnOnce() -> Result<T, ParseError> + Send + 'static,
    ) -> Result<T, ErrorResponse> {
        if bytes <= MAX_INLINE_BYTES {
            return self.accept_parsed(parse(), permit);
        }
        let readers = Arc::clone(&self.readers);
        let on_blocking_thread = async {
            let reader = readers.acquire_owned().await.ok()?;
            let parsed = spawn_blocking(move || {
                // Held until the end, even if the client disconnects.
                let _reader = reader;
                parse()
            });
            parsed.await.ok()
        };
        let parsed = tokio::select! {
            biased;
            parsed = on_blocking_thread => parsed,
            () = permit.cut_off() => {
                permit.mark_interrupted();
                return Err(ErrorResponse::from(PredictError::Draining).holding(Arc::clone(permit)));
            }
        };
        match parsed {
            Some(parsed) => self.accept_parsed(parsed, permit),
            None => {
                tracing::error!("failed to parse a body: the parser panicked");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let response = ErrorResponse::new(status, "INTERNAL", "failed to parse the body");
                Err(response.holding(Arc::clone(permit)))
            }
        }
    }

    fn accept_parsed<T>(
        &self,
        parsed: Result<T, ParseError>,
        permit: &Arc<RequestPermit>,
    ) -> Result<T, ErrorResponse> {
        let response = match parsed {
            Ok(parsed) => return Ok(parsed),
            Err(ParseError::Invalid(faults)) => {
                self.predictor.pipeline().reject_invalid(faults).into()
            }
            Err(ParseError::Malformed(why)) => {
                self.telemetry.unreadable(MessageFault::Malformed);
                let text = format!("the body is not well-formed JSON: {why}");
                ErrorResponse::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", text)
                    .about("body", &why, "JSON")
            }
        };
        Err(response.holding(Arc::clone(permit)))
    }

    /// Reads and drops the rest of a refused body, up to the limit on bodies: a client that is still sending when its connection closes
    /// may never see the error response. Not done for a client that waits for permission to send, nor once the gateway cuts requests off.
    async fn linger(&self, headers: &HeaderMap, mut body: BodyDataStream) {
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let mut bytes_left = self.max_body_bytes;
        let drop_rest = async {
            while let Some(Ok(piece)) = body.next().await {
                match bytes_left.checked_sub(piece.len()) {
                    Some(rest) => bytes_left = rest,
                    None => return,
                }
            }
        };
        tokio::select! {
            biased;
            () = self.predictor.admission().until_cut_off() => {}
            _ = timeout(LINGER, drop_rest) => {}
        }
    }

    /// Answers a query whose request holds `permit`.
    ///
    /// # Errors
    /// Returns an error response for each [`PredictError`].
    pub(super) async fn answer(
        &self,
        query: Result<Query, InputFaults>,
        permit: &Arc<RequestPermit>,
    ) -> Result<Answer, ErrorResponse> {
        let answer = self.try_answer(query, permit).await;
        answer.map_err(|error| ErrorResponse::from(error).holding(Arc::clone(permit)))
    }

    /// Answers a query as [`answer`](Self::answer) does, for a caller that makes the error response itself.
    ///
    /// # Errors
    /// See [`PredictError`].
    pub(super) async fn try_answer(
        &self,
        query: Result<Query, InputFaults>,
        permit: &Arc<RequestPermit>,
    ) -> Result<Answer, PredictError> {
        tokio::select! {
            biased;
            answer = self.predictor.answer(query) => answer,
            () = permit.cut_off() => {
                permit.mark_interrupted();
                Err(PredictError::Draining)
            }
        }
    }
}

/// Returns whether the body is compressed with gzip.
///
/// # Errors
/// Returns another encoding of the body, if there is one.
fn is_compressed(headers: &HeaderMap) -> Result<bool, &str> {
    let lists = headers.get_all(header::CONTENT_ENCODING).iter();
    let encodings = lists.flat_map(|list| list.to_str().unwrap_or("bytes").split(','));
    let encodings = encodings.map(str::trim);
    let mut encodings =
        encodings.filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case("identity"));
    let is_gzip =
        |one: &str| one.eq_ignore_ascii_case("gzip") || one.eq_ignore_ascii_case("x-gzip");
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(false),
        (Some(one), None) if is_gzip(one) => Ok(true),
        (Some(one), None) | (Some(_), Some(one)) => Err(one),
    }
}

/// Makes a body of `bytes` that holds `permit` until the system has taken the last byte.
pub(super) fn body_holding(bytes: Vec<u8>, permit: Arc<RequestPermit>) -> Body {
    Body::from(Bytes::from_owner(HeldBytes {
        bytes,
        _permit: permit,
    }))
}

/// Bytes of a response, and the permit of its request.
struct HeldBytes {
    bytes: Vec<u8>,
    _permit: Arc<RequestPermit>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
