//! Connects, sends the first request, and runs the phases.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;

use super::{
    Args,
    generate::generate,
    plan::{Phase, Plan, used_numbers},
    progress::Progress,
    report::{Measurements, report},
    requests::{RequestSender, requests},
    results::Recorder,
    show,
};
use crate::client::v1::PredictRequest;
use crate::client::{DataPort, Failure};
use crate::terminal::{Signals, output};

/// A gateway under load.
#[derive(Debug)]
struct Target {
    address: String,
    /// One for each connection.
    senders: Vec<RequestSender>,
    /// Number of the next request.
    next_number: u64,
    measurements: Measurements,
}

/// Runs `plan` and prints the report.
///
/// # Errors
/// Returns an error if a target cannot be reached, refuses the first request, or answers none of the others.
pub(super) async fn run(args: &Args, plan: &Plan) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let phases = plan.phases();
    let ready = tokio::select! {
        ready = targets(args, plan) => Some(ready?),
        _ = signals.next() => None,
    };
    let Some(mut targets) = ready else {
        return Err(Failure::new("interrupted before any load"));
    };
    let progress = Progress::begin(phases.iter().map(|one| one.length).sum());
    let (mut done, mut interrupted) = (Duration::ZERO, false);
    for phase in &phases {
        let target = &mut targets[phase.target];
        let title = title(phase, args.against.is_some().then_some(&*target.address));
        interrupted = load(target, plan, phase, &progress, (title, done), &mut signals).await;
        if interrupted {
            break;
        }
        done += phase.length;
    }
    progress.end();
    let targets = targets
        .into_iter()
        .map(|one| (one.address, one.measurements));
    let report = report(&args.model, plan, &targets.collect::<Vec<_>>(), interrupted);
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&show::readable(&report))?;
    }
    match report
        .targets
        .iter()
        .find(|target| target.requests.answered == 0)
    {
        Some(silent) if !interrupted => {
            let message = format!("{} answered no request", silent.address);
            Err(Failure::new(message))
        }
        _ => Ok(()),
    }
}

/// Runs one phase, and returns whether a signal interrupted it.
async fn load(
    target: &mut Target,
    plan: &Plan,
    phase: &Phase,
    progress: &Progress,
    (title, done): (String, Duration),
    signals: &mut Signals,
) -> bool {
    let recorder = Arc::new(Recorder::default());
    let mut background = JoinSet::new();
    background.spawn(progress.clone().follow(title, Arc::clone(&recorder), done));
    let begin = Instant::now();
    let load = plan.load_in(phase);
    let interrupted = tokio::select! {
        () = generate(&target.senders, load, phase.length, target.next_number, &recorder) => false,
        _ = signals.next() => true,
    };
    let lasted = begin.elapsed().min(phase.length);
    let tally = recorder.total();
    target.next_number += used_numbers(tally.counts);
    target.measurements.add(phase, &tally, lasted);
    interrupted
}

fn title(phase: &Phase, address: Option<&str>) -> String {
    let what = match phase.round {
        None => "warm-up",
        Some(_) => "measuring",
    };
    address.map_or_else(|| what.into(), |address| format!("{what} {address}"))
}

/// Connects to all targets, and waits until each has answered a first request.
async fn targets(args: &Args, plan: &Plan) -> Result<Vec<Target>, Failure> {
    let requests = requests(args, plan).await?;
    let first = connect(&args.port, plan, &requests, args.input.is_none()).await?;
    let mut targets = vec![first];
    if let Some(address) = args.against.clone() {
        let port = DataPort::new(address, args.port.timeout);
        let second = connect(&port, plan, &requests, args.input.is_none()).await;
        targets.push(second.map_err(|failure| Failure::new(format!("--against: {failure}")))?);
    }
    Ok(targets)
}

async fn connect(
    port: &DataPort,
    plan: &Plan,
    requests: &Arc<[PredictRequest]>,
    generated: bool,
) -> Result<Target, Failure> {
    let mut senders = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        senders.push(RequestSender {
            client: port.connect().await?,
            requests: Arc::clone(requests),
            keys: plan.keys,
            timeout: port.timeout,
        });
    }
    let mut measurements = Measurements::default();
    if let Some(sender) = senders.first() {
        first_answer(sender, port, generated).await?;
        measurements.first_answer();
    }
    Ok(Target {
        address: port.address.clone(),
        senders,
        next_number: 0,
        measurements,
    })
}

/// Sends one request, so that a fault of all requests is reported once, before any load.
async fn first_answer(
    sender: &RequestSender,
    port: &DataPort,
    generated: bool,
) -> Result<(), Failure> {
    let mut client = sender.client.clone();
    let request = port.timeout.request(sender.request(0));
    let result = client.predict(request).await;
    let invalid = matches!(&result, Err(status) if status.code() == Code::InvalidArgument);
    match port.response(result) {
        Ok(_) => Ok(()),
        Err(failure) if generated && invalid => Err(Failure::new(format!(
            "{failure}\n  rows were generated from the signature of the model, which does not state every rule; pass rows with --input"
        ))),
        Err(failure) => Err(failure),
    }
}
