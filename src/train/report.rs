//! The report of a training run, for people.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::metrics;
use super::quality::Quality;
use crate::ident::{ModelName, VersionNumber};

/// A finished training run. Its `Display` is a table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The model.
    pub model: ModelName,
    /// The version that was published.
    pub version: VersionNumber,
    /// Its folder.
    pub path: PathBuf,
    /// Labels of the classes; empty for a regression.
    pub classes: Vec<String>,
    /// Columns of the network.
    pub columns: usize,
    /// Training rows.
    pub fit: Part,
    /// Rows that decided when training stopped.
    pub validation: Part,
    /// Rows for measuring the quality.
    pub holdout: Part,
    /// Number of epochs.
    pub epochs: usize,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: usize,
    /// Mean loss of the training rows in that epoch.
    pub train_loss: f64,
    /// Mean loss of the validation rows after that epoch.
    pub validation_loss: f64,
    /// Quality on held-out rows.
    pub quality: Quality,
    /// Duration of the run.
    pub took: Duration,
}

/// A part of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Number of rows.
    pub rows: usize,
    /// First and last day, if the rows have days.
    pub days: Option<[String; 2]>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.rows)?;
        match &self.days {
            Some([first, last]) => write!(f, ", {first} to {last}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (model, version) = (&self.model, self.version);
        writeln!(f, "{model} version {version}: {}", self.path.display())?;
        let mut table = plain();
        let mut row = |name: &str, value: String| {
            table.add_row([name.to_owned(), value]);
        };
        row(
            "training",
            format!("{}, {} columns", self.fit, self.columns),
        );
        row("validation", self.validation.to_string());
        row("held out", self.holdout.to_string());
        let (epochs, best) = (self.epochs, self.best_epoch);
        row("epochs", format!("{epochs}, the best was {best}"));
        let (fit, validation) = (self.train_loss, self.validation_loss);
        row(
            "loss",
            format!("{fit:.4} training, {validation:.4} validation"),
        );
        row("took", format!("{:.1} s", self.took.as_secs_f64()));
        writeln!(f, "{}\n\non held-out rows", table.trim_fmt())?;
        self.quality(f)
    }
}

impl Report {
    fn quality(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = plain();
        let mut row = |name: &str, value: Option<f64>| {
            let value = value.map_or_else(|| "-".into(), |value| format!("{value:.4}"));
            table.add_row([name.to_owned(), value]);
        };
        match &self.quality {
            Quality::Value { mae, rmse, r2 } => {
                row("mean absolute error", Some(*mae));
                row("root mean squared error", Some(*rmse));
                row("R2", *r2);
                f.write_str(&table.trim_fmt())
            }
            Quality::Classes {
                accuracy,
                auc,
                log_loss,
                brier,
                calibration,
                shares,
            } => {
                let largest = shares.iter().copied().fold(0.0, f64::max);
                row("accuracy", Some(*accuracy));
                row("  of always the most frequent class", Some(largest));
                row("AUC", *auc);
                row("log-loss", Some(*log_loss));
                row("Brier score", Some(*brier));
                row(
                    "calibration error",
                    Some(metrics::calibration_error(calibration)),
                );
                let what = match self.classes.as_slice() {
                    [_, second] => format!("predicted \"{second}\""),
                    _ => "predicted class".into(),
                };
                writeln!(f, "{}\n\ncalibration", table.trim_fmt())?;
                f.write_str(&bins(&what, calibration).trim_fmt())
            }
        }
    }
}

fn bins(what: &str, bins: &[metrics::Bin]) -> Table {
    let mut table = plain();
    table.set_header([what, "rows", "mean predicted", "observed"]);
    for bin in bins {
        let percent = |share: f64| match bin.rows {
            0 => "-".into(),
            _ => format!("{:.1} %", share * 100.0),
        };
        let (from, to) = (bin.from * 100.0, (bin.from + 0.1) * 100.0);
        let range = format!("{from:.0} to {to:.0} %");
        let (predicted, observed) = (percent(bin.predicted), percent(bin.observed));
        table.add_row([range, bin.rows.to_string(), predicted, observed]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}
