//! The lists of categories of a pandas data frame.

use std::collections::HashSet;

use serde_json::Value;

use crate::model::trees::FeatureKind;
use crate::text::ellipsize;

use super::faults::{Faults, quote};

/// Reads the line `pandas_categorical:`. Returns the kind of each list, and the number of its categories.
pub(super) fn read(json: Option<&str>, faults: &mut Faults) -> Option<Vec<(FeatureKind, usize)>> {
    let at = "pandas_categorical";
    // Parsed values take 16 times the memory of the shortest list, `0,0,0`; the depth is limited by the parser.
    let lists: Option<Vec<Vec<Value>>> = match serde_json::from_str(json.unwrap_or("null")) {
        Ok(lists) => lists,
        Err(err) => {
            // The message can quote a value of any length.
            let message = err.to_string();
            let start = ellipsize(&message, 160);
            faults.add(at, format!("{start}, expected a list of lists"));
            return None;
        }
    };
    let mut kinds = Vec::new();
    for (index, list) in lists.unwrap_or_default().into_iter().enumerate() {
        let length = list.len();
        match read_list(list) {
            Ok(kind) => kinds.push((kind, length)),
            Err(message) => {
                faults.add(format!("{at}[{index}]"), message);
                return None;
            }
        }
    }
    Some(kinds)
}

fn read_list(list: Vec<Value>) -> Result<FeatureKind, String> {
    if list.iter().all(Value::is_string) {
        return read_texts(list);
    }
    // LightGBM compares categories as pandas does, for which `false` is 0. A position that is its own value needs no list.
    if list == [Value::Bool(false), Value::Bool(true)] {
        return Ok(FeatureKind::Indicator);
    }
    let integers: Vec<i64> = list
        .iter()
        .map(|value| whole(value).ok_or_else(|| refusal(value)))
        .collect::<Result<_, _>>()?;
    let mut seen = HashSet::with_capacity(integers.len());
    match integers.iter().find(|&&integer| !seen.insert(integer)) {
        Some(twice) => Err(format!("the category {twice} occurs twice")),
        None => Ok(FeatureKind::Integers(integers)),
    }
}

fn read_texts(list: Vec<Value>) -> Result<FeatureKind, String> {
    let texts: Vec<String> = list
        .into_iter()
        .filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
        .collect();
    let mut seen = HashSet::with_capacity(texts.len());
    match texts.iter().find(|&text| !seen.insert(text)) {
        Some(twice) => Err(format!("the category {} occurs twice", quote(twice))),
        None => Ok(FeatureKind::Texts(texts)),
    }
}

/// Returns a value as a whole number. pandas turns a column of integers with missing values into floats.
fn whole(value: &Value) -> Option<i64> {
    /// Above this, f64 does not hold every integer.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
        }),
        _ => None,
    }
}

fn refusal(value: &Value) -> String {
    let text = match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => quote(&other.to_string()),
    };
    format!(
        "got the category {text} in a list that is not all texts, expected texts only or whole numbers only"
    )
}
