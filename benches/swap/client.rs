//! The generator: requests are sent when they are due, and every answer must match the version that it names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use taper::proto::v1;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::pool::MODEL;
use crate::tiny_request;

/// HTTP/2 connections that the requests share.
const CONNECTIONS: usize = 4;

/// Results of some requests.
pub(crate) struct Sample {
    pub(crate) sent: u64,
    /// Requests without an answer.
    pub(crate) failed: u64,
    /// Requests with an answer of another version than the one it names.
    pub(crate) wrong: u64,
    /// Latencies from the moment each request was due, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        // Three digits, up to a minute.
        let latency = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("bounds");
        Self {
            sent: 0,
            failed: 0,
            wrong: 0,
            latency,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.latency.add(&other.latency).expect("one range");
    }

    fn count(&mut self, answered: Answered, newest: &AtomicU64) {
        let (took, answer) = answered;
        self.latency
            .saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        match answer {
            Ok(answer) if is_right(&answer) => {
                newest.fetch_max(answer.version, Ordering::Relaxed);
            }
            Ok(answer) => {
                self.wrong += 1;
                println!("wrong: {answer:?}");
            }
            Err(status) => {
                self.failed += 1;
                println!("failed: {status:?}");
            }
        }
    }
}

/// Time since the request was due, and the answer.
type Answered = (Duration, Result<v1::PredictResponse, Status>);

/// Version `v` answers `v`.
fn is_right(answer: &v1::PredictResponse) -> bool {
    let scores = answer.outputs.first().map(|output| &output.fp32_values[..]);
    scores == Some(&[answer.version as f32])
}

/// Clients of one gateway.
pub(crate) struct Clients {
    clients: Vec<PredictionServiceClient<Channel>>,
    /// The highest version that has answered.
    pub(crate) newest: Arc<AtomicU64>,
}

impl Clients {
    pub(crate) async fn of(address: SocketAddr) -> Self {
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            clients.push(PredictionServiceClient::new(connect(address).await));
        }
        let newest = Arc::default();
        Self { clients, newest }
    }

    /// Sends `rate` requests a second until `during` ends.
    pub(crate) async fn load(&self, rate: u32, during: impl Future<Output = ()>) -> Sample {
        let gap = Duration::from_secs(1) / rate;
        let (mut sample, mut running) = (Sample::new(), JoinSet::<Answered>::new());
        let mut due = Instant::now();
        tokio::pin!(during);
        loop {
            due += gap;
            // Timers are too coarse for sending. Between requests this task yields to all others.
            while Instant::now() < due {
                tokio::select! {
                    biased;
                    () = &mut during => {
                        while let Some(answered) = running.join_next().await {
                            sample.count(answered.expect("joins"), &self.newest);
                        }
                        return sample;
                    }
                    () = tokio::task::yield_now() => {}
                }
                while let Some(answered) = running.try_join_next() {
                    sample.count(answered.expect("joins"), &self.newest);
                }
            }
            let turn = usize::try_from(sample.sent).expect("fits") % self.clients.len();
            let mut client = self.clients[turn].clone();
            running.spawn(async move {
                let answer = client.predict(tiny_request::message(MODEL)).await;
                (due.elapsed(), answer.map(tonic::Response::into_inner))
            });
            sample.sent += 1;
        }
    }
}

pub(crate) async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let endpoint = endpoint.tcp_nodelay(true);
    endpoint.connect().await.expect("connects")
}
