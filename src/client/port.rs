//! The two gRPC ports of a gateway, and calls to them.

use std::{error::Error, fmt, io, marker::PhantomData, net::SocketAddr, time::Duration};

use tokio::time;
use tonic::{
    Request, Response, Status, TimeoutExpired,
    transport::{Channel, Endpoint},
};

use super::failure::{Failure, code_name};
use super::rpc::Rpc;
use super::v1::{
    admin_service_client::AdminServiceClient, prediction_service_client::PredictionServiceClient,
};

/// URL of the data port of a gateway with default settings.
pub const DATA_URL: &str = "http://127.0.0.1:8001";
/// URL of the admin port of a gateway with default settings.
pub const ADMIN_URL: &str = "http://127.0.0.1:8002";

/// Largest response in bytes. Responses with many rows exceed tonic's default of 4 MiB.
const MAX_RESPONSE: usize = 256 * 1024 * 1024;

/// One of the two gRPC ports.
pub trait PortKind: Clone + fmt::Debug + Send + Sync + 'static {
    /// Where the port is with default settings.
    const URL: &'static str;
    /// Help text of the flag that sets its address.
    const HELP: &'static str;
    /// The generated client of the service on this port.
    type Client;

    /// Returns a client on this connection.
    fn client(channel: Channel) -> Self::Client;
}

/// The data port, for services.
#[derive(Clone, Debug)]
pub struct Data;

/// The admin port, for operators.
#[derive(Clone, Debug)]
pub struct Admin;

impl PortKind for Data {
    const URL: &'static str = DATA_URL;
    const HELP: &'static str = "Data port of the gateway";
    type Client = DataClient;

    fn client(channel: Channel) -> Self::Client {
        PredictionServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE)
    }
}

impl PortKind for Admin {
    const URL: &'static str = ADMIN_URL;
    const HELP: &'static str = "Admin port of the gateway";
    type Client = AdminClient;

    fn client(channel: Channel) -> Self::Client {
        AdminServiceClient::new(channel).max_decoding_message_size(MAX_RESPONSE)
    }
}

/// A client of `PredictionService`.
pub type DataClient = PredictionServiceClient<Channel>;
/// A client of `AdminService`.
pub type AdminClient = AdminServiceClient<Channel>;

/// Address of a port, and how long to wait for each response; also the flags that set them.
#[derive(Clone, Debug, clap::Args)]
pub struct Port<K: PortKind> {
    #[arg(long, value_name = "URL", default_value = K::URL, help = K::HELP)]
    pub(crate) address: String,
    #[command(flatten)]
    pub(crate) timeout: Timeout,
    #[arg(skip)]
    kind: PhantomData<K>,
}

/// The data port of a gateway.
pub type DataPort = Port<Data>;
/// The admin port of a gateway.
pub type AdminPort = Port<Admin>;

/// How long to wait for one response.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Timeout {
    /// Seconds to wait for a response [default: 10, or 600 where a version is loaded].
    #[arg(
        long = "timeout",
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    seconds: Option<u64>,
}

impl Timeout {
    /// Default in seconds.
    const DEFAULT: u64 = 10;
    /// Default in seconds of calls that return after a version is loaded.
    const LOADING: u64 = 600;

    /// Returns the timeout for calls that return after a version is loaded, which have a longer default.
    pub(crate) fn for_loading(self) -> Self {
        Self {
            seconds: self.seconds.or(Some(Self::LOADING)),
        }
    }

    /// Returns a request with this timeout. The gateway gets it as the deadline of the call.
    pub(crate) fn request<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.duration());
        request
    }

    /// Returns the timeout as a duration.
    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(Self::DEFAULT))
    }
}

