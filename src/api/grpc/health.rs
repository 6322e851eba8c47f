//! `grpc.health.v1`: of the gateway as a whole (the empty name), of each service on the data port, and of each model by its name.
//!
//! The gateway and its services report SERVING until the gateway drains, whatever the state of single models: a load balancer must not take
//! a gateway out of rotation because of one model while others answer. `/readyz` reports the state of all models.
//!
//! A model reports SERVING while its traffic policy answers requests, even if another part of its policy cannot be satisfied, such as a
//! shadow or a label. `/readyz` reports that too.

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::api::catalog::Catalog;
use crate::api::lifecycle::Stage;

/// Answers health checks.
#[derive(Clone, Debug)]
pub struct Health {
    catalog: Catalog,
    services: Vec<&'static str>,
}

impl Health {
    /// Creates a service that answers for `services` and for the models of `catalog`.
    #[must_use]
    pub fn new(catalog: Catalog, services: impl IntoIterator<Item = &'static str>) -> Self {
        let services = services.into_iter().collect();
        Self { catalog, services }
    }

    fn status(&self, name: &str) -> ServingStatus {
        let can_answer = if name.is_empty() || self.services.contains(&name) {
            true
        } else {
            let snapshot = self.catalog.snapshot();
            let Some(model) = snapshot.models.get(name) else {
                return ServingStatus::ServiceUnknown;
            };
            model.routing.is_some()
        };
        if can_answer && !self.catalog.has_reached(Stage::Draining) {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

fn make_response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = request.into_inner().service;
        match self.status(&name) {
            ServingStatus::ServiceUnknown => {
                let name = crate::text::truncate(&name, 128);
                let text = format!("`{name}` is neither a service of this port nor a model");
                Err(Status::not_found(text))
            }
            status => Ok(Response::new(make_response(status))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let begin = (self.clone(), name, None);
        let updates = futures_util::stream::unfold(begin, async |(mut health, name, sent)| {
            loop {
                let is_drained = health.catalog.has_reached(Stage::Drained);
                let status = health.status(&name);
                if sent != Some(status) {
                    let next = (health, name, Some(status));
                    return Some((Ok(make_response(status)), next));
                }
                // Checked only after the last status was sent: with nothing in flight, a gateway drains faster than a watcher wakes.
                if is_drained || !health.catalog.changed().await {
                    return None;
                }
            }
        });
        Ok(Response::new(Box::pin(updates)))
    }
}
