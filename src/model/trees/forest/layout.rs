//! An ensemble, laid out for scoring.

use super::build::{Builder, Outline, choose};
use super::columns::Columns;
use super::key::{Input, Key};
use super::leaves::{Kind, Leaves, Start, Sum};
use super::linked::Linked;
use super::shallow::Shallow;
use super::window::WindowKind;
use super::{Arithmetic, TOGETHER};
use crate::model::trees::{Ensemble, Tree};

/// The most rows in a block.
const MAX_ROWS: usize = 64;
/// The most keys of a block of several rows.
const MAX_KEYS: usize = 1 << 15;
/// Memory in bytes of the trees that all rows of a block go through before the next trees, so that they stay in the cache of a core.
const CHUNK: usize = 1 << 17;

/// An ensemble for inputs of type `I`, whose leaves are summed in `S`.
#[derive(Debug)]
pub(super) struct Layout<I: Input, S> {
    /// Values per row.
    inputs: usize,
    /// The initial value of each sum.
    base: Vec<S>,
    /// What the sums of leaves are divided by before `base` is added; `None` for 1, where the sums start at `base`.
    divisor: Option<S>,
    columns: Columns,
    window: WindowKind,
    /// The most rows whose keys are in memory at the same time.
    block: usize,
    runs: Vec<Run<I::Key, S>>,
    cost: usize,
}

/// Consecutive trees of the same shape.
#[derive(Debug)]
struct Run<K, S> {
    shape: Shape<K>,
    leaves: Leaves<S>,
    trees: usize,
    /// Trees that all rows of a block go through before the next trees.
    chunk: usize,
}

#[derive(Debug)]
enum Shape<K> {
    Shallow(Shallow<K>),
    Linked(Linked<K>),
}

impl<I: Input, S: Sum> Layout<I, S> {
    /// Lays out a valid ensemble.
    pub(super) fn new(ensemble: &Ensemble, arithmetic: Arithmetic) -> Self {
        let outlines: Vec<_> = ensemble.trees.iter().map(Outline::of).collect();
        let (depth, shallow) = choose::<I::Key, S>(&outlines);
        let kind = Kind::of(ensemble);
        let mut columns = Columns::new(ensemble);
        let mut runs = Vec::new();
        let mut cost = 0;
        let mut start = 0;
        for run in shallow.chunk_by(|a, b| a == b) {
            let range = start..start + run.len();
            start = range.end;
            cost += if run[0] {
                depth * run.len()
            } else {
                outlines[range.clone()].iter().map(Outline::mean_path).sum()
            };
            let mut leaves = Leaves::new(kind, ensemble.outputs);
            let builder = Builder {
                arithmetic,
                columns: &mut columns,
                leaves: &mut leaves,
            };
            let shape =
                Shape::new::<I, S>(&ensemble.trees[range], run[0].then_some(depth), builder);
            runs.push(Run::new(shape, leaves, run.len()));
        }
        Self {
            inputs: ensemble.inputs,
            base: ensemble.base.iter().map(|x| S::narrow(*x)).collect(),
            divisor: Some(S::narrow(ensemble.divisor)).filter(|x| x.widen() != 1.0),
            window: WindowKind::new(columns.count()),
            block: (MAX_KEYS / columns.count().max(1)).clamp(1, MAX_ROWS),
            columns,
            runs,
            cost,
        }
    }

