//! Resident memory over two million predictions of three versions with everything on: versions 1 and 2 of `flight-delay` share
//! the traffic, version 3 is a shadow of all of it, version 1 steps in where 2 fails, inputs and predictions are recorded, a
//! tenth of the requests goes into the prediction log, and the truth about every row is reported.
//!
//! Real flights, over and over, ten a request, from eight callers that ask as fast as they are answered. What is bounded fills up
//! first: the buffer of answers that wait for their truth, the windows of statistics as minutes begin, the allocator's pools.
//! `cargo bench --bench memory -- --predictions 200000` for a quick look.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench tells what it saw, and stops at the first thing that is wrong"
)]

#[path = "../common/args.rs"]
mod args;
#[path = "../load/cpu.rs"]
#[expect(dead_code, reason = "the bench of load looks at more of it")]
mod cpu;
#[path = "../swap/resident.rs"]
mod resident;
#[path = "../load/target.rs"]
#[expect(dead_code, reason = "the bench of load looks at more of it")]
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
/// Callers, and flights in one of their requests.
const CALLERS: usize = 8;
const ROWS: usize = 10;
/// How often memory is looked at.
const LOOKS: usize = 20;

/// A request and whether each of its flights was late.
type Asked = (v1::PredictRequest, Vec<bool>);

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
    let asked: Arc<[Asked]> = flights(&examples).into();
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
        "| predictions | resident kB | insight bytes | rows compared | truths counted |\n|---|---|---|---|---|"
    );
    let begin = Instant::now();
    let (next, truths) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let mut resident = Vec::new();
    for look in 1..=LOOKS {
        let until = wanted / ROWS * look / LOOKS;
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (client, asked) = (client.clone(), Arc::clone(&asked));
            callers.spawn(ask(
                client,
                asked,
                Arc::clone(&next),
                until,
                Arc::clone(&truths),
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
            truths.load(Ordering::Relaxed),
        );
    }
    let (warm, last) = (resident[LOOKS / 4 - 1], resident[LOOKS - 1]);
    println!(
        "\nresident memory after the last prediction to that after a quarter of them: {:.3}; {:.0} predictions/s",
        last as f64 / warm as f64,
        wanted as f64 / begin.elapsed().as_secs_f64()
    );
}

/// Asks until request `until` has been sent by somebody, and reports what came true.
async fn ask(
    mut client: PredictionServiceClient<Channel>,
    asked: Arc<[Asked]>,
    next: Arc<AtomicUsize>,
    until: usize,
    truths: Arc<AtomicUsize>,
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
        let told = client.report_outcomes(report).await.expect("a report");
        let told = told.into_inner();
        assert_eq!(told.invalid, 0, "{told:?}");
        truths.fetch_add(told.accepted as usize, Ordering::Relaxed);
    }
}

/// The live flights as requests.
fn flights(examples: &Path) -> Vec<Asked> {
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
