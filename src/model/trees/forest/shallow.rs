//! Trees of a small depth, in blocks of three levels.
//!
//! All leaves of a tree are at the same depth: a leaf that is higher up is repeated below. So the path of a row has a known length, and
//! the place of each node follows from the path. A row goes through [`TOGETHER`] trees at once, without a branch that depends on its
//! values: the CPU then waits for several nodes at the same time.
//!
//! A block holds three levels of nodes, for f32 in one cache line. The first block of a tree may hold fewer levels, so that the depth
//! can be any number. Blocks of the same level follow each other.

use std::ops::RangeInclusive;

use super::TOGETHER;
use super::key::Key;
use super::window::{Masked, Narrow, Wide, Window, WindowKind};

/// Depths for which there is code.
pub(super) const DEPTHS: RangeInclusive<usize> = 3..=10;

/// A node: rows with a key below `key` go to the first child, others to the second.
#[derive(Clone, Copy, Debug)]
struct Node<K> {
    key: K,
    column: u32,
}

/// Places in a block.
const BLOCK: usize = 8;
/// The place of the first node of each level in a block. The places of the three levels are 0; 2 and 6; 1, 3, 5 and 7. So a place is the
/// number of the node in its level, shifted by a constant, plus this constant. Place 4 is empty.
const FIRST: [usize; 3] = [0, 2, 1];
/// The alignment of the first block in bytes: a cache line.
const LINE: usize = 64;

/// Trees of the same depth.
#[derive(Debug)]
pub(super) struct Shallow<K> {
    depth: usize,
    nodes: Vec<Node<K>>,
    /// The index in `nodes` of the first block.
    start: usize,
}

/// Passes a row, given as its keys, through trees. Calls the last argument with the leaves that the row reaches in the next few trees,
/// each as its index in its tree.
type Walk<K> = fn(&[Node<K>], &[K], &mut dyn FnMut(&[u32]));

impl<K: Key> Node<K> {
    const EMPTY: Self = Self {
        key: K::FIRST,
        column: 0,
    };
}

impl<K: Key> Shallow<K> {
    /// Creates an empty list of trees with leaves at the given depth, which is one of [`DEPTHS`].
    pub(super) fn new(depth: usize) -> Self {
        Self {
            depth,
            nodes: Vec::new(),
            start: 0,
        }
    }

    /// Returns the leaves of each tree.
    pub(super) fn leaves(&self) -> usize {
        1 << self.depth
    }

    /// Returns the memory of a tree in bytes.
    pub(super) fn tree_bytes(depth: usize) -> usize {
        blocks(depth) * BLOCK * size_of::<Node<K>>()
    }

    /// Returns the depth of the leaves.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the memory in bytes, without what aligns the first block.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.nodes[self.start..])
    }

    /// Starts the next tree. All its rows go to the second child everywhere.
    pub(super) fn push(&mut self) {
        let length = self.nodes.len() + BLOCK * blocks(self.depth);
        self.nodes.resize(length, Node::EMPTY);
    }

    /// Moves the blocks to the start of a cache line. To be called after the last tree.
    pub(super) fn align(&mut self) {
        let mut nodes = Vec::<Node<K>>::with_capacity(self.nodes.len() + BLOCK);
        let offset = nodes.as_ptr().align_offset(LINE);
        // Larger if no number of nodes leads to the start of a line.
        if offset <= BLOCK {
            self.start = offset;
        }
        nodes.resize(self.start, Node::EMPTY);
        nodes.append(&mut self.nodes);
        self.nodes = nodes;
    }

    /// Sets a node of the last tree: the node number `at` of a level, both from 0.
    pub(super) fn set(&mut self, level: usize, at: usize, key: K, column: u32) {
        let top = top(self.depth);
        let (group, level_in_block) = match level.checked_sub(top) {
            None => (0, level),
            Some(below) => (below / 3 + 1, below % 3),
        };
        let block = Group::new(self.depth, group).first + (at >> level_in_block);
        let before = (1 << level_in_block) - 1;
        let place = ((at & before) << (3 - level_in_block)) | FIRST[level_in_block];
        let tree = self.nodes.len() - BLOCK * blocks(self.depth);
        self.nodes[tree + BLOCK * block + place] = Node { key, column };
    }

    /// Passes a row through the trees from `first` on, at most `count`.
    #[inline]
    pub(super) fn walk(
        &self,
        first: usize,
        count: usize,
        keys: &[K],
        window: WindowKind,
        each: &mut dyn FnMut(&[u32]),
    ) {
        let nodes = &self.nodes[self.start..];
        let tree = BLOCK * blocks(self.depth);
        let end = nodes.len().min((first + count) * tree);
        let code = match window {
            WindowKind::Narrow => code::<K, Narrow>(self.depth),
            WindowKind::Wide => code::<K, Wide>(self.depth),
            WindowKind::Masked => code::<K, Masked>(self.depth),
        };
        code(&nodes[first * tree..end], keys, each);
    }
}

