//! Trees of a small depth, in blocks of three levels.
//!
//! All leaves of a tree are at the same depth: a leaf that is higher up is repeated below. So the path of a row has a known length, and
//! the place of each node follows from the path. A row goes through [`TOGETHER`] trees at once, without a branch that depends on its
//! values: the CPU then waits for several nodes at the same time.
//!
//! A block holds three levels of nodes, for f32 in one cache line. The first block of a tree may hold fewer levels, so that the depth
//! can be any number. Blocks of the same level follow each other.

use std::ops::{Range, RangeInclusive};

use super::key::Key;
use super::window::{Masked, Narrow, Wide, Window, WindowKind};

/// Trees that a row goes through at once. More would need more registers than x86-64 has.
const TOGETHER: usize = 8;
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
/// The place of the first node of each level in a block. The others of the level follow at distances of eight, four and two. So each
/// step to a level below adds one bit to a place: 4, 2 or 1. One place, the fifth, is empty.
const FIRST: [u32; 3] = [0, 2, 1];
/// The alignment of the first block, in bytes: a cache line.
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
/// as indices in the leaves of all these trees.
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

    /// Returns the memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node<K>>()
    }

    /// Starts the next tree. All its rows go to the second child everywhere.
    pub(super) fn push(&mut self) {
        let length = self.nodes.len() + BLOCK * blocks(self.depth);
        self.nodes.resize(length, Node::EMPTY);
    }

    /// Aligns the blocks after the last tree.
    pub(super) fn align(&mut self) {
        let mut nodes = Vec::<Node<K>>::with_capacity(self.nodes.len() + BLOCK);
        // A vector may be at an address from which no multiple of a node leads to a cache line.
        let start = Some(nodes.as_ptr().align_offset(LINE)).filter(|start| *start <= BLOCK);
        self.start = start.unwrap_or_default();
        nodes.resize(self.start, Node::EMPTY);
        nodes.append(&mut self.nodes);
        self.nodes = nodes;
    }

    /// Sets a node of the last tree: the node number `at` of a level, both from 0.
    pub(super) fn set(&mut self, level: usize, at: usize, key: K, column: u32) {
        let top = top(self.depth);
        let (block, level_in_block) = if level < top {
            (0, level)
        } else {
            let (group, level_in_block) = ((level - top) / 3, (level - top) % 3);
            (first(top, group) + (at >> level_in_block), level_in_block)
        };
        let before = (1 << level_in_block) - 1;
        let place = ((at & before) << (3 - level_in_block)) | FIRST[level_in_block] as usize;
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
        self.code(window)(&nodes[first * tree..end], keys, each);
    }

    /// Returns the code for this depth.
    #[inline]
    fn code(&self, window: WindowKind) -> Walk<K> {
        match window {
            WindowKind::Narrow => code::<K, Narrow>(self.depth),
            WindowKind::Wide => code::<K, Wide>(self.depth),
            WindowKind::Masked => code::<K, Masked>(self.depth),
        }
    }
}

/// Returns the levels in the first block of a tree.
const fn top(depth: usize) -> usize {
    (depth + 2) % 3 + 1
}

/// Returns the index of the first block of a group of three levels below the first block.
const fn first(top: usize, group: usize) -> usize {
    // 1 + 2^top * (1 + 8 + 64 + ...)
    1 + (1 << top) * ((8_usize.pow(group as u32) - 1) / 7)
}

/// Returns the blocks of a tree.
const fn blocks(depth: usize) -> usize {
    let top = top(depth);
    first(top, (depth - top) / 3)
}

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
    let mut first = 0;
    for group in groups {
        let mut reached = leaves::<K, W, D, M, TOGETHER>(group, keys);
        for leaf in &mut reached {
            *leaf += first;
            first += 1 << D;
        }
        each(&reached);
    }
    for group in rest.as_chunks::<1>().0 {
        let [leaf] = leaves::<K, W, D, M, 1>(group, keys);
        each(&[first + leaf]);
        first += 1 << D;
    }
}

/// Returns the leaf that a row reaches in each of `N` trees.
#[inline(always)]
fn leaves<K: Key, W: Window, const D: usize, const M: usize, const N: usize>(
    trees: &[[Node<K>; M]; N],
    keys: W::Keys<'_, K>,
) -> [u32; N] {
    let top = top(D);
    let mut at = group::<K, W, M, N>(trees, keys, top, 0..1, [0; N]);
    // Written out because the compiler does not unroll a loop of this size, and then has to check each index.
    if D > 3 {
        at = group::<K, W, M, N>(trees, keys, 3, first(top, 0)..first(top, 1), at);
    }
    if D > 6 {
        at = group::<K, W, M, N>(trees, keys, 3, first(top, 1)..first(top, 2), at);
    }
    if D > 9 {
        at = group::<K, W, M, N>(trees, keys, 3, first(top, 2)..first(top, 3), at);
    }
    at
}

/// Passes a row through up to three levels of `N` trees. `at` is the number of a block in `blocks`, whose length is a power of two.
/// Returns the number of the place below.
#[inline(always)]
fn group<K: Key, W: Window, const M: usize, const N: usize>(
    trees: &[[Node<K>; M]; N],
    keys: W::Keys<'_, K>,
    levels: usize,
    blocks: Range<usize>,
    at: [u32; N],
) -> [u32; N] {
    let mut at = at;
    step::<K, W, M, N, 0>(trees, keys, &blocks, &mut at);
    if levels > 1 {
        step::<K, W, M, N, 1>(trees, keys, &blocks, &mut at);
    }
    if levels > 2 {
        step::<K, W, M, N, 2>(trees, keys, &blocks, &mut at);
    }
    at
}

/// Passes a row through one level of `N` trees. `at` is the number of the node in its level.
#[inline(always)]
fn step<K: Key, W: Window, const M: usize, const N: usize, const LEVEL: usize>(
    trees: &[[Node<K>; M]; N],
    keys: W::Keys<'_, K>,
    blocks: &Range<usize>,
    at: &mut [u32; N],
) {
    // The bits that the mask removes are zero. The compiler knows that and checks nothing.
    let mask = BLOCK * blocks.len() - 1;
    for (tree, at) in trees.iter().zip(at) {
        let place = (*at << (3 - LEVEL)) | FIRST[LEVEL];
        let node = tree[BLOCK * blocks.start + (place as usize & mask)];
        let is_below = W::get(keys, node.column) < node.key;
        // As a difference, it is one instruction that uses the carry of the comparison.
        *at = (2 * *at + 1) - u32::from(is_below);
    }
}
