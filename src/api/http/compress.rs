//! Compression of large answers for clients that accept it.

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use tokio::task::spawn_blocking;

use super::HttpState;
use crate::api::gzip;

/// Largest answer, in bytes, that is compressed on the thread of its connection: less than a millisecond of work.
const MAX_INLINE_BYTES: usize = 64 * 1024;

/// Answers a request, and compresses the answer if it is large enough and the client accepts it.
pub(super) async fn compress(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let least = state.min_compressed_bytes;
    let is_accepted = least > 0 && gzip::is_accepted(request.headers(), header::ACCEPT_ENCODING);
    let response = next.run(request).await;
    let length = response.body().size_hint().exact();
    let is_large = length.is_some_and(|length| length >= u64::try_from(least).unwrap_or(u64::MAX));
    if is_accepted && is_large {
        compressed(response).await
    } else {
        response
    }
}

async fn compressed(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        // Answers are complete in memory, so this does not happen.
        head.status = StatusCode::INTERNAL_SERVER_ERROR;
        return Response::from_parts(head, Body::empty());
    };
    let shorter = if bytes.len() <= MAX_INLINE_BYTES {
        deflate(&bytes)
    } else {
        let bytes = bytes.clone();
        spawn_blocking(move || deflate(&bytes)).await.ok().flatten()
    };
    let Some(shorter) = shorter else {
        return Response::from_parts(head, bytes.into());
    };
    for (name, value) in [
        (header::CONTENT_ENCODING, "gzip"),
        (header::VARY, "accept-encoding"),
    ] {
        head.headers.insert(name, HeaderValue::from_static(value));
    }
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, shorter.into())
}

/// Returns `bytes` compressed, unless that is not shorter. The result holds `bytes`, which hold the permit of the request.
fn deflate(bytes: &Bytes) -> Option<Bytes> {
    let compressed = gzip::deflate(Vec::new(), bytes)?;
    let _held = bytes.clone();
    Some(Bytes::from_owner(Compressed { compressed, _held }))
}

struct Compressed {
    compressed: Vec<u8>,
    _held: Bytes,
}

impl AsRef<[u8]> for Compressed {
    fn as_ref(&self) -> &[u8] {
        &self.compressed
    }
}
