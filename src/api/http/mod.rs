//! The HTTP door: the Open Inference Protocol for services, metrics for dashboards, health for orchestrators.

mod openapi;
mod rest;
mod routes;

use std::num::NonZero;
use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    middleware::map_response_with_state,
    response::{IntoResponse, Response},
};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::api::catalog::Catalog;
use crate::api::predictor::Predictor;
use crate::insight::metrics::Telemetry;
use crate::insight::outcomes::Outcomes;

/// What the HTTP door reads.
#[derive(Clone, Debug)]
pub struct HttpState {
    catalog: Catalog,
    telemetry: Arc<Telemetry>,
    outcomes: Arc<Outcomes>,
    predictor: Predictor,
    /// Bytes of the largest body.
    most: usize,
    /// Rendering holds all series in memory once more, so it happens once at a time.
    rendering: Arc<Semaphore>,
    /// Large bodies are read from JSON by so many threads at one time.
    readers: Arc<Semaphore>,
}

impl HttpState {
    /// What is served and known, what was measured, what waits for its truth, and who answers bodies of up to `most` bytes.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        telemetry: &Arc<Telemetry>,
        outcomes: Arc<Outcomes>,
        predictor: Predictor,
        most: usize,
    ) -> Self {
        Self {
            catalog,
            telemetry: Arc::clone(telemetry),
            outcomes,
            predictor,
            most,
            rendering: Arc::new(Semaphore::new(1)),
            readers: Arc::new(Semaphore::new(readers())),
        }
    }
}

/// Half of the cores, so that the other half is there for what is small.
fn readers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    (cores / 2).max(1)
}

/// Every path of the door.
pub fn router(state: HttpState) -> Router {
    let router = routes::all()
        .into_iter()
        .fold(Router::new(), |router, route| {
            router.route(&route.path, route.handler)
        });
    router
        .fallback(rest::no_such_path)
        .method_not_allowed_fallback(rest::no_such_method)
        .layer(map_response_with_state(state.clone(), part))
        .with_state(state)
}

