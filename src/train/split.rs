//! Which rows are learnt from, which say when to stop, and which are kept for measuring: always by time, never at random,
//! because a version will be asked about days that come after the ones it has seen.

use jiff::civil::Date;

use super::numbers::float;
use super::spec::{Holdout, Spec};
use super::table::{self, Sample};
use crate::faults::Faults;

/// The fewest rows to learn from.
const FEWEST_FIT: usize = 20;
/// The fewest rows to measure on.
const FEWEST_TAIL: usize = 5;

/// The samples, each part in order of time.
#[derive(Debug)]
pub(super) struct Split {
    /// Learnt from.
    pub(super) fit: Vec<Sample>,
    /// Say when to stop; later than `fit`.
    pub(super) validation: Vec<Sample>,
    /// Measured on at the end.
    pub(super) holdout: Vec<Sample>,
    /// Digest of the training file.
    pub(super) sha256: String,
}

/// Reads the files of the spec and cuts them.
///
/// # Errors
/// What is wrong with the files, or that they hold too little.
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

/// First and last day of the samples, where they have days.
pub(super) fn days(samples: &[Sample]) -> Option<[Date; 2]> {
    let first = samples.first()?.when?.date();
    let last = samples.last()?.when?.date();
    Some([first, last])
}

/// Where the last `fraction` of `rows` begins.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a fraction of a length is a place within it"
)]
fn tail(rows: usize, fraction: f64) -> usize {
    rows - (float(rows) * fraction).round() as usize
}

fn check(split: &Split, spec: &Spec) -> Faults {
    let mut faults = Faults::default();
    let train = &spec.data.train;
    let kept = match &spec.data.holdout {
        Holdout::File(file) => file,
        Holdout::Tail(_) => train,
    };
    for (file, what, samples, fewest) in [
        (train, "to learn from", &split.fit, FEWEST_FIT),
        (train, "to validate on", &split.validation, FEWEST_TAIL),
        (kept, "held out", &split.holdout, FEWEST_TAIL),
    ] {
        let got = samples.len();
        if got < fewest {
            faults.add(
                file,
                "",
                format!("leaves {got} rows {what}, wants at least {fewest}"),
            );
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    let path = format!("column `{}`", spec.target.column);
    for (class, value) in spec.target.values.iter().enumerate() {
        if !split.fit.iter().any(|sample| sample.truth == float(class)) {
            let message = format!("has no \"{value}\" among the rows to learn from");
            faults.add(train, &path, message);
        }
    }
    let first = split.fit.first().map(|sample| sample.truth);
    if spec.target.classes.is_empty() && split.fit.iter().all(|sample| Some(sample.truth) == first)
    {
        faults.add(
            train,
            path,
            "holds one value only among the rows to learn from",
        );
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
