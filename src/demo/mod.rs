//! `taper demo`: replays real flights through four versions of a real model, two of them shadows, moves the split, and reports the
//! outcomes of the flights.
//!
//! The example registry and half a year of flights are part of the binary. The demo starts a gateway in this process, on real ports.
//! Everything after that goes through the public RPCs, so a second terminal can do the same.

mod flights;
mod opening;
mod operator;
mod outcomes;
mod plan;
mod quality;
mod replay;
mod results;
mod view;

use include_dir::{Dir, include_dir};
use tempfile::TempDir;

use crate::app::{Gateway, StartError};
use crate::client::Failure;
use crate::config::{Config, Overrides};
use crate::terminal::Signals;
use crate::terminal::output::{self, Reader};

use flights::Flights;
use plan::Plan;
use replay::Replay;

static MODELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/flights/models");
static FLIGHTS: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/examples/flights/live.csv.gz"
));
const MODEL: &str = "flight-delay";

/// Arguments of `taper demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Replay 2,000 flights, show the summary and exit [default: repeat the flights until Ctrl-C].
    #[arg(long)]
    once: bool,
    /// Flights per second [default: 500; with --once 1000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// First of three consecutive ports: HTTP, data and admin.
    #[arg(long, value_name = "PORT", default_value_t = 8000,
          value_parser = clap::value_parser!(u16).range(1..=65_533))]
    port_base: u16,
}

/// Runs the demo.
///
/// # Errors
/// Returns an error if the gateway cannot start, a flight got no response, or stdout cannot be written.
pub async fn run(args: Args) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let flights = Flights::read(FLIGHTS)?;
    let plan = Plan::new(args.once, args.rate, flights.len());
    let folder = unpack()?;
    let gateway = start(&folder, args.port_base).await?;
    let addresses = gateway.addresses();
    let replayed = async {
        let mut replay = Replay::new(addresses, MODEL, &flights, plan).await?;
        match output::print_to_reader(&replay.opening(&program(), addresses).text())? {
            Reader::Present => replay.run(&mut signals).await,
            Reader::Gone => Ok(()),
        }
    };
    let replayed = replayed.await;
    let report = gateway.drain().await;
    replayed?;
    Ok(output::print(&report.to_string())?)
}

/// Returns how the binary was called, for commands that people copy.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "taper".into())
}

/// Creates a temporary folder with the example registry and room for the state. It is deleted when the value is dropped.
fn unpack() -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("taper-demo-").tempdir();
    folder
        .and_then(|folder| {
            let models = folder.path().join("models");
            std::fs::create_dir(&models)?;
            MODELS.extract(models).map(|()| folder)
        })
        .map_err(|error| Failure::new(format!("cannot unpack the example models: {error}")))
}

async fn start(folder: &TempDir, base: u16) -> Result<Gateway, Failure> {
    let address = |offset| Some(format!("127.0.0.1:{}", base + offset));
    let config = Config::load(
        None,
        Overrides {
            registry: Some(folder.path().join("models")),
            state: Some(folder.path().join("state")),
            http: address(0),
            data: address(1),
            admin: address(2),
        },
    )?;
    Gateway::start(config).await.map_err(|error| {
        Failure::new(match error {
            StartError::Bind(_) => format!(
                "{error}\nchoose three other ports with --port-base, as in `--port-base 9000`"
            ),
            other => other.to_string(),
        })
    })
}
