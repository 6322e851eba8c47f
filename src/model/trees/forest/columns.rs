//! The keys of a row, in columns: one per input and rule for missing values.

use super::key::{Input, Key};
use crate::model::trees::{Ensemble, Missing, Node};

/// Inputs whose keys are computed together.
const TOGETHER: usize = 64;

/// Where a split sends missing values, in terms of the ranges below and above its edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// NaN goes below.
    Below,
    /// NaN goes above.
    Above,
    /// NaN is compared as 0.
    AsZero,
    /// NaN and zeros go below.
    ZeroBelow,
    /// NaN and zeros go above.
    ZeroAbove,
}

impl Rule {
    /// Returns the rule of a split that sends what `missing` names above if `above(goes_to_yes)`, otherwise below.
    pub(super) fn new(missing: Missing, above: impl Fn(bool) -> bool) -> Self {
        match missing {
            Missing::AsZero => Self::AsZero,
            Missing::Yes | Missing::No if above(missing == Missing::Yes) => Self::Above,
            Missing::Yes | Missing::No => Self::Below,
            Missing::ZeroYes | Missing::ZeroNo if above(missing == Missing::ZeroYes) => {
                Self::ZeroAbove
            }
            Missing::ZeroYes | Missing::ZeroNo => Self::ZeroBelow,
        }
    }

    /// Writes the keys of `values`.
    #[inline(always)]
    fn write<I: Input>(self, values: &[I], keys: &mut [I::Key]) {
        let (first, last) = (I::Key::FIRST, I::Key::LAST);
        let zero = I::default().key();
        // One loop per rule, so that the compiler vectorizes each.
        macro_rules! each {
            ($value:ident => $key:expr) => {
                for (key, $value) in keys.iter_mut().zip(values) {
                    *key = $key;
                }
            };
        }
        match self {
            Self::Below => each!(x => if x.is_missing() { first } else { x.key() }),
            Self::Above => each!(x => if x.is_missing() { last } else { x.key() }),
            Self::AsZero => each!(x => if x.is_missing() { zero } else { x.key() }),
            Self::ZeroBelow => each!(x => if x.is_missing_or_zero() { first } else { x.key() }),
            Self::ZeroAbove => each!(x => if x.is_missing_or_zero() { last } else { x.key() }),
        }
    }
}

/// The columns that the splits of an ensemble use.
#[derive(Debug)]
pub(super) struct Columns {
    /// The inputs that are in any split, ascending.
    inputs: Vec<u32>,
    /// Index in `inputs`, by input.
    positions: Vec<u32>,
    /// Each rule that is in any split. The columns of a rule are those of all `inputs`, in their order.
    rules: Vec<Rule>,
}

impl Columns {
    /// Finds the inputs that the splits of a valid ensemble use.
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        let mut used = vec![false; ensemble.inputs];
        for node in ensemble.trees.iter().flat_map(|tree| &tree.nodes) {
            if let Node::Split { input, .. } = node {
                used[*input as usize] = true;
            }
        }
        let mut columns = Self {
            inputs: Vec::new(),
            positions: vec![0; ensemble.inputs],
            rules: Vec::new(),
        };
        for (input, used) in (0..).zip(used) {
            if used {
                columns.positions[input as usize] = columns.inputs.len() as u32;
                columns.inputs.push(input);
            }
        }
        columns
    }

    /// Returns the column of an input under a rule.
    pub(super) fn column(&mut self, input: u32, rule: Rule) -> u32 {
        let known = self.rules.iter().position(|known| *known == rule);
        let at = known.unwrap_or_else(|| {
            self.rules.push(rule);
            self.rules.len() - 1
        });
        (at * self.inputs.len()) as u32 + self.positions[input as usize]
    }

    /// Returns the number of columns.
    pub(super) fn count(&self) -> usize {
        self.rules.len() * self.inputs.len()
    }

    /// Returns the memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        (self.inputs.len() + self.positions.len()) * size_of::<u32>() + self.rules.len()
    }

    /// Writes the keys of a row.
    pub(super) fn write<I: Input>(&self, row: &[I], keys: &mut [I::Key]) {
        let count = self.inputs.len();
        let mut gathered = [I::default(); TOGETHER];
        for (at, inputs) in (0..).step_by(TOGETHER).zip(self.inputs.chunks(TOGETHER)) {
            let values = if count == row.len() {
                &row[at..at + inputs.len()]
            } else {
                for (value, input) in gathered.iter_mut().zip(inputs) {
                    *value = row[*input as usize];
                }
                &gathered[..inputs.len()]
            };
            for (rule, keys) in self.rules.iter().zip(keys.chunks_exact_mut(count)) {
                rule.write(values, &mut keys[at..]);
            }
        }
    }
}
