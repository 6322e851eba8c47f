//! Checks encodings: each has exactly the fields of its kind, with usable values.

use serde_json::Value;

use crate::faults::got;
use crate::model::encode::{as_datatype, format_number};
use crate::model::format::Format;
use crate::model::manifest::raw::{
    EncodingKind, MissingPolicy, OutsidePolicy, RawCategory, RawEncoding, ScaleKind, UnknownPolicy,
};
use crate::model::manifest::report::Report;
use crate::model::payload::Datatype;
use crate::model::signature::{Affine, Categories, Encoding, Missing, Outside, Range, Target};

/// The most values per row of one input, and the most categories of one input.
pub(super) const MAX_COLUMNS: usize = 65_536;

/// Checks the encoding of one input.
pub(super) struct EncodingCheck<'c, 'r> {
    pub(super) raw: &'c RawEncoding,
    pub(super) datatype: Datatype,
    /// Values per row; `None` if the shape is invalid.
    pub(super) values: Option<usize>,
    pub(super) format: &'c dyn Format,
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
        use EncodingKind::{Categorical, Cyclic, Mask, Numeric, Ordinal};
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
                matches!(kind, Categorical | Ordinal),
                "kinds categorical and ordinal",
            ),
            (
                "unknown",
                raw.unknown.is_some(),
                matches!(kind, Categorical | Ordinal),
                "kinds categorical and ordinal",
            ),
            ("impute", raw.impute.is_some(), impute, "missing impute"),
            ("of", raw.of.is_some(), kind == Mask, "kind mask"),
        ] {
            if present && !belongs {
                self.add(field, format!("belongs to {owner} only"));
            }
        }
        self.check_missing();
        self.check_target();
    }

    /// Checks that the model gives the policy for missing values a meaning.
    fn check_missing(&mut self) {
        use EncodingKind::{Categorical, Cyclic, Ignore, Mask, Ordinal, Tensor};
        let (kind, missing) = (self.raw.kind, self.raw.missing);
        if kind == Mask && missing.is_some() {
            self.add("missing", "expected none: a mask may always be omitted");
        }
        let accepts = missing == Some(MissingPolicy::Accept);
        let impute = missing == Some(MissingPolicy::Impute);
        let never_missing = !self.format.understands_missing();
        if accepts && kind != Ignore && (never_missing || matches!(kind, Categorical | Cyclic)) {
            self.add(
                "missing",
                "got accept, wants reject or impute: the network needs a value",
            );
        }
        if accepts && kind == Tensor && !self.datatype.is_float() {
            let message = format!(
                "got accept, expected reject: {} has no value that stands for a missing one",
                self.datatype
            );
            self.add("missing", &message);
        }
        if impute && kind == Ignore {
            self.add(
                "missing",
                "got impute, wants reject or accept: the network does not use the value",
            );
        }
        if impute && matches!(kind, Ordinal | Tensor) {
            self.add(
                "missing",
                "got impute, expected reject or accept for this kind of encoding",
            );
        }
        let wrong = match self.raw.unknown {
            Some(UnknownPolicy::Missing) if kind == Categorical => Some("reject or bucket"),
            Some(UnknownPolicy::Bucket) if kind == Ordinal => Some("reject or missing"),
            Some(UnknownPolicy::Missing) if never_missing => Some("reject"),
            _ => None,
        };
        if let Some(wanted) = wrong {
            let got = match self.raw.unknown {
                Some(UnknownPolicy::Bucket) => "bucket",
                _ => "missing",
            };
            self.add("unknown", format!("got {got}, expected {wanted}"));
        }
    }

    /// Checks that the format computes with what the encoding gives it.
    fn check_target(&mut self) {
        let kind = self.raw.kind;
        let takes_tensors = self.format.target() == Target::Tensors;
        let is_tensor = kind == EncodingKind::Tensor;
        if kind.reaches_model() && is_tensor != takes_tensors {
            let wanted = if takes_tensors {
                "tensor, mask or ignore: the format takes tensors as they are"
            } else {
                "another kind than tensor: the format takes a matrix of numbers"
            };
            self.add("kind", format!("expected {wanted}"));
        }
    }

    fn check_datatype(&mut self, path: &str) {
        use Datatype::{Bool, Bytes};
        let numbers = self
            .raw
            .categories
            .iter()
            .flatten()
            .any(|one| matches!(one, RawCategory::Number(_)));
        let (fits, wanted) = match self.raw.kind {
            EncodingKind::Numeric => (self.datatype != Bytes, "a type of numbers or BOOL"),
            EncodingKind::Cyclic => (!matches!(self.datatype, Bytes | Bool), "a type of numbers"),
            EncodingKind::Categorical | EncodingKind::Ordinal if numbers => {
                (self.datatype.is_integer(), "an integer type")
            }
            EncodingKind::Categorical | EncodingKind::Ordinal => (self.datatype == Bytes, "BYTES"),
            EncodingKind::Mask => (self.datatype == Bool, "BOOL"),
            EncodingKind::Ignore | EncodingKind::Tensor => (true, ""),
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
                let imputed = self.imputed_number(range.flatten().as_ref());
                let missing = match (self.raw.missing, imputed?) {
                    (Some(MissingPolicy::Accept), _) => Missing::Keep,
                    (_, Some(number)) => Missing::Impute(number),
                    (_, None) => Missing::Reject,
                };
                Some(Encoding::Numeric {
                    scale: scale?,
                    range: range?,
                    missing,
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
            EncodingKind::Ordinal => Some(Encoding::Ordinal {
                categories: self.categories()?,
                unknown_is_missing: self.raw.unknown == Some(UnknownPolicy::Missing),
                missing: self.raw.missing == Some(MissingPolicy::Accept),
            }),
            EncodingKind::Ignore => Some(Encoding::Ignore {
                optional: self.raw.missing == Some(MissingPolicy::Accept),
            }),
            EncodingKind::Tensor => Some(Encoding::Tensor {
                missing: self.raw.missing == Some(MissingPolicy::Accept),
            }),
            EncodingKind::Mask => {
                if self.raw.of.is_none() {
                    self.add("of", "missing: the input whose values the mask marks");
                }
                let of = self.raw.of.clone()?;
                Some(Encoding::Mask { of })
            }
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
            outside: match raw.outside {
                OutsidePolicy::Reject => Outside::Reject,
                OutsidePolicy::Clip => Outside::Clip,
                OutsidePolicy::Accept => Outside::Accept,
            },
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
    fn rounded(&self, x: f64) -> f64 {
        as_datatype(self.datatype, x)
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
        let texts: Vec<_> = names
            .iter()
            .map(|one| match one {
                RawCategory::Text(text) => text.clone(),
                RawCategory::Number(number) => number.to_string(),
            })
            .collect();
        let text = |at| format!("{path}[{at}]");
        self.report.unique(text, texts.iter().map(String::as_str));
        let numbers: Vec<_> = names
            .iter()
            .filter_map(|one| match one {
                RawCategory::Number(number) => Some(*number),
                RawCategory::Text(_) => None,
            })
            .collect();
        if !numbers.is_empty() && numbers.len() < names.len() {
            self.add("categories", "expected only strings or only integers");
            return None;
        }
        match (names.is_empty(), numbers.is_empty()) {
            (true, _) => None,
            (false, true) => Some(Categories::new(texts)),
            (false, false) => Some(Categories::of_numbers(&numbers)),
        }
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
        let datatype = self.datatype;
        let (number, wanted) = match datatype {
            Datatype::Bool => (
                value.as_bool().map(|b| f64::from(u8::from(b))),
                "true or false".to_owned(),
            ),
            // `check_datatype` has reported it.
            Datatype::Bytes => return None,
            _ if datatype.is_integer() => {
                let fits = |x: &f64| x.fract() == 0.0 && within_integers(datatype, *x);
                let bits = datatype.width().unwrap_or(8) * 8;
                (
                    number.filter(fits),
                    format!("a whole number of {bits} bits"),
                )
            }
            _ => (number, "a finite number".to_owned()),
        };
        let Some(number) = number else {
            self.add("impute", format!("{}, wants {wanted}", got(&value)));
            return None;
        };
        if let Some(range) = range.filter(|range| !range.admits(number)) {
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

/// Returns whether the whole number `x` is inside the range of an integer type.
fn within_integers(datatype: Datatype, x: f64) -> bool {
    let bits = i32::try_from(datatype.width().unwrap_or(8) * 8).unwrap_or(64);
    let is_unsigned = matches!(
        datatype,
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 | Datatype::Uint64
    );
    if is_unsigned {
        (0.0..2_f64.powi(bits)).contains(&x)
    } else {
        (-(2_f64.powi(bits - 1))..2_f64.powi(bits - 1)).contains(&x)
    }
}
