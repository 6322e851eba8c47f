//! Binding the ports.

use std::{fmt, io, net::SocketAddr};

use tokio::net::TcpListener;

use super::StartError;
use crate::api::endpoints::Port;
use crate::config::Config;

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("the {port} port cannot listen on {address}: {source}")]
pub struct BindError {
    /// `data`, `admin` or `http`.
    pub port: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// The addresses of a gateway, with the real port numbers if the configuration says 0.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC for client applications.
    pub data: SocketAddr,
    /// gRPC for operators.
    pub admin: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "data   grpc://{}   taper.v1, Open Inference Protocol, TensorFlow Serving, health, reflection",
            self.data
        )?;
        writeln!(f, "admin  grpc://{}   models, traffic policies", self.admin)?;
        write!(
            f,
            "http   http://{}   /v1 /v2 /openapi.json /metrics /healthz /readyz",
            self.http
        )
    }
}

/// The bound ports.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) data: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) http: TcpListener,
}

impl Listeners {
    /// Binds all ports.
    ///
    /// # Errors
    /// Returns an error that lists every port that cannot be bound.
    pub(super) async fn bind(config: &Config) -> Result<Self, StartError> {
        let mut listeners = Vec::with_capacity(3);
        let mut errors = Vec::new();
        for (port, address) in [
            (Port::Data, config.data),
            (Port::Admin, config.admin),
            (Port::Http, config.http),
        ] {
            match TcpListener::bind(address).await {
                Ok(listener) => listeners.push(listener),
                Err(source) => errors.push(BindError {
                    port: port.as_str(),
                    address,
                    source,
                }),
            }
        }
        let listeners: Result<[_; 3], _> = listeners.try_into();
        let [data, admin, http] = listeners.map_err(|_| StartError::Bind(errors))?;
        Ok(Self { data, admin, http })
    }

    /// Returns the addresses that are bound.
    pub(super) fn addresses(&self, config: &Config) -> Addresses {
        Addresses {
            data: self.data.local_addr().unwrap_or(config.data),
            admin: self.admin.local_addr().unwrap_or(config.admin),
            http: self.http.local_addr().unwrap_or(config.http),
        }
    }
}

/// Raises the limit on open files, which is often lower than what a process may ask for: every connection is a file.
pub(super) fn raise_file_limit(max_connections: usize) {
    let ports = 3;
    let wanted = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_mul(ports)
        + 64;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) if files >= wanted => {}
        Ok(files) => tracing::warn!(
            files,
            wanted,
            "the limit on open files is too low for the limits on connections: lower max_connections or raise it"
        ),
        Err(error) => tracing::warn!(%error, "failed to read the limit on open files"),
    }
}
