//! The first step of a prediction over HTTP, and the last: a place in admission control before the body is read, within its bytes and its
//! time, and held until the answer has left.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::StreamExt;

use super::form::Unread;
use super::refusal::Refusal;
use crate::api::MESSAGE_PATIENCE;
use crate::api::http::HttpState;
use crate::error::{InputFaults, PredictError};
use crate::insight::metrics::MessageFault;
use crate::serving::admission::RequestPermit;
use crate::serving::{Answer, Query};

/// How long the rest of a body may take to come that nobody reads.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes of a body that is read from JSON on the thread that serves its connection, which other connections share: less than a
/// millisecond of work. Going to another thread costs some ten microseconds and would make small requests slower.
const READ_AT_ONCE: usize = 64 * 1024;

/// A request that has come as a whole and has its place.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) place: Arc<RequestPermit>,
}

impl HttpState {
    /// Takes a request in.
    ///
    /// # Errors
    /// It is refused before it is read as JSON, or did not come.
    pub(super) async fn receive(&self, request: Request) -> Result<Received, Refusal> {
        let (head, body) = request.into_parts();
        let headers = head.headers;
        let mut body = body.into_data_stream();
        let place = match self.enter(&headers) {
            Ok(place) => Arc::new(place),
            Err(refusal) => {
                self.linger(&headers, body).await;
                return Err(refusal);
            }
        };
        match self.body(&mut body, &place).await {
            Ok(body) => Ok(Received {
                headers,
                body,
                place,
            }),
            Err(refusal) => {
                // What has come is let go of; the place stays until the refusal has left.
                place.release_bytes();
                self.linger(&headers, body).await;
                Err(refusal.holding(place))
            }
        }
    }

