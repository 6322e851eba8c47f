//! Tables of categories: `cats` in the object of the trees, since XGBoost 3.1. A category's code is its position.
//!
//! `enc` has an entry per input: texts as the bytes of all texts, `values`, cut at `offsets`; integers as `values` with a `type`; both
//! empty for an input without categories. Source: `src/data/cat_container.cc`.

use std::collections::HashSet;

use super::document::{Object, Value};
use super::faults::Faults;
use super::version::Version;
use crate::model::trees::FeatureKind;

/// The categories of an input.
#[derive(Debug)]
pub(super) enum Table {
    /// None.
    Empty,
    /// Their texts or integers.
    Known(FeatureKind),
    /// So many, but their texts are lost (see [`Version::damages_texts`]).
    Damaged(usize),
}

impl Table {
    fn categories(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Known(FeatureKind::Texts(texts)) => texts.len(),
            Self::Known(FeatureKind::Integers(integers)) => integers.len(),
            Self::Known(_) => 0,
            Self::Damaged(categories) => *categories,
        }
    }
}

/// Reads the tables of all inputs; empty if there are none. `model` is the object of the trees.
pub(super) fn read(
    model: &Object<'_, '_>,
    inputs: usize,
    version: Option<Version>,
    faults: &mut Faults,
) -> Option<Vec<Table>> {
    if model.find("cats").is_none() {
        return Some(Vec::new());
    }
    let before = faults.count();
    let cats = model.object("cats", faults)?;
    let encodings = cats.list("enc", faults)?;
    if !encodings.is_empty() && encodings.len() != inputs {
        let message = format!(
            "got {}, expected one for each of {inputs} inputs",
            encodings.len()
        );
        faults.add(cats.path_of("enc"), message);
    }
    let mut tables = Vec::with_capacity(encodings.len());
    for (at, encoding) in encodings.iter().enumerate() {
        let path = format!("{}[{at}]", cats.path_of("enc"));
        let object = Object::new(encoding, path, faults);
        tables.extend(object.and_then(|object| table(&object, version, faults)));
    }
    if faults.count() == before {
        check_segments(&cats, &tables, faults);
    }
    (faults.count() == before).then_some(tables)
}

/// Reads the table of one input.
fn table(object: &Object<'_, '_>, version: Option<Version>, faults: &mut Faults) -> Option<Table> {
    let values = object.integers("values", faults)?;
    let kind = match object.find("offsets") {
        Some(_) => {
            let offsets = object.integers("offsets", faults)?;
            if offsets.len() <= 1 && values.is_empty() {
                return Some(Table::Empty);
            }
            if version.is_some_and(Version::damages_texts)
                && values.iter().any(|value| !(0..128).contains(value))
            {
                return Some(Table::Damaged(offsets.len().saturating_sub(1)));
            }
            FeatureKind::Texts(texts(object, &offsets, &values, faults)?)
        }
        None if values.is_empty() => return Some(Table::Empty),
        None => FeatureKind::Integers(integers(object, values, faults)?),
    };
    Some(Table::Known(kind))
}

/// Cuts the bytes of all texts at the offsets.
fn texts(
    object: &Object<'_, '_>,
    offsets: &[i64],
    values: &[i64],
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let mut bytes = Vec::with_capacity(values.len());
    for (at, &value) in values.iter().enumerate() {
        // XGBoost writes them as signed bytes.
        match i8::try_from(value)
            .map(i8::cast_unsigned)
            .or(u8::try_from(value))
        {
            Ok(byte) => bytes.push(byte),
            Err(_) => {
                let place = format!("{}[{at}]", object.path_of("values"));
                faults.add(place, format!("got {value}, expected a byte"));
                return None;
            }
        }
    }
    let offsets: Option<Vec<usize>> = offsets
        .iter()
        .map(|&end| usize::try_from(end).ok())
        .collect();
    let cuts_all = offsets.filter(|offsets| {
        offsets.first() == Some(&0) && offsets.last() == Some(&bytes.len()) && offsets.is_sorted()
    });
    let Some(offsets) = cuts_all else {
        let message = format!(
            "expected ascending offsets from 0 to {}, the length of `values`",
            bytes.len()
        );
        faults.add(object.path_of("offsets"), message);
        return None;
    };
    let mut texts = Vec::with_capacity(offsets.len());
    for (at, cut) in offsets.windows(2).enumerate() {
        let Ok(text) = str::from_utf8(&bytes[cut[0]..cut[1]]) else {
            let message = format!("category {at} is not UTF-8");
            faults.add(object.path_of("values"), message);
            return None;
        };
        texts.push(text.to_owned());
    }
    check_unique(object, &texts, faults);
    Some(texts)
}

/// Returns the categories of an integer type. `type` is one of XGBoost's numbers for array types.
fn integers(object: &Object<'_, '_>, values: Vec<i64>, faults: &mut Faults) -> Option<Vec<i64>> {
    let kind = match object.find("type") {
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => other.describe(),
        None => "nothing".into(),
    };
    // In UBJ, unsigned integers of more than 8 bits have the bits of signed ones.
    let bits = match kind.as_str() {
        "9" | "10" | "11" | "13" | "15" => 0,
        "12" => 16,
        "14" => 32,
        // XGBoost refuses to write numbers beyond i64.
        "16" => 0,
        _ => {
            let message = format!("got {kind}, expected 9 to 16, an integer type");
            faults.add(object.path_of("type"), message);
            return None;
        }
    };
    let unsigned = matches!(kind.as_str(), "10" | "12" | "14" | "16");
    let mut categories = Vec::with_capacity(values.len());
    for (at, &value) in values.iter().enumerate() {
        let category = match value {
            ..0 if bits > 0 && value >= -(1_i64 << (bits - 1)) => value + (1_i64 << bits),
            _ => value,
        };
        if unsigned && category < 0 {
            let place = format!("{}[{at}]", object.path_of("values"));
            faults.add(
                place,
                format!("got {value}, expected a number that is not negative"),
            );
            return None;
        }
        categories.push(category);
    }
    check_unique(object, &categories, faults);
    Some(categories)
}

fn check_unique<T>(object: &Object<'_, '_>, categories: &[T], faults: &mut Faults)
where
    T: std::hash::Hash + Eq + std::fmt::Debug,
{
    let mut known = HashSet::with_capacity(categories.len());
    for (at, category) in categories.iter().enumerate() {
        if !known.insert(category) {
            let shown = format!("{category:?}");
            let shown = crate::text::ellipsize(&shown, 64);
            let message = format!("category {at} is {shown}, which is also an earlier one");
            faults.add(object.path_of("values"), message);
        }
    }
}

/// Checks `feature_segments`: the number of categories before each input.
fn check_segments(cats: &Object<'_, '_>, tables: &[Table], faults: &mut Faults) {
    let segments = cats
        .integers("feature_segments", faults)
        .unwrap_or_default();
    if segments.is_empty() {
        return;
    }
    let mut total = 0;
    let mut ends = vec![0];
    for table in tables {
        total += table.categories();
        ends.push(total);
    }
    if !ends
        .iter()
        .map(|&end| Ok(end))
        .eq(segments.iter().map(|&end| usize::try_from(end)))
    {
        let message = "the segments differ from the numbers of categories in `enc`";
        faults.add(cats.path_of("feature_segments"), message);
    }
}
