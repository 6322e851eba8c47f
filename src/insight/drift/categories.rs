//! Two tables of counts of texts, brought to the same rows.

use std::collections::BTreeMap;

/// How often each text came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categories {
    /// By text.
    pub counts: BTreeMap<String, u64>,
    /// Rows with a text that is not counted by itself: unknown to the version, or beyond the bound on names.
    pub other: u64,
    /// Rows without a text.
    pub missing: u64,
}

impl Categories {
    /// How many rows it describes, those without a text included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.other + self.missing
    }
}

/// The counts of both, cell by cell: a cell for each text that both count by itself, one for all other texts and one for rows
/// without a text; cells that are empty on both sides are left out.
///
/// One side may count a text by itself that the other counts among its others (a version knows fewer texts than its profile lists), so
/// only what both tell apart can be compared.
pub(super) fn aligned(reference: &Categories, current: &Categories) -> Vec<[u64; 2]> {
    let both = reference.counts.iter().filter_map(|(text, count)| {
        let other = current.counts.get(text)?;
        Some([*count, *other])
    });
    let mut cells: Vec<[u64; 2]> = both.collect();
    let told: [u64; 2] = [0, 1].map(|side| cells.iter().map(|cell| cell[side]).sum());
    let missing = [reference.missing, current.missing];
    let others = [
        reference.total() - told[0] - missing[0],
        current.total() - told[1] - missing[1],
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
    fn only_what_both_sides_tell_apart_has_a_cell() {
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
                "gaps have a cell",
            ),
            (
                of(&[("AA", 5), ("XX", 7)], 0, 0),
                vec![[50, 5], [45, 7]],
                "new texts are others",
            ),
            (Categories::default(), vec![[95, 0]], "nothing came"),
        ] {
            assert_eq!(aligned(&profile, &current), want, "{why}");
        }
    }
}
