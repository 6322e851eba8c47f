//! An ensemble, laid out for scoring.

use super::Arithmetic;
use super::build::{Builder, Outline, choose};
use super::columns::Columns;
use super::key::{Input, Key};
use super::leaves::{Kind, Leaves, Sum};
use super::linked::Linked;
use super::shallow::Shallow;
use super::window::WindowKind;
use crate::model::trees::{Ensemble, Tree};

/// The most rows whose keys are in memory at the same time.
const MAX_ROWS: usize = 64;
/// The most keys of several rows that are in memory at the same time.
const MAX_KEYS: usize = 1 << 15;
/// Memory of trees in bytes that all rows of a block go through before the next trees: they stay in the cache of a core.
const CHUNK: usize = 1 << 16;
/// Trees in a chunk: a multiple of those that a row goes through at once.
const MIN_CHUNK: usize = 8;

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
    runs: Vec<Run<I::Key, S>>,
    cost: usize,
}

/// Consecutive trees of the same shape.
#[derive(Debug)]
struct Run<K, S> {
    shape: Shape<K>,
    leaves: Leaves<S>,
    trees: usize,
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
            runs.push(Run {
                shape,
                leaves,
                trees: run.len(),
            });
        }
        Self {
            inputs: ensemble.inputs,
            base: ensemble.base.iter().map(|x| S::narrow(*x)).collect(),
            divisor: Some(S::narrow(ensemble.divisor)).filter(|x| x.widen() != 1.0),
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

    /// Writes the sums of each row.
    pub(super) fn sum(&self, rows: &[I], sums: &mut [f64]) {
        let outputs = self.base.len();
        for sums in sums.chunks_exact_mut(outputs) {
            for (sum, base) in sums.iter_mut().zip(&self.base) {
                *sum = match self.divisor {
                    None => base.widen(),
                    Some(_) => 0.0,
                };
            }
        }
        let block = (MAX_KEYS / self.columns.count().max(1)).clamp(1, MAX_ROWS);
        for (at, sums) in sums.chunks_mut(block * outputs).enumerate() {
            let count = sums.len() / outputs;
            let start = at * block * self.inputs;
            self.add(&rows[start..start + count * self.inputs], count, sums);
        }
        if let Some(divisor) = self.divisor {
            for sums in sums.chunks_exact_mut(outputs) {
                for (sum, base) in sums.iter_mut().zip(&self.base) {
                    *sum = (*base + S::narrow(*sum) / divisor).widen();
                }
            }
        }
    }

    /// Adds the leaves of all trees to the sums of a few rows.
    fn add(&self, rows: &[I], count: usize, sums: &mut [f64]) {
        let columns = self.columns.count();
        let window = WindowKind::new(columns);
        let row = |at: usize| &rows[at * self.inputs..(at + 1) * self.inputs];
        // The window of the last row extends past its keys.
        let length = (count - 1) * columns + window.length(columns);
        I::Key::with_scratch(length, |keys| {
            for at in 0..count {
                self.columns.write(row(at), &mut keys[at * columns..]);
            }
            for run in &self.runs {
                let chunk = if count == 1 { run.trees } else { run.chunk() };
                for tree in (0..run.trees).step_by(chunk) {
                    for (at, sums) in sums.chunks_exact_mut(self.base.len()).enumerate() {
                        let keys = &keys[at * columns..][..window.length(columns)];
                        run.add(
                            tree,
                            chunk,
                            window,
                            Row {
                                values: row(at),
                                keys,
                            },
                            sums,
                        );
                    }
                }
            }
        });
    }
}

/// A row: its values and their keys.
struct Row<'a, I: Input> {
    values: &'a [I],
    keys: &'a [I::Key],
}

impl<K: Key, S: Sum> Run<K, S> {
    fn bytes(&self) -> usize {
        self.shape.bytes() + self.leaves.bytes()
    }

    /// Returns how many trees are in a chunk.
    fn chunk(&self) -> usize {
        let per_tree = (self.bytes() / self.trees).max(1);
        (CHUNK / per_tree / MIN_CHUNK).max(1) * MIN_CHUNK
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
        match &self.shape {
            Shape::Shallow(trees) => {
                let start = first * trees.leaves();
                self.leaves.add(start, first, row.values, sums, |each| {
                    trees.walk(first, count, row.keys, window, each);
                });
            }
            Shape::Linked(trees) => {
                self.leaves.add(0, first, row.values, sums, |each| {
                    trees.walk(first, count, row.keys, window, each);
                });
            }
        }
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
