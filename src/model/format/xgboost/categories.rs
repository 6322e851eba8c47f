//! The sets of categories of a tree's categorical splits.
//!
//! `categories` is one list for the whole tree. `categories_nodes` are the categorical nodes, ascending; `categories_segments` and
//! `categories_sizes` are where the set of each begins in the list, and its length.

use super::document::Object;
use super::faults::Faults;

/// Categories from here on are not categories: XGBoost holds them in f32, which is exact up to here.
const CODES: u32 = 1 << 24;

/// The sets of one tree.
#[derive(Debug, Default)]
pub(super) struct CategorySets {
    nodes: Vec<usize>,
    // The end of each node's set in `codes`.
    ends: Vec<usize>,
    codes: Vec<u32>,
}

impl CategorySets {
    /// Reads the sets of a tree with so many nodes. Files before XGBoost 1.3 have none.
    pub(super) fn read(object: &Object<'_, '_>, nodes: usize, faults: &mut Faults) -> Option<Self> {
        if object.find("split_type").is_none() {
            return Some(Self::default());
        }
        let types = object.integers("split_type", faults);
        let marked = object.integers("categories_nodes", faults);
        let starts = object.integers("categories_segments", faults);
        let sizes = object.integers("categories_sizes", faults);
        let codes = object.integers("categories", faults);
        let (marked, starts, sizes, codes) = (marked?, starts?, sizes?, codes?);
        let before = faults.count();
        if marked.len() != starts.len() || marked.len() != sizes.len() {
            let message = format!(
                "got {} nodes, {} segments and {} sizes, expected as many of each",
                marked.len(),
                starts.len(),
                sizes.len()
            );
            faults.add(object.path_of("categories_nodes"), message);
        }
        let categorical = categorical_nodes(object, &types?, faults);
        if !categorical
            .iter()
            .map(|&node| Ok(node))
            .eq(marked.iter().map(|&node| usize::try_from(node)))
        {
            let message = "the nodes differ from those whose `split_type` is 1, expected the same";
            faults.add(object.path_of("categories_nodes"), message);
        }
        let ends = segment_ends(object, &starts, &sizes, codes.len(), faults);
        let mut codes = checked_codes(object, &codes, faults);
        if faults.count() > before || categorical.last().is_some_and(|&last| last >= nodes) {
            return None;
        }
        let mut start = 0;
        for &end in &ends {
            codes[start..end].sort_unstable();
            start = end;
        }
        Some(Self {
            nodes: categorical,
            ends,
            codes,
        })
    }

    /// Returns the set of a node, ascending; `None` if the node is not categorical.
    pub(super) fn of(&self, node: usize) -> Option<&[u32]> {
        let at = self.nodes.binary_search(&node).ok()?;
        let start = match at {
            0 => 0,
            _ => self.ends[at - 1],
        };
        self.codes.get(start..self.ends[at])
    }
}

/// Returns the nodes whose type is 1.
fn categorical_nodes(object: &Object<'_, '_>, types: &[i64], faults: &mut Faults) -> Vec<usize> {
    let mut nodes = Vec::new();
    for (node, kind) in types.iter().enumerate() {
        match kind {
            0 => {}
            1 => nodes.push(node),
            _ => faults.add(
                format!("{}[{node}]", object.path_of("split_type")),
                format!("got {kind}, expected 0 (numeric) or 1 (categorical)"),
            ),
        }
    }
    nodes
}

/// Returns the end of each segment. The segments must follow each other, as XGBoost writes them: sets that overlap could make the trees
/// much larger than the file.
fn segment_ends(
    object: &Object<'_, '_>,
    starts: &[i64],
    sizes: &[i64],
    codes: usize,
    faults: &mut Faults,
) -> Vec<usize> {
    let mut ends = Vec::with_capacity(starts.len());
    let mut end = 0_usize;
    for (at, (&start, &size)) in starts.iter().zip(sizes).enumerate() {
        if usize::try_from(start) != Ok(end) {
            let place = format!("{}[{at}]", object.path_of("categories_segments"));
            faults.add(
                place,
                format!("got {start}, expected {end}, where the set before it ends"),
            );
            return ends;
        }
        let next = usize::try_from(size)
            .ok()
            .and_then(|size| end.checked_add(size));
        match next.filter(|&next| next > end && next <= codes) {
            Some(next) => end = next,
            None => {
                let place = format!("{}[{at}]", object.path_of("categories_sizes"));
                let left = codes - end;
                faults.add(
                    place,
                    format!("got {size}, expected 1 to {left}, the categories that are left"),
                );
                return ends;
            }
        }
        ends.push(end);
    }
    if end != codes {
        let message = format!("got {codes} categories, expected {end}, which the sets need");
        faults.add(object.path_of("categories"), message);
    }
    ends
}

fn checked_codes(object: &Object<'_, '_>, codes: &[i64], faults: &mut Faults) -> Vec<u32> {
    let mut checked = Vec::with_capacity(codes.len());
    for (at, &code) in codes.iter().enumerate() {
        match u32::try_from(code).ok().filter(|&code| code < CODES) {
            Some(code) => checked.push(code),
            None => {
                let place = format!("{}[{at}]", object.path_of("categories"));
                faults.add(
                    place,
                    format!("got {code}, expected a category from 0 to {}", CODES - 1),
                );
            }
        }
    }
    checked
}
