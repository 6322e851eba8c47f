//! Connects, sends the first request, and goes through the stretches.

use std::{slice, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;

use super::{
    Args,
    board::Board,
    generate::generate,
    plan::{Plan, Stretch, taken},
    progress::Progress,
    report::{Gathered, report},
    requests::{Asker, requests},
    show,
};
use crate::client::DataPort;
use crate::client::Failure;
use crate::terminal::{Signals, output};

/// A gateway under load.
#[derive(Debug)]
struct Target {
    address: String,
    /// One a connection.
    askers: Vec<Asker>,
    /// Number of the next request.
    turn: u64,
    gathered: Gathered,
}

/// Does what `plan` says, and prints the report.
///
/// # Errors
/// A target cannot be reached or refuses the first request, or none of the others was answered.
pub(super) async fn run(args: &Args, plan: &Plan) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let stretches = plan.stretches();
    let ready = tokio::select! {
        ready = targets(args, plan) => Some(ready?),
        _ = signals.next() => None,
    };
    let Some(mut targets) = ready else {
        return Err(Failure::new("ended before any load"));
    };
    let progress = Progress::begin(stretches.iter().map(|one| one.length).sum());
    let (mut done, mut interrupted) = (Duration::ZERO, false);
    for stretch in &stretches {
        let target = &mut targets[stretch.target];
        let title = title(stretch, args.against.is_some().then_some(&*target.address));
        interrupted = load(
            target,
            plan,
            stretch,
            &progress,
            (title, done),
            &mut signals,
        )
        .await;
        if interrupted {
            break;
        }
        done += stretch.length;
    }
    progress.end();
    let targets = targets.into_iter().map(|one| (one.address, one.gathered));
    let report = report(&args.model, plan, &targets.collect::<Vec<_>>(), interrupted);
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&show::readable(&report))?;
    }
    match report
        .targets
        .iter()
        .find(|told| told.requests.answered == 0)
    {
        Some(silent) if !interrupted => {
            let told = format!("{} answered no request", silent.address);
            Err(Failure::new(told))
        }
        _ => Ok(()),
    }
}

/// One stretch; tells whether a signal has ended it.
async fn load(
    target: &mut Target,
    plan: &Plan,
    stretch: &Stretch,
    progress: &Progress,
    (title, done): (String, Duration),
    signals: &mut Signals,
) -> bool {
    let board = Arc::new(Board::default());
    let mut beside = JoinSet::new();
    beside.spawn(progress.clone().follow(title, Arc::clone(&board), done));
    let begin = Instant::now();
    let how = plan.load_in(stretch);
    let interrupted = tokio::select! {
        () = generate(&target.askers, how, stretch.length, target.turn, &board) => false,
        _ = signals.next() => true,
    };
    let lasted = begin.elapsed().min(stretch.length);
    let tally = board.total();
    target.turn += taken(tally.counts);
    target.gathered.add(stretch, &tally, lasted);
    interrupted
}

fn title(stretch: &Stretch, address: Option<&str>) -> String {
    let what = match stretch.round {
        None => "warm-up",
        Some(_) => "measuring",
    };
    address.map_or_else(|| what.into(), |address| format!("{what} {address}"))
}

/// All targets, connected; each has answered the first request.
async fn targets(args: &Args, plan: &Plan) -> Result<Vec<Target>, Failure> {
    let second = args.against.clone();
    let second = second.map(|address| DataPort::to(address, args.port.patience));
    let requests = requests(args, plan).await?;
    let mut targets = Vec::new();
    for (flag, port) in slice::from_ref(&args.port)
        .iter()
        .map(|port| ("", port))
        .chain(second.iter().map(|port| ("--against: ", port)))
    {
        let named = |failure: Failure| match flag {
            "" => failure,
            flag => Failure::new(format!("{flag}{failure}")),
        };
        let mut askers = Vec::with_capacity(plan.connections);
        for _ in 0..plan.connections {
            askers.push(Asker {
                client: port.connect().await.map_err(named)?,
                requests: Arc::clone(&requests),
                keys: plan.keys,
                patience: port.patience,
            });
        }
        first_answer(&askers, port, args.input.is_none())
            .await
            .map_err(named)?;
        let mut gathered = Gathered::default();
        gathered.first_answer();
        targets.push(Target {
            address: port.address.clone(),
            askers,
            turn: 0,
            gathered,
        });
    }
    Ok(targets)
}

/// Sends one request, so that what is wrong with all of them is told once and at once.
async fn first_answer(askers: &[Asker], port: &DataPort, made: bool) -> Result<(), Failure> {
    let Some(asker) = askers.first() else {
        return Ok(());
    };
    let mut client = asker.client.clone();
    let answer = client
        .predict(port.patience.request(asker.request(0)))
        .await;
    let refused = matches!(&answer, Err(status) if status.code() == Code::InvalidArgument);
    let answer = port.answer(std::future::ready(answer)).await;
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if made && refused => Err(Failure::new(format!(
            "{failure}\n  rows were made from what the gateway tells of the model, which is not all: give some with --input"
        ))),
        Err(failure) => Err(failure),
    }
}
