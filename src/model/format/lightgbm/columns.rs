//! Which inputs the lists of categories belong to.
//!
//! LightGBM's Python package writes one list per column of type `category`, in the order of the columns, and does not say which columns
//! these are. By default, unordered ones are inputs that the trees split on as categories, and ordered ones are inputs that the trees
//! split on as numbers: their codes. If the caller named the categorical inputs, both can be otherwise. Therefore the lists are assigned
//! only if there is exactly one way to do so, in the order of the columns: one way at all, or one by default.

use std::cmp::Ordering;

/// What an input can take, as far as the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The input is split on as a category. A list fits if it has at least this many categories.
    Category(usize),
    /// The input holds whole numbers from 0. A list fits if it has at least this many categories.
    Codes(usize),
    /// The input holds other numbers: no list fits.
    Numbers,
}

impl Column {
    fn is_category(self) -> bool {
        matches!(self, Self::Category(_))
    }

    fn fits(self, list: usize) -> bool {
        match self {
            Self::Category(least) | Self::Codes(least) => list >= least,
            Self::Numbers => false,
        }
    }
}

/// Cells of the table of partial assignments, a byte each. A model with 2,000 inputs and 1,000 lists needs half of them.
const MAX_CELLS: usize = 4 << 20;

/// Why lists could not be assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unassigned {
    /// The lists do not fit the inputs in any way.
    Impossible,
    /// The lists fit the inputs in several ways.
    Ambiguous,
    /// There are too many inputs and lists to find out.
    TooMany,
}

/// The inputs of the lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assigned {
    /// Index of the input of each list.
    pub(super) inputs: Vec<usize>,
    /// Whether the lists fit the inputs in no other way. Otherwise this is the only way for a caller who let LightGBM choose the
    /// categorical inputs, or named some in addition.
    pub(super) is_only_way: bool,
}

/// Returns the inputs of the lists, given their lengths.
pub(super) fn assign(columns: &[Column], lists: &[usize]) -> Result<Assigned, Unassigned> {
    let no_only_way = match assign_by(columns, lists, Rule::Any) {
        Ok(inputs) => {
            return Ok(Assigned {
                inputs,
                is_only_way: true,
            });
        }
        Err(reason) => reason,
    };
    let categories: Vec<usize> = (0..columns.len())
        .filter(|&at| columns[at].is_category())
        .collect();
    let by_default = match lists.len().cmp(&categories.len()) {
        Ordering::Less => assign_by(columns, lists, Rule::OnlyCategories),
        Ordering::Greater => assign_by(columns, lists, Rule::EachCategory),
        Ordering::Equal => {
            let mut pairs = categories.iter().zip(lists);
            match pairs.all(|(&at, &list)| columns[at].fits(list)) {
                true => Ok(categories),
                false => Err(Unassigned::Impossible),
            }
        }
    };
    match by_default {
        Ok(inputs) => Ok(Assigned {
            inputs,
            is_only_way: false,
        }),
        Err(Unassigned::Impossible) => Err(no_only_way),
        Err(reason) => Err(reason),
    }
}

/// Which inputs may or must have a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Each categorical input has one, and others may have one.
    EachCategory,
    /// Only categorical inputs have one.
    OnlyCategories,
    /// Any input may have one.
    Any,
}

impl Rule {
    fn may_skip(self, column: Column) -> bool {
        self != Self::EachCategory || !column.is_category()
    }

    fn may_take(self, column: Column, list: usize) -> bool {
        column.fits(list) && (self != Self::OnlyCategories || column.is_category())
    }
}

/// Returns the only assignment that follows the rule and the order of the columns.
fn assign_by(columns: &[Column], lists: &[usize], rule: Rule) -> Result<Vec<usize>, Unassigned> {
    let width = lists.len() + 1;
    let cells = (columns.len() + 1).saturating_mul(width);
    if cells > MAX_CELLS {
        return Err(Unassigned::TooMany);
    }
    // ways[column * width + list]: in how many ways the lists from `list` fit the inputs from `column`; 2 stands for more than one.
    let mut ways = vec![0_u8; cells];
    ways[cells - 1] = 1;
    let skip = |ways: &[u8], column: usize, list: usize| match rule.may_skip(columns[column]) {
        true => ways[(column + 1) * width + list],
        false => 0,
    };
    let take = |ways: &[u8], column: usize, list: usize| match lists.get(list) {
        Some(&length) if rule.may_take(columns[column], length) => {
            ways[(column + 1) * width + list + 1]
        }
        _ => 0,
    };
    for column in (0..columns.len()).rev() {
        for list in 0..width {
            ways[column * width + list] =
                2.min(skip(&ways, column, list) + take(&ways, column, list));
        }
    }
    match ways[0] {
        0 => return Err(Unassigned::Impossible),
        1 => {}
        _ => return Err(Unassigned::Ambiguous),
    }
    let mut assigned = Vec::with_capacity(lists.len());
    for column in 0..columns.len() {
        if take(&ways, column, assigned.len()) == 1 {
            assigned.push(column);
        }
    }
    Ok(assigned)
}