/// Asks the client to go elsewhere with its next request, when the gateway goes down.
async fn part(State(state): State<HttpState>, mut response: Response) -> Response {
    if state.predictor.admission().is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Rendered on a thread that serves nobody: thousands of series take a while.
async fn metrics(
    State(state): State<HttpState>,
) -> Result<impl IntoResponse, (StatusCode, &'static str)> {
    const UNTOLD: (StatusCode, &str) = (
        StatusCode::INTERNAL_SERVER_ERROR,
        "the metrics cannot be told\n",
    );
    let turn = Arc::clone(&state.rendering).acquire_owned().await;
    let turn = turn.map_err(|_| UNTOLD)?;
    let render = move || {
        // Kept to the end, also where the scraper goes away meanwhile.
        let _turn = turn;
        let snapshot = state.catalog.snapshot();
        snapshot.report_counted_shares();
        snapshot.report_quality();
        state.outcomes.report_rows();
        state.telemetry.render()
    };
    let text = spawn_blocking(render).await;
    let text = text.map_err(|_| UNTOLD)?;
    let header = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    Ok(([header], text))
}

/// Ready while every model can answer as it is wanted and the gateway is not going down; says why not, one reason a line.
async fn readyz(State(state): State<HttpState>) -> impl IntoResponse {
    let reasons = state.catalog.unready();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use axum::body::Body;
    use axum::extract::Request;
    use futures_util::FutureExt as _;
    use tokio::runtime;
    use tokio::sync::{OwnedSemaphorePermit, watch};
    use tower::Service as _;

    use super::*;
    use crate::api::catalog::Stage;
    use crate::control::View;
    use crate::insight::outcomes::OutcomeSettings;
    use crate::serving::Pipeline;
    use crate::serving::admission::{AdmissionControl, Limits};
    use crate::serving::batch::Pool;
    use crate::serving::live::{Live, Snapshot};

    /// A door behind which nothing is served, and its admission control.
    fn state() -> (HttpState, Arc<AdmissionControl>) {
        let telemetry = Telemetry::new().unwrap();
        let live = Arc::new(Live::new(Snapshot::default()));
        let (_, views) = watch::channel(Arc::new(View::default()));
        let (_, stages) = watch::channel(Stage::default());
        let outcomes = Outcomes::new(OutcomeSettings::default(), telemetry.outcomes());
        let catalog = Catalog::new(Arc::clone(&live), views, stages);
        let pipeline = Pipeline::new(
            Arc::clone(&live),
            Arc::clone(&telemetry),
            Pool::start().unwrap(),
        );
        let most = 1 << 20;
        let limits = Limits {
            max_in_flight: 8,
            max_in_flight_bytes: most,
        };
        let admission = AdmissionControl::new(limits, Arc::clone(&telemetry));
        let predictor = Predictor::new(Arc::new(pipeline), Arc::clone(&admission));
        let state = HttpState::new(catalog, &telemetry, Arc::new(outcomes), predictor, most);
        (state, admission)
    }

    /// Takes the turns of all readers.
    async fn all_turns(state: &HttpState) -> OwnedSemaphorePermit {
        let readers = Arc::clone(&state.readers);
        let all = u32::try_from(readers.available_permits()).unwrap();
        readers.acquire_many_owned(all).await.unwrap()
    }

    async fn call(mut door: Router, request: Request) -> StatusCode {
        door.call(request).await.unwrap().status()
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
    async fn who_asks_for_little_does_not_wait_for_large_bodies() {
        let (state, admission) = state();
        let taken = all_turns(&state).await;
        let door = router(state);
        let rows = format!(r#"{{"rows": [{}{{}}]}}"#, "{},".repeat(40_000));
        let tensors = format!(r#"{{"id": "{}", "inputs": []}}"#, "7".repeat(100_000));
        let mut large = [("predict", rows), ("infer", tensors)].map(|(end, body)| {
            let request = post(&format!("/v2/models/m/{end}"), &body);
            Box::pin(call(door.clone(), request))
        });
        for large in &mut large {
            assert!(large.now_or_never().is_none());
        }
        assert_eq!(admission.in_flight(), 2, "who waits holds a place");
        let health = call(door.clone(), get("/healthz")).now_or_never();
        assert_eq!(health, Some(StatusCode::OK));
        let small = call(door, post("/v2/models/m/predict", r#"{"rows": [{}]}"#));
        assert_eq!(small.await, StatusCode::NOT_FOUND);
        assert_eq!(admission.in_flight(), 2);
        drop(taken);
        let [rows, tensors] = large;
        assert_eq!(rows.await, StatusCode::NOT_FOUND);
        assert_eq!(tensors.await, StatusCode::BAD_REQUEST);
        assert_eq!(admission.in_flight(), 0);
    }

    #[tokio::test]
    async fn who_waits_to_be_read_is_told_when_the_gateway_waits_no_longer() {
        let (state, admission) = state();
        let _taken = all_turns(&state).await;
        let body = format!(r#"{{"rows": [{}{{}}]}}"#, "{},".repeat(40_000));
        let mut asked = Box::pin(call(router(state), post("/v2/models/m/predict", &body)));
        assert!((&mut asked).now_or_never().is_none());
        admission.begin_drain();
        admission.cut_off();
        assert_eq!(asked.await, StatusCode::SERVICE_UNAVAILABLE);
        let counts = admission.drain_counts();
        assert_eq!((counts.interrupted, counts.in_flight), (1, 0));
    }

    #[test]
    fn metrics_are_rendered_on_a_thread_that_serves_nobody() {
        let (state, _) = state();
        let mut few = runtime::Builder::new_current_thread();
        let runtime = few.max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            // The only thread for it is taken: nothing is rendered until it is free again.
            let (free, taken) = mpsc::channel::<()>();
            let taker = spawn_blocking(move || taken.recv());
            let mut asked = Box::pin(metrics(State(state)));
            assert!((&mut asked).now_or_never().is_none());
            drop(free);
            let _ = taker.await.unwrap();
            let answer = asked.await.unwrap().into_response();
            assert_eq!(answer.status(), StatusCode::OK);
        });
    }
}
