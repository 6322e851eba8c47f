//! The way from a verb to a running gateway.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use tonic::{
    Request, Response, Status, TimeoutExpired,
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

    /// What comes of `work` with the gateway at `address`, which gets as long as one answer. For what a deadline of the
    /// whole call would cut short.
    ///
    /// # Errors
    /// Nothing came in time.
    pub(super) async fn within<T>(
        self,
        address: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let limit = Duration::from_secs(self.timeout);
        match tokio::time::timeout(limit, work).await {
            Ok(done) => Ok(done),
            Err(_) => Err(silent(&url(address)?, self)),
        }
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

    /// What `call` to this port answers.
    ///
    /// # Errors
    /// What the gateway says, or that it said nothing in time.
    pub(super) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        answer(&self.address, self.patience, call).await
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

    /// What `call` to this port answers.
    ///
    /// # Errors
    /// What the gateway says, or that it said nothing in time.
    pub(super) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        answer(&self.address, self.patience, call).await
    }
}

async fn connect(address: &str, patience: Patience) -> Result<Channel, Failure> {
    let url = url(address)?;
    Endpoint::from_shared(url.clone())
        .map_err(|error| Failure::new(format!("--address: got {address:?}: {error}")))?
        .connect_timeout(Duration::from_secs(patience.timeout))
        .tcp_nodelay(true)
        // A watch may be silent for hours: this tells it from a gateway whose machine has gone.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .connect()
        .await
        .map_err(|error| unreachable(&url, patience, &error))
}

async fn answer<T>(
    address: &str,
    patience: Patience,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Failure> {
    match call.await {
        Ok(response) => Ok(response.into_inner()),
        Err(status) if causes(&status).any(|cause| cause.is::<TimeoutExpired>()) => {
            Err(silent(&url(address)?, patience))
        }
        Err(status) => Err(status.into()),
    }
}

/// The causes of `error`, down to the first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

fn silent(url: &str, patience: Patience) -> Failure {
    Failure::new(format!(
        "no answer from {url} in {} s: is that the gateway? Say with --address where it is, or with --timeout \
         how many seconds to wait",
        patience.timeout
    ))
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

fn unreachable(url: &str, patience: Patience, error: &tonic::transport::Error) -> Failure {
    let kinds = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let kinds: Vec<_> = kinds.map(io::Error::kind).collect();
    if kinds.contains(&io::ErrorKind::ConnectionRefused) {
        Failure::new(format!(
            "nothing listens on {url}: start a gateway with `taper serve` (or `taper demo`), \
             or say with --address where it is"
        ))
    } else if kinds.contains(&io::ErrorKind::TimedOut) {
        silent(url, patience)
    } else {
        let cause = causes(error).last().unwrap_or(error);
        Failure::new(format!("cannot reach {url}: {cause}"))
    }
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
