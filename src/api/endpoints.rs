//! The table of all gRPC methods, with the port and the kind of operation of each.
//!
//! The gRPC ports serve only services that the table lists. A test fails if a compiled RPC is missing.
//! Not here: the HTTP routes, which `api::http::routes` declares with the same [`Operation`]s and lists as [`Endpoint`]s, and which role
//! an operation needs. Authorisation will map [`Operation`]s to roles.

use tonic_health::pb::health_server;
use tonic_reflection::pb::{v1 as reflection, v1alpha as reflection_alpha};

use super::error_mapping::{ErrorMapping, NATIVE, OPEN_INFERENCE, TENSORFLOW_SERVING};
use crate::insight::metrics::LimitedService;
use crate::proto::inference::grpc_inference_service_server as open_inference;
use crate::proto::tensorflow::serving::{
    model_service_server as tensorflow_models, prediction_service_server as tensorflow_predictions,
};
use crate::proto::v1::{admin_service_server, prediction_service_server};

/// The kind of operation that a call performs. A role can allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asks whether the gateway, a service or a model can answer.
    Health,
    /// Asks which services, models, versions and signatures there are.
    Describe,
    /// Asks for predictions.
    Predict,
    /// Reports ground truth for earlier predictions.
    ReportOutcomes,
    /// Reads what was observed or changed: policies, statistics, comparisons, metrics, history.
    Observe,
    /// Reads the audit log.
    Audit,
    /// Changes what is served: policies, labels, loaded versions.
    Operate,
    /// Adds a version to the registry.
    Publish,
}

/// A port of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// gRPC for client applications: predictions, ground truth, health.
    Data,
    /// gRPC for operators: models, traffic policies, uploads, statistics.
    Admin,
    /// HTTP: predictions, metrics, health.
    Http,
}

impl Port {
    /// Returns the port's name in configuration, messages and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Admin => "admin",
            Self::Http => "http",
        }
    }

    /// Returns the gRPC services of the port, without reflection.
    pub(super) fn services(self) -> &'static [Service] {
        match self {
            Self::Data => &DATA,
            Self::Admin => &ADMIN,
            Self::Http => &[],
        }
    }

    /// Returns the row of the gRPC service `name`, reflection included.
    pub(super) fn service(self, name: &str) -> Option<&'static Service> {
        let mut rows = self.services().iter().chain(&REFLECTION);
        rows.find(|service| service.name == name)
    }
}

/// A gRPC service on one port.
#[derive(Debug)]
pub(super) struct Service {
    /// The full name, `taper.v1.PredictionService`.
    pub(super) name: &'static str,
    pub(super) limits: Limits,
    pub(super) methods: &'static [Method],
}

/// Limits on the calls of a service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limits {
    /// Admission control and deadlines. Their errors are mapped for the service's protocol.
    Admission(&'static ErrorMapping),
    /// Deadlines, and a limit on the concurrent calls of these services, without admission control.
    Calls(LimitedService),
}

/// An RPC of a service.
#[derive(Debug)]
pub(super) struct Method {
    name: &'static str,
    operation: Operation,
}

const fn method(name: &'static str, operation: Operation) -> Method {
    Method { name, operation }
}

static DATA: [Service; 5] = [
    Service {
        name: prediction_service_server::SERVICE_NAME,
        limits: Limits::Admission(&NATIVE),
        methods: &[
            method("Predict", Operation::Predict),
            method("PredictStream", Operation::Predict),
            method("ReportOutcomes", Operation::ReportOutcomes),
        ],
    },
    Service {
        name: open_inference::SERVICE_NAME,
        limits: Limits::Admission(&OPEN_INFERENCE),
        methods: OPEN_INFERENCE_METHODS,
    },
    Service {
        name: tensorflow_predictions::SERVICE_NAME,
        limits: Limits::Admission(&TENSORFLOW_SERVING),
        methods: &[
            method("Predict", Operation::Predict),
            method("GetModelMetadata", Operation::Describe),
        ],
    },
    Service {
        name: tensorflow_models::SERVICE_NAME,
        limits: Limits::Admission(&TENSORFLOW_SERVING),
        methods: &[method("GetModelStatus", Operation::Describe)],
    },
    Service {
        name: health_server::SERVICE_NAME,
        limits: Limits::Calls(LimitedService::Health),
        methods: &[
            method("Check", Operation::Health),
            method("Watch", Operation::Health),
        ],
    },
];

