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

/// Up to seven nodes: the root, its children, their children. The last place is empty.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Block<K>([Node<K>; 8]);

/// Trees of the same depth.
#[derive(Debug)]
pub(super) struct Shallow<K> {
    depth: usize,
    blocks: Vec<Block<K>>,
}

/// Passes a row, given as its keys, through trees. Calls the last argument with the leaves that the row reaches in the next few trees,
/// as indices in the leaves of all these trees.
type Walk<K> = fn(&[Block<K>], &[K], &mut dyn FnMut(&[u32]));

impl<K: Key> Shallow<K> {
    /// Creates an empty list of trees with leaves at the given depth, which is one of [`DEPTHS`].
    pub(super) fn new(depth: usize) -> Self {
        Self {
            depth,
            blocks: Vec::new(),
        }
    }

    /// Returns the leaves of each tree.
    pub(super) fn leaves(&self) -> usize {
        1 << self.depth
    }

    /// Returns the memory of a tree in bytes.
    pub(super) fn tree_bytes(depth: usize) -> usize {
        blocks(depth) * size_of::<Block<K>>()
    }

    /// Returns the depth of the leaves.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() * size_of::<Block<K>>()
    }

    /// Starts the next tree. All its rows go to the second child everywhere.
    pub(super) fn push(&mut self) {
        let empty = Node {
            key: K::FIRST,
            column: 0,
        };
        let blocks = self.blocks.len() + blocks(self.depth);
        self.blocks.resize(blocks, Block([empty; 8]));
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
        let start = self.blocks.len() - blocks(self.depth);
        self.blocks[start + block].0[before + (at & before)] = Node { key, column };
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
        let blocks = blocks(self.depth);
        let end = self.blocks.len().min((first + count) * blocks);
        self.code(window)(&self.blocks[first * blocks..end], keys, each);
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
        3 => walk::<K, W, 3, { blocks(3) }>,
        4 => walk::<K, W, 4, { blocks(4) }>,
        5 => walk::<K, W, 5, { blocks(5) }>,
        6 => walk::<K, W, 6, { blocks(6) }>,
        7 => walk::<K, W, 7, { blocks(7) }>,
        8 => walk::<K, W, 8, { blocks(8) }>,
        9 => walk::<K, W, 9, { blocks(9) }>,
        _ => walk::<K, W, 10, { blocks(10) }>,
    }
}

/// Passes a row through trees of depth `D` with `B` blocks each.
fn walk<K: Key, W: Window, const D: usize, const B: usize>(
    blocks: &[Block<K>],
    keys: &[K],
    each: &mut dyn FnMut(&[u32]),
) {
    let keys = W::new(keys);
    let (trees, _) = blocks.as_chunks::<B>();
    let (groups, rest) = trees.as_chunks::<TOGETHER>();
    let mut tree = 0;
    let index = |tree: usize, leaf: u32| (tree << D) as u32 + leaf;
    for group in groups {
        let leaves = leaves::<K, W, D, B, TOGETHER>(group, keys);
        let mut reached = [0; TOGETHER];
        for (at, leaf) in leaves.into_iter().enumerate() {
            reached[at] = index(tree + at, leaf);
        }
        each(&reached);
        tree += TOGETHER;
    }
    for group in rest.as_chunks::<1>().0 {
        let [leaf] = leaves::<K, W, D, B, 1>(group, keys);
        each(&[index(tree, leaf)]);
        tree += 1;
    }
}

/// Returns the leaf that a row reaches in each of `N` trees.
#[inline(always)]
fn leaves<K: Key, W: Window, const D: usize, const B: usize, const N: usize>(
    trees: &[[Block<K>; B]; N],
    keys: W::Keys<'_, K>,
) -> [u32; N] {
    let top = top(D);
    let mut at = levels::<K, W, B, N>(trees, keys, top, 0..1, [0; N]);
    // Written out because the compiler does not unroll a loop of this size, and then has to check each index.
    if D > 3 {
        at = levels::<K, W, B, N>(trees, keys, 3, first(top, 0)..first(top, 1), at);
    }
    if D > 6 {
        at = levels::<K, W, B, N>(trees, keys, 3, first(top, 1)..first(top, 2), at);
    }
    if D > 9 {
        at = levels::<K, W, B, N>(trees, keys, 3, first(top, 2)..first(top, 3), at);
    }
    at
}

/// Passes a row through up to three levels of `N` trees. `at` is the number of a block in `blocks`, whose length is a power of two.
/// Returns the number of the place below.
#[inline(always)]
fn levels<K: Key, W: Window, const B: usize, const N: usize>(
    trees: &[[Block<K>; B]; N],
    keys: W::Keys<'_, K>,
    levels: usize,
    blocks: Range<usize>,
    at: [u32; N],
) -> [u32; N] {
    let block = |tree: usize| {
        let block = at[tree] as usize & (blocks.len() - 1);
        &trees[tree][blocks.start + block].0
    };
    let mut place = [0; N];
    for tree in 0..N {
        place[tree] = child::<K, W>(block(tree), keys, 0, place[tree]);
    }
    if levels > 1 {
        for tree in 0..N {
            place[tree] = child::<K, W>(block(tree), keys, 1, place[tree]);
        }
    }
    if levels > 2 {
        for tree in 0..N {
            place[tree] = child::<K, W>(block(tree), keys, 2, place[tree]);
        }
    }
    let mut below = [0; N];
    for tree in 0..N {
        below[tree] = (at[tree] << levels) + place[tree];
    }
    below
}

/// Returns the number of the next node in the level below.
#[inline(always)]
fn child<K: Key, W: Window>(
    block: &[Node<K>; 8],
    keys: W::Keys<'_, K>,
    level: u32,
    place: u32,
) -> u32 {
    let before = (1 << level) - 1;
    let node = block[((before + (place & before)) & 7) as usize];
    // As a difference, it is one instruction that uses the carry of the comparison.
    (2 * place + 1) - u32::from(W::get(keys, node.column) < node.key)
}
