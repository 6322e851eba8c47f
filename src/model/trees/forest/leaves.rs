//! The values of leaves, and their addition to the sums of a row.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Range};

use super::TOGETHER;
use super::key::Input;
use crate::model::trees::{Ensemble, Leaf, Node, Tree};

/// A number in which leaves are summed.
pub(super) trait Sum:
    Copy + Debug + Default + Add<Output = Self> + AddAssign + Mul<Output = Self> + Div<Output = Self>
{
    /// Returns the nearest number.
    fn narrow(x: f64) -> Self;

    /// Returns the same number.
    fn widen(self) -> f64;
}

impl Sum for f32 {
    #[inline(always)]
    fn narrow(x: f64) -> Self {
        x as Self
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Sum for f64 {
    #[inline(always)]
    fn narrow(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

/// What the leaves of an ensemble have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All add one value to this sum.
    SameSum(u32),
    /// All add one value. Those of a tree add it to the same sum.
    OneSumPerTree,
    /// Any.
    Mixed,
}

impl Kind {
    /// Finds what the leaves of a valid ensemble have in common.
    pub(super) fn of(ensemble: &Ensemble) -> Self {
        let mut outputs = ensemble.trees.iter().map(output);
        let Some(first) = outputs.next() else {
            return Self::Mixed;
        };
        match (first, outputs.all(|output| output == first)) {
            (Some(output), true) => Self::SameSum(output),
            _ if ensemble.trees.iter().all(|tree| output(tree).is_some()) => Self::OneSumPerTree,
            _ => Self::Mixed,
        }
    }
}

/// Returns the output to which all leaves of a tree add one value.
fn output(tree: &Tree) -> Option<u32> {
    let mut outputs = tree.nodes.iter().filter_map(|node| match node {
        Node::Split { .. } => None,
        Node::Leaf(Leaf::One { output, .. }) => Some(Some(*output)),
        Node::Leaf(_) => Some(None),
    });
    let first = outputs.next()??;
    outputs.all(|output| output == Some(first)).then_some(first)
}

/// The leaves of some trees of an ensemble, in places: a leaf may be in several places.
#[derive(Debug)]
pub(super) enum Leaves<S> {
    /// Adds the value of the place to the sum `output`.
    SameSum { output: usize, values: Vec<S> },
    /// Adds the value of the place to the sum `outputs[tree]`.
    OneSumPerTree { outputs: Vec<u32>, values: Vec<S> },
    /// Adds what `actions[places[place]]` says.
    Mixed { places: Vec<u32>, table: Table<S> },
}

/// Leaves that add anything.
#[derive(Debug, Default)]
pub(super) struct Table<S> {
    /// Sums per row.
    outputs: usize,
    actions: Vec<Action<S>>,
    /// The values of all [`Action::Row`] and [`Action::List`].
    values: Vec<S>,
    /// The output of each of `values`; arbitrary for the values of a row.
    targets: Vec<u32>,
    /// Inputs and coefficients of all [`Action::Linear`].
    terms: Vec<(u32, S)>,
}

#[derive(Debug)]
enum Action<S> {
    /// Adds consecutive values to all sums.
    Row(usize),
    /// Adds consecutive values to their outputs.
    List(Range<usize>),
    /// Adds [`Leaf::Linear`].
    Linear {
        output: u32,
        constant: S,
        terms: Range<usize>,
        if_missing: S,
    },
}

impl<S: Sum> Leaves<S> {
    /// Creates an empty list of leaves of this kind, for rows with so many sums.
    pub(super) fn new(kind: Kind, outputs: usize) -> Self {
        match kind {
            Kind::SameSum(output) => Self::SameSum {
                output: output as usize,
                values: Vec::new(),
            },
            Kind::OneSumPerTree => Self::OneSumPerTree {
                outputs: Vec::new(),
                values: Vec::new(),
            },
            Kind::Mixed => Self::Mixed {
                places: Vec::new(),
                table: Table {
                    outputs,
                    ..Table::default()
                },
            },
        }
    }

    /// Returns the number of places.
    pub(super) fn places(&self) -> usize {
        match self {
            Self::SameSum { values, .. } | Self::OneSumPerTree { values, .. } => values.len(),
            Self::Mixed { places, .. } => places.len(),
        }
    }

    /// Starts the next tree.
    pub(super) fn push_tree(&mut self, tree: &Tree) {
        if let Self::OneSumPerTree { outputs, .. } = self {
            outputs.push(output(tree).unwrap_or_default());
        }
    }

    /// Adds a leaf in so many places, one after the other.
    pub(super) fn push(&mut self, leaf: &Leaf, count: usize) {
        match self {
            Self::SameSum { values, .. } | Self::OneSumPerTree { values, .. } => {
                // The kind of these leaves says that there is no other variant.
                if let Leaf::One { value, .. } = leaf {
                    values.extend(std::iter::repeat_n(S::narrow(*value), count));
                }
            }
            Self::Mixed { places, table } => {
                places.extend(std::iter::repeat_n(table.actions.len() as u32, count));
                table.push(leaf);
            }
        }
    }

    /// Returns the memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::SameSum { values, .. } => size_of_val(&**values),
            Self::OneSumPerTree { outputs, values } => {
                size_of_val(&**outputs) + size_of_val(&**values)
            }
            Self::Mixed { places, table } => {
                size_of_val(&**places)
                    + size_of_val(&*table.actions)
                    + size_of_val(&*table.values)
                    + size_of_val(&*table.targets)
                    + size_of_val(&*table.terms)
            }
        }
    }

    /// Adds the leaves that `walk` finds to the sums of a row. `walk` calls its argument with the places of the next few trees.
    #[inline]
    pub(super) fn add<I: Input>(
        &self,
        from: Start,
        row: &[I],
        sums: &mut [f64],
        walk: impl FnOnce(&mut dyn FnMut(&[u32])),
    ) {
        let Start {
            tree,
            mut place,
            per_tree,
        } = from;
        // Local variables stay in registers while the leaves of a few trees are added.
        match self {
            Self::SameSum { output, values } => {
                let mut sum = S::narrow(sums[*output]);
                walk(&mut |places| {
                    let (mut local_sum, mut start) = (sum, place);
                    let mut add = |at: u32| {
                        local_sum += values[start + at as usize];
                        start += per_tree;
                    };
                    // The usual number of trees, for which the compiler writes the loop out.
                    if let Ok(places) = <&[u32; TOGETHER]>::try_from(places) {
                        places.iter().for_each(|at| add(*at));
                    } else {
                        places.iter().for_each(|at| add(*at));
                    }
                    (sum, place) = (local_sum, start);
                });
                sums[*output] = sum.widen();
            }
            Self::OneSumPerTree { outputs, values } => {
                let mut outputs = outputs[tree..].iter();
                walk(&mut |places| {
                    for (at, output) in places.iter().zip(&mut outputs) {
                        let value = values[place + *at as usize];
                        let sum = &mut sums[*output as usize];
                        *sum = (S::narrow(*sum) + value).widen();
                        place += per_tree;
                    }
                });
            }
            Self::Mixed { places, table } => {
                let known = places;
                walk(&mut |places| {
                    for at in places {
                        let action = known[place + *at as usize];
                        table.add(action as usize, row, sums);
                        place += per_tree;
                    }
                });
            }
        }
    }
}

/// The trees whose leaves are added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// The first tree.
    pub(super) tree: usize,
    /// Its first place.
    pub(super) place: usize,
    /// How much further on the places of the next tree start. 0 if places count from the first leaf of all trees.
    pub(super) per_tree: usize,
}

