//! Resident memory over two million predictions of three versions with everything on: versions 1 and 2 of `flight-delay` share
//! the traffic, version 3 is a shadow of all of it, version 1 is the fallback of 2, inputs and predictions are recorded, a
//! tenth of the requests goes into the prediction log, and the outcome of every row is reported.
//!
//! Real flights are sent repeatedly, ten per request, by eight clients in a closed loop. Bounded buffers fill up first: the answers
//! that wait for their outcome, the windows of statistics as minutes begin, the pools of the allocator.
//! `cargo bench --bench memory -- --predictions 200000` for a quick look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench prints its results and panics on the first error"
)]

#[path = "../common/args.rs"]
mod args;
#[path = "../load/cpu.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod cpu;
#[path = "../swap/resident.rs"]
mod resident;
#[path = "../load/target.rs"]
#[expect(dead_code, reason = "the bench of load uses more of it")]
mod target;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use args::Args;
use flate2::read::GzDecoder;
use prost_types::{Struct, Value, value::Kind};
use taper::proto::v1;
use taper::proto::v1::prediction_service_client::PredictionServiceClient;
use target::{BUILT, Target};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

const MODEL: &str = "flight-delay";
const CONFIG: &str = r#"
[prediction_log]
path = "predictions.jsonl"
sample = 0.1

[models.flight-delay]
labels = { stable = 1, canary = 2 }
split = { stable = 5000, canary = 5000 }
shadows = [{ version = 3, share = 10000 }]
fallback = { label = "stable" }
"#;
/// Number of clients, and of flights in one of their requests.
const CALLERS: usize = 8;
const ROWS: usize = 10;
/// Number of times that memory is measured.
const MEASUREMENTS: usize = 20;

/// A request and whether each of its flights was late.
type LabelledRequest = (v1::PredictRequest, Vec<bool>);

fn main() {
    let wanted = Args::read().after("--predictions").unwrap_or(2_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(wanted));
}

async fn run(wanted: usize) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights");
    let asked: Arc<[LabelledRequest]> = flights(&examples).into();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let target = Target::gateway(
        BUILT,
        "gateway",
        dir.path(),
        &examples.join("models"),
        CONFIG,
        None,
    );
    let client = connect(&target).await;

    println!(
        "| predictions | resident kB | insight bytes | rows compared | outcomes counted |\n|---|---|---|---|---|"
    );
    let begin = Instant::now();
    let (next, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let mut resident = Vec::new();
    for look in 1..=MEASUREMENTS {
        let until = wanted / ROWS * look / MEASUREMENTS;
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (client, asked) = (client.clone(), Arc::clone(&asked));
            callers.spawn(ask(
                client,
                asked,
                Arc::clone(&next),
                until,
                Arc::clone(&accepted),
            ));
        }
        while let Some(ended) = callers.join_next().await {
            ended.expect("a caller");
        }
        next.store(until, Ordering::Relaxed);
        let now = resident::of(target.id());
        resident.push(now);
        let sum = |prefix: &str| -> f64 {
            let series = target.series(prefix);
            series.iter().map(|(_, value)| value).sum()
        };
        println!(
            "| {} | {now} | {:.0} | {:.0} | {} |",
            until * ROWS,
            sum("taper_insight_bytes"),
            sum("taper_shadow_compared_rows_total"),
            accepted.load(Ordering::Relaxed),
        );
    }
    let (warm, last) = (resident[MEASUREMENTS / 4 - 1], resident[MEASUREMENTS - 1]);
    println!(
        "\nresident memory after the last prediction to that after a quarter of them: {:.3}; {:.0} predictions/s",
        last as f64 / warm as f64,
        wanted as f64 / begin.elapsed().as_secs_f64()
    );
}

/// Sends requests up to number `until`, and reports their outcomes.
async fn ask(
    mut client: PredictionServiceClient<Channel>,
    asked: Arc<[LabelledRequest]>,
    next: Arc<AtomicUsize>,
    until: usize,
    accepted: Arc<AtomicUsize>,
) {
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= until {
            return;
        }
        let (request, late) = &asked[at % asked.len()];
        let answer = client.predict(request.clone()).await.expect("an answer");
        let response_id = answer.into_inner().response_id;
        let outcomes = (0..).zip(late).map(|(row, late)| v1::Outcome {
            response_id: response_id.clone(),
            row,
            truth: Some(v1::outcome::Truth::Class(
                if *late { "late" } else { "on time" }.to_owned(),
            )),
        });
        let report = v1::ReportOutcomesRequest {
            outcomes: outcomes.collect(),
        };
        let answer = client.report_outcomes(report).await.expect("a report");
        let summary = answer.into_inner();
        assert_eq!(summary.invalid, 0, "{summary:?}");
        accepted.fetch_add(summary.accepted as usize, Ordering::Relaxed);
    }
}

/// Returns the live flights as requests.
fn flights(examples: &Path) -> Vec<LabelledRequest> {
    let manifest = fs::read(examples.join("models/flight-delay/1/metadata.json")).expect("read");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let inputs = manifest["inputs"].as_array().expect("inputs").iter();
    let inputs: BTreeMap<&str, bool> = inputs
        .map(|input| {
            let name = input["name"].as_str().expect("a name");
            (name, input["datatype"] == "BYTES")
        })
        .collect();
    let file: PathBuf = examples.join("live.csv.gz");
    let mut reader = csv::Reader::from_reader(GzDecoder::new(File::open(file).expect("flights")));
    let flights: Vec<BTreeMap<String, String>> = reader
        .deserialize()
        .map(|flight| flight.expect("a flight"))
        .collect();
    let row = |flight: &BTreeMap<String, String>| {
        let fields = inputs.iter().map(|(name, is_text)| {
            let text = flight[*name].clone();
            let kind = if *is_text {
                Kind::StringValue(text)
            } else {
                Kind::NumberValue(text.parse().expect("a number"))
            };
            ((*name).to_owned(), Value { kind: Some(kind) })
        });
        Struct {
            fields: fields.collect(),
        }
    };
    let request = |flights: &[BTreeMap<String, String>]| {
        let request = v1::PredictRequest {
            model: MODEL.into(),
            rows: flights.iter().map(row).collect(),
            ..v1::PredictRequest::default()
        };
        let late = flights.iter().map(|flight| flight["late"] == "1");
        (request, late.collect())
    };
    flights.chunks_exact(ROWS).map(request).collect()
}

async fn connect(target: &Target) -> PredictionServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", target.data()));
    let endpoint = endpoint.expect("an address").tcp_nodelay(true);
    PredictionServiceClient::new(endpoint.connect().await.expect("connects"))
}
