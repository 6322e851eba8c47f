//! `taper compare`: two versions beside each other, on the same requests where one is a shadow of the other, and on the split
//! traffic that each got.

mod show;

use super::{model::ModelFlag, stats::Window};
use crate::client::v1::{CompareVersionsRequest, StatsWindow};
use crate::client::{AdminPort, Failure};
use crate::terminal::output;

/// Arguments of `taper compare`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version to compare with.
    #[arg(value_name = "BASELINE")]
    baseline: u64,
    /// The version to compare. The same version as the baseline is the control, if it is a shadow of itself.
    #[arg(value_name = "CANDIDATE")]
    candidate: u64,
    #[command(flatten)]
    model: ModelFlag,
    /// How far back to compare split traffic. Pairs on the same requests count since the shadow began.
    #[arg(long, value_enum, default_value_t = Window::FiveMinutes)]
    window: Window,
    /// Show at most this many rows that differ.
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Print JSON, with all figures.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let request = CompareVersionsRequest {
        model: args.model.resolve(&args.port).await?,
        baseline: args.baseline,
        candidate: args.candidate,
        window: StatsWindow::from(args.window).into(),
    };
    let comparison = args.port.call(request).await?;
    if args.json {
        output::print_json(&serde_json::json!(comparison))?;
    } else {
        output::print(&show::readable(&comparison, args.examples))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::client::v1;
    use crate::client::well_known::Duration;

    fn numbers() -> Option<v1::Distribution> {
        Some(v1::Distribution {
            count: 3,
            mean: 0.5,
            std: 0.25,
            min: 0.1,
            max: 0.9,
            p50: 0.5,
            p90: 0.8,
            p95: 0.85,
            p99: 0.9,
            p999: 0.9,
            bars: vec![v1::Bar {
                low: 0.0,
                high: 1.0,
                count: 3,
            }],
            relative_error: 1.0 / 256.0,
            beyond: 1,
        })
    }

    fn rate() -> Option<v1::Rate> {
        Some(v1::Rate {
            count: 1,
            total: 4,
            value: 0.25,
            low: 0.125,
            high: 0.5,
        })
    }

    fn interval() -> Option<v1::Interval> {
        Some(v1::Interval {
            value: 0.25,
            low: 0.125,
            high: 0.5,
        })
    }

    fn pair() -> v1::PairedComparison {
        v1::PairedComparison {
            primary: 1,
            shadow: 2,
            length: Some(Duration {
                seconds: 90,
                nanos: 500_000_000,
            }),
            requests: 3,
            rows: 4,
            disagreement: rate(),
            difference: rate(),
            score_difference: numbers(),
            confusion: vec![v1::ConfusionCell {
                primary: "late".into(),
                shadow: "on time".into(),
                rows: 1,
            }],
            primary_inference_seconds: numbers(),
            shadow_inference_seconds: numbers(),
            cosine: numbers(),
            cosine_threshold: Some(0.9),
            inference_difference_seconds: None,
            examples: vec![v1::DifferentRow {
                response_id: "abc".into(),
                row: 1,
                distance: 0.5,
                primary: vec![0.3],
                shadow: vec![0.8],
                primary_class: "on time".into(),
                shadow_class: "late".into(),
                inputs: vec![v1::ShownInput {
                    name: "carrier".into(),
                    value: "UA".into(),
                }],
                inputs_left_out: 2,
            }],
        }
    }

    #[test]
    fn json_has_everything_that_was_compared() {
        use v1::two_distributions::Test;
        let two = |name: &str, test| v1::TwoDistributions {
            name: name.into(),
            baseline: numbers(),
            candidate: numbers(),
            test,
        };
        let tested = Test::KolmogorovSmirnov(v1::KolmogorovSmirnov {
            statistic: interval(),
            p: None,
        });
        let rates = |name: &str| v1::TwoRates {
            name: name.into(),
            baseline: rate(),
            candidate: None,
            difference: interval(),
        };
        let answer = v1::CompareVersionsResponse {
            model: "m".into(),
            baseline: 1,
            candidate: 2,
            window: v1::StatsWindow::Hour.into(),
            paired: vec![pair(), v1::PairedComparison::default()],
            split: Some(v1::SplitComparison {
                baseline_length: None,
                candidate_length: Some(Duration {
                    seconds: 60,
                    nanos: 0,
                }),
                errors: Some(rates("errors")),
                classes: vec![rates("late")],
                numbers: vec![
                    two("score", Some(tested)),
                    two("rest", Some(Test::TooFew(v1::TooFew { have: 3, want: 20 }))),
                    two("none", None),
                ],
            }),
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&serde_json::json!(answer)).unwrap());
    }
}
