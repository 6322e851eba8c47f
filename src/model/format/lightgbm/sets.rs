//! The sets of categories of one tree.

use super::faults::Faults;
use super::lines::Fields;

/// Category codes are below this: the evaluation compares them as 24-bit integers, which f32 holds exactly.
const MAX_CODES: usize = 1 << 24;

/// The sets of a tree, each until a split takes it. LightGBM writes one per categorical split; as no two splits share a set, the codes
/// need at most 12 times the memory of their text.
#[derive(Debug)]
pub(super) struct CategorySets {
    /// The words of a bit set each: bit `b` of word `w` is the code `32 w + b`.
    sets: Vec<Option<Vec<u32>>>,
}

impl CategorySets {
    /// Reads the fields `num_cat`, `cat_boundaries` and `cat_threshold`.
    pub(super) fn read(fields: &Fields<'_>, faults: &mut Faults) -> Option<Self> {
        let count: usize = fields.number("num_cat", "a whole number", faults)?;
        if count == 0 {
            return Some(Self { sets: Vec::new() });
        }
        // A count that does not fit the length of the file is refused here.
        let bounds: Vec<usize> = fields.numbers(
            "cat_boundaries",
            count.saturating_add(1),
            "a whole number",
            faults,
        )?;
        for (index, pair) in bounds.windows(2).enumerate() {
            if pair[0] >= pair[1] || pair[1] - pair[0] > MAX_CODES / 32 {
                faults.add(
                    fields.at_value("cat_boundaries", index + 1),
                    format!(
                        "got {} after {}, expected 1 to {} more, as category codes are below {MAX_CODES}",
                        pair[1],
                        pair[0],
                        MAX_CODES / 32
                    ),
                );
                return None;
            }
        }
        if bounds.first() != Some(&0) {
            faults.add(fields.at_value("cat_boundaries", 0), "expected 0");
            return None;
        }
        let total = bounds.last().copied().unwrap_or(0);
        let words: Vec<u32> = fields.numbers("cat_threshold", total, "0 to 4294967295", faults)?;
        let sets = bounds
            .windows(2)
            .map(|pair| words.get(pair[0]..pair[1]).map(<[u32]>::to_vec))
            .collect();
        Some(Self { sets })
    }

    /// Returns the codes of the set that the split `split` names in its `threshold`, ascending.
    pub(super) fn take(
        &mut self,
        threshold: f64,
        split: usize,
        fields: &Fields<'_>,
        faults: &mut Faults,
    ) -> Option<Vec<u32>> {
        let count = self.sets.len();
        let at = || fields.at_value("threshold", split);
        // The cast keeps whole numbers that are valid indices, and changes all others.
        let index = threshold as usize;
        if index as f64 != threshold || index >= count {
            faults.add(
                at(),
                format!("got {threshold}, expected the index of one of {count} sets of categories"),
            );
            return None;
        }
        let set = self.sets.get_mut(index).and_then(Option::take);
        if set.is_none() {
            faults.add(at(), format!("got set {index}, which another split uses"));
        }
        set.map(|words| codes(&words))
    }

    /// Checks that each set belongs to a split.
    pub(super) fn check_all_used(&self, fields: &Fields<'_>, faults: &mut Faults) {
        let unused = self.sets.iter().filter(|set| set.is_some()).count();
        if unused > 0 {
            let count = self.sets.len();
            faults.add(
                fields.at("num_cat"),
                format!("got {count}, of which no split uses {unused}"),
            );
        }
    }
}

/// Returns the positions of the bits that are set, ascending.
fn codes(words: &[u32]) -> Vec<u32> {
    let count = words.iter().map(|word| word.count_ones() as usize).sum();
    let mut codes = Vec::with_capacity(count);
    for (index, word) in (0_u32..).zip(words) {
        codes.extend((0..32).filter_map(|bit| (word >> bit & 1 == 1).then_some(index * 32 + bit)));
    }
    codes
}
