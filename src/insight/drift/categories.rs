//! Counts of texts, and how two tables of them are aligned.

use std::collections::BTreeMap;

/// How often each text occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categories {
    /// Rows by text.
    pub counts: BTreeMap<String, u64>,
    /// Rows with a text that has no count of its own: it is unknown to the version, or beyond the limit on texts.
    pub other: u64,
    /// Rows without a text.
    pub missing: u64,
}

impl Categories {
    /// Returns the number of rows, including those without a text.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.other + self.missing
    }
}

/// Returns the counts of both sides, cell by cell: one cell for each text that both sides count, one for all other texts and one
/// for rows without a text. Cells that are empty on both sides are left out.
///
/// A version may know fewer texts than its profile lists, so one side may count a text that the other includes in `other`. Only
/// texts that both sides count can be compared.
pub(super) fn aligned(reference: &Categories, current: &Categories) -> Vec<[u64; 2]> {
    let both = reference.counts.iter().filter_map(|(text, count)| {
        let other = current.counts.get(text)?;
        Some([*count, *other])
    });
    let mut cells: Vec<[u64; 2]> = both.collect();
    let shared: [u64; 2] = [0, 1].map(|side| cells.iter().map(|cell| cell[side]).sum());
    let missing = [reference.missing, current.missing];
    let others = [
        reference.total() - shared[0] - missing[0],
        current.total() - shared[1] - missing[1],
    ];
    cells.extend([others, missing]);
    cells.retain(|cell| *cell != [0, 0]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(&str, u64)], other: u64, missing: u64) -> Categories {
        let counts = counts
            .iter()
            .map(|(text, count)| ((*text).to_owned(), *count));
        Categories {
            counts: counts.collect(),
            other,
            missing,
        }
    }

    #[test]
    fn only_texts_that_both_sides_count_have_a_cell() {
        let profile = of(&[("AA", 50), ("F9", 3), ("UA", 40)], 2, 0);
        for (current, want, why) in [
            (
                of(&[("AA", 5), ("UA", 4)], 1, 0),
                vec![[50, 5], [40, 4], [5, 1]],
                "F9 is unknown to the version",
            ),
            (
                of(&[("AA", 5), ("F9", 0), ("UA", 4)], 0, 2),
                vec![[50, 5], [3, 0], [40, 4], [2, 0], [0, 2]],
                "rows without a text have a cell",
            ),
            (
                of(&[("AA", 5), ("XX", 7)], 0, 0),
                vec![[50, 5], [45, 7]],
                "new texts count as others",
            ),
            (Categories::default(), vec![[95, 0]], "no rows"),
        ] {
            assert_eq!(aligned(&profile, &current), want, "{why}");
        }
    }
}
