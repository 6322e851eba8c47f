//! The memory that a gateway with its default limits takes at most while hostile clients attack it, and a good client beside them.

use std::net::SocketAddr;

use prost::Message;
use serde_json::json;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tonic::body::Body;

use super::compression::compressed;
use super::{CLOSED, MANY_ROWS, OPEN, connection, finish, frame, many_rows, request, tcp};
use super::{series_at, unfinished, whole};
use crate::harness::{connect, eventually, good, http_get, registry, rows};
use crate::hostile_clients::{preface, unfinished_headers};
use crate::process::Process;
use crate::{oip, tiny};

/// The most bytes that the process may take.
const MOST_BYTES: usize = 300_000_000;
const HOSTILE: &str = "127.0.0.2";
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// A gateway process with default limits.
struct Target {
    process: Process,
    data: SocketAddr,
    admin: SocketAddr,
    http: SocketAddr,
    _dir: TempDir,
}

impl Target {
    fn start() -> Self {
        let dir = registry(|root| {
            tiny::publish_with(root, "m", 1, |manifest| {
                manifest["batching"] = json!({"max_rows": MANY_ROWS});
            });
        });
        let mut process = Process::serve(dir.path());
        let [data, admin, http] = ["data", "admin", "http"].map(|port| process.address(port));
        Self {
            process,
            data,
            admin,
            http,
            _dir: dir,
        }
    }

    async fn series(&self, name: &str) -> f64 {
        series_at(self.http, name).await
    }

    async fn until_series(&self, name: &str, is_reached: impl Fn(f64) -> bool) {
        eventually(name, || async {
            is_reached(self.series(name).await).then_some(())
        })
        .await;
    }

