//! Lays out the trees of a valid ensemble.

use std::collections::BTreeSet;

use super::Arithmetic;
use super::columns::{Columns, Rule};
use super::edges::Edges;
use super::key::{Input, Key};
use super::leaves::{Leaves, Sum};
use super::linked::Linked;
use super::shallow::{DEPTHS, Shallow};
use crate::model::trees::{Missing, Node, Test, Tree};

/// How much more memory trees of a common depth may take.
const MAX_GROWTH: usize = 4;
/// Fewer consecutive shallow trees than this are not worth a run of their own.
const MIN_RUN: usize = 8;

/// The shape of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    /// Conditions on the longest path.
    depth: usize,
    leaves: usize,
    /// The sum of the conditions on the paths to all leaves.
    visits: usize,
    /// Whether each condition has one edge.
    is_simple: bool,
}

impl Outline {
    /// Measures a tree.
    pub(super) fn of(tree: &Tree) -> Self {
        let mut outline = Self {
            depth: 0,
            leaves: 0,
            visits: 0,
            is_simple: true,
        };
        let mut next = vec![(0, 0)];
        while let Some((node, depth)) = next.pop() {
            match &tree.nodes[node as usize] {
                Node::Split { test, yes, no, .. } => {
                    outline.is_simple &= has_one_edge(test);
                    next.extend([(*yes, depth + 1), (*no, depth + 1)]);
                }
                Node::Leaf(_) => {
                    outline.depth = outline.depth.max(depth);
                    outline.leaves += 1;
                    outline.visits += depth;
                }
            }
        }
        outline
    }

    /// Returns the mean number of conditions on the path to a leaf, rounded up.
    pub(super) fn mean_path(&self) -> usize {
        self.visits.div_ceil(self.leaves)
    }

    /// Returns whether the tree can be laid out with leaves at the given depth.
    fn fits(&self, depth: usize) -> bool {
        self.is_simple && self.depth <= depth
    }
}

fn has_one_edge(test: &Test) -> bool {
    match test {
        Test::Less(_) | Test::LessOrEqual(_) | Test::Greater(_) | Test::GreaterOrEqual(_) => true,
        Test::Equal(_) | Test::NotEqual(_) | Test::In { .. } | Test::Among(_) => false,
    }
}

/// Returns the common depth of the shallow trees, and for each tree whether it is laid out with that depth.
pub(super) fn choose<K: Key, S: Sum>(outlines: &[Outline]) -> (usize, Vec<bool>) {
    // Whether the trees that fit a depth do not grow too much.
    let is_worthwhile = |depth: &usize| {
        let padded = Shallow::<K>::tree_bytes(*depth) + (size_of::<S>() << depth);
        let fitting = || outlines.iter().filter(|outline| outline.fits(*depth));
        let linked: usize = fitting()
            .map(|outline| {
                Linked::<K>::tree_bytes(outline.leaves) + outline.leaves * size_of::<S>()
            })
            .sum();
        fitting().count().saturating_mul(padded) <= linked.saturating_mul(MAX_GROWTH)
    };
    let (min, max) = (*DEPTHS.start(), *DEPTHS.end());
    let fitting = outlines.iter().filter(|outline| outline.fits(max));
    let depths: BTreeSet<_> = fitting.map(|outline| outline.depth.max(min)).collect();
    let Some(depth) = depths.into_iter().rev().find(is_worthwhile) else {
        return (min, vec![false; outlines.len()]);
    };
    let mut chosen: Vec<_> = outlines.iter().map(|outline| outline.fits(depth)).collect();
    if !chosen.iter().all(|is_shallow| *is_shallow) {
        for run in chosen.chunk_by_mut(|a, b| a == b) {
            if run.len() < MIN_RUN {
                run.fill(false);
            }
        }
    }
    (depth, chosen)
}

/// Lays out one tree after the other.
#[derive(Debug)]
pub(super) struct Builder<'a, S> {
    pub(super) arithmetic: Arithmetic,
    pub(super) columns: &'a mut Columns,
    pub(super) leaves: &'a mut Leaves<S>,
}

/// A condition, as edges.
struct Split<K> {
    edges: Edges<K>,
    /// The columns for the first edge and for the others.
    columns: [u32; 2],
    /// The children where the condition holds and where it does not.
    children: [u32; 2],
    /// The nodes where the children have been placed.
    placed: [Option<u32>; 2],
}

impl<K> Split<K> {
    /// Returns the index in `children` and `placed` of the child for a range: range 0 is below the first edge.
    fn child(&self, range: usize) -> usize {
        usize::from(self.edges.first == (range % 2 == 1))
    }
}

