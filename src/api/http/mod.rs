//! The HTTP door: metrics for dashboards, health for orchestrators.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::control::View;
use crate::insight::metrics::Telemetry;
use crate::insight::outcomes::Outcomes;
use crate::serving::live::Live;

/// What the HTTP door reads.
#[derive(Clone, Debug)]
pub struct Faces {
    live: Arc<Live>,
    views: watch::Receiver<Arc<View>>,
    telemetry: Arc<Telemetry>,
    draining: Arc<AtomicBool>,
    outcomes: Arc<Outcomes>,
    /// Rendering holds all series in memory once more, so it happens once at a time.
    rendering: Arc<Semaphore>,
}

impl Faces {
    /// What is served, what was measured, whether the gateway takes no new work any more, what there is, and what waits
    /// for its truth.
    #[must_use]
    pub fn new(
        live: &Arc<Live>,
        telemetry: &Arc<Telemetry>,
        draining: &Arc<AtomicBool>,
        views: watch::Receiver<Arc<View>>,
        outcomes: Arc<Outcomes>,
    ) -> Self {
        let (live, telemetry, draining) = (
            Arc::clone(live),
            Arc::clone(telemetry),
            Arc::clone(draining),
        );
        Self {
            live,
            views,
            telemetry,
            draining,
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
        let snapshot = faces.live.snapshot();
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
    let mut reasons = Vec::new();
    if faces.draining.load(Ordering::Relaxed) {
        reasons.push("going down: no new work is taken".to_owned());
    }
    let view = Arc::clone(&faces.views.borrow());
    if view.models.is_empty() {
        reasons.push("the registry holds no model".to_owned());
    }
    for model in view.models.values() {
        if let Some(problem) = &model.problem {
            reasons.push(format!("model {}: {problem}", model.name));
        }
    }
    reasons.sort();
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

    use super::*;
    use crate::insight::outcomes::OutcomeSettings;
    use crate::serving::live::Snapshot;

    #[test]
    fn metrics_are_rendered_on_a_thread_that_serves_nobody() {
        let telemetry = Arc::new(Telemetry::new().unwrap());
        let live = Arc::new(Live::new(Snapshot::default()));
        let (_, views) = watch::channel(Arc::new(View::default()));
        let outcomes = Outcomes::new(OutcomeSettings::default(), telemetry.outcomes());
        let faces = Faces::new(
            &live,
            &telemetry,
            &Arc::default(),
            views,
            Arc::new(outcomes),
        );
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
