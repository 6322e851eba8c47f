//! Trees of any shape, as nodes with the index of the next node.
//!
//! A row takes the same number of steps in each of [`TOGETHER`] trees: as many as the longest path needs. Until then, it stays at the
//! leaf. So there is no branch that depends on a single tree, and the CPU waits for several nodes at the same time.
//!
//! A condition with several edges becomes several nodes. A range of such a condition leads to a tree that has its place below another
//! range: there, a node jumps to that place.

use super::TOGETHER;
use super::key::Key;
use super::window::{Masked, Narrow, Wide, Window, WindowKind};

/// Steps between two checks of whether all trees are at a leaf.
const STEPS: u32 = 4;

/// A node. Rows with a key below `key` go to the node before `next`, others to `next`.
///
/// With the first key, all rows go to `next`. A leaf is such a node whose `next` is itself; its `column` is the index of the leaf.
#[derive(Clone, Copy, Debug)]
struct Node<K> {
    key: K,
    column: u32,
    next: u32,
}

/// The start of a tree.
#[derive(Clone, Copy, Debug)]
struct Root {
    node: u32,
    /// Steps after which every row is at a leaf.
    steps: u32,
}

/// Trees of any shape.
#[derive(Debug)]
pub(super) struct Linked<K> {
    nodes: Vec<Node<K>>,
    roots: Vec<Root>,
}

/// Passes a row, given as its keys, through trees. Calls the last argument with the leaves that the row reaches in the next few trees,
/// each as its index in all leaves.
type Walk<K> = fn(&[Node<K>], &[Root], &[K], &mut dyn FnMut(&[u32]));

impl<K: Key> Linked<K> {
    /// Creates an empty list of trees.
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// Returns the memory of a tree with so many leaves in bytes, if none of its conditions has several edges.
    pub(super) fn tree_bytes(leaves: usize) -> usize {
        (2 * leaves - 1) * size_of::<Node<K>>()
    }

    /// Returns the memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node<K>>() + self.roots.len() * size_of::<Root>()
    }

    /// Starts the next tree, in which every row is at a leaf after `steps` steps. Returns its root, which is to be set.
    pub(super) fn push(&mut self, steps: u32) -> u32 {
        let node = self.nodes.len() as u32;
        self.nodes.push(Node {
            key: K::FIRST,
            column: 0,
            next: node,
        });
        self.roots.push(Root { node, steps });
        node
    }

    /// Makes a node a split. Returns the nodes below and above its edge, which are to be set.
    pub(super) fn set_split(&mut self, node: u32, key: K, column: u32) -> [u32; 2] {
        let below = self.nodes.len() as u32;
        let unset = Node {
            key: K::FIRST,
            column: 0,
            next: below,
        };
        self.nodes.extend([unset, unset]);
        self.nodes[node as usize] = Node {
            key,
            column,
            next: below + 1,
        };
        [below, below + 1]
    }

    /// Makes a node jump to another one.
    pub(super) fn set_jump(&mut self, node: u32, next: u32) {
        self.nodes[node as usize].next = next;
    }

    /// Makes a node a leaf.
    pub(super) fn set_leaf(&mut self, node: u32, leaf: u32) {
        self.nodes[node as usize] = Node {
            key: K::FIRST,
            column: leaf,
            next: node,
        };
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
        let code: Walk<K> = match window {
            WindowKind::Narrow => walk::<K, Narrow>,
            WindowKind::Wide => walk::<K, Wide>,
            WindowKind::Masked => walk::<K, Masked>,
        };
        let end = self.roots.len().min(first + count);
        code(&self.nodes, &self.roots[first..end], keys, each);
    }
}

fn walk<K: Key, W: Window>(
    nodes: &[Node<K>],
    roots: &[Root],
    keys: &[K],
    each: &mut dyn FnMut(&[u32]),
) {
    let keys = W::new(keys);
    let (groups, rest) = roots.as_chunks::<TOGETHER>();
    for group in groups {
        each(&leaves::<K, W, TOGETHER>(nodes, group, keys));
    }
    for group in rest.as_chunks::<1>().0 {
        each(&leaves::<K, W, 1>(nodes, group, keys));
    }
}

/// Returns the leaf that a row reaches in each of `N` trees.
#[inline(always)]
fn leaves<K: Key, W: Window, const N: usize>(
    nodes: &[Node<K>],
    roots: &[Root; N],
    keys: W::Keys<'_, K>,
) -> [u32; N] {
    let mut at = roots.map(|root| root.node);
    let mut left = roots.iter().fold(0, |steps, root| steps.max(root.steps));
    while left > 0 {
        let steps = left.min(STEPS);
        for _ in 0..steps {
            for at in &mut at {
                let node = nodes[*at as usize];
                let below = W::get(keys, node.column) < node.key;
                *at = node.next - u32::from(below);
            }
        }
        left -= steps;
        if at.iter().all(|at| nodes[*at as usize].next == *at) {
            break;
        }
    }
    for at in &mut at {
        *at = nodes[*at as usize].column;
    }
    at
}
