//! The baselines: tonic without a gateway.

use std::{
    convert::Infallible,
    env,
    future::{Ready, ready},
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use prost::Message;
use taper::model::Batch;
use taper::model::payload::Payload;
use taper::proto::v1;
use taper::proto::v1::prediction_service_server::SERVICE_NAME;
use tokio::runtime;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::candle::Perceptron;
use crate::common;
use crate::listen;
use crate::target::{Cores, Target, on_server_core};

/// Argument that makes this binary a bare server.
pub(crate) const VERB: &str = "bare-server";
/// Argument that makes the bare server run forward passes.
pub(crate) const FORWARD: &str = "forward";

/// Starts this binary as a bare server that returns the answer in the file at `answer`.
pub(crate) fn target(
    name: &'static str,
    answer: &Path,
    args: &[&str],
    cores: Option<Cores>,
) -> Target {
    let own = env::current_exe().expect("its own path");
    let mut command = on_server_core(&own.to_string_lossy(), cores);
    command.arg(VERB).arg(answer).args(args);
    Target::start(name, command, &["data"])
}

struct Bare {
    answer: v1::PredictResponse,
    /// candle's networks of versions, each with an encoded request, used in turn. If it is empty, there is no forward pass.
    versions: Vec<(Perceptron, Batch)>,
    next: AtomicUsize,
}

/// The service with tonic's own codec.
#[derive(Clone)]
struct Floor(Arc<Bare>);

impl NamedService for Floor {
    const NAME: &'static str = SERVICE_NAME;
}

impl UnaryService<v1::PredictRequest> for Floor {
    type Response = v1::PredictResponse;
    type Future = Ready<Result<Response<v1::PredictResponse>, Status>>;

    fn call(&mut self, request: Request<v1::PredictRequest>) -> Self::Future {
        black_box(request);
        let Bare {
            answer,
            versions,
            next,
        } = &*self.0;
        if !versions.is_empty() {
            let turn = next.fetch_add(1, Ordering::Relaxed) % versions.len();
            let (network, rows) = &versions[turn];
            black_box(network.forward(rows.as_slice(), rows.columns()));
        }
        ready(Ok(Response::new(answer.clone())))
    }
}

impl Service<http::Request<Body>> for Floor {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let floor = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<v1::PredictResponse, v1::PredictRequest>::default();
            Ok(Grpc::new(codec).unary(floor, request).await)
        })
    }
}

/// Serves the answer in the file at `answer` until stdin ends, on the runtime that tonic is used with.
pub(crate) fn serve(answer: &Path, forward: bool) {
    let answer = std::fs::read(answer).expect("the answer");
    let answer = v1::PredictResponse::decode(&*answer).expect("an answer");
    let numbers: &[u64] = if forward { &[1, 2] } else { &[] };
    let versions = numbers.iter().map(|number| {
        let version = common::version(*number);
        let payload = Payload::Tensors(common::tensors(&version, 1));
        let rows = version.signature().encode(&payload).expect("a golden row");
        let dir = common::registry().join(common::MODEL);
        (Perceptron::read(&dir.join(number.to_string())), rows)
    });
    let service = Floor(Arc::new(Bare {
        answer,
        versions: versions.collect(),
        next: AtomicUsize::new(0),
    }));
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    listen::serve(&runtime.expect("a runtime"), |mut server| {
        server.add_service(service)
    });
}
