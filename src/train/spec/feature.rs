//! Checks one feature of the spec, including which fields its kind has.

use serde_json::Value;

use super::check::Check;
use super::raw::RawFeature;
use crate::model::Sensitivity;
use crate::model::manifest::raw::{
    EncodingKind, MissingPolicy, OutsidePolicy, RawRange, ScaleKind, UnknownPolicy,
};
use crate::model::payload::Datatype;

/// An input of the version, with the column of the training file.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Name of the input.
    pub name: String,
    /// Column of the training file.
    pub column: String,
    /// Type of its values; `BYTES` only for categorical and ignored features.
    pub datatype: Datatype,
    /// What may be recorded of its values. Values of sensitive features are not published either.
    pub sensitive: Sensitivity,
    /// How it is encoded.
    pub kind: Kind,
}

/// How a feature is encoded, as far as the spec determines it.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A scaled number.
    Numeric {
        /// How the number is scaled.
        scale: ScaleKind,
        /// The allowed values; `min` is not above `max`.
        range: Option<RawRange>,
        /// How missing values are handled.
        missing: Missing,
    },
    /// One-hot.
    Categorical {
        /// The fewest training rows for a category to get its own column, at least 1.
        min_count: u64,
        /// How other categories are handled.
        unknown: UnknownPolicy,
        /// How missing values are handled.
        missing: Missing,
    },
    /// A number with a period.
    Cyclic {
        /// Length of one period, more than 0.
        period: f64,
        /// The allowed values; `min` is not above `max`.
        range: Option<RawRange>,
        /// How missing values are handled.
        missing: Missing,
    },
    /// Type-checked, but not used.
    Ignore {
        /// Whether it may be missing.
        optional: bool,
    },
}

/// How missing values are handled.
#[derive(Clone, Debug, PartialEq)]
pub enum Missing {
    /// They are rejected.
    Reject,
    /// This value is used, which has the feature's type.
    Given(Value),
    /// The median or the most frequent category of the training rows is used.
    Typical,
}

/// Checks the feature at `path`. Returns it if it has no fault.
pub(super) fn check(raw: &RawFeature, path: &str, check: &mut Check<'_>) -> Option<Feature> {
    let before = check.faults.iter().count();
    check_fields_of_other_kinds(raw, path, check);
    check_datatype(raw, path, check);
    if let Some(range) = raw.range {
        check_range(raw, &range, path, check);
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
            if unknown == UnknownPolicy::Missing {
                let message = "got `missing`, expected `reject` or `bucket`";
                check.fault(format!("{path}.unknown"), message);
            }
            let min_count = raw.min_count.unwrap_or(1);
            if unknown == UnknownPolicy::Reject && min_count > 1 {
                let message = "a value above 1 needs unknown = \"bucket\", which receives the rare categories";
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
                check.fault(&path, "missing: the length of one period");
                1.0
            });
            check.require(&path, period, period > 0.0, "more than 0");
            Kind::Cyclic {
                period,
                range: raw.range,
                missing,
            }
        }
        EncodingKind::Ignore => Kind::Ignore {
            optional: raw.missing != Some(MissingPolicy::Reject),
        },
        EncodingKind::Ordinal | EncodingKind::Tensor | EncodingKind::Mask => {
            let got = kind_name(raw.kind);
            check.fault(
                format!("{path}.kind"),
                format!("got `{got}`, expected numeric, categorical, cyclic or ignore"),
            );
            Kind::Ignore { optional: true }
        }
    };
    (check.faults.iter().count() == before).then(|| Feature {
        name: raw.name.clone(),
        column: raw.column.as_ref().unwrap_or(&raw.name).clone(),
        datatype: raw.datatype,
        sensitive: raw.sensitive,
        kind,
    })
}

/// Adds a fault for each field that the kind does not have.
fn check_fields_of_other_kinds(raw: &RawFeature, path: &str, check: &mut Check<'_>) {
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
            let kind = kind_name(raw.kind);
            check.fault(
                format!("{path}.{name}"),
                format!("not allowed for kind `{kind}`"),
            );
        }
    }
}

fn kind_name(kind: EncodingKind) -> &'static str {
    match kind {
        EncodingKind::Numeric => "numeric",
        EncodingKind::Categorical => "categorical",
        EncodingKind::Cyclic => "cyclic",
        EncodingKind::Ignore => "ignore",
        EncodingKind::Ordinal => "ordinal",
        EncodingKind::Tensor => "tensor",
        EncodingKind::Mask => "mask",
    }
}

fn check_datatype(raw: &RawFeature, path: &str, check: &mut Check<'_>) {
    let path = format!("{path}.datatype");
    let (is_text, got) = (raw.datatype == Datatype::Bytes, raw.datatype);
    match raw.kind {
        EncodingKind::Categorical => {
            check.require(&path, got, is_text, "BYTES for kind `categorical`");
        }
        EncodingKind::Numeric | EncodingKind::Cyclic => {
            let is_cyclic = raw.kind == EncodingKind::Cyclic;
            let fits = !is_text && (got != Datatype::Bool || !is_cyclic);
            let wanted = format!("a numeric type for kind `{}`", kind_name(raw.kind));
            check.require(&path, got, fits, &wanted);
        }
        EncodingKind::Ignore
        | EncodingKind::Ordinal
        | EncodingKind::Tensor
        | EncodingKind::Mask => {}
    }
}

fn check_range(raw: &RawFeature, range: &RawRange, path: &str, check: &mut Check<'_>) {
    if raw.datatype == Datatype::Bool {
        check.fault(format!("{path}.range"), "not allowed for datatype BOOL");
    }
    if range.min > range.max {
        let message = format!("got {}, wants at least min, {}", range.max, range.min);
        check.fault(format!("{path}.range.max"), message);
    }
    // A value outside of the range would be rejected for every request.
    if let Some(number) = raw.impute.as_ref().and_then(Value::as_f64)
        && range.outside == OutsidePolicy::Reject
        && !(range.min..=range.max).contains(&number)
    {
        let message = format!("got {number}, wants {} to {}", range.min, range.max);
        check.fault(format!("{path}.impute"), message);
    }
}

/// Checks how missing values are handled.
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

/// Returns whether `value` is of type `datatype`.
fn fits(value: &Value, datatype: Datatype) -> bool {
    match datatype {
        Datatype::Bool => value.is_boolean(),
        Datatype::Int32 => value.as_i64().is_some_and(|x| i32::try_from(x).is_ok()),
        datatype if datatype.is_integer() => value.is_i64(),
        datatype if datatype.is_float() => value.is_number(),
        _ => value.is_string(),
    }
}
