//! The layers that every gRPC call passes, in this order, on both ports:
//!
//! 1. The connection attaches the [`RequestContext`](crate::api::RequestContext).
//! 2. [`Stack`]: the place for authentication and authorisation, which need the context, the headers and the row of the called method.
//! 3. The limits that the row of the service names: [`Admission`] or [`LimitedCalls`].
//! 4. The service.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

use super::admission::Admission;
use super::body::RequestBody;
use super::calls::LimitedCalls;
use super::gzip::CompressionLimits;
use crate::api::endpoints::{Limits, Port};
use crate::insight::metrics::Telemetry;
use crate::serving::admission::AdmissionControl;
use crate::serving::call_limit::CallLimiter;

/// A service that has no row for its port in the [endpoint table](crate::api::endpoints).
#[derive(Debug, thiserror::Error)]
#[error("gRPC service {service} has no row for the {} port in the endpoint table", .port.as_str())]
pub struct UnlistedService {
    port: Port,
    service: &'static str,
}

/// Builds the stacks of the services of one port.
#[derive(Debug)]
pub struct StackBuilder {
    port: Port,
    admission: Arc<AdmissionControl>,
    call_limiter: Arc<CallLimiter>,
    telemetry: Arc<Telemetry>,
    compression: CompressionLimits,
}

impl StackBuilder {
    /// Creates a builder for `port`. Services with admission control share `admission`, and count messages that cannot be read in
    /// `telemetry`. The other services share `call_limiter`.
    #[must_use]
    pub fn new(
        port: Port,
        admission: Arc<AdmissionControl>,
        call_limiter: Arc<CallLimiter>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self {
            port,
            admission,
            call_limiter,
            telemetry,
            compression: CompressionLimits::default(),
        }
    }

    /// Sets which messages are inflated and compressed.
    #[must_use]
    pub fn with_compression(self, compression: CompressionLimits) -> Self {
        Self {
            compression,
            ..self
        }
    }

    /// Puts `service` behind the layers that its row asks for.
    ///
    /// # Errors
    /// Returns an error if the service has no row for this port.
    pub fn stack<S: NamedService>(&self, service: S) -> Result<Stack<S>, UnlistedService> {
        let row = self.port.service(S::NAME).ok_or(UnlistedService {
            port: self.port,
            service: S::NAME,
        })?;
        Ok(Stack(match row.limits {
            Limits::Admission(error_mapping) => {
                let (admission, telemetry) =
                    (Arc::clone(&self.admission), Arc::clone(&self.telemetry));
                let admitted = Admission::new(service, admission, telemetry)
                    .with_error_mapping(error_mapping)
                    .with_compression(self.compression);
                Limited::Admission(admitted)
            }
            Limits::Calls(limited) => {
                let limiter = Arc::clone(&self.call_limiter);
                Limited::Calls(LimitedCalls::new(
                    service,
                    limited,
                    limiter,
                    self.compression,
                ))
            }
        }))
    }

    /// Returns the names of the port's services, without reflection.
    pub fn service_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.port.services().iter().map(|service| service.name)
    }
}

/// A gRPC service behind all its layers. Ports serve nothing else.
#[derive(Clone, Debug)]
pub struct Stack<S>(Limited<S>);

#[derive(Clone, Debug)]
enum Limited<S> {
    Admission(Admission<S>),
    Calls(LimitedCalls<S>),
}

impl<S: NamedService> NamedService for Stack<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Stack<S>
where
    S: Service<Request<RequestBody>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + Unpin + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        <Admission<S> as Service<Request<Body>>>::Future,
        <LimitedCalls<S> as Service<Request<Body>>>::Future,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match &mut self.0 {
            Limited::Admission(service) => service.poll_ready(cx),
            Limited::Calls(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &mut self.0 {
            Limited::Admission(service) => Either::Left(service.call(request)),
            Limited::Calls(service) => Either::Right(service.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::admission::Limits as AdmissionLimits;
    use crate::serving::call_limit::{CallLimit, CallLimits};

    #[derive(Clone, Debug)]
    struct Unlisted;

    impl NamedService for Unlisted {
        const NAME: &'static str = "taper.v1.Unlisted";
    }

    #[test]
    fn a_service_without_a_row_cannot_be_served() {
        let telemetry = Telemetry::new().unwrap();
        let limits = AdmissionLimits {
            max_in_flight: 1,
            max_in_flight_bytes: 1,
        };
        let admission = AdmissionControl::new(limits, Arc::clone(&telemetry));
        let limit = CallLimit {
            total: 1,
            per_connection: 1,
        };
        let calls = CallLimits {
            health: limit,
            reflection: limit,
            admin: limit,
            max_message_bytes: 1,
        };
        let call_limiter = CallLimiter::new(calls, Arc::clone(&telemetry));
        let error = StackBuilder::new(Port::Data, admission, call_limiter, telemetry)
            .stack(Unlisted)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "gRPC service taper.v1.Unlisted has no row for the data port in the endpoint table"
        );
    }
}
