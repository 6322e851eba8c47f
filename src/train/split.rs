//! Splits the rows into training, validation and held-out rows. The split is by time and not at random, because a version scores rows
//! that are newer than its training rows.

use jiff::civil::Date;

use super::spec::{Holdout, Spec};
use super::table::{self, Sample};
use crate::faults::Faults;
use crate::model::numbers::float;

/// The fewest training rows.
const MIN_FIT: usize = 20;
/// The fewest validation rows and held-out rows.
const MIN_TAIL: usize = 5;

/// The samples, each part in order of time.
#[derive(Debug)]
pub(super) struct Split {
    /// Training rows.
    pub(super) fit: Vec<Sample>,
    /// Rows that decide when training stops; later than `fit`.
    pub(super) validation: Vec<Sample>,
    /// Rows for measuring the quality at the end.
    pub(super) holdout: Vec<Sample>,
    /// SHA-256 digest of the training file.
    pub(super) sha256: String,
}

/// Reads and splits the files of the spec.
///
/// # Errors
/// Returns the faults of the files, or an error if there are too few rows.
pub(super) fn read(spec: &Spec) -> Result<Split, Faults> {
    let data = &spec.data;
    let table = table::read(&data.train, spec, data.from, data.to)?;
    let mut fit = table.samples;
    let holdout = match &data.holdout {
        Holdout::File(file) => table::read(file, spec, None, None)?.samples,
        Holdout::Tail(fraction) => fit.split_off(tail(fit.len(), *fraction)),
    };
    let validation = fit.split_off(tail(fit.len(), spec.training.validation_fraction));
    let split = Split {
        fit,
        validation,
        holdout,
        sha256: table.sha256,
    };
    check(&split, spec).into_result()?;
    Ok(split)
}

/// Returns the first and the last day of the samples, if they have days.
pub(super) fn days(samples: &[Sample]) -> Option<[Date; 2]> {
    let first = samples.first()?.when?.date();
    let last = samples.last()?.when?.date();
    Some([first, last])
}

/// Returns the index at which the last `fraction` of `rows` begins.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of a length is a valid index"
)]
fn tail(rows: usize, fraction: f64) -> usize {
    rows - (float(rows) * fraction).round() as usize
}

fn check(split: &Split, spec: &Spec) -> Faults {
    let mut faults = Faults::default();
    let train = &spec.data.train;
    let holdout_file = match &spec.data.holdout {
        Holdout::File(file) => file,
        Holdout::Tail(_) => train,
    };
    for (file, what, samples, least) in [
        (train, "training", &split.fit, MIN_FIT),
        (train, "validation", &split.validation, MIN_TAIL),
        (holdout_file, "held-out", &split.holdout, MIN_TAIL),
    ] {
        let got = samples.len();
        if got < least {
            let message = format!("got {got} {what} rows, wants at least {least}");
            faults.add(file, "", message);
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    let path = format!("column `{}`", spec.target.column);
    for (class, value) in spec.target.values.iter().enumerate() {
        if !split.fit.iter().any(|sample| sample.target == float(class)) {
            let message = format!("no training row has the value \"{value}\"");
            faults.add(train, &path, message);
        }
    }
    let first = split.fit.first().map(|sample| sample.target);
    if spec.target.classes.is_empty() && split.fit.iter().all(|sample| Some(sample.target) == first)
    {
        faults.add(train, path, "all training rows have the same value");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_nearest_whole_number_of_rows() {
        for (rows, fraction, want) in [(100, 0.2, 80), (7, 0.5, 3), (0, 0.2, 0), (3, 0.1, 3)] {
            assert_eq!(tail(rows, fraction), want, "{fraction} of {rows}");
        }
    }
}
