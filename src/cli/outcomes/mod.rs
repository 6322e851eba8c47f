//! `taper outcomes`: what the truths that came later say about each version, and sending such truths.

mod report;

use std::time::Duration;

use serde::Serialize;

use super::model::Model;
use crate::client::{AdminPort, Failure, wire};
use crate::proto::v1::outcome_window::Quality;
use crate::proto::v1::{GetOutcomesRequest, GetOutcomesResponse, OutcomeWindow, VersionOutcomes};
use crate::terminal::{
    output,
    table::{table, thousands},
};

/// Arguments of `taper outcomes`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArgs,
}

/// What to do with outcomes.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Send truths from a file.
    Report(report::Args),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    model: Model,
    /// Print JSON, with the calibration bins.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Some(Verb::Report(args)) => report::run(args).await,
        None => show(args.show).await,
    }
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let model = args.model.resolve(&args.port).await?;
    let mut client = args.port.connect().await?;
    let request = args.port.patience.request(GetOutcomesRequest { model });
    let answer = args.port.answer(client.get_outcomes(request)).await?;
    if args.json {
        output::print_json(&as_json(&answer))
    } else {
        output::print(&readable(&answer))
    }
}

fn as_json(answer: &GetOutcomesResponse) -> serde_json::Value {
    serde_json::json!({
        "model": answer.model,
        "versions": answer.versions.iter().map(Version::from).collect::<Vec<_>>(),
    })
}

/// A version in one role, as JSON shows it.
#[derive(Debug, Serialize)]
struct Version {
    version: u64,
    role: &'static str,
    windows: Vec<Window>,
}

#[derive(Debug, Serialize)]
struct Window {
    window: String,
    rows: u64,
    #[serde(flatten)]
    measures: serde_json::Map<String, serde_json::Value>,
}

impl From<&VersionOutcomes> for Version {
    fn from(version: &VersionOutcomes) -> Self {
        let window = |window: &OutcomeWindow| Window {
            window: length(window),
            rows: window.rows,
            measures: measures(window),
        };
        Self {
            version: version.version,
            role: wire::role(version.role()),
            windows: version.windows.iter().map(window).collect(),
        }
    }
}

fn measures(window: &OutcomeWindow) -> serde_json::Map<String, serde_json::Value> {
    let json = match &window.quality {
        None => serde_json::json!({}),
        Some(Quality::Classes(quality)) => {
            let bins = quality.calibration.iter().map(|bin| {
                serde_json::json!({
                    "from": bin.from, "rows": bin.rows,
                    "predicted": bin.predicted, "observed": bin.observed,
                })
            });
            serde_json::json!({
                "accuracy": quality.accuracy,
                "log_loss": quality.log_loss,
                "brier": quality.brier,
                "auc": quality.auc,
                "auc_bound": quality.auc.map(|_| quality.auc_bound),
                "calibration_error": quality.calibration_error,
                "calibration": bins.collect::<Vec<_>>(),
            })
        }
        Some(Quality::Value(quality)) => serde_json::json!({
            "mae": quality.mae,
            "rmse": quality.rmse,
            "mean_error": quality.mean_error,
        }),
    };
    match json {
        serde_json::Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    }
}

/// `60m`, or `all`.
fn length(window: &OutcomeWindow) -> String {
    let length = window
        .length
        .and_then(|length| Duration::try_from(length).ok());
    length.map_or_else(
        || "all".into(),
        |length| format!("{}m", length.as_secs() / 60),
    )
}

