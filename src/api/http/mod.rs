//! The HTTP door: metrics for dashboards, health for orchestrators.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::api::catalog::Catalog;
use crate::insight::metrics::Telemetry;
use crate::insight::outcomes::Outcomes;

/// What the HTTP door reads.
#[derive(Clone, Debug)]
pub struct Faces {
    catalog: Catalog,
    telemetry: Arc<Telemetry>,
    outcomes: Arc<Outcomes>,
    /// Rendering holds all series in memory once more, so it happens once at a time.
    rendering: Arc<Semaphore>,
}

impl Faces {
    /// What is served and known, what was measured, and what waits for its truth.
    #[must_use]
    pub fn new(catalog: Catalog, telemetry: &Arc<Telemetry>, outcomes: Arc<Outcomes>) -> Self {
        Self {
            catalog,
            telemetry: Arc::clone(telemetry),
            outcomes,
            rendering: Arc::new(Semaphore::new(1)),
        }
    }
}

/// `GET /metrics`, `/healthz` and `/readyz`.
pub fn router(faces: Faces) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(faces)
}

/// Rendered on a thread that serves nobody: thousands of series take a while.
async fn metrics(State(faces): State<Faces>) -> Result<impl IntoResponse, StatusCode> {
    let turn = Arc::clone(&faces.rendering).acquire_owned().await;
    let turn = turn.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
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
    let text = text.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
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
    use crate::serving::live::{Live, Snapshot};

    #[test]
    fn metrics_are_rendered_on_a_thread_that_serves_nobody() {
        let telemetry = Arc::new(Telemetry::new().unwrap());
        let live = Arc::new(Live::new(Snapshot::default()));
        let (_, views) = watch::channel(Arc::new(View::default()));
        let (_, stages) = watch::channel(Stage::default());
        let outcomes = Outcomes::new(OutcomeSettings::default(), telemetry.outcomes());
        let catalog = Catalog::new(live, views, stages);
        let faces = Faces::new(catalog, &telemetry, Arc::new(outcomes));
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
