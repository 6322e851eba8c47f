//! The generator. Requests are encoded once and answers are not decoded, so that it costs as little as it can.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use hdrhistogram::Histogram;
use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::target::Target;

/// HTTP/2 connections that concurrent requests share.
const CONNECTIONS: usize = 4;

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// So many callers, each of which sends its next request when it has its answer.
    Closed(usize),
    /// So many requests a second, whether earlier ones are answered or not.
    Open(u32),
}

/// What one run saw.
pub(crate) struct Sample {
    /// Answers a second.
    pub(crate) throughput: f64,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// CPU time of the server per answer.
    pub(crate) cpu: Duration,
    /// Answers in all, those of the warm-up too.
    pub(crate) sent: u64,
}

/// Sends `load` to `target`: a warm-up of a third of `seconds`, then the measurement.
pub(crate) async fn drive(target: &Target, load: Load, body: &[u8], seconds: Duration) -> Sample {
    let body = Bytes::copy_from_slice(body);
    match load {
        Load::Closed(callers) => closed(target, callers, body, seconds).await,
        Load::Open(rate) => open(target, rate, body, seconds).await,
    }
}

/// The answer to one request.
pub(crate) async fn one(address: SocketAddr, body: &[u8]) -> Bytes {
    let mut client = Grpc::new(connect(address).await);
    call(&mut client, Bytes::copy_from_slice(body)).await
}

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

async fn closed(target: &Target, callers: usize, body: Bytes, seconds: Duration) -> Sample {
    let channels = channels(target.address(0), callers.min(CONNECTIONS)).await;
    let phase = Arc::new(AtomicU8::new(WARM_UP));
    let mut running = JoinSet::new();
    for caller in 0..callers {
        let mut client = Grpc::new(channels[caller % channels.len()].clone());
        let (phase, body) = (Arc::clone(&phase), body.clone());
        running.spawn(async move {
            let (mut latency, mut sent) = (histogram(), 0);
            loop {
                let start = Instant::now();
                call(&mut client, body.clone()).await;
                sent += 1;
                match phase.load(Ordering::Relaxed) {
                    WARM_UP => {}
                    MEASURE => record(&mut latency, start.elapsed()),
                    _ => return (latency, sent),
                }
            }
        });
    }
    sleep(seconds / 3).await;
    let (begin, cpu) = (Instant::now(), target.cpu());
    phase.store(MEASURE, Ordering::Relaxed);
    sleep(seconds).await;
    phase.store(STOP, Ordering::Relaxed);
    let (took, cpu) = (begin.elapsed(), target.cpu() - cpu);
    let (mut latency, mut sent) = (histogram(), 0);
    while let Some(caller) = running.join_next().await {
        let (own, own_sent) = caller.expect("the caller lives");
        latency.add(own).expect("one range");
        sent += own_sent;
    }
    sample(latency, took, cpu, sent)
}

async fn open(target: &Target, rate: u32, body: Bytes, seconds: Duration) -> Sample {
    let clients: Vec<_> = channels(target.address(0), CONNECTIONS)
        .await
        .into_iter()
        .map(Grpc::new)
        .collect();
    let gap = Duration::from_secs(1) / rate;
    let warm_up = (seconds / 3).as_nanos() / gap.as_nanos();
    let all = warm_up + seconds.as_nanos() / gap.as_nanos();
    let mut running = JoinSet::new();
    let (mut latency, mut sent) = (histogram(), 0);
    let (mut begin, mut cpu) = (Instant::now(), target.cpu());
    let mut due = Instant::now();
    for turn in 0..all {
        due += gap;
        if turn == warm_up {
            (begin, cpu) = (Instant::now(), target.cpu());
        }
        // Timers are too coarse to send by. Between requests this gives way to whatever else can run.
        while Instant::now() < due {
            tokio::task::yield_now().await;
            while let Some(answered) = running.try_join_next() {
                count(&mut latency, answered.expect("answered"));
                sent += 1;
            }
        }
        let mut client = clients[(turn % clients.len() as u128) as usize].clone();
        let body = body.clone();
        running.spawn(async move {
            call(&mut client, body).await;
            (turn >= warm_up).then(|| due.elapsed())
        });
    }
    while let Some(answered) = running.join_next().await {
        count(&mut latency, answered.expect("answered"));
        sent += 1;
    }
    sample(latency, begin.elapsed(), target.cpu() - cpu, sent)
}

fn sample(latency: Histogram<u64>, took: Duration, cpu: Duration, sent: u64) -> Sample {
    let answers = latency.len();
    assert!(answers > 0, "nothing was answered in {took:?}");
    Sample {
        throughput: answers as f64 / took.as_secs_f64(),
        cpu: cpu.div_f64(answers as f64),
        latency,
        sent,
    }
}

/// Three digits, up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("bounds")
}

fn count(latency: &mut Histogram<u64>, took: Option<Duration>) {
    if let Some(took) = took {
        record(latency, took);
    }
}

fn record(latency: &mut Histogram<u64>, took: Duration) {
    latency.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
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

async fn call(client: &mut Grpc<Channel>, body: Bytes) -> Bytes {
    client.ready().await.expect("connected");
    let path = PathAndQuery::from_static("/taper.v1.PredictionService/Predict");
    let answer = client.unary(Request::new(body), path, Raw).await;
    answer.expect("every request is answered").into_inner()
}

/// Messages as they stand on the wire.
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