impl<K: PortKind> Port<K> {
    /// A port at a socket address, with the default timeout.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::new(format!("http://{address}"), Timeout::default())
    }

    /// A port at this URL, or at `HOST:PORT`.
    pub(crate) fn new(address: String, timeout: Timeout) -> Self {
        Self {
            address,
            timeout,
            kind: PhantomData,
        }
    }

    /// Returns this port with the longer default timeout of calls that load a version.
    pub(crate) fn for_loading(self) -> Self {
        Self::new(self.address, self.timeout.for_loading())
    }

    /// Connects to the port.
    ///
    /// # Errors
    /// Returns an error if the address is invalid or nothing listens there.
    pub(crate) async fn connect(&self) -> Result<K::Client, Failure> {
        let url = url(&self.address)?;
        let endpoint = Endpoint::from_shared(url.clone())
            .map_err(|error| Failure::new(format!("--address: got {:?}: {error}", self.address)))?;
        let connected = endpoint
            .connect_timeout(self.timeout.duration())
            .tcp_nodelay(true)
            // A watch may be silent for hours. Keep-alives detect that the gateway's machine has gone.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .connect()
            .await;
        connected
            .map(K::client)
            .map_err(|error| unreachable(&url, self.timeout, &error))
    }

    /// Connects, sends a request with the deadline, and returns the response.
    ///
    /// # Errors
    /// Returns an error if the gateway cannot be reached, refuses the request or does not answer in time.
    pub(crate) async fn call<Q: Rpc<Port = K>>(&self, message: Q) -> Result<Q::Response, Failure> {
        let mut client = self.connect().await?;
        self.call_on(&mut client, message).await
    }

    /// Sends a request as [`call`](Self::call) does, on an existing connection.
    ///
    /// # Errors
    /// Returns an error if the gateway refuses the request or does not answer in time.
    pub(crate) async fn call_on<Q: Rpc<Port = K>>(
        &self,
        client: &mut K::Client,
        message: Q,
    ) -> Result<Q::Response, Failure> {
        let result = Q::send(client, self.timeout.request(message)).await;
        self.response(result)
    }

    /// Sends a request as [`call_on`](Self::call_on) does, for callers that only count failures.
    ///
    /// # Errors
    /// Returns the name of the gRPC code of the failure.
    pub(crate) async fn send_on<Q: Rpc<Port = K>>(
        &self,
        client: &mut K::Client,
        message: Q,
    ) -> Result<Q::Response, &'static str> {
        let result = Q::send(client, self.timeout.request(message)).await;
        let response = result.map_err(|status| code_name(status.code()))?;
        Ok(response.into_inner())
    }

    /// Returns the message of a response.
    ///
    /// # Errors
    /// Returns the refusal of the gateway, or an error that names this port if the call timed out.
    pub(crate) fn response<T>(&self, result: Result<Response<T>, Status>) -> Result<T, Failure> {
        match result {
            Ok(response) => Ok(response.into_inner()),
            Err(status) if timed_out(&status) => Err(self.timed_out()),
            Err(status) => Err(status.into()),
        }
    }

    /// Waits for `work` as long as for one response. For parts of a stream, which has no deadline as a whole.
    ///
    /// # Errors
    /// Returns an error if `work` is not done in time.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let done = time::timeout(self.timeout.duration(), work).await;
        done.map_err(|_| self.timed_out())
    }

    /// Returns the flag that names this port in a command line, after a space: ` --address URL`. Empty for the default address.
    pub(crate) fn address_flag(&self) -> String {
        if self.address == K::URL {
            String::new()
        } else {
            format!(" --address {}", self.address)
        }
    }

    fn timed_out(&self) -> Failure {
        match url(&self.address) {
            Ok(url) => no_answer(&url, self.timeout),
            Err(failure) => failure,
        }
    }
}

/// Returns whether the call failed because this side stopped waiting.
pub(crate) fn timed_out(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<TimeoutExpired>())
}

/// The causes of `error`, from the nearest to the root.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

fn no_answer(url: &str, timeout: Timeout) -> Failure {
    Failure::new(format!(
        "no answer from {url} within {} s; check that it is the gateway, set its address with --address, or wait longer with \
         --timeout SECONDS",
        timeout.duration().as_secs()
    ))
}

/// Returns the URL of an address: `127.0.0.1:8001`, and `grpc://127.0.0.1:8001` as a gateway prints it, are
/// `http://127.0.0.1:8001`.
fn url(address: &str) -> Result<String, Failure> {
    match address.split_once("://") {
        None => Ok(format!("http://{address}")),
        Some(("http" | "grpc", rest)) => Ok(format!("http://{rest}")),
        Some(_) => Err(Failure::new(format!(
            "--address: got {address:?}, wants http://HOST:PORT; TLS is not supported"
        ))),
    }
}

fn unreachable(url: &str, timeout: Timeout, error: &tonic::transport::Error) -> Failure {
    let io_errors = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let kinds: Vec<_> = io_errors.map(io::Error::kind).collect();
    if kinds.contains(&io::ErrorKind::ConnectionRefused) {
        Failure::new(format!(
            "nothing listens on {url}; start a gateway with `taper serve` or `taper demo`, or set the address of one with \
             --address"
        ))
    } else if kinds.contains(&io::ErrorKind::TimedOut) {
        no_answer(url, timeout)
    } else {
        let root = causes(error).last().unwrap_or(error);
        Failure::new(format!("cannot reach {url}: {root}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme_and_refuses_tls() {
        assert_eq!(url("127.0.0.1:1").unwrap(), "http://127.0.0.1:1");
        assert_eq!(url("http://host:1").unwrap(), "http://host:1");
        assert_eq!(url("grpc://host:1").unwrap(), "http://host:1");
        let refused = url("https://host:1").unwrap_err().to_string();
        assert!(refused.contains("https://host:1"), "{refused}");
    }
}
