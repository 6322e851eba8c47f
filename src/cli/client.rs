//! The way from a verb to a running gateway.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use super::failure::Failure;
use crate::proto::v1::{
    admin_service_client::AdminServiceClient, prediction_service_client::PredictionServiceClient,
};

/// Data port of a gateway with default settings.
pub(super) const DATA_URL: &str = "http://127.0.0.1:8001";
/// Admin port of a gateway with default settings.
pub(super) const ADMIN_URL: &str = "http://127.0.0.1:8002";

/// Answers of many rows are longer than tonic's default of 4 MiB.
const LONGEST_ANSWER: usize = 256 * 1024 * 1024;

/// Where the data port of the gateway is, and how long to wait for it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct DataPort {
    /// Data port of the gateway.
    #[arg(long, value_name = "URL", default_value = DATA_URL)]
    pub(super) address: String,
    #[command(flatten)]
    pub(super) patience: Patience,
}

/// Where the admin port of the gateway is, and how long to wait for it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AdminPort {
    /// Admin port of the gateway.
    #[arg(long, value_name = "URL", default_value = ADMIN_URL)]
    pub(super) address: String,
    #[command(flatten)]
    pub(super) patience: Patience,
}

/// How long to wait for one answer.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Patience {
    /// Seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = Self::SECONDS,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Self::SECONDS,
        }
    }
}

impl Patience {
    const SECONDS: u64 = 10;

    /// `message` with the deadline, which the gateway is told too.
    pub(super) fn request<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(Duration::from_secs(self.timeout));
        request
    }
}

impl DataPort {
    /// The data port at a known address.
    pub(super) fn at(address: SocketAddr) -> Self {
        let (address, patience) = (format!("http://{address}"), Patience::default());
        Self { address, patience }
    }

    /// # Errors
    /// Where nothing answers there.
    pub(super) async fn connect(&self) -> Result<PredictionServiceClient<Channel>, Failure> {
        Ok(
            PredictionServiceClient::new(connect(&self.address, self.patience).await?)
                .max_decoding_message_size(LONGEST_ANSWER),
        )
    }
}

impl AdminPort {
    /// The admin port at a known address.
    pub(super) fn at(address: SocketAddr) -> Self {
        let (address, patience) = (format!("http://{address}"), Patience::default());
        Self { address, patience }
    }

    /// # Errors
    /// Where nothing answers there.
    pub(super) async fn connect(&self) -> Result<AdminServiceClient<Channel>, Failure> {
        Ok(
            AdminServiceClient::new(connect(&self.address, self.patience).await?)
                .max_decoding_message_size(LONGEST_ANSWER),
        )
    }
}

async fn connect(address: &str, patience: Patience) -> Result<Channel, Failure> {
    let url = url(address)?;
    Endpoint::from_shared(url.clone())
        .map_err(|error| Failure::new(format!("--address: got {address:?}: {error}")))?
        .connect_timeout(Duration::from_secs(patience.timeout))
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(|error| unreachable(&url, &error))
}

/// `127.0.0.1:8001`, and `grpc://127.0.0.1:8001` as a gateway tells it, mean `http://127.0.0.1:8001`.
fn url(address: &str) -> Result<String, Failure> {
    match address.split_once("://") {
        None => Ok(format!("http://{address}")),
        Some(("http" | "grpc", rest)) => Ok(format!("http://{rest}")),
        Some(_) => Err(Failure::new(format!(
            "--address: got {address:?}, wants http://HOST:PORT (there is no TLS here)"
        ))),
    }
}

fn unreachable(url: &str, error: &tonic::transport::Error) -> Failure {
    let mut cause: &dyn Error = error;
    let mut refused = false;
    while let Some(next) = cause.source() {
        cause = next;
        refused |= cause
            .downcast_ref::<io::Error>()
            .is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
    }
    Failure::new(if refused {
        format!(
            "nothing listens on {url}: start a gateway with `taper serve` (or `taper demo`), \
             or say with --address where it is"
        )
    } else {
        format!("cannot reach {url}: {cause}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme_and_takes_no_tls() {
        assert_eq!(url("127.0.0.1:1").unwrap(), "http://127.0.0.1:1");
        assert_eq!(url("http://host:1").unwrap(), "http://host:1");
        assert_eq!(url("grpc://host:1").unwrap(), "http://host:1");
        let refused = url("https://host:1").unwrap_err().to_string();
        assert!(refused.contains("https://host:1"), "{refused}");
    }
}
