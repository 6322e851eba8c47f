//! Checks encodings: each has exactly the fields of its kind, with usable values.

use serde_json::Value;

use super::Report;
use crate::faults::got;
use crate::model::encode::format_number;
use crate::model::manifest::raw::{
    EncodingKind, MissingPolicy, OutsidePolicy, RawEncoding, ScaleKind, UnknownPolicy,
};
use crate::model::payload::Datatype;
use crate::model::signature::{Affine, Categories, Encoding, Range};

/// The most values per row of one input, and the most categories of one input.
pub(super) const MAX_COLUMNS: usize = 65_536;

/// Checks the encoding of one input.
pub(super) struct EncodingCheck<'c, 'r> {
    pub(super) raw: &'c RawEncoding,
    pub(super) datatype: Datatype,
    /// Values per row; `None` if the shape is invalid.
    pub(super) values: Option<usize>,
    pub(super) path: String,
    pub(super) report: &'c mut Report<'r>,
}

impl EncodingCheck<'_, '_> {
    /// Returns the encoding, if it is valid. `datatype_path` is the path of the input's datatype.
    pub(super) fn run(mut self, datatype_path: &str) -> Option<Encoding> {
        self.check_fields_of_other_kinds();
        self.check_datatype(datatype_path);
        self.encoding()
    }

    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.report.add(format!("{}.{field}", self.path), message);
    }

    fn check_fields_of_other_kinds(&mut self) {
        use EncodingKind::{Categorical, Cyclic, Numeric};
        let raw = self.raw;
        let kind = raw.kind;
        let scale = raw.scale.unwrap_or(ScaleKind::None);
        let standardise = kind == Numeric && scale == ScaleKind::Standardise;
        let min_max = kind == Numeric && scale == ScaleKind::MinMax;
        let impute = raw.missing == Some(MissingPolicy::Impute);
        for (field, present, belongs, owner) in [
            (
                "scale",
                raw.scale.is_some(),
                kind == Numeric,
                "kind numeric",
            ),
            ("mean", raw.mean.is_some(), standardise, "scale standardise"),
            ("std", raw.std.is_some(), standardise, "scale standardise"),
            ("min", raw.min.is_some(), min_max, "scale min_max"),
            ("max", raw.max.is_some(), min_max, "scale min_max"),
            (
                "range",
                raw.range.is_some(),
                matches!(kind, Numeric | Cyclic),
                "kinds numeric and cyclic",
            ),
            (
                "period",
                raw.period.is_some(),
                kind == Cyclic,
                "kind cyclic",
            ),
            (
                "categories",
                raw.categories.is_some(),
                kind == Categorical,
                "kind categorical",
            ),
            (
                "unknown",
                raw.unknown.is_some(),
                kind == Categorical,
                "kind categorical",
            ),
            ("impute", raw.impute.is_some(), impute, "missing impute"),
        ] {
            if present && !belongs {
                self.add(field, format!("belongs to {owner} only"));
            }
        }
        let accepts = raw.missing == Some(MissingPolicy::Accept);
        let ignores = kind == EncodingKind::Ignore;
        if accepts && !ignores {
            self.add(
                "missing",
                "got accept, wants reject or impute: the network needs a value",
            );
        }
        if impute && ignores {
            self.add(
                "missing",
                "got impute, wants reject or accept: the network does not use the value",
            );
        }
    }

    fn check_datatype(&mut self, path: &str) {
        use Datatype::{Bool, Bytes};
        let (fits, wanted) = match self.raw.kind {
            EncodingKind::Numeric => (self.datatype != Bytes, "BOOL, INT32, INT64, FP32 or FP64"),
            EncodingKind::Cyclic => (
                !matches!(self.datatype, Bytes | Bool),
                "INT32, INT64, FP32 or FP64",
            ),
            EncodingKind::Categorical => (self.datatype == Bytes, "BYTES"),
            EncodingKind::Ignore => (true, ""),
        };
        self.report.require(fits, path, || {
            format!(
                "got {}, wants {wanted} for this kind of encoding",
                self.datatype
            )
        });
    }

    fn encoding(&mut self) -> Option<Encoding> {
        match self.raw.kind {
            EncodingKind::Numeric => {
                let scale = self.scale();
                let range = self.range();
                let missing = self.imputed_number(range.flatten().as_ref());
                Some(Encoding::Numeric {
                    scale: scale?,
                    range: range?,
                    missing: missing?,
                })
            }
            EncodingKind::Cyclic => {
                let period = self.period();
                let range = self.range();
                let missing = self.imputed_number(range.flatten().as_ref());
                Some(Encoding::Cyclic {
                    period: period?,
                    range: range?,
                    missing: missing?,
                })
            }
            EncodingKind::Categorical => {
                let categories = self.categories();
                let unknown_bucket = self.raw.unknown == Some(UnknownPolicy::Bucket);
                let missing = self.imputed_text(categories.as_ref(), unknown_bucket);
                Some(Encoding::Categorical {
                    categories: categories?,
                    unknown_bucket,
                    missing: missing?,
                })
            }
            EncodingKind::Ignore => Some(Encoding::Ignore {
                optional: self.raw.missing == Some(MissingPolicy::Accept),
            }),
        }
    }

    fn scale(&mut self) -> Option<Vec<Affine>> {
        let raw = self.raw;
        let affine: fn((f64, f64)) -> Affine;
        let (offsets, ends, names) = match raw.scale.unwrap_or(ScaleKind::None) {
            ScaleKind::None => {
                let identity = Affine {
                    offset: 0.0,
                    factor: 1.0,
                };
                return self.values.map(|values| vec![identity; values]);
            }
            ScaleKind::Standardise => {
                affine = |(mean, std)| Affine {
                    offset: mean,
                    factor: 1.0 / std,
                };
                (&raw.mean, &raw.std, ["mean", "std"])
            }
            ScaleKind::MinMax => {
                affine = |(min, max)| Affine {
                    offset: min,
                    factor: 1.0 / (max - min),
                };
                (&raw.min, &raw.max, ["min", "max"])
            }
        };
        let offsets = self.per_column(names[0], offsets.as_deref());
        let ends = self.per_column(names[1], ends.as_deref());
        let pairs = offsets?.iter().copied().zip(ends?.iter().copied());
        let mut valid = true;
        let scale = pairs.enumerate().map(|(at, pair)| {
            let scaled = affine(pair);
            // The inverse of a tiny number is infinite, so the factor is checked, not the number.
            if !(scaled.factor > 0.0 && scaled.factor.is_finite()) {
                valid = false;
                let wanted = match names[1] {
                    "std" => "a number more than 0".to_owned(),
                    _ => format!("a number more than min, {:?}", pair.0),
                };
                self.add(
                    &format!("{}[{at}]", names[1]),
                    format!("got {:?}, wants {wanted}", pair.1),
                );
            }
            scaled
        });
        let scale = scale.collect();
        valid.then_some(scale)
    }

    /// Returns `values`, if there is one finite number per column.
    fn per_column<'v>(&mut self, field: &str, values: Option<&'v [f64]>) -> Option<&'v [f64]> {
        let Some(values) = values else {
            self.add(field, "missing");
            return None;
        };
        let fits = self.values.is_none_or(|wanted| wanted == values.len());
        if !fits {
            let wanted = self.values.unwrap_or_default();
            let got = values.len();
            self.add(
                field,
                format!("got {got} numbers, wants {wanted}: one per column"),
            );
        }
        for (at, value) in values
            .iter()
            .enumerate()
            .filter(|(_, value)| !value.is_finite())
        {
            self.add(
                &format!("{field}[{at}]"),
                format!("got {value}, wants a finite number"),
            );
        }
        (fits && values.iter().all(|value| value.is_finite())).then_some(values)
    }

    /// Returns the range, `Some(None)` if there is none, or `None` if it is invalid.
    fn range(&mut self) -> Option<Option<Range>> {
        let Some(raw) = &self.raw.range else {
            return Some(None);
        };
        if self.datatype == Datatype::Bool {
            self.add("range", "belongs to numbers only, not to BOOL");
            return None;
        }
        let range = Range {
            min: self.rounded(raw.min),
            max: self.rounded(raw.max),
            clip: raw.outside == OutsidePolicy::Clip,
        };
        if range.min <= range.max && range.min.is_finite() && range.max.is_finite() {
            Some(Some(range))
        } else {
            let got = format!("got {} to {}", raw.min, raw.max);
            self.add(
                "range",
                format!("{got}, wants finite ends with min not above max"),
            );
            None
        }
    }

    /// Rounds `x` to the input's datatype. Without this, the end of a range could lie outside of it: 0.1 as FP32 is more than 0.1 as
    /// FP64.
    #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    fn rounded(&self, x: f64) -> f64 {
        match self.datatype {
            Datatype::Fp32 => f64::from(x as f32),
            _ => x,
        }
    }

    fn period(&mut self) -> Option<f64> {
        match self.raw.period {
            None => {
                self.add("period", "missing");
                None
            }
            Some(period) if period > 0.0 && period.is_finite() => Some(period),
            Some(period) => {
                self.add(
                    "period",
                    format!("got {period}, wants a finite number more than 0"),
                );
                None
            }
        }
    }

    fn categories(&mut self) -> Option<Categories> {
        let Some(names) = &self.raw.categories else {
            self.add("categories", "missing");
            return None;
        };
        if names.is_empty() || names.len() > MAX_COLUMNS {
            let got = names.len();
            self.add(
                "categories",
                format!("got {got} categories, wants 1 to {MAX_COLUMNS}"),
            );
        }
        let path = format!("{}.categories", self.path);
        let texts = names.iter().map(String::as_str);
        self.report.unique(|at| format!("{path}[{at}]"), texts);
        (!names.is_empty()).then(|| Categories::new(names.clone()))
    }

    /// Returns the value to impute, `Some(None)` if missing values are rejected, or `None` if the value is required and absent.
    fn impute(&mut self) -> Option<Option<&Value>> {
        if self.raw.missing != Some(MissingPolicy::Impute) {
            return Some(None);
        }
        if self.raw.impute.is_none() {
            self.add("impute", "missing; policy `impute` needs it");
        }
        self.raw.impute.as_ref().map(Some)
    }

    /// Returns the number to impute, `Some(None)` if missing values are rejected, or `None` if it is invalid.
    fn imputed_number(&mut self, range: Option<&Range>) -> Option<Option<f64>> {
        let Some(value) = self.impute()?.cloned() else {
            return Some(None);
        };
        let number = value
            .as_f64()
            .map(|x| self.rounded(x))
            .filter(|x| x.is_finite());
        let whole = number.filter(|x| x.fract() == 0.0);
        let (number, wanted) = match self.datatype {
            Datatype::Bool => (
                value.as_bool().map(|b| f64::from(u8::from(b))),
                "true or false",
            ),
            Datatype::Int32 => (
                whole.filter(|x| x.abs() <= f64::from(i32::MAX)),
                "a whole number of 32 bits",
            ),
            Datatype::Int64 => (
                whole.filter(|x| x.abs() < 9.2e18),
                "a whole number of 64 bits",
            ),
            Datatype::Fp32 | Datatype::Fp64 => (number, "a finite number"),
            // `check_datatype` has reported it.
            Datatype::Bytes => return None,
        };
        let Some(number) = number else {
            self.add("impute", format!("{}, wants {wanted}", got(&value)));
            return None;
        };
        if let Some(range) = range.filter(|range| !range.contains(number)) {
            let [min, max] = [range.min, range.max].map(|x| format_number(self.datatype, x));
            let wanted = format!("a value in the range {min} to {max}");
            self.add("impute", format!("{}, wants {wanted}", got(&value)));
            return None;
        }
        Some(Some(number))
    }

    /// Returns the string to impute, `Some(None)` if missing values are rejected, or `None` if it is invalid.
    fn imputed_text(
        &mut self,
        categories: Option<&Categories>,
        unknown_bucket: bool,
    ) -> Option<Option<String>> {
        let Some(value) = self.impute()?.cloned() else {
            return Some(None);
        };
        let Value::String(text) = &value else {
            self.add("impute", format!("{}, wants a string", got(&value)));
            return None;
        };
        let known = categories.is_none_or(|categories| categories.find(text).is_some());
        if !known && !unknown_bucket {
            self.add(
                "impute",
                format!("{}, wants one of the categories", got(&value)),
            );
            return None;
        }
        Some(Some(text.clone()))
    }
}