    /// Returns the memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        let runs = self.runs.iter().map(Run::bytes).sum::<usize>();
        runs + self.columns.bytes() + size_of_val(&*self.base)
    }

    /// Returns about how many nodes a row visits.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Writes the sums of each of `count` rows.
    pub(super) fn sum(&self, count: usize, rows: &[I], sums: &mut [f64]) {
        let (inputs, outputs) = (self.inputs, self.base.len());
        let mut first = 0;
        while first < count {
            let end = count.min(first + self.block);
            let sums = &mut sums[first * outputs..end * outputs];
            self.sum_block(end - first, &rows[first * inputs..end * inputs], sums);
            first = end;
        }
    }

    /// Writes the sums of each of a few rows.
    fn sum_block(&self, count: usize, rows: &[I], sums: &mut [f64]) {
        let (inputs, outputs) = (self.inputs, self.base.len());
        for row in 0..count {
            let sums = &mut sums[row * outputs..][..outputs];
            for (sum, base) in sums.iter_mut().zip(&self.base) {
                *sum = match self.divisor {
                    None => base.widen(),
                    Some(_) => 0.0,
                };
            }
        }
        let columns = self.columns.count();
        let window = self.window.length(columns);
        // The window of the last row extends past its keys.
        I::Key::with_scratch((count - 1) * columns + window, |keys| {
            for row in 0..count {
                let values = &rows[row * inputs..][..inputs];
                self.columns.write(values, &mut keys[row * columns..]);
            }
            for run in &self.runs {
                let chunk = if count == 1 { run.trees } else { run.chunk };
                for tree in (0..run.trees).step_by(chunk) {
                    for row in 0..count {
                        let sums = &mut sums[row * outputs..][..outputs];
                        let row = Row {
                            values: &rows[row * inputs..][..inputs],
                            keys: &keys[row * columns..][..window],
                        };
                        run.add(tree, chunk, self.window, row, sums);
                    }
                }
            }
        });
        if let Some(divisor) = self.divisor {
            for row in 0..count {
                let sums = &mut sums[row * outputs..][..outputs];
                for (sum, base) in sums.iter_mut().zip(&self.base) {
                    *sum = (*base + S::narrow(*sum) / divisor).widen();
                }
            }
        }
    }
}

/// A row: its values and their keys.
struct Row<'a, I: Input> {
    values: &'a [I],
    keys: &'a [I::Key],
}

impl<K: Key, S: Sum> Run<K, S> {
    fn new(shape: Shape<K>, leaves: Leaves<S>, trees: usize) -> Self {
        let per_tree = (shape.bytes() + leaves.bytes()) / trees;
        Self {
            shape,
            leaves,
            trees,
            chunk: (CHUNK / per_tree.max(1) / TOGETHER).max(1) * TOGETHER,
        }
    }

    fn bytes(&self) -> usize {
        self.shape.bytes() + self.leaves.bytes()
    }

    /// Adds the leaves of the trees from `first` on, at most `count`, to the sums of a row.
    fn add<I: Input<Key = K>>(
        &self,
        first: usize,
        count: usize,
        window: WindowKind,
        row: Row<'_, I>,
        sums: &mut [f64],
    ) {
        let per_tree = match &self.shape {
            Shape::Shallow(trees) => trees.leaves(),
            Shape::Linked(_) => 0,
        };
        let from = Start {
            tree: first,
            place: first * per_tree,
            per_tree,
        };
        self.leaves
            .add(from, row.values, sums, |each| match &self.shape {
                Shape::Shallow(trees) => trees.walk(first, count, row.keys, window, each),
                Shape::Linked(trees) => trees.walk(first, count, row.keys, window, each),
            });
    }
}

impl<K: Key> Shape<K> {
    /// Lays out trees, with a common depth or linked.
    fn new<I: Input<Key = K>, S: Sum>(
        trees: &[Tree],
        depth: Option<usize>,
        mut builder: Builder<'_, S>,
    ) -> Self {
        match depth {
            Some(depth) => {
                let mut shallow = Shallow::new(depth);
                for tree in trees {
                    builder.shallow::<I>(tree, &mut shallow);
                }
                shallow.align();
                Self::Shallow(shallow)
            }
            None => {
                let mut linked = Linked::new();
                for tree in trees {
                    builder.linked::<I>(tree, &mut linked);
                }
                Self::Linked(linked)
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Shallow(trees) => trees.bytes(),
            Self::Linked(trees) => trees.bytes(),
        }
    }
}
