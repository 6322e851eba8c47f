//! One feature of the spec: which fields belong to which kind.

use serde_json::Value;

use super::Check;
use super::raw::RawFeature;
use crate::model::Sensitivity;
use crate::model::manifest::raw::{
    EncodingKind, MissingPolicy, OutsidePolicy, RawRange, ScaleKind, UnknownPolicy,
};
use crate::model::payload::Datatype;

/// One input of the version, and the column of the file that it is learnt from.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Name of the input.
    pub name: String,
    /// Column of the file.
    pub column: String,
    /// Type of its values; `BYTES` for categorical features only, and for ignored ones.
    pub datatype: Datatype,
    /// What may be kept of its values; those that are sensitive are not published either.
    pub sensitive: Sensitivity,
    /// How it enters the network.
    pub kind: Kind,
}

/// How a feature enters the network, as far as the spec knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number, scaled.
    Numeric {
        /// How.
        scale: ScaleKind,
        /// Values that are allowed; `min` is not above `max`.
        range: Option<RawRange>,
        /// What happens to missing values.
        missing: Missing,
    },
    /// One-hot.
    Categorical {
        /// Training rows that a category needs for a column of its own, at least 1.
        min_count: u64,
        /// What happens to others.
        unknown: UnknownPolicy,
        /// What happens to missing values.
        missing: Missing,
    },
    /// A number on a circle.
    Cyclic {
        /// Length of one turn, more than 0.
        period: f64,
        /// Values that are allowed; `min` is not above `max`.
        range: Option<RawRange>,
        /// What happens to missing values.
        missing: Missing,
    },
    /// Type-checked and not used.
    Ignore {
        /// Whether it may be missing.
        optional: bool,
    },
}

/// What happens to missing values.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing {
    /// They are refused.
    Reject,
    /// This stands in; of the feature's type.
    Given(Value),
    /// The median, or the most frequent category, of the training rows stands in.
    Typical,
}

/// The feature at `path`, unless something is wrong with it.
pub(super) fn check(raw: &RawFeature, path: &str, check: &mut Check<'_>) -> Option<Feature> {
    let before = check.faults.iter().count();
    surplus(raw, path, check);
    datatype(raw, path, check);
    if let Some(range) = raw.range {
        range_of(raw, &range, path, check);
    }
    let missing = missing(raw, path, check);
    let kind = match raw.kind {
        EncodingKind::Numeric => Kind::Numeric {
            scale: raw.scale.unwrap_or(ScaleKind::Standardise),
            range: raw.range,
            missing,
        },
        EncodingKind::Categorical => {
            let unknown = raw.unknown.unwrap_or(UnknownPolicy::Bucket);
            let min_count = raw.min_count.unwrap_or(1);
            if unknown == UnknownPolicy::Reject && min_count > 1 {
                let message = "more than 1 needs unknown = \"bucket\": rare categories go there";
                check.fault(format!("{path}.min_count"), message);
            }
            Kind::Categorical {
                min_count,
                unknown,
                missing,
            }
        }
        EncodingKind::Cyclic => {
            let path = format!("{path}.period");
            let period = raw.period.unwrap_or_else(|| {
                check.fault(&path, "missing: the length of one turn");
                1.0
            });
            check.number(&path, period, period > 0.0, "more than 0");
            Kind::Cyclic {
                period,
                range: raw.range,
                missing,
            }
        }
        EncodingKind::Ignore => Kind::Ignore {
            optional: raw.missing != Some(MissingPolicy::Reject),
        },
    };
    (check.faults.iter().count() == before).then(|| Feature {
        name: raw.name.clone(),
        column: raw.column.as_ref().unwrap_or(&raw.name).clone(),
        datatype: raw.datatype,
        sensitive: raw.sensitive,
        kind,
    })
}

