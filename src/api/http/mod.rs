//! The HTTP port: the Open Inference Protocol for services, metrics for dashboards, health for orchestrators.

mod compress;
mod openapi;
mod rest;
mod routes;

use std::num::NonZero;
use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware::{from_fn_with_state, map_response_with_state},
    response::{IntoResponse, Response},
};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::api::catalog::{Catalog, Readiness};
use crate::api::endpoints::{Endpoint, Port};
use crate::api::predictor::Predictor;
use crate::insight::metrics::Telemetry;
use crate::insight::outcomes::Outcomes;

/// What the handlers of the HTTP port share.
#[derive(Clone, Debug)]
pub struct HttpState {
    catalog: Catalog,
    telemetry: Arc<Telemetry>,
    outcomes: Arc<Outcomes>,
    predictor: Predictor,
    /// Limit on the bytes of a request's body.
    max_body_bytes: usize,
    /// The fewest bytes of an answer that is compressed for a client that accepts it; 0: none is.
    min_compressed_bytes: usize,
    /// One permit: rendering metrics holds a second copy of all series in memory.
    rendering: Arc<Semaphore>,
    /// One permit for each thread that may parse a large JSON body.
    readers: Arc<Semaphore>,
}

impl HttpState {
    /// Creates the state of a port that describes `catalog`, renders `telemetry` and `outcomes`, and answers predictions from
    /// `predictor`, whose bodies have at most `max_body_bytes` bytes.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        telemetry: &Arc<Telemetry>,
        outcomes: Arc<Outcomes>,
        predictor: Predictor,
        max_body_bytes: usize,
    ) -> Self {
        Self {
            catalog,
            telemetry: Arc::clone(telemetry),
            outcomes,
            predictor,
            max_body_bytes,
            min_compressed_bytes: 4096,
            rendering: Arc::new(Semaphore::new(1)),
            readers: Arc::new(Semaphore::new(reader_threads())),
        }
    }
}

impl HttpState {
    /// Sets the fewest bytes of an answer that is compressed for a client that accepts it; 0: none is.
    #[must_use]
    pub fn with_min_compressed_bytes(self, min_compressed_bytes: usize) -> Self {
        Self {
            min_compressed_bytes,
            ..self
        }
    }
}

/// Returns half of the cores, at least one, so that the other half is free for small requests.
fn reader_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    (cores / 2).max(1)
}

/// Builds the router of the HTTP port. A request passes, in this order:
///
/// 1. The connection attaches the [`RequestContext`](crate::api::RequestContext).
/// 2. Its route, whose row names the operation: the place for authentication and authorisation.
/// 3. The handler. Handlers that predict first get a permit and the body from `HttpState::receive`.
/// 4. `compress` and `close_when_draining`, on the way back.
pub fn router(state: HttpState) -> Router {
    let routes = routes::all().into_iter();
    let router = routes.fold(Router::new(), |router, route| {
        let pattern = route.pattern().to_owned();
        router.route(&pattern, route.handler)
    });
    router
        .fallback(rest::no_such_path)
        .method_not_allowed_fallback(rest::no_such_method)
        .layer(from_fn_with_state(state.clone(), compress::compress))
        .layer(map_response_with_state(state.clone(), close_when_draining))
        .with_state(state)
}

/// Returns the rows of the HTTP routes.
pub(super) fn endpoints() -> impl Iterator<Item = Endpoint> {
    routes::all().into_iter().map(|route| Endpoint {
        port: Port::Http,
        method: route.method,
        path: route.path,
        operation: route.operation,
    })
}

