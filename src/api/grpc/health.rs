//! `grpc.health.v1`: of the gateway as a whole (the empty name), of each service on the data port, and of each model by its name.
//!
//! The whole and its services serve until the gateway goes down, whatever becomes of one model: a balancer that asks must not
//! take away a gateway for a model that others of its models have nothing to do with. Who wants to know that asks `/readyz`.
//!
//! A model serves while its policy answers requests, also where something else that is wanted of it cannot be honoured, a shadow or a
//! label: that too stands in `/readyz`.

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::api::catalog::{Catalog, Stage};

/// Answers health checks from what is known.
#[derive(Clone, Debug)]
pub struct Health {
    catalog: Catalog,
    services: &'static [&'static str],
}

impl Health {
    /// Answers for `services` and for the models of `catalog`.
    #[must_use]
    pub fn new(catalog: Catalog, services: &'static [&'static str]) -> Self {
        Self { catalog, services }
    }

    fn status(&self, name: &str) -> ServingStatus {
        let answers = if name.is_empty() || self.services.contains(&name) {
            true
        } else {
            let snapshot = self.catalog.snapshot();
            let Some(model) = snapshot.models.get(name) else {
                return ServingStatus::ServiceUnknown;
            };
            model.routing.is_some()
        };
        if answers && self.catalog.stage() == Stage::Serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
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
                let name: String = crate::text::truncate(&name, 128).to_owned();
                let told = format!("`{name}` is neither a service here nor a model");
                Err(Status::not_found(told))
            }
            status => Ok(Response::new(response(status))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let begin = (self.clone(), name, None);
        let updates = futures_util::stream::unfold(begin, async |(mut health, name, told)| {
            loop {
                let stage = health.catalog.stage();
                let status = health.status(&name);
                if told != Some(status) {
                    let next = (health, name, Some(status));
                    return Some((Ok(response(status)), next));
                }
                // Only once that has been told: where nothing is in flight, a gateway goes down faster than a watcher wakes.
                if stage == Stage::Gone || !health.catalog.changed().await {
                    return None;
                }
            }
        });
        Ok(Response::new(Box::pin(updates)))
    }
}