static ADMIN: [Service; 2] = [
    Service {
        name: admin_service_server::SERVICE_NAME,
        limits: Limits::Calls(LimitedService::Admin),
        methods: &[
            method("ListModels", Operation::Observe),
            method("GetModel", Operation::Observe),
            method("GetTrafficPolicy", Operation::Observe),
            method("GetStats", Operation::Observe),
            method("CompareVersions", Operation::Observe),
            method("GetDrift", Operation::Observe),
            method("GetOutcomes", Operation::Observe),
            method("SetTrafficPolicy", Operation::Operate),
            method("SetLabel", Operation::Operate),
            method("DeleteLabel", Operation::Operate),
            method("Promote", Operation::Operate),
            method("Undo", Operation::Operate),
            method("RollbackTo", Operation::Operate),
            method("Confirm", Operation::Operate),
            method("LoadVersion", Operation::Operate),
            method("UnloadVersion", Operation::Operate),
            method("AcceptVersion", Operation::Operate),
            method("ForgetModel", Operation::Operate),
            method("RetryVersion", Operation::Operate),
            method("UploadVersion", Operation::Publish),
            method("ListRevisions", Operation::Observe),
            method("Watch", Operation::Observe),
            method("ReadAudit", Operation::Audit),
        ],
    },
    Service {
        name: open_inference::SERVICE_NAME,
        limits: Limits::Calls(LimitedService::Admin),
        methods: OPEN_INFERENCE_METHODS,
    },
];

/// On both gRPC ports. Each port refuses the operations that belong on the other.
const OPEN_INFERENCE_METHODS: &[Method] = &[
    method("ServerLive", Operation::Health),
    method("ServerReady", Operation::Health),
    method("ModelReady", Operation::Health),
    method("ServerMetadata", Operation::Describe),
    method("ModelMetadata", Operation::Describe),
    method("ModelInfer", Operation::Predict),
    method("ModelStreamInfer", Operation::Predict),
    method("ModelConfig", Operation::Describe),
    method("ModelStatistics", Operation::Observe),
    method("RepositoryIndex", Operation::Describe),
    method("RepositoryModelLoad", Operation::Operate),
    method("RepositoryModelUnload", Operation::Operate),
];

/// On both gRPC ports, in both versions that clients use.
static REFLECTION: [Service; 2] = [
    Service {
        name: reflection::server_reflection_server::SERVICE_NAME,
        limits: Limits::Calls(LimitedService::Reflection),
        methods: &[method("ServerReflectionInfo", Operation::Describe)],
    },
    Service {
        name: reflection_alpha::server_reflection_server::SERVICE_NAME,
        limits: Limits::Calls(LimitedService::Reflection),
        methods: &[method("ServerReflectionInfo", Operation::Describe)],
    },
];

/// An RPC or an HTTP route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The port that serves it.
    pub port: Port,
    /// The HTTP method: `GET`, or `POST` as for every RPC.
    pub method: &'static str,
    /// The path: `/taper.v1.AdminService/Undo`, `/v2/models/{model}/infer`.
    pub path: String,
    /// The kind of operation that a call performs.
    pub operation: Operation,
}

/// Returns the rows of both gRPC ports.
pub(super) fn grpc() -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for port in [Port::Data, Port::Admin] {
        for service in port.services().iter().chain(&REFLECTION) {
            endpoints.extend(service.methods.iter().map(|method| Endpoint {
                port,
                method: "POST",
                path: format!("/{}/{}", service.name, method.name),
                operation: method.operation,
            }));
        }
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::api::all_endpoints;
    use crate::proto;

    /// Paths of all RPCs that were compiled into the binary.
    fn compiled() -> BTreeSet<String> {
        let sets = [
            proto::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            reflection::FILE_DESCRIPTOR_SET,
            reflection_alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut paths = BTreeSet::new();
        for set in sets {
            for file in FileDescriptorSet::decode(set).unwrap().file {
                for service in &file.service {
                    let name = format!("{}.{}", file.package(), service.name());
                    let methods = service.method.iter();
                    paths.extend(methods.map(|method| format!("/{name}/{}", method.name())));
                }
            }
        }
        paths
    }

    #[test]
    fn every_rpc_has_a_row_and_every_row_is_an_rpc() {
        let rows: BTreeSet<_> = grpc().into_iter().map(|row| row.path).collect();
        assert_eq!(rows, compiled());
        assert!(rows.contains("/taper.v1.AdminService/Undo"), "{rows:?}");
    }

    #[test]
    fn no_endpoint_has_two_rows() {
        let all = all_endpoints();
        for endpoint in &all {
            let same = |other: &&Endpoint| {
                (other.port, other.method, &other.path)
                    == (endpoint.port, endpoint.method, &endpoint.path)
            };
            assert_eq!(all.iter().filter(same).count(), 1, "{endpoint:?}");
        }
    }

    #[test]
    fn only_the_admin_port_changes_anything_or_shows_the_audit_log() {
        // The other ports have rows for loading and unloading, whose handlers refuse every call.
        let refused = [
            "RepositoryModelLoad",
            "RepositoryModelUnload",
            "/load",
            "/unload",
        ];
        let all = all_endpoints().into_iter();
        for endpoint in all.filter(|endpoint| endpoint.port != Port::Admin) {
            let is_refused = refused.iter().any(|name| endpoint.path.ends_with(name));
            let changes = matches!(
                endpoint.operation,
                Operation::Operate | Operation::Publish | Operation::Audit
            );
            assert_eq!(changes, is_refused, "{endpoint:?}");
        }
    }
}
