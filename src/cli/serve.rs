//! `taper serve`: a gateway until somebody ends it.

use std::{env, path::PathBuf};

use super::check;
use crate::app::{self, Addresses, Gateway, VersionStatus};
use crate::client::Failure;
use crate::config::{Config, Overrides};
use crate::terminal::{Signals, output, table::table};

/// Arguments of `taper serve`. Flags come before environment variables, and both before the file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration in TOML; `taper schema config` describes it.
    #[arg(long, value_name = "FILE", env = "TAPER_CONFIG")]
    config: Option<PathBuf>,
    /// Folder with all models and versions [default: models].
    #[arg(long, value_name = "DIR", env = "TAPER_REGISTRY")]
    registry: Option<PathBuf>,
    /// Folder for what operators change, and for the audit log; one gateway at a time [default: state].
    #[arg(long, value_name = "DIR", env = "TAPER_STATE")]
    state: Option<PathBuf>,
    /// gRPC for services: predictions, health, reflection [default: 127.0.0.1:8001].
    #[arg(long, value_name = "ADDR", env = "TAPER_DATA_ADDR")]
    data: Option<String>,
    /// gRPC for operators; loopback only [default: 127.0.0.1:8002].
    #[arg(long, value_name = "ADDR", env = "TAPER_ADMIN_ADDR")]
    admin: Option<String>,
    /// HTTP: /metrics, /healthz, /readyz [default: 127.0.0.1:8000].
    #[arg(long, value_name = "ADDR", env = "TAPER_HTTP_ADDR")]
    http: Option<String>,
    /// Check the configuration and every version of the registry, then end.
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let overrides = Overrides {
        registry: args.registry,
        state: args.state,
        data: args.data,
        admin: args.admin,
        http: args.http,
    };
    let config = Config::load(args.config.as_deref(), overrides)?;
    if args.check {
        check::folder(&config.registry)?;
        let rehearsed = app::rehearse(&config).await;
        rehearsed.map_err(|error| Failure::new(error.to_string()))?;
        return output::print("the configuration is good");
    }
    let mut signals = Signals::listen()?;
    let started = tokio::select! {
        started = Gateway::start(config) => started,
        name = signals.next() => return output::print(&format!("{name} while loading: nothing was served")),
    };
    let mut gateway = started.map_err(|error| Failure::new(error.to_string()))?;
    output::print(&format!(
        "{}\n{}",
        banner(
            gateway.addresses(),
            env::var("RAYON_NUM_THREADS").ok().as_deref()
        ),
        listing(&gateway.version_statuses(), &gateway.problems())
    ))?;
    let broken = tokio::select! {
        name = signals.next() => {
            output::print(&format!("{name}: draining; a second signal ends at once"))?;
            None
        }
        part = gateway.broken() => Some(part),
    };
    let report = tokio::select! {
        report = gateway.drain() => report,
        name = signals.next() => {
            let told = format!("{name} while draining: ended at once, what was in flight is cut off");
            return Err(Failure::new(told));
        }
    };
    output::print(&report.to_string())?;
    match broken {
        None => Ok(()),
        Some(part) => Err(Failure::new(format!(
            "a part of the gateway ended by itself: {part}"
        ))),
    }
}

/// What listens where. The threads are told because an unset variable costs 40 times a small network.
fn banner(addresses: Addresses, threads: Option<&str>) -> String {
    let threads = threads.unwrap_or("RAYON_NUM_THREADS is not set");
    format!(
        "taper {}\n{addresses}\ncandle threads: {threads}",
        env!("CARGO_PKG_VERSION")
    )
}

fn listing(versions: &[VersionStatus], problems: &[String]) -> String {
    if versions.is_empty() {
        return "no models: the registry is empty".into();
    }
    let rows = versions.iter().map(|served| {
        vec![
            served.model.clone(),
            served.version.to_string(),
            served.state.to_owned(),
            served.share.clone().unwrap_or_else(|| "-".into()),
        ]
    });
    let mut text = table(&["model", "version", "state", "share"], &[1, 3], rows);
    for served in versions.iter().filter(|served| !served.why.is_empty()) {
        text.push_str(&format!(
            "\n{} version {} cannot answer:",
            served.model, served.version
        ));
        for fault in &served.why {
            text.push_str(&format!("\n  {fault}"));
        }
    }
    for problem in problems {
        text.push_str(&format!("\nnot ready: {problem}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_shows_shares_and_why_a_version_cannot_answer() {
        let served = |version, share: Option<&str>, why: &[&str]| VersionStatus {
            model: "flight-delay".into(),
            version,
            state: if share.is_some() { "READY" } else { "FAILED" },
            share: share.map(Into::into),
            why: why.iter().map(ToString::to_string).collect(),
        };
        let versions = [
            served(1, Some("95%"), &[]),
            served(2, Some("5%"), &[]),
            served(
                3,
                None,
                &[
                    "weights.safetensors: missing",
                    "metadata.json: $.head: missing",
                ],
            ),
        ];
        let problems = ["model flight-delay: version 3 is wanted".to_owned()];
        insta::assert_snapshot!(listing(&versions, &problems), @r"
        ┌──────────────┬─────────┬────────┬───────┐
        │ model        ┆ version ┆ state  ┆ share │
        ╞══════════════╪═════════╪════════╪═══════╡
        │ flight-delay ┆       1 ┆ READY  ┆   95% │
        │ flight-delay ┆       2 ┆ READY  ┆    5% │
        │ flight-delay ┆       3 ┆ FAILED ┆     - │
        └──────────────┴─────────┴────────┴───────┘
        flight-delay version 3 cannot answer:
          weights.safetensors: missing
          metadata.json: $.head: missing
        not ready: model flight-delay: version 3 is wanted
        ");
        assert_eq!(listing(&[], &[]), "no models: the registry is empty");
    }
}
