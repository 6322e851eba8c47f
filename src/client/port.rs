//! The way from a verb to a running gateway.

use std::{error::Error, fmt, io, marker::PhantomData, net::SocketAddr, time::Duration};

use tokio::time;
use tonic::{
    Request, Response, Status, TimeoutExpired,
    transport::{Channel, Endpoint},
};

use super::failure::Failure;
use crate::proto::v1::{
    admin_service_client::AdminServiceClient, prediction_service_client::PredictionServiceClient,
};

/// Data port of a gateway with default settings.
pub(crate) const DATA_URL: &str = "http://127.0.0.1:8001";
/// Admin port of a gateway with default settings.
pub(crate) const ADMIN_URL: &str = "http://127.0.0.1:8002";

/// Answers of many rows are longer than tonic's default of 4 MiB.
const LONGEST_ANSWER: usize = 256 * 1024 * 1024;

/// One of the ports of a gateway.
pub(crate) trait GrpcPort: Clone + fmt::Debug + Send + Sync + 'static {
    /// Where it is with default settings.
    const URL: &'static str;
    /// What it is, for the help.
    const HELP: &'static str;
    /// What calls it.
    type Client;

    /// A client on this connection.
    fn client(channel: Channel) -> Self::Client;
}

/// The port for services.
#[derive(Clone, Debug)]
pub(crate) struct Data;

/// The port for operators.
#[derive(Clone, Debug)]
pub(crate) struct Admin;

impl GrpcPort for Data {
    const URL: &'static str = DATA_URL;
    const HELP: &'static str = "Data port of the gateway";
    type Client = PredictionServiceClient<Channel>;

    fn client(channel: Channel) -> Self::Client {
        PredictionServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER)
    }
}

impl GrpcPort for Admin {
    const URL: &'static str = ADMIN_URL;
    const HELP: &'static str = "Admin port of the gateway";
    type Client = AdminServiceClient<Channel>;

    fn client(channel: Channel) -> Self::Client {
        AdminServiceClient::new(channel).max_decoding_message_size(LONGEST_ANSWER)
    }
}

/// Where a port of the gateway is, and how long to wait for it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Port<F: GrpcPort> {
    #[arg(long, value_name = "URL", default_value = F::URL, help = F::HELP)]
    pub(crate) address: String,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[arg(skip)]
    face: PhantomData<F>,
}

/// The data port.
pub(crate) type DataPort = Port<Data>;
/// The admin port.
pub(crate) type AdminPort = Port<Admin>;

/// How long to wait for one answer.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Patience {
    /// Seconds to wait for an answer [default: 10, and 600 until a version is loaded].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,
}

impl Patience {
    /// Where the caller does not say.
    const SECONDS: u64 = 10;
    /// As [`SECONDS`](Self::SECONDS), for what is done once a version is loaded.
    const LOADING: u64 = 600;

    /// For what is done once a version is loaded.
    pub(crate) fn for_loading(self) -> Self {
        Self {
            timeout: self.timeout.or(Some(Self::LOADING)),
        }
    }

    /// `message` with the deadline, which the gateway is told too.
    pub(crate) fn request<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.duration());
        request
    }

    /// The wait as a duration.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(Self::SECONDS))
    }
}

impl<F: GrpcPort> Port<F> {
    /// The port at a known address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::to(format!("http://{address}"), Patience::default())
    }

    /// The port at `address`, with this patience.
    pub(crate) fn to(address: String, patience: Patience) -> Self {
        Self {
            address,
            patience,
            face: PhantomData,
        }
    }

    /// # Errors
    /// Where nothing answers there.
    pub(crate) async fn connect(&self) -> Result<F::Client, Failure> {
        connect(&self.address, self.patience).await.map(F::client)
    }

    /// What `call` to this port answers.
    ///
    /// # Errors
    /// What the gateway says, or that it said nothing in time.
    pub(crate) async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match call.await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) if timed_out(&status) => Err(silent(&url(&self.address)?, self.patience)),
            Err(status) => Err(status.into()),
        }
    }

    /// What comes of `work` with this port, which gets as long as one answer. For what a deadline of the whole call would
    /// cut short.
    ///
    /// # Errors
    /// Nothing came in time.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        match time::timeout(self.patience.duration(), work).await {
            Ok(done) => Ok(done),
            Err(_) => Err(silent(&url(&self.address)?, self.patience)),
        }
    }

    /// `--address URL` with a space before it, for a command that somebody is to type; empty where it is not needed.
    pub(crate) fn flag(&self) -> String {
        if self.address == F::URL {
            String::new()
        } else {
            format!(" --address {}", self.address)
        }
    }
}

async fn connect(address: &str, patience: Patience) -> Result<Channel, Failure> {
    let url = url(address)?;
    Endpoint::from_shared(url.clone())
        .map_err(|error| Failure::new(format!("--address: got {address:?}: {error}")))?
        .connect_timeout(patience.duration())
        .tcp_nodelay(true)
        // A watch may be silent for hours: this tells it from a gateway whose machine has gone.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .connect()
        .await
        .map_err(|error| unreachable(&url, patience, &error))
}

/// Whether it is this side that gave up waiting.
pub(crate) fn timed_out(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<TimeoutExpired>())
}

/// The causes of `error`, down to the first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

fn silent(url: &str, patience: Patience) -> Failure {
    Failure::new(format!(
        "no answer from {url} in {} s: is that the gateway? Say with --address where it is, or with --timeout \
         how many seconds to wait",
        patience.duration().as_secs()
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
