//! The votes of leaves: each adds a weight to the score of a class or target.

/// The votes of all leaves.
#[derive(Debug, Default)]
pub(super) struct Votes {
    /// Where the votes of each leaf begin, and at the end where the last ones end.
    starts: Vec<usize>,
    /// Class or target, and weight.
    votes: Vec<(u32, f64)>,
}

impl Votes {
    /// Groups votes by leaf. `leaves[i]` is the leaf of vote `i`. Votes of a leaf stay in their order.
    pub(super) fn grouped(count: usize, leaves: &[usize], votes: &[(u32, f64)]) -> Self {
        let mut starts = vec![0; count + 1];
        for leaf in leaves {
            starts[leaf + 1] += 1;
        }
        for leaf in 0..count {
            starts[leaf + 1] += starts[leaf];
        }
        let mut next = starts.clone();
        let mut grouped = vec![(0, 0.0); votes.len()];
        for (leaf, vote) in leaves.iter().zip(votes) {
            grouped[next[*leaf]] = *vote;
            next[*leaf] += 1;
        }
        Self {
            starts,
            votes: grouped,
        }
    }

    /// Creates leaves of one vote each.
    pub(super) fn single(votes: Vec<(u32, f64)>) -> Self {
        Self {
            starts: (0..=votes.len()).collect(),
            votes,
        }
    }

    /// Returns the number of leaves.
    pub(super) fn leaves(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Returns the votes of a leaf.
    pub(super) fn of(&self, leaf: usize) -> &[(u32, f64)] {
        let range = self.starts.get(leaf).zip(self.starts.get(leaf + 1));
        range
            .and_then(|(start, end)| self.votes.get(*start..*end))
            .unwrap_or_default()
    }

    /// Returns all votes.
    pub(super) fn all(&self) -> &[(u32, f64)] {
        &self.votes
    }

    /// Returns a leaf that votes twice for the same class or target.
    pub(super) fn repeated(&self) -> Option<usize> {
        (0..self.leaves()).find(|leaf| {
            let votes = self.of(*leaf);
            let mut targets: Vec<u32> = votes.iter().map(|(target, _)| *target).collect();
            targets.sort_unstable();
            targets.windows(2).any(|pair| pair[0] == pair[1])
        })
    }
}
