//! The HTTP door: the Open Inference Protocol for services, metrics for dashboards, health for orchestrators.

mod openapi;
mod rest;
mod routes;

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
pub struct Faces {
    catalog: Catalog,
    telemetry: Arc<Telemetry>,
    outcomes: Arc<Outcomes>,
    predictor: Predictor,
    /// Bytes of the largest body.
    most: usize,
    /// Rendering holds all series in memory once more, so it happens once at a time.
    rendering: Arc<Semaphore>,
}

impl Faces {
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
        }
    }
}

/// Every path of the door.
pub fn router(faces: Faces) -> Router {
    let router = routes::all()
        .into_iter()
        .fold(Router::new(), |router, route| {
            router.route(&route.path, route.handler)
        });
    router
        .fallback(rest::no_such_path)
        .method_not_allowed_fallback(rest::no_such_method)
        .layer(map_response_with_state(faces.clone(), part))
        .with_state(faces)
}

/// Asks the client to go elsewhere with its next request, when the gateway goes down.
async fn part(State(faces): State<Faces>, mut response: Response) -> Response {
    if faces.predictor.gate().is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Rendered on a thread that serves nobody: thousands of series take a while.
async fn metrics(
    State(faces): State<Faces>,
) -> Result<impl IntoResponse, (StatusCode, &'static str)> {
    const UNTOLD: (StatusCode, &str) = (
        StatusCode::INTERNAL_SERVER_ERROR,
        "the metrics cannot be told\n",
    );
    let turn = Arc::clone(&faces.rendering).acquire_owned().await;
    let turn = turn.map_err(|_| UNTOLD)?;
    let render = move || {
        // Kept to the end, also where the scraper goes away meanwhile.
        let _turn = turn;
        let snapshot = faces.catalog.snapshot();
        snapshot.report_counted_shares();
        snapshot.report_quality();
        faces.outcomes.look();
        faces.telemetry.render()
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
async fn readyz(State(faces): State<Faces>) -> impl IntoResponse {
    let reasons = faces.catalog.unready();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;
    use tokio::runtime;
    use tokio::sync::watch;

    use super::*;
    use crate::api::catalog::Stage;
    use crate::control::View;
    use crate::insight::outcomes::OutcomeSettings;
    use crate::serving::Pipeline;
    use crate::serving::batch::Pool;
    use crate::serving::gate::{Gate, Limits};
    use crate::serving::live::{Live, Snapshot};

    #[test]
    fn metrics_are_rendered_on_a_thread_that_serves_nobody() {
        let telemetry = Arc::new(Telemetry::new().unwrap());
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
        let limits = Limits {
            max_in_flight: 1,
            max_in_flight_bytes: 1,
        };
        let gate = Gate::new(limits, Arc::clone(&telemetry));
        let predictor = Predictor::new(Arc::new(pipeline), gate);
        let faces = Faces::new(catalog, &telemetry, Arc::new(outcomes), predictor, 1);
        let mut few = runtime::Builder::new_current_thread();
        let runtime = few.max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            // The only thread for it is taken: nothing is rendered until it is free again.
            let (free, taken) = mpsc::channel::<()>();
            let taker = spawn_blocking(move || taken.recv());
            let mut asked = Box::pin(metrics(State(faces)));
            assert!((&mut asked).now_or_never().is_none());
            drop(free);
            let _ = taker.await.unwrap();
            let answer = asked.await.unwrap().into_response();
            assert_eq!(answer.status(), StatusCode::OK);
        });
    }
}