/// Fields that the kind does not have.
fn surplus(raw: &RawFeature, path: &str, check: &mut Check<'_>) {
    use EncodingKind::{Categorical, Cyclic, Numeric};
    let fields: [(&str, bool, &[EncodingKind]); 6] = [
        ("scale", raw.scale.is_some(), &[Numeric]),
        ("range", raw.range.is_some(), &[Numeric, Cyclic]),
        ("period", raw.period.is_some(), &[Cyclic]),
        ("unknown", raw.unknown.is_some(), &[Categorical]),
        ("min_count", raw.min_count.is_some(), &[Categorical]),
        (
            "impute",
            raw.impute.is_some(),
            &[Numeric, Categorical, Cyclic],
        ),
    ];
    for (name, given, kinds) in fields {
        if given && !kinds.contains(&raw.kind) {
            let kind = word(raw.kind);
            check.fault(
                format!("{path}.{name}"),
                format!("does not belong to kind `{kind}`"),
            );
        }
    }
}

fn word(kind: EncodingKind) -> &'static str {
    match kind {
        EncodingKind::Numeric => "numeric",
        EncodingKind::Categorical => "categorical",
        EncodingKind::Cyclic => "cyclic",
        EncodingKind::Ignore => "ignore",
    }
}

fn datatype(raw: &RawFeature, path: &str, check: &mut Check<'_>) {
    let path = format!("{path}.datatype");
    let (is_text, got) = (raw.datatype == Datatype::Bytes, raw.datatype);
    match raw.kind {
        EncodingKind::Categorical => {
            check.number(&path, got, is_text, "BYTES for kind `categorical`");
        }
        EncodingKind::Numeric | EncodingKind::Cyclic => {
            let is_cyclic = raw.kind == EncodingKind::Cyclic;
            let fits = !is_text && (got != Datatype::Bool || !is_cyclic);
            let wanted = format!("a number's type for kind `{}`", word(raw.kind));
            check.number(&path, got, fits, &wanted);
        }
        EncodingKind::Ignore => {}
    }
}

fn range_of(raw: &RawFeature, range: &RawRange, path: &str, check: &mut Check<'_>) {
    if raw.datatype == Datatype::Bool {
        check.fault(
            format!("{path}.range"),
            "belongs to numbers only, not to BOOL",
        );
    }
    if range.min > range.max {
        let message = format!("got {}, wants at least min, {}", range.max, range.min);
        check.fault(format!("{path}.range.max"), message);
    }
    // A stand-in outside would be refused or moved at every request.
    if let Some(number) = raw.impute.as_ref().and_then(Value::as_f64)
        && range.outside == OutsidePolicy::Reject
        && !(range.min..=range.max).contains(&number)
    {
        let message = format!("got {number}, wants {} to {}", range.min, range.max);
        check.fault(format!("{path}.impute"), message);
    }
}

fn missing(raw: &RawFeature, path: &str, check: &mut Check<'_>) -> Missing {
    let ignored = raw.kind == EncodingKind::Ignore;
    match (raw.missing, &raw.impute) {
        (Some(MissingPolicy::Impute), _) if ignored => {
            check.fault(
                format!("{path}.missing"),
                "got `impute`, wants `accept` or `reject`",
            );
            Missing::Reject
        }
        (Some(MissingPolicy::Accept), _) if !ignored => {
            check.fault(
                format!("{path}.missing"),
                "got `accept`, wants `reject` or `impute`",
            );
            Missing::Reject
        }
        (Some(MissingPolicy::Impute), None) => Missing::Typical,
        (Some(MissingPolicy::Impute), Some(value)) => {
            if !fits(value, raw.datatype) {
                let message = format!("got {value}, wants a value of type {}", raw.datatype);
                check.fault(format!("{path}.impute"), message);
            }
            Missing::Given(value.clone())
        }
        (_, Some(_)) if !ignored => {
            check.fault(format!("{path}.impute"), "needs missing = \"impute\"");
            Missing::Reject
        }
        _ => Missing::Reject,
    }
}

/// Whether `value` is of type `datatype`.
fn fits(value: &Value, datatype: Datatype) -> bool {
    match datatype {
        Datatype::Bool => value.is_boolean(),
        Datatype::Int32 => value.as_i64().is_some_and(|x| i32::try_from(x).is_ok()),
        Datatype::Int64 => value.is_i64(),
        Datatype::Fp32 | Datatype::Fp64 => value.is_number(),
        Datatype::Bytes => value.is_string(),
    }
}