/// While the gateway drains, asks the client to send its next request on another connection.
async fn close_when_draining(State(state): State<HttpState>, mut response: Response) -> Response {
    if state.predictor.admission().is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Renders the metrics on a blocking thread: thousands of series take a while.
async fn metrics(
    State(state): State<HttpState>,
) -> Result<impl IntoResponse, (StatusCode, &'static str)> {
    const FAILED: (StatusCode, &str) = (
        StatusCode::INTERNAL_SERVER_ERROR,
        "failed to render metrics\n",
    );
    let permit = Arc::clone(&state.rendering).acquire_owned().await;
    let permit = permit.map_err(|_| FAILED)?;
    let render = move || {
        // Held until the end, even if the client disconnects.
        let _permit = permit;
        let snapshot = state.catalog.snapshot();
        snapshot.report_counted_shares();
        snapshot.report_quality();
        state.outcomes.report_rows();
        state.predictor.admission().report_occupancy();
        state.telemetry.render()
    };
    let text = spawn_blocking(render).await.map_err(|_| FAILED)?;
    let header = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    Ok(([header], text))
}

/// Answers 200 while the gateway is ready, otherwise 503, in both cases with one problem a line.
async fn readyz(State(state): State<HttpState>) -> impl IntoResponse {
    let Readiness { is_ready, problems } = state.catalog.readiness();
    let problems = problems.iter().map(|problem| format!("{problem}\n"));
    if is_ready {
        let lines = std::iter::once("ready\n".to_owned()).chain(problems);
        (StatusCode::OK, lines.collect())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            problems.collect::<String>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::body::Body;
    use axum::extract::Request;
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use tokio::runtime;
    use tokio::sync::{OwnedSemaphorePermit, watch};
    use tower::Service as _;

    use super::*;
    use crate::api::lifecycle::Lifecycle;
    use crate::control::View;
    use crate::insight::outcomes::OutcomeSettings;
    use crate::serving::Pipeline;
    use crate::serving::admission::{AdmissionControl, Limits};
    use crate::serving::batch::Pool;
    use crate::serving::live::{Live, Snapshot};

    /// The state of a port without models, and its admission control.
    fn state() -> (HttpState, Arc<AdmissionControl>) {
        let telemetry = Telemetry::new().unwrap();
        let live = Arc::new(Live::new(Snapshot::default()));
        let (_, views) = watch::channel(Arc::new(View::default()));
        let outcomes = Outcomes::new(OutcomeSettings::default(), telemetry.outcomes());
        let catalog = Catalog::new(Arc::clone(&live), views, Lifecycle::new().watch());
        let pipeline = Pipeline::new(
            Arc::clone(&live),
            Arc::clone(&telemetry),
            Pool::start().unwrap(),
        );
        let max_bytes = 1 << 20;
        let limits = Limits {
            max_in_flight: 8,
            max_in_flight_bytes: max_bytes,
        };
        let admission = AdmissionControl::new(limits, Arc::clone(&telemetry));
        let predictor = Predictor::new(Arc::new(pipeline), Arc::clone(&admission));
        let outcomes = Arc::new(outcomes);
        let state = HttpState::new(catalog, &telemetry, outcomes, predictor, max_bytes);
        (state, admission)
    }

    /// Takes the permits of all reader threads.
    async fn take_all_readers(state: &HttpState) -> OwnedSemaphorePermit {
        let readers = Arc::clone(&state.readers);
        let all = u32::try_from(readers.available_permits()).unwrap();
        readers.acquire_many_owned(all).await.unwrap()
    }

    async fn call(mut router: Router, request: Request) -> StatusCode {
        router.call(request).await.unwrap().status()
    }

    fn get(path: &str) -> Request {
        Request::get(path).body(Body::empty()).unwrap()
    }

    fn post(path: &str, body: &str) -> Request {
        Request::post(path)
            .body(Body::from(body.to_owned()))
            .unwrap()
    }

    #[tokio::test]
    async fn every_row_is_a_route_of_the_router() {
        let router = router(state().0);
        for endpoint in endpoints() {
            let path = endpoint.path.replace("{model}", "m");
            let request = Request::builder()
                .method(endpoint.method)
                .uri(path.replace("{version}", "1").replace("{label}", "l"))
                .body(Body::from("{}"))
                .unwrap();
            let response = router.clone().call(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body);
            assert!(!body.contains("UNKNOWN_PATH"), "{endpoint:?}: {body}");
            assert!(!body.contains("UNKNOWN_METHOD"), "{endpoint:?}: {body}");
        }
    }

    #[tokio::test]
    async fn small_requests_do_not_wait_for_large_bodies() {
        let (state, admission) = state();
        let taken = take_all_readers(&state).await;
        let router = router(state);
        let rows = format!(r#"{{"rows": [{}{{}}]}}"#, "{},".repeat(40_000));
        let tensors = format!(r#"{{"id": "{}", "inputs": []}}"#, "7".repeat(100_000));
        let mut large = [("predict", rows), ("infer", tensors)].map(|(end, body)| {
            let request = post(&format!("/v2/models/m/{end}"), &body);
            Box::pin(call(router.clone(), request))
        });
        for large in &mut large {
            assert!(large.now_or_never().is_none());
        }
        assert_eq!(
            admission.in_flight(),
            2,
            "waiting requests keep their permits"
        );
        let health = call(router.clone(), get("/healthz")).now_or_never();
        assert_eq!(health, Some(StatusCode::OK));
        let small = call(router, post("/v2/models/m/predict", r#"{"rows": [{}]}"#));
        assert_eq!(small.await, StatusCode::NOT_FOUND);
        assert_eq!(admission.in_flight(), 2);
        drop(taken);
        let [rows, tensors] = large;
        assert_eq!(rows.await, StatusCode::NOT_FOUND);
        assert_eq!(tensors.await, StatusCode::BAD_REQUEST);
        assert_eq!(admission.in_flight(), 0);
    }

    #[tokio::test]
    async fn a_request_that_waits_for_a_reader_is_refused_when_the_gateway_cuts_off() {
        let (state, admission) = state();
        let _taken = take_all_readers(&state).await;
        let body = format!(r#"{{"rows": [{}{{}}]}}"#, "{},".repeat(40_000));
        let request = post("/v2/models/m/predict", &body);
        let mut called = Box::pin(call(router(state), request));
        assert!((&mut called).now_or_never().is_none());
        admission.begin_drain();
        admission.cut_off();
        assert_eq!(called.await, StatusCode::SERVICE_UNAVAILABLE);
        let counts = admission.drain_counts();
        assert_eq!((counts.interrupted, counts.in_flight), (1, 0));
    }

    #[test]
    fn metrics_are_rendered_on_a_blocking_thread() {
        let (state, _) = state();
        let runtime = runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            // The only blocking thread is busy: nothing is rendered until it is free.
            let (release, released) = mpsc::channel::<()>();
            let busy = spawn_blocking(move || released.recv());
            let mut rendered = Box::pin(metrics(State(state)));
            assert!((&mut rendered).now_or_never().is_none());
            drop(release);
            let _ = busy.await.unwrap();
            let response = rendered.await.unwrap().into_response();
            assert_eq!(response.status(), StatusCode::OK);
        });
    }
}