    /// A place for a request with these headers.
    fn enter(&self, headers: &HeaderMap) -> Result<RequestPermit, Refusal> {
        let admission = self.predictor.admission();
        if admission.is_draining() {
            return Err(Refusal::going_down());
        }
        if let Some(got) = encoding(headers) {
            self.telemetry.unreadable(MessageFault::Malformed);
            let refusal = Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "MALFORMED_MESSAGE",
                "compressed bodies are not read: send it as it is",
            );
            return Err(refusal.about("content-encoding", got, "identity, or no such header"));
        }
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > u64::try_from(self.most).unwrap_or(u64::MAX)) {
            return Err(self.too_large());
        }
        Ok(admission.enter(Instant::now(), None)?)
    }

    fn too_large(&self) -> Refusal {
        self.telemetry.unreadable(MessageFault::TooLarge);
        let most = self.most;
        let told =
            format!("the body is larger than the limit, {most} bytes: send fewer rows at a time");
        let refusal = Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "MESSAGE_TOO_LARGE", told);
        refusal.about("body", "more", &format!("at most {most} bytes"))
    }

    /// All of `body`.
    async fn body(
        &self,
        body: &mut BodyDataStream,
        place: &RequestPermit,
    ) -> Result<Bytes, Refusal> {
        let mut read = pin!(self.all_of(body, place));
        tokio::select! {
            // Most bodies are there when they are asked for, and then no clock is wound up.
            biased;
            read = &mut read => return read,
            () = place.cut_off() => {
                place.mark_interrupted();
                return Err(PredictError::Draining.into());
            }
            () = sleep_until(place.arrived + MESSAGE_PATIENCE) => {}
        }
        // The clock goes on while the thread does something else. What came meanwhile is read, a piece at a time as the connection
        // hands it over, up to the first time that there is none.
        let mut had = None;
        while had != Some(place.bytes()) {
            had = Some(place.bytes());
            tokio::select! {
                biased;
                read = &mut read => return read,
                () = yield_now() => {}
            }
        }
        self.telemetry.unreadable(MessageFault::TooSlow);
        let told = format!("the message did not come within {MESSAGE_PATIENCE:?}");
        let status = StatusCode::REQUEST_TIMEOUT;
        Err(Refusal::new(status, "MESSAGE_TOO_SLOW", told))
    }

    async fn all_of(
        &self,
        body: &mut BodyDataStream,
        place: &RequestPermit,
    ) -> Result<Bytes, Refusal> {
        // A body that comes in one piece, as most do, is not copied. Pieces are, since small ones hold large buffers.
        let (mut first, mut more) = (Bytes::new(), BytesMut::new());
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| {
                self.telemetry.unreadable(MessageFault::Malformed);
                let told = "the body did not come as a whole";
                Refusal::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", told)
            })?;
            place.hold(piece.len())?;
            if place.bytes() > self.most {
                return Err(self.too_large());
            }
            if first.is_empty() {
                first = piece;
            } else {
                if more.is_empty() {
                    more.extend_from_slice(&first);
                }
                more.extend_from_slice(&piece);
            }
        }
        place.mark_read();
        Ok(if more.is_empty() {
            first
        } else {
            more.freeze()
        })
    }

    /// What `read` makes of a body of `bytes` bytes whose request has `place`: here, or on another thread where it takes long.
    /// What could not be read is counted.
    ///
    /// # Errors
    /// It cannot be read, or the gateway goes down before it was its turn.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        place: &Arc<RequestPermit>,
        read: impl FnOnce() -> Result<T, Unread> + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= READ_AT_ONCE {
            return self.readable(read(), place);
        }
        let readers = Arc::clone(&self.readers);
        let elsewhere = async {
            let turn = readers.acquire_owned().await.ok()?;
            let read = spawn_blocking(move || {
                // Kept to the end, also where the client goes away meanwhile.
                let _turn = turn;
                read()
            });
            read.await.ok()
        };
        let read = tokio::select! {
            biased;
            read = elsewhere => read,
            () = place.cut_off() => {
                place.mark_interrupted();
                return Err(Refusal::from(PredictError::Draining).holding(Arc::clone(place)));
            }
        };
        match read {
            Some(read) => self.readable(read, place),
            None => {
                tracing::error!("a body could not be read: its reader broke off");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let refusal = Refusal::new(status, "INTERNAL", "the body cannot be read");
                Err(refusal.holding(Arc::clone(place)))
            }
        }
    }

    fn readable<T>(
        &self,
        read: Result<T, Unread>,
        place: &Arc<RequestPermit>,
    ) -> Result<T, Refusal> {
        let refusal = match read {
            Ok(read) => return Ok(read),
            Err(Unread::Faulty(faults)) => self.predictor.pipeline().refuse(faults).into(),
            Err(Unread::Malformed(why)) => {
                self.telemetry.unreadable(MessageFault::Malformed);
                let told = format!("the body is not well-formed JSON: {why}");
                Refusal::new(StatusCode::BAD_REQUEST, "MALFORMED_MESSAGE", told)
                    .about("body", &why, "JSON")
            }
        };
        Err(refusal.holding(Arc::clone(place)))
    }

    /// Lets the rest of a refused body pass, up to a limit: a client that is still sending when its connection is closed may never see
    /// why. One that has asked first whether it may send is not told to. Nobody stays for it once the gate is cut off.
    async fn linger(&self, headers: &HeaderMap, mut body: BodyDataStream) {
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let mut left = self.most;
        let pass = async {
            while let Some(Ok(piece)) = body.next().await {
                match left.checked_sub(piece.len()) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        tokio::select! {
            biased;
            () = self.predictor.admission().until_cut_off() => {}
            _ = timeout(LINGER, pass) => {}
        }
    }

    /// The answer to a query whose place is `place`.
    ///
    /// # Errors
    /// See [`PredictError`].
    pub(super) async fn answer(
        &self,
        query: Result<Query, InputFaults>,
        place: &Arc<RequestPermit>,
    ) -> Result<Answer, Refusal> {
        let answered = tokio::select! {
            biased;
            answer = self.predictor.answer(query) => answer,
            () = place.cut_off() => {
                place.mark_interrupted();
                Err(PredictError::Draining)
            }
        };
        answered.map_err(|error| Refusal::from(error).holding(Arc::clone(place)))
    }
}

/// What was done to a body so that it cannot be read as it is.
fn encoding(headers: &HeaderMap) -> Option<&str> {
    let lists = headers.get_all(header::CONTENT_ENCODING).iter();
    let all = lists.flat_map(|list| list.to_str().unwrap_or("bytes").split(','));
    let mut all = all.map(str::trim);
    all.find(|one| !one.is_empty() && !one.eq_ignore_ascii_case("identity"))
}

/// `body`, which holds `place` until the system has taken its last byte.
pub(super) fn holding(body: Vec<u8>, place: Arc<RequestPermit>) -> Body {
    Body::from(Bytes::from_owner(Sent {
        body,
        _place: place,
    }))
}

/// Bytes on their way out, and the place of the request that they answer.
struct Sent {
    body: Vec<u8>,
    _place: Arc<RequestPermit>,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
