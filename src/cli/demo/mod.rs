//! `taper demo`: three versions of a real model, real flights, and a split that moves.
//!
//! The example registry and half a year of flights are part of the binary. A gateway starts in this process on real
//! ports; everything after that goes through the public RPCs, so a second terminal can do what the demo does.

mod flights;
mod operator;
mod replay;
mod tally;
mod view;

use std::{env, time::Duration};

use include_dir::{Dir, include_dir};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{self, Instant, MissedTickBehavior},
};

use super::{
    client::{AdminPort, DataPort},
    failure::{Failure, code_name},
    out,
    signals::Signals,
    wire,
};
use crate::app::{Addresses, Gateway, StartError};
use crate::config::{Config, Overrides};
use crate::proto::v1::{GetModelResponse, PredictRequest, TensorSignature, VersionState};

use flights::Flights;
use operator::Operator;
use replay::{Pace, Question};
use tally::Board;
use view::{Scene, Screen};

static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/flights/models");
static FLIGHTS: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/flights/live.csv.gz"
));
const MODEL: &str = "flight-delay";

/// Shares in basis points: at first, and after the move.
const CAREFUL: [(u64, u32); 2] = [(1, 9_500), (2, 500)];
const EVEN: [(u64, u32); 2] = [(1, 5_000), (2, 5_000)];

/// Flights of `--once`.
const ONCE: usize = 2_000;
/// Seconds until the split moves, without `--once`.
const SECONDS_BEFORE_MOVE: usize = 20;
/// Flights that wait for an answer at one time; past that the replay waits too.
const IN_FLIGHT: usize = 256;

/// Arguments of `taper demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Replay 2,000 flights, show the summary and end. Without it the flights go round until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Flights a second [default: 500; with --once 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// First of the three ports: HTTP here, predictions on the next, administration on the one after.
    #[arg(long, value_name = "PORT", default_value_t = 8000,
          value_parser = clap::value_parser!(u16).range(1..=65_533))]
    port_base: u16,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let flights = Flights::read(FLIGHTS)?;
    let registry = unpack()?;
    let gateway = start(&registry, args.port_base).await?;
    // Boxed because it holds the whole replay, which would make this future large.
    let played = Box::pin(play(&args, &flights, gateway.addresses(), &mut signals)).await;
    let report = gateway.drain().await;
    played?;
    out::print(&report.to_string())
}

/// The example registry as a folder, which goes away with the value.
fn unpack() -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("taper-demo-").tempdir();
    folder
        .and_then(|folder| MODELS.extract(folder.path()).map(|()| folder))
        .map_err(|error| Failure::new(format!("cannot unpack the example models: {error}")))
}

async fn start(registry: &TempDir, base: u16) -> Result<Gateway, Failure> {
    let address = |offset| Some(format!("127.0.0.1:{}", base + offset));
    let config = Config::load(
        None,
        Overrides {
            registry: Some(registry.path().to_path_buf()),
            http: address(0),
            data: address(1),
            admin: address(2),
        },
    )?;
    Gateway::start(config).await.map_err(|error| {
        Failure::new(match error {
            StartError::Bind(_) => format!("{error}\nchoose three other ports with --port-base, as in `--port-base 9000`"),
            other => other.to_string(),
        })
    })
}

/// What does not change while the flights go by.
#[derive(Debug)]
struct Stage {
    inputs: Vec<TensorSignature>,
    /// On time, late.
    classes: [String; 2],
}

impl Stage {
    /// From the highest READY version: versions under one policy take and give the same.
    fn of(model: &GetModelResponse) -> Result<Self, Failure> {
        let ready = |state| state == VersionState::Ready;
        let version = model.versions.iter().rev().find(|version| ready(version.state()));
        match version.map(|version| (version, version.classes.as_slice())) {
            Some((version, [on_time, late])) => Ok(Self {
                inputs: version.inputs.clone(),
                classes: [on_time.clone(), late.clone()],
            }),
            _ => Err(Failure::new("the example model has no READY version with two classes")),
        }
    }

    fn question(&self, flights: &Flights, at: usize) -> Question {
        let late = flights.was_late(at);
        Question {
            request: PredictRequest {
                model: MODEL.into(),
                rows: vec![wire::row(flights.row(at, &self.inputs))],
                ..PredictRequest::default()
            },
            late,
            truth: self.classes[usize::from(late)].clone(),
        }
    }
}

/// Which flight is sent when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// Flights to send; `None` for no end.
    most: Option<usize>,
    /// Flights between two that are sent: with `--once` the sample spans the whole half-year.
    stride: usize,
    /// The split moves before this flight.
    move_before: usize,
    per_second: u32,
}

impl Plan {
    fn new(args: &Args, flights: usize) -> Self {
        if args.once {
            Self {
                most: Some(ONCE.min(flights)),
                stride: (flights / ONCE).max(1),
                move_before: ONCE.min(flights) / 2,
                per_second: args.rate.unwrap_or(1_000),
            }
        } else {
            let per_second = args.rate.unwrap_or(500);
            Self {
                most: None,
                stride: 1,
                move_before: per_second as usize * SECONDS_BEFORE_MOVE,
                per_second,
            }
        }
    }
}

async fn play(
    args: &Args,
    flights: &Flights,
    addresses: Addresses,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let (data, admin) = (DataPort::at(addresses.data), AdminPort::at(addresses.admin));
    let client = data.connect().await?;
    let mut operator = Operator::new(&admin, MODEL).await?;
    let model = operator.model().await?;
    let stage = Stage::of(&model)?;
    let plan = Plan::new(args, flights.len());
    operator.begin(&CAREFUL).await?;
    out::print(&opening(&model, addresses, args.port_base, &flights.row(0, &stage.inputs)))?;

    let (mut board, screen) = (Board::default(), Screen::of_stdout());
    let mut running = JoinSet::new();
    let mut pace = Pace::new(plan.per_second);
    let mut sent = 0;
    let begin = Instant::now();
    let mut draw = time::interval(screen.period());
    draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let more = plan.most.is_none_or(|most| sent < most);
        if !more && running.is_empty() {
            break;
        }
        tokio::select! {
            () = pace.due(), if more && running.len() < IN_FLIGHT => {
                if sent == plan.move_before {
                    screen.tell(move_split(&mut operator).await?)?;
                }
                let question = stage.question(flights, sent * plan.stride);
                running.spawn(replay::ask(client.clone(), question));
                sent += 1;
            }
            Some(done) = running.join_next() => match done {
                Ok(Ok(seen)) => board.record(seen),
                Ok(Err(status)) => board.fail(code_name(status.code())),
                Err(_) => board.fail("PANIC"),
            },
            _ = draw.tick() => {
                board.tick(begin.elapsed());
                let policy = operator.policy().await?;
                let date = flights.date(sent.saturating_sub(1) * plan.stride);
                screen.draw(&Scene::new(&policy, &board, &stage.classes, date, begin.elapsed()))?;
            }
            _ = signals.next() => break,
        }
    }
    let policy = operator.policy().await?;
    let date = flights.date(sent.saturating_sub(1) * plan.stride);
    screen.end(&Scene::new(&policy, &board, &stage.classes, date, begin.elapsed()))?;
    match board.failed() {
        0 => Ok(()),
        failed => Err(Failure::new(format!("{failed} flights got no answer"))),
    }
}