/// The blocks of a tree that hold the same levels.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The first of these blocks.
    first: usize,
    /// Their number, a power of two.
    blocks: usize,
}

impl Group {
    /// Returns a group of a tree: group 0 is the first block.
    const fn new(depth: usize, group: usize) -> Self {
        let mut result = Self {
            first: 0,
            blocks: 1,
        };
        let mut at = 0;
        while at < group {
            result.first += result.blocks;
            result.blocks <<= if at == 0 { top(depth) } else { 3 };
            at += 1;
        }
        result
    }
}

/// Returns the levels in the first block of a tree.
const fn top(depth: usize) -> usize {
    (depth + 2) % 3 + 1
}

/// Returns the number of blocks of a tree.
const fn blocks(depth: usize) -> usize {
    Group::new(depth, (depth - top(depth)) / 3 + 1).first
}

/// Returns the code for a depth.
#[inline]
fn code<K: Key, W: Window>(depth: usize) -> Walk<K> {
    match depth {
        3 => walk::<K, W, 3, { BLOCK * blocks(3) }>,
        4 => walk::<K, W, 4, { BLOCK * blocks(4) }>,
        5 => walk::<K, W, 5, { BLOCK * blocks(5) }>,
        6 => walk::<K, W, 6, { BLOCK * blocks(6) }>,
        7 => walk::<K, W, 7, { BLOCK * blocks(7) }>,
        8 => walk::<K, W, 8, { BLOCK * blocks(8) }>,
        9 => walk::<K, W, 9, { BLOCK * blocks(9) }>,
        _ => walk::<K, W, 10, { BLOCK * blocks(10) }>,
    }
}

/// Passes a row through trees of depth `D` with `M` places each.
fn walk<K: Key, W: Window, const D: usize, const M: usize>(
    nodes: &[Node<K>],
    keys: &[K],
    each: &mut dyn FnMut(&[u32]),
) {
    let keys = W::new(keys);
    let (trees, _) = nodes.as_chunks::<M>();
    let (groups, rest) = trees.as_chunks::<TOGETHER>();
    for group in groups {
        each(&leaves::<K, W, D, M, TOGETHER>(group, keys));
    }
    for group in rest.as_chunks::<1>().0 {
        each(&leaves::<K, W, D, M, 1>(group, keys));
    }
}

/// Returns the leaf that a row reaches in each of `N` trees.
#[inline(always)]
fn leaves<K: Key, W: Window, const D: usize, const M: usize, const N: usize>(
    trees: &[[Node<K>; M]; N],
    keys: W::Keys<'_, K>,
) -> [u32; N] {
    let mut at = [0; N];
    // Written out because the compiler does not unroll a loop of this size, and then has to check each index.
    macro_rules! levels {
        ($levels:expr, $group:expr) => {
            let group = const { $group };
            step::<K, W, M, N, 0>(trees, keys, group, &mut at);
            if $levels > 1 {
                step::<K, W, M, N, 1>(trees, keys, group, &mut at);
            }
            if $levels > 2 {
                step::<K, W, M, N, 2>(trees, keys, group, &mut at);
            }
        };
    }
    levels!(const { top(D) }, Group::new(D, 0));
    if D > 3 {
        levels!(3, Group::new(D, 1));
    }
    if D > 6 {
        levels!(3, Group::new(D, 2));
    }
    if D > 9 {
        levels!(3, Group::new(D, 3));
    }
    at
}

/// Passes a row through one level of `N` trees. `at` is the number of the node in its level.
#[inline(always)]
fn step<K: Key, W: Window, const M: usize, const N: usize, const LEVEL: usize>(
    trees: &[[Node<K>; M]; N],
    keys: W::Keys<'_, K>,
    group: Group,
    at: &mut [u32; N],
) {
    const { assert!(N <= TOGETHER && TOGETHER == 8) };
    // The bits that the mask removes are zero. With it, the compiler knows that all indices are in range.
    let mask = (group.blocks << LEVEL) - 1;
    // Written out for each tree: of a loop, the compiler makes vector instructions that mostly move values to and fro.
    macro_rules! each {
        ($($tree:literal)*) => {
            $(if $tree < N {
                let place = (at[$tree] as usize & mask) << (3 - LEVEL);
                let node = trees[$tree][BLOCK * group.first + place + FIRST[LEVEL]];
                let is_below = W::get(keys, node.column) < node.key;
                // As a difference, it is one instruction that uses the carry of the comparison.
                at[$tree] = (2 * at[$tree] + 1) - u32::from(is_below);
            })*
        };
    }
    each!(0 1 2 3 4 5 6 7);
}
