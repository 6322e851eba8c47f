//! The load generator of `taper bench` over clients of its own: requests are encoded once and answers are not decoded, so that it
//! uses as little CPU time as possible.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::Message;
pub(crate) use taper::loadgen::Load;
use taper::loadgen::{Arrivals, Caller, Outcome, Recorder, Tally, Times, generate};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::target::Target;

/// HTTP/2 connections that concurrent requests share.
const CONNECTIONS: usize = 4;

/// Returns a closed loop of `callers` clients.
pub(crate) fn closed(callers: usize) -> Load {
    Load::Closed(callers)
}

/// Returns an open loop of `rate` requests per second, evenly spread.
pub(crate) fn open(rate: u32) -> Load {
    Load::Open {
        rate: rate.into(),
        arrivals: Arrivals::Even,
        max_in_flight: usize::MAX,
    }
}

/// Measurements of one run.
pub(crate) struct Sample {
    /// Answers per second.
    pub(crate) throughput: f64,
    /// Latencies; in an open loop from the moment a request was due.
    pub(crate) latency: Times,
    /// CPU time of the server per answer.
    pub(crate) cpu: Duration,
    /// All answers, including those of the warm-up.
    pub(crate) sent: u64,
}

/// An encoded request and the path of its method.
#[derive(Clone)]
pub(crate) struct EncodedRequest {
    pub(crate) path: PathAndQuery,
    /// The message.
    pub(crate) body: Bytes,
}

impl EncodedRequest {
    /// Encodes a request of the native protocol.
    pub(crate) fn native(message: &impl Message) -> Self {
        Self::by("/taper.v1.PredictionService/Predict", message)
    }

    /// Encodes a request for the method `path`.
    pub(crate) fn by(path: &'static str, message: &impl Message) -> Self {
        Self {
            path: PathAndQuery::from_static(path),
            body: message.encode_to_vec().into(),
        }
    }
}

/// Returns the answer to one request.
pub(crate) async fn one(address: SocketAddr, asked: &EncodedRequest) -> Bytes {
    let mut client = Grpc::new(connect(address).await);
    let answer = call(&mut client, asked, None).await;
    answer.expect("an answer")
}

/// Sends `load` to `target`: a warm-up of a third of `seconds`, then the measurement.
pub(crate) async fn drive(
    target: &Target,
    load: Load,
    asked: &EncodedRequest,
    seconds: Duration,
) -> Sample {
    let senders = Senders::of(target.data(), load, asked, None).await;
    let warm_up = senders.send(load, seconds / 3).await.counts;
    let before = target.cpu();
    let total = senders.send(load, seconds).await;
    let (cpu, counts) = (target.cpu() - before, total.counts);
    assert!(counts.in_time > 0, "nothing was answered in {seconds:?}");
    for counts in [warm_up, counts] {
        assert_eq!(
            counts.failed + counts.unfinished() + counts.not_sent,
            0,
            "every request is sent and answered: {:?}",
            total.errors
        );
    }
    Sample {
        throughput: counts.in_time as f64 / seconds.as_secs_f64(),
        cpu: cpu.div_f64(counts.answered as f64),
        latency: total.latency(),
        sent: warm_up.sent + counts.sent,
    }
}

/// Connections that send one request over and over.
pub(crate) struct Senders(Vec<Sender>);

impl Senders {
    /// Opens as many connections as `load` needs. Requests have the timeout `deadline`.
    pub(crate) async fn of(
        address: SocketAddr,
        load: Load,
        asked: &EncodedRequest,
        deadline: Option<Duration>,
    ) -> Self {
        let connections = match load {
            Load::Closed(callers) => callers.min(CONNECTIONS),
            Load::Open { .. } => CONNECTIONS,
        };
        let channels = channels(address, connections).await.into_iter();
        let senders = channels.map(|channel| Sender {
            client: Grpc::new(channel),
            asked: asked.clone(),
            deadline,
        });
        Self(senders.collect())
    }

    /// Sends `load` for some time, and returns the results.
    pub(crate) async fn send(&self, load: Load, length: Duration) -> Tally {
        let recorder = Arc::new(Recorder::default());
        generate(&self.0, load, length, 0, &recorder).await;
        recorder.total()
    }
}

/// One connection. Its requests are all the same.
#[derive(Clone)]
struct Sender {
    client: Grpc<Channel>,
    asked: EncodedRequest,
    deadline: Option<Duration>,
}

impl Caller for Sender {
    async fn call(&mut self, _: u64) -> Outcome {
        match call(&mut self.client, &self.asked, self.deadline).await {
            // The answer, which is not decoded, contains the version.
            Ok(_) => Outcome::Answered(0),
            Err(status) => Outcome::Failed {
                code: status.code(),
                message: status.message().to_owned(),
            },
        }
    }
}

async fn channels(address: SocketAddr, number: usize) -> Vec<Channel> {
    let mut channels = Vec::with_capacity(number);
    for _ in 0..number {
        channels.push(connect(address).await);
    }
    channels
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let endpoint = endpoint.tcp_nodelay(true);
    endpoint.connect().await.expect("connects")
}

async fn call(
    client: &mut Grpc<Channel>,
    asked: &EncodedRequest,
    deadline: Option<Duration>,
) -> Result<Bytes, Status> {
    client.ready().await.expect("connected");
    let mut request = Request::new(asked.body.clone());
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    let answer = client.unary(request, asked.path.clone(), Raw).await;
    Ok(answer?.into_inner())
}

/// A codec that passes encoded messages through.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