/// One row for each version, role and window. A model has classes or numbers, never both.
fn readable(answer: &GetOutcomesResponse) -> String {
    if answer.versions.is_empty() {
        return format!(
            "no truths about {} yet: send them with `taper outcomes report`",
            answer.model
        );
    }
    let windows = || {
        let each = answer.versions.iter();
        each.flat_map(|version| version.windows.iter().map(move |window| (version, window)))
    };
    let is_value = |(_, window): (&VersionOutcomes, &OutcomeWindow)| {
        matches!(window.quality, Some(Quality::Value(_)))
    };
    let names: &[&str] = if windows().any(is_value) {
        &["MAE", "RMSE", "mean error"]
    } else {
        &["accuracy", "log-loss", "Brier", "AUC", "calibration error"]
    };
    let header = ["version", "role", "window", "rows"];
    let header: Vec<_> = header.iter().chain(names).copied().collect();
    let rows = windows().map(|(version, window)| {
        let mut cells = vec![
            version.version.to_string(),
            wire::role(version.role()).to_owned(),
            length(window),
            thousands(window.rows),
        ];
        match &window.quality {
            Some(Quality::Classes(quality)) => cells.extend([
                format!("{:.1}%", quality.accuracy * 100.0),
                format!("{:.4}", quality.log_loss),
                format!("{:.4}", quality.brier),
                quality
                    .auc
                    .map_or_else(|| "-".into(), |auc| format!("{auc:.4}")),
                format!("{:.4}", quality.calibration_error),
            ]),
            Some(Quality::Value(quality)) => cells.extend(
                [quality.mae, quality.rmse, quality.mean_error].map(|value| format!("{value:.4}")),
            ),
            None => cells.extend(names.iter().map(|_| "-".to_owned())),
        }
        cells
    });
    let right: Vec<_> = std::iter::once(0).chain(3..header.len()).collect();
    table(&header, &right, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{ClassQuality, ValueQuality};

    fn answer(quality: Quality) -> GetOutcomesResponse {
        let window = |minutes: Option<i64>, rows, quality| OutcomeWindow {
            length: minutes.map(|minutes| prost_types::Duration {
                seconds: minutes * 60,
                nanos: 0,
            }),
            rows,
            quality,
        };
        GetOutcomesResponse {
            model: "m".into(),
            versions: vec![VersionOutcomes {
                version: 2,
                role: crate::proto::v1::Role::Primary.into(),
                windows: vec![
                    window(Some(60), 0, None),
                    window(None, 1_234, Some(quality)),
                ],
            }],
        }
    }

    #[test]
    fn a_version_has_a_row_for_each_window() {
        let classes = Quality::Classes(ClassQuality {
            accuracy: 0.8125,
            log_loss: 0.5,
            brier: 0.25,
            auc: Some(0.75),
            calibration_error: 0.0625,
            ..ClassQuality::default()
        });
        insta::assert_snapshot!(readable(&answer(classes)), @r"
        ┌─────────┬─────────┬────────┬───────┬──────────┬──────────┬────────┬────────┬───────────────────┐
        │ version ┆ role    ┆ window ┆  rows ┆ accuracy ┆ log-loss ┆  Brier ┆    AUC ┆ calibration error │
        ╞═════════╪═════════╪════════╪═══════╪══════════╪══════════╪════════╪════════╪═══════════════════╡
        │       2 ┆ primary ┆ 60m    ┆     0 ┆        - ┆        - ┆      - ┆      - ┆                 - │
        │       2 ┆ primary ┆ all    ┆ 1,234 ┆    81.2% ┆   0.5000 ┆ 0.2500 ┆ 0.7500 ┆            0.0625 │
        └─────────┴─────────┴────────┴───────┴──────────┴──────────┴────────┴────────┴───────────────────┘
        ");
        let value = Quality::Value(ValueQuality {
            mae: 1.5,
            rmse: 2.0,
            mean_error: -0.5,
        });
        let text = readable(&answer(value));
        assert!(
            text.contains("mean error") && text.contains("-0.5000"),
            "{text}"
        );
    }

    #[test]
    fn no_truths_are_said_to_be_none() {
        let none = GetOutcomesResponse {
            model: "m".into(),
            versions: vec![],
        };
        assert!(readable(&none).starts_with("no truths about m yet"));
    }

    #[test]
    fn json_has_every_measure_and_null_for_a_missing_auc() {
        let classes = |auc| {
            Quality::Classes(ClassQuality {
                accuracy: 0.8125,
                log_loss: 0.5,
                brier: 0.25,
                auc,
                auc_bound: 0.001,
                calibration_error: 0.0625,
                calibration: vec![crate::proto::v1::CalibrationBin {
                    from: 0.1,
                    rows: 3,
                    predicted: 0.15,
                    observed: 0.25,
                }],
            })
        };
        let value = Quality::Value(ValueQuality {
            mae: 1.5,
            rmse: 2.0,
            mean_error: -0.5,
        });
        let json: Vec<_> = [classes(Some(0.75)), classes(None), value]
            .into_iter()
            .map(|quality| as_json(&answer(quality)))
            .collect();
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
