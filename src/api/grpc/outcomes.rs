//! Outcomes on the wire: truths in, what became of them out; what they say about each version.

use std::time::Duration;

use super::convert;
use crate::ident::Role;
use crate::insight::outcomes::quality::{BINS, Bin, Quality, Sums};
use crate::insight::outcomes::{Outcome, Report, SLICE, SLICES, Truth};
use crate::proto::v1;
use crate::serving::live::ServingModel;

/// Reads truths; whether they can be true is found out where they are joined.
pub(super) fn truths(message: v1::ReportOutcomesRequest) -> Vec<Outcome> {
    let one = |outcome: v1::Outcome| Outcome {
        response_id: outcome.response_id,
        row: outcome.row,
        truth: outcome.truth.map(|truth| match truth {
            v1::outcome::Truth::Class(class) => Truth::Class(class),
            v1::outcome::Truth::Number(number) => Truth::Number(number),
        }),
    };
    message.outcomes.into_iter().map(one).collect()
}

/// Writes what became of them.
pub(super) fn report(report: &Report) -> v1::ReportOutcomesResponse {
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

/// What the truths say about each version of a model.
pub(super) fn versions(model: &ServingModel) -> Vec<v1::VersionOutcomes> {
    let mut told = Vec::new();
    for (number, version) in &model.ready {
        let quality = version.insight.quality();
        for role in Role::ALL {
            let Some(read) = quality.read(role) else {
                continue;
            };
            let hour = u32::try_from(SLICES).map(|slices| SLICE * slices).ok();
            told.push(v1::VersionOutcomes {
                version: number.get(),
                role: convert::role(role).into(),
                windows: [(hour, &read.hour), (None, &read.all)]
                    .map(|(length, sums)| window(length, sums, quality.measure(sums)))
                    .to_vec(),
            });
        }
    }
    told
}

fn window(length: Option<Duration>, sums: &Sums, quality: Option<Quality>) -> v1::OutcomeWindow {
    v1::OutcomeWindow {
        length: length.and_then(|length| length.try_into().ok()),
        rows: sums.rows(),
        quality: quality.map(measures),
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
