//! `taper outcomes`: how well the predictions of each version agree with the outcomes reported for them, and reporting outcomes.

mod report;

use super::model::ModelFlag;
use crate::client::v1::outcome_window::Quality;
use crate::client::v1::{GetOutcomesRequest, GetOutcomesResponse, OutcomeWindow};
use crate::client::{AdminPort, Failure, names};
use crate::terminal::output;
use crate::terminal::table::{or_dash, table, thousands};

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
    /// Report outcomes from a file.
    Report(report::Args),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    model: ModelFlag,
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
    let response = args.port.call(GetOutcomesRequest { model }).await?;
    if args.json {
        output::print_json(&serde_json::json!(response))?;
    } else {
        output::print(&readable(&response))?;
    }
    Ok(())
}

/// Returns a table with one row for each version, role and window. A model has classes or numbers, never both. Labels have no
/// measures of probabilities.
fn readable(response: &GetOutcomesResponse) -> String {
    if response.versions.is_empty() {
        return format!(
            "no outcomes for {} yet: report them with `taper outcomes report`",
            response.model
        );
    }
    let windows = || {
        let versions = response.versions.iter();
        versions.flat_map(|version| version.windows.iter().map(move |window| (version, window)))
    };
    let has = |kind: fn(&Quality) -> bool| {
        let mut qualities = windows().filter_map(|(_, window)| window.quality.as_ref());
        qualities.any(kind)
    };
    let measures: &[&str] = if has(|quality| matches!(quality, Quality::Value(_))) {
        &["MAE", "RMSE", "mean error"]
    } else if has(|quality| matches!(quality, Quality::Labels(_)))
        && !has(|quality| matches!(quality, Quality::Classes(_)))
    {
        &["accuracy"]
    } else {
        &["accuracy", "log-loss", "Brier", "AUC", "calibration error"]
    };
    let header = ["version", "role", "window", "rows"];
    let header: Vec<_> = header.iter().chain(measures).copied().collect();
    let rows = windows().map(|(version, window)| {
        let mut row = vec![
            version.version.to_string(),
            version.role().name().to_owned(),
            names::outcome_window(window.length.as_ref()),
            thousands(window.rows),
        ];
        row.extend(measure_cells(window, measures.len()));
        row
    });
    let right: Vec<_> = std::iter::once(0).chain(3..header.len()).collect();
    table(&header, &right, rows)
}

/// Returns the `count` measures of a window: dashes for those that it does not have.
fn measure_cells(window: &OutcomeWindow, count: usize) -> Vec<String> {
    let mut cells = match &window.quality {
        Some(Quality::Labels(quality)) => vec![format!("{:.1}%", quality.accuracy * 100.0)],
        Some(Quality::Classes(quality)) => vec![
            format!("{:.1}%", quality.accuracy * 100.0),
            format!("{:.4}", quality.log_loss),
            format!("{:.4}", quality.brier),
            or_dash(quality.auc, |auc| format!("{auc:.4}")),
            format!("{:.4}", quality.calibration_error),
        ],
        Some(Quality::Value(quality)) => [quality.mae, quality.rmse, quality.mean_error]
            .map(|value| format!("{value:.4}"))
            .to_vec(),
        None => Vec::new(),
    };
    cells.resize(count, "-".to_owned());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1::{
        CalibrationBin, ClassQuality, LabelQuality, Role, ValueQuality, VersionOutcomes,
    };
    use crate::client::well_known::Duration;

    fn response(quality: Quality) -> GetOutcomesResponse {
        let window = |minutes: Option<i64>, rows, quality| OutcomeWindow {
            length: minutes.map(|minutes| Duration {
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
                role: Role::Primary.into(),
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
        insta::assert_snapshot!(readable(&response(classes)), @r"
        ┌─────────┬─────────┬────────┬───────┬──────────┬──────────┬────────┬────────┬───────────────────┐
        │ version ┆ role    ┆ window ┆  rows ┆ accuracy ┆ log-loss ┆  Brier ┆    AUC ┆ calibration error │
        ╞═════════╪═════════╪════════╪═══════╪══════════╪══════════╪════════╪════════╪═══════════════════╡
        │       2 ┆ primary ┆ 60m    ┆     0 ┆        - ┆        - ┆      - ┆      - ┆                 - │
        │       2 ┆ primary ┆ all    ┆ 1,234 ┆    81.2% ┆   0.5000 ┆ 0.2500 ┆ 0.7500 ┆            0.0625 │
        └─────────┴─────────┴────────┴───────┴──────────┴──────────┴────────┴────────┴───────────────────┘
        ");
        let labels = Quality::Labels(LabelQuality { accuracy: 0.8125 });
        insta::assert_snapshot!(readable(&response(labels)), @r"
        ┌─────────┬─────────┬────────┬───────┬──────────┐
        │ version ┆ role    ┆ window ┆  rows ┆ accuracy │
        ╞═════════╪═════════╪════════╪═══════╪══════════╡
        │       2 ┆ primary ┆ 60m    ┆     0 ┆        - │
        │       2 ┆ primary ┆ all    ┆ 1,234 ┆    81.2% │
        └─────────┴─────────┴────────┴───────┴──────────┘
        ");
        let value = Quality::Value(ValueQuality {
            mae: 1.5,
            rmse: 2.0,
            mean_error: -0.5,
        });
        let text = readable(&response(value));
        assert!(
            text.contains("mean error") && text.contains("-0.5000"),
            "{text}"
        );
    }

    #[test]
    fn a_model_without_outcomes_says_so() {
        let none = GetOutcomesResponse {
            model: "m".into(),
            versions: vec![],
        };
        assert!(readable(&none).starts_with("no outcomes for m yet"));
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
                calibration: vec![CalibrationBin {
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
            .map(|quality| serde_json::json!(response(quality)))
            .collect();
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
    }
}
