//! `taper serve`: runs a gateway until a signal ends it.

use std::{env, path::PathBuf, time::Duration};

use taper::app::{self, Addresses, Gateway, VersionStatus};
use taper::cli::check;
use taper::client::Failure;
use taper::config::{Config, Overrides};
use taper::terminal::{Notice, Notices, Signals, output, table::table};

/// Arguments of `taper serve`. Flags override environment variables, and both override the file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration in TOML; `taper schema config` describes it.
    #[arg(long, value_name = "FILE", env = "TAPER_CONFIG")]
    config: Option<PathBuf>,
    /// Folder with all models and versions [default: models].
    #[arg(long, value_name = "DIR", env = "TAPER_REGISTRY")]
    registry: Option<PathBuf>,
    /// Folder for changes by operators and for the audit log; used by one gateway at a time [default: state].
    #[arg(long, value_name = "DIR", env = "TAPER_STATE")]
    state: Option<PathBuf>,
    /// gRPC for client applications: predictions, ground truth, health, reflection [default: 127.0.0.1:8001].
    #[arg(long, value_name = "ADDR", env = "TAPER_DATA_ADDR")]
    data: Option<String>,
    /// gRPC for operators; loopback only [default: 127.0.0.1:8002].
    #[arg(long, value_name = "ADDR", env = "TAPER_ADMIN_ADDR")]
    admin: Option<String>,
    /// HTTP: /metrics, /healthz, /readyz [default: 127.0.0.1:8000].
    #[arg(long, value_name = "ADDR", env = "TAPER_HTTP_ADDR")]
    http: Option<String>,
    /// Check the configuration and every version of the registry, then exit.
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
        check::folder(&config.registry, &config.control.content_stores)?;
        let checked = app::check_start(&config).await;
        checked.map_err(|error| Failure::new(error.to_string()))?;
        return Ok(output::print("the configuration is valid")?);
    }
    let (mut signals, notices) = (Signals::listen()?, Notices::listen()?);
    let started = tokio::select! {
        started = Gateway::start(config) => started,
        name = signals.next() => {
            let text = format!("{name} while loading: nothing was served");
            return Ok(output::print(&text)?);
        }
    };
    let gateway = started.map_err(|error| Failure::new(error.to_string()))?;
    let threads = env::var("RAYON_NUM_THREADS").ok();
    say(format!(
        "{}\n{}",
        banner(gateway.addresses(), threads.as_deref()),
        listing(&gateway.version_statuses(), &gateway.problems())
    ))
    .await;
    serve_until_signal(gateway, signals, notices).await
}

/// Serves until a signal arrives or a part of the gateway fails, then drains. A second signal ends the drain.
async fn serve_until_signal(
    mut gateway: Gateway,
    mut signals: Signals,
    mut notices: Notices,
) -> Result<(), Failure> {
    let failed_part = loop {
        tokio::select! {
            name = signals.next() => {
                say(format!("{name}: draining; a second signal exits at once")).await;
                break None;
            }
            part = gateway.wait_for_failure() => break Some(part),
            notice = notices.next() => act_on(notice, &gateway),
        }
    };
    let report = tokio::select! {
        report = gateway.drain() => report,
        name = signals.next() => {
            let text = format!("{name} while draining: exited at once, requests in flight were cut off");
            return Err(Failure::new(text));
        }
    };
    say(report.to_string()).await;
    match failed_part {
        None => Ok(()),
        Some(part) => Err(Failure::new(format!(
            "a part of the gateway ended unexpectedly: {part}"
        ))),
    }
}

fn act_on(notice: Notice, gateway: &Gateway) {
    match notice {
        Notice::Reload => {
            gateway.scan_registry();
            tracing::info!(
                "SIGHUP: the registry is scanned; the configuration is read only at the start"
            );
        }
        Notice::Report => {
            let text = listing(&gateway.version_statuses(), &gateway.problems());
            tracing::info!("SIGUSR1:\n{text}");
        }
        Notice::Nothing => tracing::info!("SIGUSR2 has no meaning"),
    }
}

/// Prints lines, and waits for at most a second: a reader of stdout that stalls must not keep the gateway from its end.
async fn say(line: String) {
    let printed = tokio::task::spawn_blocking(move || {
        // A failure to print is no reason to serve on, or to end in another way.
        let print = move || drop(output::print(&line));
        output::within(Duration::from_secs(1), print);
    });
    let _ = printed.await;
}

/// Returns the addresses and the number of candle's threads, which is shown because an unset variable makes a small network 40 times
/// slower.
fn banner(addresses: Addresses, threads: Option<&str>) -> String {
    let threads = threads.unwrap_or("RAYON_NUM_THREADS is not set");
    format!(
        "taper {}\n{addresses}\ncandle threads: {threads}",
        env!("CARGO_PKG_VERSION")
    )
}

/// Returns a table of all versions, the faults of those that cannot answer, and why the gateway is not ready.
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
    fn the_listing_shows_shares_and_faults() {
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
        let problems = ["model flight-delay: version 3 is missing".to_owned()];
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
        not ready: model flight-delay: version 3 is missing
        ");
        assert_eq!(listing(&[], &[]), "no models: the registry is empty");
    }
}
