//! The floors: tonic without a gateway.

use std::{
    env,
    hint::black_box,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use prost::Message;
use taper::model::Rows;
use taper::model::payload::Payload;
use taper::proto::v1;
use taper::proto::v1::prediction_service_server::{PredictionService, PredictionServiceServer};
use tokio::runtime;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use crate::candle::Perceptron;
use crate::common;
use crate::listen;
use crate::target::{Cores, Target, on_server_core};

/// Makes this binary a bare server.
pub(crate) const VERB: &str = "bare-server";
/// Makes the bare server run forward passes.
pub(crate) const FORWARD: &str = "forward";

/// This binary as a bare server that gives back the answer in the file at `answer`.
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
    /// candle's networks of versions with a request that is already encoded, taken in turn; empty: no forward pass.
    versions: Vec<(Perceptron, Rows)>,
    next: AtomicUsize,
}

#[tonic::async_trait]
impl PredictionService for Bare {
    async fn predict(
        &self,
        request: Request<v1::PredictRequest>,
    ) -> Result<Response<v1::PredictResponse>, Status> {
        black_box(request);
        if !self.versions.is_empty() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.versions.len();
            let (network, rows) = &self.versions[turn];
            black_box(network.forward(rows.as_slice(), rows.columns()));
        }
        Ok(Response::new(self.answer.clone()))
    }

    type PredictStreamStream = Empty<Result<v1::PredictStreamResponse, Status>>;

    async fn predict_stream(
        &self,
        _: Request<Streaming<v1::PredictRequest>>,
    ) -> Result<Response<Self::PredictStreamStream>, Status> {
        Err(Status::unimplemented("a floor only predicts"))
    }

    async fn report_outcomes(
        &self,
        _: Request<v1::ReportOutcomesRequest>,
    ) -> Result<Response<v1::ReportOutcomesResponse>, Status> {
        Err(Status::unimplemented("a floor only predicts"))
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
    let service = PredictionServiceServer::new(Bare {
        answer,
        versions: versions.collect(),
        next: AtomicUsize::new(0),
    });
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    listen::serve(&runtime.expect("a runtime"), |mut server| {
        server.add_service(service)
    });
}
