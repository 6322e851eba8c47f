//! Fits the encoding of each feature to the training rows: means, ranges, categories, imputed values.
//!
//! Only training rows are used, so that no information of the validation and held-out rows leaks into the encoding.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::spec::{Feature, Kind, Missing};
use super::table::Sample;
use crate::faults::Faults;
use crate::model::manifest::raw::{
    EncodingKind, MissingPolicy, OutsidePolicy, RawCategory, RawEncoding, RawInput, RawRange,
    ScaleKind, UnknownPolicy,
};
use crate::model::numbers::moments;
use crate::model::payload::{Cell, Datatype};

/// The most categories of one feature. A column with more is probably an identifier.
const MAX_CATEGORIES: usize = 2000;

/// Returns the inputs of the version, with encodings fitted to `samples`. There must be at least one sample.
///
/// # Errors
/// Returns every column that contains no information.
pub(super) fn inputs(
    features: &[Feature],
    samples: &[Sample],
    file: &Path,
) -> Result<Vec<RawInput>, Faults> {
    let mut faults = Faults::default();
    let inputs = features.iter().enumerate().map(|(at, feature)| {
        let encoding = encoding(feature, &Column { samples, at }).unwrap_or_else(|message| {
            faults.add(file, format!("column `{}`", feature.column), message);
            RawEncoding::of(EncodingKind::Ignore)
        });
        RawInput {
            name: feature.name.clone(),
            datatype: feature.datatype,
            shape: vec![-1],
            batch: None,
            encoding,
            sensitive: feature.sensitive,
        }
    });
    let inputs = inputs.collect();
    faults.into_result()?;
    Ok(inputs)
}

/// The cells of one feature.
pub(super) struct Column<'a> {
    pub(super) samples: &'a [Sample],
    /// Index of the feature in the spec.
    pub(super) at: usize,
}

impl Column<'_> {
    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.samples.iter().map(|sample| &sample.cells[self.at].1)
    }

    /// Returns the numbers in ascending order, without missing ones. `true` is 1.
    pub(super) fn numbers(&self) -> Vec<f64> {
        let number = |cell: &Cell| match cell {
            Cell::Number(x) => Some(*x),
            Cell::Bool(value) => Some(f64::from(u8::from(*value))),
            _ => None,
        };
        let mut numbers: Vec<f64> = self.cells().filter_map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    }

    /// Returns the strings with their counts, the most frequent first, equally frequent ones by name.
    pub(super) fn texts(&self) -> Vec<(&str, u64)> {
        let mut counts = BTreeMap::new();
        for cell in self.cells() {
            if let Cell::Text(text) = cell {
                *counts.entry(text.as_str()).or_insert(0) += 1;
            }
        }
        let mut texts: Vec<(&str, u64)> = counts.into_iter().collect();
        texts.sort_by_key(|(text, count)| (Reverse(*count), *text));
        texts
    }

    /// Returns the number of samples without a value.
    pub(super) fn missing(&self) -> usize {
        self.cells()
            .filter(|cell| matches!(cell, Cell::Missing))
            .count()
    }

    /// Returns a typical value: the lower median, or the most frequent string. `None` if all values are missing.
    pub(super) fn typical(&self, datatype: Datatype) -> Option<Value> {
        if datatype == Datatype::Bytes {
            return self.texts().first().map(|(text, _)| (*text).into());
        }
        let numbers = self.numbers();
        let median = *numbers.get(numbers.len().checked_sub(1)? / 2)?;
        Some(number(median, datatype))
    }
}

