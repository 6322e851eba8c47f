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

async fn metrics(State(faces): State<Faces>) -> impl IntoResponse {
    let _turn = faces.rendering.acquire().await;
    let snapshot = faces.live.snapshot();
    snapshot.report_counted_shares();
    snapshot.report_quality();
    faces.outcomes.look();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        faces.telemetry.render(),
    )
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