impl<S: Sum> Builder<'_, S> {
    fn split<I: Input>(
        &mut self,
        input: u32,
        test: &Test,
        missing: Missing,
        children: [u32; 2],
    ) -> Split<I::Key> {
        let edges = Edges::new::<I>(test, self.arithmetic);
        // Missing values belong to the first or the second range, whichever leads to the right child.
        let second = |goes_to_yes: bool| goes_to_yes != edges.first;
        let from_first = Rule::new(missing, second);
        let columns = if edges.keys.len() == 1 {
            [self.columns.column(input, from_first); 2]
        } else {
            let from_others = Rule::new(missing, |_| false);
            [from_first, from_others].map(|rule| self.columns.column(input, rule))
        };
        Split {
            edges,
            columns,
            children,
            placed: [None; 2],
        }
    }

    /// Adds a tree to shallow trees.
    pub(super) fn shallow<I: Input>(&mut self, tree: &Tree, shallow: &mut Shallow<I::Key>) {
        shallow.push();
        self.leaves.push_tree(tree);
        let depth = shallow.depth();
        let mut next = vec![(0, 0, 0)];
        while let Some((node, level, at)) = next.pop() {
            match &tree.nodes[node as usize] {
                Node::Split {
                    input,
                    test,
                    missing,
                    yes,
                    no,
                } => {
                    let split = self.split::<I>(*input, test, *missing, [*yes, *no]);
                    shallow.set(level, at, split.edges.keys[0], split.columns[0]);
                    // The part below the edge comes first, so that the leaves are in order.
                    for range in [1, 0] {
                        let child = split.children[split.child(range)];
                        next.push((child, level + 1, 2 * at + range));
                    }
                }
                Node::Leaf(leaf) => self.leaves.push(leaf, 1 << (depth - level)),
            }
        }
    }

    /// Adds a tree to linked trees.
    pub(super) fn linked<I: Input>(&mut self, tree: &Tree, linked: &mut Linked<I::Key>) {
        self.leaves.push_tree(tree);
        let mut splits = self.splits::<I>(tree);
        let mut next = vec![Placement {
            slot: linked.push(steps(&splits)),
            node: 0,
            edges: None,
        }];
        while let Some(Placement { slot, node, edges }) = next.pop() {
            let Some(split) = &mut splits[node as usize] else {
                if let Node::Leaf(leaf) = &tree.nodes[node as usize] {
                    linked.set_leaf(slot, self.leaves.places() as u32);
                    self.leaves.push(leaf, 1);
                }
                continue;
            };
            let (start, end) = edges.unwrap_or((0, split.edges.keys.len()));
            let middle = (start + end) / 2;
            let column = split.columns[usize::from(middle > 0)];
            let [below, above] = linked.set_split(slot, split.edges.keys[middle], column);
            // The part below the edge is placed next, near its parent.
            for (slot, start, end) in [(above, middle + 1, end), (below, start, middle)] {
                if start < end {
                    next.push(Placement {
                        slot,
                        node,
                        edges: Some((start, end)),
                    });
                    continue;
                }
                let child = split.child(start);
                if let Some(placed) = split.placed[child] {
                    linked.set_jump(slot, placed);
                } else {
                    split.placed[child] = Some(slot);
                    next.push(Placement {
                        slot,
                        node: split.children[child],
                        edges: None,
                    });
                }
            }
        }
    }

    /// Returns the splits of a tree, by node.
    fn splits<I: Input>(&mut self, tree: &Tree) -> Vec<Option<Split<I::Key>>> {
        tree.nodes
            .iter()
            .map(|node| match node {
                Node::Split {
                    input,
                    test,
                    missing,
                    yes,
                    no,
                } => Some(self.split::<I>(*input, test, *missing, [*yes, *no])),
                Node::Leaf(_) => None,
            })
            .collect()
    }
}

/// A node of a tree, or the part of a split between some of its edges, that is to be placed.
struct Placement {
    slot: u32,
    node: u32,
    /// The edges that are left; `None` for a whole node.
    edges: Option<(usize, usize)>,
}

/// Returns the most steps from the root to a leaf.
fn steps<K>(splits: &[Option<Split<K>>]) -> u32 {
    let mut most = 0;
    let mut next = vec![(0, 0)];
    while let Some((node, steps)) = next.pop() {
        match &splits[node as usize] {
            None => most = most.max(steps),
            Some(split) => {
                let edges = split.edges.keys.len();
                // The height of a balanced tree, and a jump.
                let own = if edges == 1 { 1 } else { edges.ilog2() + 2 };
                next.extend(split.children.map(|child| (child, steps + own)));
            }
        }
    }
    most
}