fn encoding(feature: &Feature, column: &Column<'_>) -> Result<RawEncoding, String> {
    match &feature.kind {
        Kind::Numeric {
            scale,
            range,
            missing,
        } => {
            let numbers = varied(column, range.as_ref())?;
            let mut encoding = with_missing(EncodingKind::Numeric, missing, feature, column);
            encoding.range = *range;
            encoding.scale = Some(*scale);
            match scale {
                ScaleKind::None => {}
                ScaleKind::Standardise => {
                    let (mean, std) = moments(&numbers);
                    encoding.mean = Some(vec![mean]);
                    encoding.std = Some(vec![std]);
                }
                ScaleKind::MinMax => {
                    encoding.min = numbers.first().map(|x| vec![*x]);
                    encoding.max = numbers.last().map(|x| vec![*x]);
                }
            }
            Ok(encoding)
        }
        Kind::Cyclic {
            period,
            range,
            missing,
        } => {
            varied(column, range.as_ref())?;
            let mut encoding = with_missing(EncodingKind::Cyclic, missing, feature, column);
            encoding.range = *range;
            encoding.period = Some(*period);
            Ok(encoding)
        }
        Kind::Categorical {
            min_count,
            unknown,
            missing,
        } => {
            let categories = categories(column, *min_count, *unknown)?;
            let mut encoding = with_missing(EncodingKind::Categorical, missing, feature, column);
            encoding.categories = Some(categories.into_iter().map(RawCategory::Text).collect());
            encoding.unknown = Some(*unknown);
            Ok(encoding)
        }
        Kind::Ignore { optional } => {
            let policy = if *optional {
                MissingPolicy::Accept
            } else {
                MissingPolicy::Reject
            };
            let mut encoding = RawEncoding::of(EncodingKind::Ignore);
            encoding.missing = Some(policy);
            Ok(encoding)
        }
    }
}

/// Returns the numbers after clipping, in ascending order.
///
/// # Errors
/// Returns an error unless there are at least two different numbers.
fn varied(column: &Column<'_>, range: Option<&RawRange>) -> Result<Vec<f64>, String> {
    let mut numbers = column.numbers();
    if let Some(range) = range.filter(|range| range.outside == OutsidePolicy::Clip) {
        for x in &mut numbers {
            *x = x.max(range.min).min(range.max);
        }
    }
    match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) if first < last => Ok(numbers),
        (Some(only), _) => Err(constant(&only.to_string())),
        _ => Err(empty_column()),
    }
}

/// Returns the categories with their own column, the most frequent first.
///
/// # Errors
/// Returns an error if there are too many of them, or if all rows would have the same one.
fn categories(
    column: &Column<'_>,
    min_count: u64,
    unknown: UnknownPolicy,
) -> Result<Vec<String>, String> {
    let texts = column.texts();
    let frequent = texts.iter().filter(|(_, count)| *count >= min_count);
    let categories: Vec<String> = frequent.map(|(text, _)| (*text).into()).collect();
    let bucket = unknown == UnknownPolicy::Bucket && categories.len() < texts.len();
    match (texts.as_slice(), categories.len()) {
        ([], _) => Err(empty_column()),
        ([(only, _)], _) => Err(constant(&format!("\"{only}\""))),
        (_, 0) => Err(format!(
            "no string occurs in at least {min_count} training rows (`min_count`)"
        )),
        (_, 1) if !bucket => Err(constant(&format!("\"{}\"", categories[0]))),
        (_, many) if many > MAX_CATEGORIES => Err(format!(
            "got {many} categories, wants at most {MAX_CATEGORIES}: raise `min_count`, or remove the column if it is an \
             identifier"
        )),
        _ => Ok(categories),
    }
}

fn constant(value: &str) -> String {
    format!(
        "has only the value {value} in the training rows, which carries no information; remove it, or use kind `ignore`"
    )
}

fn empty_column() -> String {
    "is empty in all training rows".into()
}

fn with_missing(
    kind: EncodingKind,
    missing: &Missing,
    feature: &Feature,
    column: &Column<'_>,
) -> RawEncoding {
    let mut encoding = RawEncoding::of(kind);
    encoding.impute = match missing {
        Missing::Reject => None,
        Missing::Given(value) => Some(value.clone()),
        Missing::Typical => column.typical(feature.datatype),
    };
    encoding.missing = Some(match encoding.impute {
        None => MissingPolicy::Reject,
        Some(_) => MissingPolicy::Impute,
    });
    encoding
}

/// Returns a number as JSON of the input's type.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cells of integer types are integers within 2^53"
)]
pub(super) fn number(x: f64, datatype: Datatype) -> Value {
    match datatype {
        Datatype::Bool => (x != 0.0).into(),
        datatype if datatype.is_integer() => (x as i64).into(),
        _ => x.into(),
    }
}

#[cfg(test)]
mod tests;
