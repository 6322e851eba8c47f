//! A gateway on real sockets, and clients for its ports. Every address is 127.0.0.1 port 0.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use prost_types::{Struct, Value, value::Kind};
use taper::app::{DrainReport, Gateway};
use taper::config::{Config, Overrides};
use taper::proto::v1;
use taper::proto::v1::admin_service_client::AdminServiceClient;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// A running gateway with its registry in a folder of its own.
pub struct TestGateway {
    gateway: Gateway,
    /// Client of the data port, one connection.
    pub data: PredictionServiceClient<Channel>,
    /// Client of the admin port.
    pub admin: AdminServiceClient<Channel>,
    dir: TempDir,
}

/// Creates a folder for a registry, which `fill` fills.
pub fn registry(fill: impl FnOnce(&Path)) -> TempDir {
    let dir = tempfile::tempdir().expect("temporary folder");
    fill(&dir.path().join("models"));
    dir
}

/// Parses `toml` (without addresses and registry) as the configuration of a gateway over the registry in `dir`.
pub fn config(dir: &Path, toml: &str) -> Config {
    let path = dir.join("taper.toml");
    std::fs::write(&path, toml).expect("configuration file");
    let any = || Some("127.0.0.1:0".to_owned());
    let overrides = Overrides {
        registry: Some(PathBuf::from(dir).join("models")),
        state: Some(PathBuf::from(dir).join("state")),
        data: any(),
        admin: any(),
        http: any(),
    };
    let mut config = Config::load(Some(&path), overrides).expect("configuration");
    if !toml.contains("drain_seconds") {
        // The deadline is longer than `PATIENCE`: a drain that waits for it although nothing is in flight fails the test.
        config.drain_deadline = PATIENCE * 10;
    }
    config
}

impl TestGateway {
    /// Starts a gateway over a registry that `fill` fills, with the configuration `toml`.
    pub async fn start(toml: &str, fill: impl FnOnce(&Path)) -> Self {
        Self::over(registry(fill), toml).await
    }

    /// Starts a gateway over the registry in `dir`.
    pub async fn over(dir: TempDir, toml: &str) -> Self {
        let gateway = Gateway::start(config(dir.path(), toml))
            .await
            .expect("the gateway starts");
        let addresses = gateway.addresses();
        let data = PredictionServiceClient::new(connect(addresses.data).await);
        let admin = AdminServiceClient::new(connect(addresses.admin).await);
        Self {
            gateway,
            data,
            admin,
            dir,
        }
    }

    /// Returns the folder of its registry.
    pub fn models(&self) -> PathBuf {
        self.dir.path().join("models")
    }

    /// Returns its addresses.
    pub fn addresses(&self) -> taper::app::Addresses {
        self.gateway.addresses()
    }

    /// Predicts and returns the message of the response.
    pub async fn predict(
        &mut self,
        request: impl tonic::IntoRequest<v1::PredictRequest>,
    ) -> Result<v1::PredictResponse, Status> {
        self.data
            .predict(request)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Sets the split of `model` in basis points and returns the new revision.
    pub async fn set_split(
        &mut self,
        model: &str,
        split: &[(u64, u32)],
        expected: u64,
    ) -> Result<u64, Status> {
        let request = v1::SetTrafficPolicyRequest {
            model: model.to_owned(),
            policy: Some(policy(split)),
            terms: expecting_revision(expected),
        };
        Ok(self
            .admin
            .set_traffic_policy(request)
            .await?
            .into_inner()
            .revision)
    }

    /// Returns the status line and the body of `GET path` on the HTTP port.
    pub async fn http_get(&self, path: &str) -> (String, String) {
        http_get(self.addresses().http, path).await
    }

    /// Stops the gateway. Panics unless the drain ends within [`PATIENCE`].
    pub async fn drain(self) {
        drop(self.end().await);
    }

    /// Like [`drain`](Self::drain), and returns the folder of the registry.
    pub async fn drain_and_keep(self) -> TempDir {
        self.end().await.1
    }

    /// Like [`drain`](Self::drain), and returns the report of the drain.
    pub async fn drain_and_report(self) -> DrainReport {
        self.end().await.0
    }

    async fn end(self) -> (DrainReport, TempDir) {
        let Self {
            gateway,
            data,
            admin,
            dir,
        } = self;
        drop((data, admin));
        (ends("the drain", gateway.drain()).await, dir)
    }
}

/// Returns the reason of an error, from its `ErrorInfo`.
pub fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.unwrap_or_else(|| panic!("{status:?} has a reason"))
        .reason
}

/// Returns the fields that an error names.
pub fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request();
    let violations = bad.into_iter().flat_map(|bad| bad.field_violations);
    violations.map(|violation| violation.field).collect()
}

/// Time limit for every event. Versions load at the lowest priority, which waits for other work of a busy machine. It only turns
/// a hang into a failure.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Pause between two probes for an event.
pub const PAUSE: Duration = Duration::from_millis(10);

/// Waits for `future`. Panics if it does not end within [`PATIENCE`].
pub async fn ends<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Calls `probe` until it returns a value. Panics if it does not within [`PATIENCE`].
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let found = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    ends(what, found).await
}

/// Returns the terms of a change that expects `revision`.
pub fn expecting_revision(revision: u64) -> Option<v1::ChangeTerms> {
    Some(v1::ChangeTerms {
        expected_revision: Some(revision),
        ..Default::default()
    })
}

/// Returns a policy that has only a split.
pub fn policy(split: &[(u64, u32)]) -> v1::TrafficPolicy {
    let share = |&(version, basis_points)| v1::Share {
        target: Some(v1::share::Target::Version(version)),
        basis_points,
    };
    v1::TrafficPolicy {
        split: split.iter().map(share).collect(),
        ..Default::default()
    }
}

/// Connects to `address`.
pub async fn connect(address: std::net::SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("endpoint")
        .connect()
        .await
        .expect("connects")
}

/// Returns a request of named rows.
pub fn rows<const N: usize>(model: &str, rows: [serde_json::Value; N]) -> v1::PredictRequest {
    v1::PredictRequest {
        model: model.to_owned(),
        rows: rows.iter().map(row).collect(),
        ..Default::default()
    }
}

/// Returns a row in its form on the wire.
pub fn row(row: &serde_json::Value) -> Struct {
    match value(row).kind {
        Some(Kind::StructValue(row)) => row,
        other => panic!("a row is an object, not {other:?}"),
    }
}

fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().expect("a double")),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(values) => Kind::ListValue(prost_types::ListValue {
            values: values.iter().map(value).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields
                .iter()
                .map(|(name, field)| (name.clone(), value(field)))
                .collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// Returns a valid row for a tiny model.
pub fn good() -> serde_json::Value {
    serde_json::json!({"x": 1.0, "n": 3, "color": "green", "pair": [0.5, -0.5]})
}

/// Returns a request with one header.
pub fn with_header<T>(message: T, name: &'static str, value: &str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert(name, value.parse().expect("header value"));
    request
}

/// Returns the only score of the only row.
pub fn single_score(response: &v1::PredictResponse) -> f32 {
    let [output] = &response.outputs[..] else {
        panic!("one output, got {response:?}")
    };
    let [score] = output.fp32_values[..] else {
        panic!("one score, got {output:?}")
    };
    score
}

/// Sends `GET path` over a plain socket. A body that ends with the connection needs no HTTP client.
pub async fn http_get(address: std::net::SocketAddr, path: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(address)
        .await
        .expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("reads");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (
        head.lines().next().expect("status line").to_owned(),
        body.to_owned(),
    )
}