impl<S: Sum> Table<S> {
    fn push(&mut self, leaf: &Leaf) {
        let start = self.values.len();
        let action = match leaf {
            Leaf::One { output, value } => {
                self.values.push(S::narrow(*value));
                self.targets.push(*output);
                Action::List(start..start + 1)
            }
            Leaf::Many(values) => {
                self.values
                    .extend(values.iter().map(|(_, value)| S::narrow(*value)));
                self.targets.extend(values.iter().map(|(output, _)| output));
                let all = values.len() == self.outputs
                    && (0..).zip(values).all(|(at, (output, _))| at == *output);
                if all {
                    Action::Row(start)
                } else {
                    Action::List(start..self.values.len())
                }
            }
            Leaf::Linear {
                output,
                constant,
                terms,
                if_missing,
            } => {
                let start = self.terms.len();
                let narrow = |(input, x): &(u32, f64)| (*input, S::narrow(*x));
                self.terms.extend(terms.iter().map(narrow));
                Action::Linear {
                    output: *output,
                    constant: S::narrow(*constant),
                    terms: start..self.terms.len(),
                    if_missing: S::narrow(*if_missing),
                }
            }
        };
        self.actions.push(action);
    }

    fn add<I: Input>(&self, action: usize, row: &[I], sums: &mut [f64]) {
        let add = |sum: &mut f64, value: S| *sum = (S::narrow(*sum) + value).widen();
        match &self.actions[action] {
            Action::Row(start) => {
                for (sum, value) in sums.iter_mut().zip(&self.values[*start..]) {
                    add(sum, *value);
                }
            }
            Action::List(range) => {
                let targets = &self.targets[range.clone()];
                for (value, target) in self.values[range.clone()].iter().zip(targets) {
                    add(&mut sums[*target as usize], *value);
                }
            }
            Action::Linear {
                output,
                constant,
                terms,
                if_missing,
            } => {
                let terms = &self.terms[terms.clone()];
                let value = if terms
                    .iter()
                    .any(|(input, _)| row[*input as usize].is_missing())
                {
                    *if_missing
                } else {
                    terms.iter().fold(*constant, |sum, (input, x)| {
                        sum + *x * S::narrow(row[*input as usize].into())
                    })
                };
                add(&mut sums[*output as usize], value);
            }
        }
    }
}
