//! The fuzz targets: every entry point that reads data from untrusted clients, called without sockets, and every reader of model
//! files. Each call checks what must hold for every response.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use taper::api::grpc::{Admission, DataPort, OpenInference, Predictions, TensorFlowServing};
use taper::api::http::{HttpState, router};
use taper::api::{Catalog, Lifecycle, Predictor};
use taper::control::View;
use taper::insight::metrics::Telemetry;
use taper::insight::outcomes::{OutcomeSettings, Outcomes};
use taper::model::manifest::raw::FormatKind;
use taper::model::npz;
use taper::proto::tensorflow::serving::prediction_service_server as tensorflow;
use taper::serving::Pipeline;
use taper::serving::admission::{AdmissionControl, Limits};
use taper::serving::batch::Pool;
use taper::serving::route::RawPolicy;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::codegen::Service;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::live_snapshot;
use crate::tiny;

/// Maximum length of a message in bytes. The fuzzer does not spend its time on longer ones.
pub const LONGEST: usize = 1 << 16;

/// One entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FuzzTarget {
    /// `taper.v1.PredictionService/Predict`.
    Native,
    /// `inference.GRPCInferenceService/ModelInfer`.
    OpenInference,
    /// `tensorflow.serving.PredictionService/Predict`.
    TensorFlowServing,
    /// `POST /v2/models/m/infer`. The first two bytes of the message give the length of the JSON part; binary tensors follow it.
    /// 0: everything is JSON.
    RestInfer,
    /// `POST /v2/models/m/predict`.
    RestPredict,
    /// A model file of XGBoost.
    Xgboost,
    /// A model file of LightGBM.
    Lightgbm,
    /// A model file in the format ONNX.
    Onnx,
    /// A numpy archive.
    Npz,
}

impl FuzzTarget {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Native,
        Self::OpenInference,
        Self::TensorFlowServing,
        Self::RestInfer,
        Self::RestPredict,
        Self::Xgboost,
        Self::Lightgbm,
        Self::Onnx,
        Self::Npz,
    ];

    /// Returns the name used by `FUZZ_TARGET` and by the corpus folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::OpenInference => "open_inference",
            Self::TensorFlowServing => "tensorflow_serving",
            Self::RestInfer => "rest_infer",
            Self::RestPredict => "rest_predict",
            Self::Xgboost => "xgboost",
            Self::Lightgbm => "lightgbm",
            Self::Onnx => "onnx",
            Self::Npz => "npz",
        }
    }
}

/// Reads a model file. It is refused with a reason, or described.
fn read_model(kind: FormatKind, file: &[u8]) {
    std::hint::black_box(taper::model::recognise(file));
    let mut external = |_: &str, _, _| Err("there is no other file".to_owned());
    match taper::model::describe(kind, file.to_vec(), None, &mut external) {
        Ok(description) => assert!(!description.outputs.is_empty(), "{description:?}"),
        Err(faults) => assert!(!faults.is_empty(), "refused without a reason"),
    }
}

/// A gateway without sockets that serves two versions of the tiny model `m`.
pub struct Harness {
    runtime: Runtime,
    admission: Arc<AdmissionControl>,
    predictor: Predictor,
    catalog: Catalog,
    telemetry: Arc<Telemetry>,
    router: axum::Router,
}

