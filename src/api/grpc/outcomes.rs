//! Outcomes: wire to domain and back.

use super::convert;
use crate::insight::outcomes::quality::{BINS, Bin, Quality};
use crate::insight::outcomes::{GroundTruth, JoinReport, Outcome};
use crate::insight::query::outcomes::{OutcomeWindow, VersionOutcomes, read_outcomes};
use crate::proto::v1;
use crate::serving::live::ServingModel;

/// Reads reported outcomes. They are checked where they are joined to answers.
pub(super) fn from_wire(message: v1::ReportOutcomesRequest) -> Vec<Outcome> {
    let one = |outcome: v1::Outcome| Outcome {
        response_id: outcome.response_id,
        row: outcome.row,
        ground_truth: outcome.truth.map(|truth| match truth {
            v1::outcome::Truth::Class(class) => GroundTruth::Class(class),
            v1::outcome::Truth::Number(number) => GroundTruth::Number(number),
        }),
    };
    message.outcomes.into_iter().map(one).collect()
}

/// Writes the results of reported outcomes.
pub(super) fn report(report: &JoinReport) -> v1::ReportOutcomesResponse {
    let faults = report.faults.iter().map(|fault| v1::OutcomeFault {
        field: fault.field.clone(),
        got: fault.got.clone(),
        wanted: fault.wanted.clone(),
    });
    v1::ReportOutcomesResponse {
        accepted: report.accepted,
        unmatched: report.unmatched,
        duplicate: report.duplicate,
        expired: report.expired,
        gone: report.gone,
        invalid: report.invalid,
        faults: faults.collect(),
    }
}

/// Returns the outcome quality of each READY version of a model, by role.
pub(super) fn versions(model: &ServingModel) -> Vec<v1::VersionOutcomes> {
    let ready = model.ready.values().map(|version| version.observed());
    read_outcomes(ready).into_iter().map(version).collect()
}

fn version(outcomes: VersionOutcomes) -> v1::VersionOutcomes {
    v1::VersionOutcomes {
        version: outcomes.version.get(),
        role: convert::role(outcomes.role).into(),
        windows: outcomes.windows.map(window).to_vec(),
    }
}

fn window(window: OutcomeWindow) -> v1::OutcomeWindow {
    v1::OutcomeWindow {
        length: window.length.and_then(|length| length.try_into().ok()),
        rows: window.rows,
        quality: window.quality.map(measures),
    }
}

fn measures(quality: Quality) -> v1::outcome_window::Quality {
    match quality {
        Quality::Classes {
            accuracy,
            log_loss,
            brier,
            auc,
            ece,
            calibration,
        } => v1::outcome_window::Quality::Classes(v1::ClassQuality {
            accuracy,
            log_loss,
            brier,
            auc: auc.map(|auc| auc.value),
            auc_bound: auc.map_or(0.0, |auc| auc.bound),
            calibration_error: ece,
            calibration: bins(&calibration),
        }),
        Quality::Labels { accuracy } => {
            v1::outcome_window::Quality::Labels(v1::LabelQuality { accuracy })
        }
        Quality::Value {
            mae,
            rmse,
            mean_error,
        } => v1::outcome_window::Quality::Value(v1::ValueQuality {
            mae,
            rmse,
            mean_error,
        }),
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are ten bins")]
fn bins(bins: &[Bin; BINS]) -> Vec<v1::CalibrationBin> {
    let one = |(at, bin): (usize, &Bin)| v1::CalibrationBin {
        from: at as f64 / BINS as f64,
        rows: bin.rows,
        predicted: bin.predicted(),
        observed: bin.observed(),
    };
    bins.iter().enumerate().map(one).collect()
}