    /// Returns the most bytes that the process has ever taken.
    fn peak_bytes(&self) -> usize {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("a status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: usize = kib.expect("VmHWM").parse().expect("a number");
        kib * 1024
    }

    /// Lets `hostile` clients go on while a good client makes calls on every port, all of which must succeed. Then ends the hostile clients
    /// and waits until everything is released.
    ///
    /// `held` is a series that is above the number once the attack is under way.
    async fn serves_beside(&self, attack: &str, held: (&str, f64), mut hostile: JoinSet<()>) {
        let (series, most_before) = held;
        self.until_series(series, |value| value > most_before).await;
        let mut client = PredictionServiceClient::new(connect(self.data).await);
        for at in 0..50 {
            let answer = client.predict(rows("m", [good()])).await;
            answer.unwrap_or_else(|status| panic!("{attack}, call {at}: {status:?}"));
            let (status, _) = http_get(self.http, "/readyz").await;
            assert_eq!(status, "HTTP/1.1 200 OK", "{attack}, call {at}");
        }
        let peak = self.peak_bytes();
        assert!(peak < MOST_BYTES, "{attack}: {peak} bytes");
        hostile.shutdown().await;
        for gauge in ["taper_admitted_requests", "taper_admitted_bytes"] {
            self.until_series(gauge, |value| value == 0.0).await;
        }
    }
}

/// Opens `connections` connections from [`HOSTILE`] with `calls` calls each.
async fn open(
    target: &Target,
    connections: usize,
    calls: usize,
    window: u32,
    body: impl Fn() -> Body,
) -> JoinSet<()> {
    open_with(target, (connections, calls, window), &[], body).await
}

/// As [`open`], with `headers`.
async fn open_with(
    target: &Target,
    (connections, calls, window): (usize, usize, u32),
    headers: &[(&'static str, &str)],
    body: impl Fn() -> Body,
) -> JoinSet<()> {
    let mut hostile = JoinSet::new();
    for _ in 0..connections {
        let sender = connection(target.data, HOSTILE, window).await;
        for _ in 0..calls {
            let (sender, request) = (sender.clone(), request(INFER, headers, body()));
            spawn_held(&mut hostile, async move {
                hold(sender, request).await;
            });
        }
    }
    hostile
}

fn spawn_held(
    hostile: &mut JoinSet<()>,
    attack: impl Future<Output = ()> + Send + 'static,
) -> AbortHandle {
    hostile.spawn(async move {
        attack.await;
        std::future::pending().await
    })
}

/// Sends a call and does not read its answer.
async fn hold(mut sender: super::Sender, request: http::Request<Body>) {
    if sender.ready().await.is_ok()
        && let Ok(response) = sender.send_request(request).await
    {
        // Without a pause, since the body would be reset if it were dropped.
        let _response = response;
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_takes_much_memory_or_affects_a_good_client() {
    let target = Target::start();
    let few = || whole(frame(&oip::typed(1).encode_to_vec()));
    let many = many_rows();
    let in_flight = "taper_admitted_requests";
    let attack = open(&target, 20, 225, CLOSED, few).await;
    target
        .serves_beside("unread answers", (in_flight, 3000.0), attack)
        .await;
    let attack = open(&target, 20, 225, 1, || whole(frame(&many))).await;
    target
        .serves_beside(
            "large answers, of which one byte is read",
            (in_flight, 100.0),
            attack,
        )
        .await;
    let small = oip::typed(900).encode_to_vec();
    let attack = open(&target, 80, 250, 1, || whole(frame(&small))).await;
    target
        .serves_beside(
            "small answers, of which one byte is read",
            (in_flight, 3000.0),
            attack,
        )
        .await;
    let attack = open(&target, 20, 250, OPEN, || {
        let mut half = frame(&many);
        half.truncate(half.len() / 2);
        unfinished(half)
    })
    .await;
    target
        .serves_beside("half messages", (in_flight, 100.0), attack)
        .await;
    let gzip = [("grpc-encoding", "gzip")];
    let attack = open_with(&target, (20, 225, OPEN), &gzip, || {
        unfinished(unfinished_gzip())
    })
    .await;
    target
        .serves_beside("half messages with gzip", (in_flight, 3000.0), attack)
        .await;
    let bomb = bomb();
    let refused = r#"taper_rejected_requests_total{reason="OVERLOADED"}"#;
    let before = target.series(refused).await;
    let attack = open_with(&target, (3, 20, OPEN), &gzip, || whole(bomb.clone())).await;
    target
        .serves_beside(
            "messages that inflate to 15 MiB",
            (refused, before + 20.0),
            attack,
        )
        .await;
    let refused = r#"taper_refused_calls_total{service="reflection",scope="connection"}"#;
    let attack = unread_calls(&target).await;
    target
        .serves_beside("calls besides predictions", (refused, 1000.0), attack)
        .await;
    let refused = r#"taper_rejected_requests_total{reason="MALFORMED_MESSAGE"}"#;
    let before = target.series(refused).await;
    let attack = long_lists(&target).await;
    target
        .serves_beside(
            "lists that take 32 times their bytes",
            (refused, before + 3.0),
            attack,
        )
        .await;
    let room = r#"taper_closed_connections_total{reason="make_room"}"#;
    let attack = silent_connections(&target).await;
    target
        .serves_beside("silent connections", (room, 100.0), attack)
        .await;
}

/// The beginning of a message with gzip, whose head announces 64 KiB of names.
fn unfinished_gzip() -> Vec<u8> {
    let announced = [1, 0, 1, 0, 0];
    let head = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 7];
    [&announced[..], &head].concat()
}

/// A message that gzip makes a thousandth of 15 MiB.
fn bomb() -> Vec<u8> {
    compressed(&vec![0; 15 << 20])
}

/// Ten connections with a thousand unread calls each, to services that describe the gateway.
async fn unread_calls(target: &Target) -> JoinSet<()> {
    let mut hostile = JoinSet::new();
    let paths = [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Watch",
        "/grpc.health.v1.Health/Check",
        "/inference.GRPCInferenceService/ServerMetadata",
        "/inference.GRPCInferenceService/ModelMetadata",
    ];
    for address in [target.data, target.admin] {
        for path in paths {
            let sender = connection(address, HOSTILE, 1).await;
            for _ in 0..1000 {
                let (sender, request) = (sender.clone(), request(path, &[], whole(frame(&[]))));
                spawn_held(&mut hostile, hold(sender, request));
            }
        }
    }
    hostile
}

/// Messages at the limit on bytes whose elements take many times their bytes in memory.
async fn long_lists(target: &Target) -> JoinSet<()> {
    let mut request_message = oip::typed(1);
    let contents = request_message.inputs[0].contents.as_mut();
    contents.expect("contents").bytes_contents = vec![Vec::new().into(); 7 << 20];
    let message = request_message.encode_to_vec();
    let mut hostile = JoinSet::new();
    for _ in 0..4 {
        let sender = connection(target.data, HOSTILE, OPEN).await;
        let request = request(INFER, &[], whole(frame(&message)));
        spawn_held(&mut hostile, async move {
            finish(sender, request).await;
        });
    }
    hostile
}

/// More connections than each port has places, which begin with part of a request or with nothing.
async fn silent_connections(target: &Target) -> JoinSet<()> {
    let mut hostile = JoinSet::new();
    for at in 0..1100 {
        let begin = [Vec::new(), preface(), unfinished_headers()][at % 3].clone();
        for (address, begin) in [
            (target.data, begin),
            (
                target.http,
                b"GET /readyz HTTP/1.1\r\nhost: m\r\n\r\n".to_vec(),
            ),
        ] {
            let mut socket: TcpStream = tcp(address, HOSTILE).await;
            // The gateway may have closed it already, to make room.
            let _ = socket.write_all(&begin).await;
            spawn_held(&mut hostile, async move {
                let _socket = socket;
                std::future::pending::<()>().await;
            });
        }
    }
    hostile
}