impl Harness {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let versions = [1, 2].map(|number| {
            tiny::publish(dir.path(), "m", number);
            let folder = dir.path().join("m").join(number.to_string());
            let number = number.try_into().expect("a version");
            taper::model::load(&folder, &"m".parse().expect("a name"), number).expect("loads")
        });
        let telemetry = Telemetry::new().expect("metrics");
        let policy = RawPolicy {
            split: vec![(1.into(), 5_000), (2.into(), 5_000)],
            ..RawPolicy::default()
        };
        let live = live_snapshot::live(&telemetry, "m", versions, policy);
        let limits = Limits {
            max_in_flight: 8,
            max_in_flight_bytes: 2 * LONGEST,
        };
        let admission = AdmissionControl::new(limits, Arc::clone(&telemetry));
        let pool = Pool::start().expect("threads");
        let (_, views) = watch::channel(Arc::new(View::default()));
        let catalog = Catalog::new(Arc::clone(&live), views, Lifecycle::new().watch());
        let pipeline = Pipeline::new(live, Arc::clone(&telemetry), pool);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let predictor = Predictor::new(Arc::new(pipeline), Arc::clone(&admission));
        let outcomes = Outcomes::new(OutcomeSettings::default(), telemetry.outcomes());
        let state = HttpState::new(
            catalog.clone(),
            &telemetry,
            Arc::new(outcomes),
            predictor.clone(),
            LONGEST,
        );
        Self {
            runtime: runtime.expect("a runtime"),
            predictor,
            admission,
            catalog,
            telemetry,
            router: router(state),
        }
    }

    /// Sends `message` to `target`. Panics if the response is not one that a client may get.
    pub fn send(&self, target: FuzzTarget, message: &[u8]) {
        let (predictor, catalog) = (self.predictor.clone(), self.catalog.clone());
        match target {
            FuzzTarget::Xgboost => return read_model(FormatKind::Xgboost, message),
            FuzzTarget::Lightgbm => return read_model(FormatKind::Lightgbm, message),
            FuzzTarget::Onnx => return read_model(FormatKind::Onnx, message),
            FuzzTarget::Npz => return drop(npz::read(message)),
            FuzzTarget::Native => {
                let service = Predictions::new(predictor).into_service(LONGEST);
                self.call(service, "/taper.v1.PredictionService/Predict", message);
            }
            FuzzTarget::OpenInference => {
                let port = DataPort::new(predictor, catalog.clone());
                let service = OpenInference::new(catalog, port).into_service(LONGEST);
                self.call(
                    service,
                    "/inference.GRPCInferenceService/ModelInfer",
                    message,
                );
            }
            FuzzTarget::TensorFlowServing => {
                let service = TensorFlowServing::new(predictor, catalog, LONGEST);
                let service = tensorflow::PredictionServiceServer::new(service);
                self.call(
                    service,
                    "/tensorflow.serving.PredictionService/Predict",
                    message,
                );
            }
            FuzzTarget::RestInfer => {
                let (length, body) = message.split_first_chunk().unwrap_or((&[0; 2], message));
                let length = u16::from_le_bytes(*length);
                let mut request = http::Request::post("/v2/models/m/infer");
                if length > 0 {
                    request = request.header("inference-header-content-length", length);
                }
                self.post(request, body);
            }
            FuzzTarget::RestPredict => {
                self.post(http::Request::post("/v2/models/m/predict"), message);
            }
        }
        assert_eq!(self.admission.in_flight(), 0, "a permit was not released");
    }

    /// Sends `body` over HTTP.
    fn post(&self, request: http::request::Builder, body: &[u8]) {
        let body = axum::body::Body::from(body.to_vec());
        let request = request.body(body).expect("a request");
        let router = self.router.clone();
        let (status, body) = self.runtime.block_on(async {
            let Ok(response) = router.oneshot(request).await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            (head.status.as_u16(), body)
        });
        let text = String::from_utf8_lossy(&body);
        assert!(
            [200, 400, 404, 413, 429, 504].contains(&status),
            "{status}: {text}"
        );
        if status != 200 {
            let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert!(json["error"].is_string(), "{json}");
        }
    }

    /// Sends `message` as the only message of a gRPC call.
    fn call<S>(&self, service: S, path: &str, message: &[u8])
    where
        Admission<S>: Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<tonic::body::Body>,
                Error = Infallible,
            >,
    {
        let (admission, telemetry) = (Arc::clone(&self.admission), Arc::clone(&self.telemetry));
        let mut service = Admission::new(service, admission, telemetry);
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        let frame = [&[0][..], &length, message].concat();
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .body(tonic::body::Body::new(Full::from(frame)))
            .expect("a request");
        let status = self.runtime.block_on(async {
            let Ok(response) = service.call(request).await;
            let at_once = Status::from_header_map(response.headers());
            let body = response.into_body().collect().await.expect("a body");
            let at_the_end = body.trailers().and_then(Status::from_header_map);
            at_once.or(at_the_end).expect("a status")
        });
        let may = [
            Code::Ok,
            Code::InvalidArgument,
            Code::NotFound,
            Code::OutOfRange,
            // The limits are small, and a single value may fill a large tensor.
            Code::ResourceExhausted,
            Code::Unavailable,
            // A request may set its own timeout.
            Code::DeadlineExceeded,
        ];
        assert!(may.contains(&status.code()), "{status:?}");
    }
}
