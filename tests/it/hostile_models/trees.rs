//! Files of XGBoost and LightGBM.

use serde_json::{Value, json};

use super::{fixture, hostile, refuses};

/// Returns a model of XGBoost in JSON with `change` in its first tree.
fn xgboost(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut model: Value = serde_json::from_slice(&fixture("xgb_binary.model.json")).expect("JSON");
    change(&mut model["learner"]["gradient_booster"]["model"]["trees"][0]);
    model.to_string().into_bytes()
}

/// Replaces the first occurrence of `from`, which must exist.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut all = bytes.windows(from.len());
    let at = all.position(|part| part == from).expect("found");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[tokio::test]
async fn damaged_and_hostile_files_of_xgboost_are_refused() {
    let good = fixture("xgb_binary.model.json");
    let deep = "[".repeat(100_000);
    let text = String::from_utf8(good.clone()).expect("text");
    let threshold = xgboost(|tree| tree["split_conditions"][0] = json!("THRESHOLD"));
    let all = [
        hostile("truncated", &good[..good.len() / 2], "end of the file"),
        hostile(
            "a child that is an ancestor",
            xgboost(|tree| tree["left_children"][0] = json!(0)),
            "left_children",
        ),
        hostile(
            "a child that is not there",
            xgboost(|tree| tree["right_children"][0] = json!(999)),
            "999",
        ),
        hostile(
            "a child of two nodes",
            xgboost(|tree| tree["right_children"][0] = tree["left_children"][0].clone()),
            "trees[0]",
        ),
        hostile(
            "a column that is not there",
            xgboost(|tree| tree["split_indices"][0] = json!(99)),
            "99",
        ),
        hostile(
            "a negative column",
            xgboost(|tree| tree["split_indices"][0] = json!(-1)),
            "-1",
        ),
        hostile(
            "a threshold that is NaN",
            replaced(&threshold, b"\"THRESHOLD\"", b"NaN"),
            "NaN",
        ),
        hostile(
            "a threshold that is a text",
            xgboost(|tree| tree["split_conditions"][0] = json!("nan")),
            "list of other values",
        ),
        hostile(
            "two billion nodes",
            xgboost(|tree| tree["tree_param"]["num_nodes"] = json!("2000000000")),
            "2000000000",
        ),
        hostile(
            "lists of unequal lengths",
            xgboost(|tree| {
                drop(
                    tree["split_conditions"]
                        .as_array_mut()
                        .expect("a list")
                        .pop(),
                )
            }),
            "split_conditions",
        ),
        hostile(
            "lists in lists",
            text.replacen("\"version\":", &format!("\"deep\":{deep},\"version\":"), 1),
            "within each other",
        ),
        hostile("another file", &b"\x80\x04\x95"[..], ""),
        hostile("nothing", &b""[..], ""),
    ];
    refuses("model.json", &good, 30, &all).await;
}

#[tokio::test]
async fn damaged_and_hostile_ubj_files_are_refused() {
    let good = fixture("xgb_binary.model.ubj");
    let key = b"left_children[$l#L";
    let begin = good
        .windows(key.len())
        .position(|part| part == key)
        .expect("a list")
        + key.len();
    let with_count =
        |count: u64| [&good[..begin], &count.to_be_bytes(), &good[begin + 8..]].concat();
    let threshold = b"split_conditions[$d#L";
    let first = good
        .windows(threshold.len())
        .position(|part| part == threshold)
        .expect("a list")
        + threshold.len()
        + 8;
    let not_a_number = [&good[..first], &f32::NAN.to_be_bytes(), &good[first + 4..]].concat();
    let cyclic = [&good[..begin + 8], &[0; 4], &good[begin + 12..]].concat();
    let deep = [&b"{L\0\0\0\0\0\0\0\x07learner"[..], &b"[".repeat(100_000)].concat();
    let all = [
        hostile("truncated", &good[..good.len() / 2], ""),
        hostile("a list of two billion numbers", with_count(1 << 31), ""),
        hostile("a list of negative length", with_count(1 << 63), ""),
        hostile("a list of most numbers", with_count(i64::MAX as u64), ""),
        hostile("a threshold that is NaN", not_a_number, "NaN"),
        hostile("a child that is an ancestor", cyclic, "left_children"),
        hostile("lists in lists", deep, ""),
        hostile(
            "an object that claims exabytes",
            &b"{L\x7f\xff\xff\xff\xff\xff\xff\xffx"[..],
            "",
        ),
    ];
    refuses("model.ubj", &good, 30, &all).await;
}

/// Returns a model of LightGBM with another value of a field of its first tree.
fn lightgbm(field: &str, change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8(fixture("lgb_binary.model.txt")).expect("text");
    let begin = text.find(&format!("\n{field}=")).expect("the field") + field.len() + 2;
    let end = begin + text[begin..].find('\n').expect("a line");
    [&text[..begin], &change(&text[begin..end]), &text[end..]]
        .concat()
        .into_bytes()
}

/// Replaces the first of the numbers in a line.
fn first(number: &'static str) -> impl FnOnce(&str) -> String {
    move |line| match line.split_once(' ') {
        Some((_, rest)) => format!("{number} {rest}"),
        None => number.to_owned(),
    }
}

#[tokio::test]
async fn damaged_and_hostile_files_of_lightgbm_are_refused() {
    let good = fixture("lgb_binary.model.txt");
    let all = [
        hostile("truncated", &good[..good.len() / 2], ""),
        hostile(
            "a child that is an ancestor",
            lightgbm("left_child", first("0")),
            "left_child",
        ),
        hostile(
            "a child that is not there",
            lightgbm("right_child", first("999")),
            "999",
        ),
        hostile(
            "a leaf that is not there",
            lightgbm("left_child", first("-999")),
            "-999",
        ),
        hostile(
            "a column that is not there",
            lightgbm("split_feature", first("99")),
            "99",
        ),
        hostile(
            "a threshold that is NaN",
            lightgbm("threshold", first("nan")),
            "threshold",
        ),
        hostile(
            "a leaf that is infinite",
            lightgbm("leaf_value", first("inf")),
            "leaf_value",
        ),
        hostile(
            "two billion leaves",
            lightgbm("num_leaves", |_| "2000000000".into()),
            "2000000000",
        ),
        hostile(
            "two billion columns",
            lightgbm("max_feature_idx", |_| "2000000000".into()),
            "",
        ),
        hostile(
            "two billion classes",
            lightgbm("num_class", |_| "2000000000".into()),
            "",
        ),
        hostile(
            "too few thresholds",
            lightgbm("threshold", |line| line[..line.len() / 2].to_owned()),
            "threshold",
        ),
        hostile(
            "a field of another type",
            lightgbm("decision_type", first("x")),
            "decision_type",
        ),
        hostile(
            "zero bytes",
            [&good[..600], &[0; 64], &good[664..]].concat(),
            "",
        ),
    ];
    refuses("model.txt", &good, 30, &all).await;
}
