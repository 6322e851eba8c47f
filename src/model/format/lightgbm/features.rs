//! The inputs of a model: their names, and which of them are categories.

use std::collections::HashSet;

use crate::model::trees::{Feature, FeatureKind, Node, Test, Tree};

use super::columns::{self, Column, Unassigned};
use super::faults::Faults;
use super::header::{Header, Info};

/// How the trees use one input.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Some split compares it as a number.
    as_number: bool,
    /// Some split compares it with a threshold that is not between two whole numbers.
    between_fractions: bool,
    /// Some split looks it up in a set of categories.
    as_category: bool,
}

/// Returns the inputs, and adds notes on how categories are treated.
///
/// * `parameter`: the training parameter `categorical_feature`.
/// * `lists`: the lists of categories, and the length of each.
pub(super) fn read(
    header: &Header<'_>,
    parameter: Option<&str>,
    lists: Vec<(FeatureKind, usize)>,
    trees: &[Tree],
    notes: &mut Vec<String>,
    faults: &mut Faults,
) -> Option<Vec<Feature>> {
    let uses = uses(header.names.len(), trees);
    let named = named_categorical(parameter, &header.names);
    let columns: Vec<Column> = uses
        .iter()
        .zip(&header.infos)
        .zip(&named)
        .map(|((&used, info), &is_named)| column(used, info, is_named))
        .collect();
    let mut kinds: Vec<FeatureKind> = columns.iter().zip(&uses).map(kind).collect();
    if !lists.is_empty() {
        let lengths: Vec<usize> = lists.iter().map(|(_, length)| *length).collect();
        let assigned = match columns::assign(&columns, &lengths) {
            Ok(assigned) => assigned,
            Err(reason) => {
                faults.add("pandas_categorical", refusal(reason));
                return None;
            }
        };
        notes.push(pandas_note(&assigned.inputs, &header.names));
        if !assigned.is_only_way {
            notes.push(BY_DEFAULT.to_owned());
        }
        for (input, (kind, _)) in assigned.inputs.into_iter().zip(lists) {
            kinds[input] = kind;
        }
    }
    if kinds.contains(&FeatureKind::Codes) {
        notes.push(CODES.to_owned());
    }
    let features = header.names.iter().zip(kinds).map(|(name, kind)| Feature {
        name: Some((*name).to_owned()),
        kind,
    });
    Some(features.collect())
}

const CODES: &str = "The categories without a list are given as their codes, which are whole numbers from 0. A code that is missing, \
                     negative or unknown belongs to no set of categories.";

const BY_DEFAULT: &str = "The file does not name the inputs of these lists. They follow from LightGBM's default, by which the unordered \
                          columns of type `category` are the categorical inputs. If others were named as `categorical_feature`, \
                          check the answers.";

fn refusal(reason: Unassigned) -> &'static str {
    match reason {
        Unassigned::Impossible => {
            "the lists of categories do not fit the inputs: a code is past the end of its list, or there are too many lists"
        }
        Unassigned::Ambiguous => {
            "the file does not say to which inputs these lists of categories belong, and they fit in several ways; before training, \
             make the ordered columns unordered or replace them with their codes (`.cat.codes`)"
        }
        Unassigned::TooMany => {
            "there are too many inputs and lists to find out which belong together"
        }
    }
}

/// Returns a note on the categories of a data frame. Their columns are not in the file.
fn pandas_note(assigned: &[usize], names: &[&str]) -> String {
    /// Names in the note; a model can have thousands of inputs.
    const SHOWN: usize = 20;
    let shown: Vec<&str> = assigned
        .iter()
        .take(SHOWN)
        .filter_map(|&input| names.get(input).copied())
        .collect();
    let more = match assigned.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "The lists of categories belong, in the order of the file, to these inputs: {}{more}. A category that is not in its list is \
         treated as a missing value, as in LightGBM.",
        shown.join(", ")
    )
}

/// Returns how the trees use each of `count` inputs.
fn uses(count: usize, trees: &[Tree]) -> Vec<Use> {
    let mut uses = vec![Use::default(); count];
    for node in trees.iter().flat_map(|tree| &tree.nodes) {
        let Node::Split { input, test, .. } = node else {
            continue;
        };
        let Some(used) = uses.get_mut(*input as usize) else {
            continue;
        };
        match test {
            Test::LessOrEqual(threshold) => {
                used.as_number = true;
                used.between_fractions |= !is_between_integers(*threshold);
            }
            _ => used.as_category = true,
        }
    }
    uses
}

/// Returns whether a threshold can come from a column of whole numbers: LightGBM takes the middle between two values, one step up, and
/// 1e-35 beside 0.
fn is_between_integers(threshold: f64) -> bool {
    let doubled = 2.0 * threshold;
    doubled.is_infinite() || (doubled - doubled.round()).abs() <= 1e-9 * doubled.abs().max(1e-9)
}

/// Returns which inputs the training parameter `categorical_feature` names. It is empty in files of LightGBM before 3.
fn named_categorical(parameter: Option<&str>, names: &[&str]) -> Vec<bool> {
    let parameter = parameter.unwrap_or("");
    if let Some(listed) = parameter.strip_prefix("name:") {
        let listed: HashSet<&str> = listed.split(',').collect();
        return names.iter().map(|name| listed.contains(name)).collect();
    }
    let mut named = vec![false; names.len()];
    for item in parameter.split(',') {
        let index: Option<usize> = item.parse().ok();
        if let Some(entry) = index.and_then(|index| named.get_mut(index)) {
            *entry = true;
        }
    }
    named
}

/// Returns which list of categories an input can have.
fn column(used: Use, info: &Info, is_named: bool) -> Column {
    let is_category = is_named || used.as_category;
    match info {
        Info::Categories(largest) => Column::Category(*largest as usize + 1),
        Info::Unused if is_category => Column::Category(0),
        Info::Unused => Column::Codes(0),
        Info::Range(low, high) => {
            let is_integer = low.fract() == 0.0 && high.fract() == 0.0;
            let is_code = is_integer && *low >= 0.0 && *high < f64::from(u32::MAX);
            if is_category {
                Column::Category(0)
            } else if is_code && !used.between_fractions {
                Column::Codes(*high as usize + 1)
            } else {
                Column::Numbers
            }
        }
    }
}

/// Returns the kind of an input that has no list of categories.
fn kind((column, used): (&Column, &Use)) -> FeatureKind {
    // An input that one tree splits as a number must accept any number.
    match column {
        Column::Category(_) if !used.as_number => FeatureKind::Codes,
        _ => FeatureKind::Number,
    }
}
