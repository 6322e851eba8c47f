//! Responses to calls that get no permit. Under overload they are most of the responses, so each is made once and copied.

use std::array;
use std::sync::OnceLock;

use http::{HeaderMap, Response};
use tonic::body::Body;

use crate::api::error_mapping::ErrorMapping;
use crate::api::status;
use crate::error::PredictError;
use crate::serving::admission::{Backoff, OF_CONNECTION, OF_GATEWAY};

/// The headers of the responses of one service.
#[derive(Debug)]
pub(super) struct Refusals {
    /// By what there is too much of, then by delay.
    headers: [[OnceLock<HeaderMap>; Backoff::DELAYS]; 2],
}

impl Refusals {
    pub(super) fn new() -> Self {
        let headers = array::from_fn(|_| array::from_fn(|_| OnceLock::new()));
        Self { headers }
    }

    /// Returns the response of `error` for the protocol of `error_mapping`, which is the same for all calls.
    pub(super) fn response(
        &self,
        error: &PredictError,
        error_mapping: &ErrorMapping,
    ) -> Response<Body> {
        let make = || status::to_status(error, error_mapping).into_http::<Body>();
        let Some(cached) = self.find(error) else {
            return make();
        };
        let headers = cached.get_or_init(|| make().into_parts().0.headers);
        let mut response = Response::new(Body::empty());
        response.headers_mut().clone_from(headers);
        response
    }

    fn find(&self, error: &PredictError) -> Option<&OnceLock<HeaderMap>> {
        let PredictError::Overloaded {
            what, retry_after, ..
        } = error
        else {
            return None;
        };
        let of = [OF_GATEWAY, OF_CONNECTION];
        let kind = of.iter().position(|known| known == what)?;
        Some(&self.headers[kind][Backoff::index_of(*retry_after)?])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::error_mapping::NATIVE;

    #[test]
    fn a_copied_response_equals_the_one_that_is_made() {
        let refusals = Refusals::new();
        for (what, millis) in [
            (OF_GATEWAY, 50),
            (OF_CONNECTION, 50),
            (OF_GATEWAY, 100),
            ("rows", 50),
        ] {
            let error = PredictError::Overloaded {
                what,
                limit: 7,
                retry_after: Duration::from_millis(millis),
            };
            let want = status::to_status(&error, &NATIVE).into_http::<Body>();
            for _ in 0..2 {
                let response = refusals.response(&error, &NATIVE);
                assert_eq!(response.headers(), want.headers());
                assert_eq!(response.status(), want.status());
            }
        }
    }
}
