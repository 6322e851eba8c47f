//! What the gateway knows about a request apart from its message: who sent it, and its permit.
//!
//! A connection attaches one [`RequestContext`] to each of its requests, over gRPC and HTTP alike. Every later layer and every handler
//! reads that one value. It is one value because each extension of a request costs an allocation.
//! Not here: what a caller may do. Authorisation will compare the principal, which belongs in this context, with the row of the
//! [endpoint table](super::endpoints).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::Extensions;
use http::request::Parts;
use tonic::Request;

use crate::serving::admission::{ConnectionUsage, RequestPermit};
use crate::serving::call_limit::ConnectionCalls;

/// What is known about one request apart from its message.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    peer: Option<SocketAddr>,
    /// What the connection holds; moved into the permit.
    usage: Option<Arc<ConnectionUsage>>,
    /// Set once admission control has admitted the request.
    permit: Option<Arc<RequestPermit>>,
    /// `None` for a request that came without a connection.
    calls: Option<Arc<ConnectionCalls>>,
}

impl RequestContext {
    /// Creates the context of the requests of one connection, whose other end is `peer`.
    #[must_use]
    pub fn new(peer: Option<SocketAddr>) -> Self {
        Self {
            peer,
            ..Self::default()
        }
    }

    /// Sets where the calls of the connection are counted that services without admission control answer.
    #[must_use]
    pub fn with_calls(self, calls: Arc<ConnectionCalls>) -> Self {
        let calls = Some(calls);
        Self { calls, ..self }
    }

    /// Sets what counts the permits of the connection.
    #[must_use]
    pub fn with_usage(self, usage: Arc<ConnectionUsage>) -> Self {
        let usage = Some(usage);
        Self { usage, ..self }
    }

    /// Attaches a copy to a request by its extensions.
    pub fn attach(&self, extensions: &mut Extensions) {
        extensions.insert(self.clone());
    }

    /// Returns the address of the client; `None` for a request that came without a connection, as in tests.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Returns the name of the caller for history and audit log, used if the request gives none.
    pub(super) fn caller_name(&self) -> Option<String> {
        self.peer.map(|peer| peer.to_string())
    }

    /// Returns where the calls of a request's connection are counted.
    pub(super) fn calls(extensions: &Extensions) -> Arc<ConnectionCalls> {
        let context = extensions.get::<Self>();
        let calls = context.and_then(|context| context.calls.clone());
        calls.unwrap_or_default()
    }

    /// Splits a gRPC request into its context and its message.
    pub(super) fn split<T>(request: Request<T>) -> (Self, T) {
        let (_, mut extensions, message) = request.into_parts();
        (extensions.remove().unwrap_or_default(), message)
    }

    /// Takes what counts the permits of the request's connection out of its context; `None` for a request that came without a
    /// connection.
    pub(super) fn take_usage(extensions: &mut Extensions) -> Option<Arc<ConnectionUsage>> {
        extensions.get_mut::<Self>()?.usage.take()
    }

    /// Stores the permit of an admitted request in its context.
    pub(super) fn admit(extensions: &mut Extensions, permit: Arc<RequestPermit>) {
        extensions.get_or_insert_default::<Self>().permit = Some(permit);
    }

    /// Takes the permit out of the context of a request; `None` if no admission control admitted it.
    pub(super) fn take_permit(extensions: &mut Extensions) -> Option<Arc<RequestPermit>> {
        extensions.get_mut::<Self>()?.permit.take()
    }
}

/// The context as an argument of an HTTP handler.
impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
