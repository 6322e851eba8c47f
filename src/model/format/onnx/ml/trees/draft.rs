//! Trees as they are found in a file, with all their nodes in one list, before it is known that they are trees.

use super::votes::Votes;
use crate::model::trees::{Leaf, Missing, Node, Test, Tree};

/// The nodes of all trees. Indices of nodes are positions in `nodes`.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// All nodes, in the order of the file.
    pub(super) nodes: Vec<DraftNode>,
    /// The root of each tree.
    pub(super) roots: Vec<usize>,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DraftNode {
    /// A split.
    Split {
        /// Index of the feature.
        input: u32,
        /// The condition.
        test: Test,
        /// Where NaN goes.
        missing: Missing,
        /// Where a row goes.
        yes: Child,
        /// Where another row goes.
        no: Child,
    },
    /// A leaf, whose votes have this index.
    Leaf(usize),
}

/// What a split leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Child {
    /// A node, by index.
    Node(usize),
    /// The leaf whose votes have this index.
    Leaf(usize),
}

impl Draft {
    /// Returns one past the largest index of a feature.
    pub(super) fn inputs(&self) -> usize {
        let inputs = self.nodes.iter().map(|node| match node {
            DraftNode::Split { input, .. } => *input as usize + 1,
            DraftNode::Leaf(_) => 0,
        });
        inputs.max().unwrap_or(0)
    }

    /// Returns the trees, each with its root first. `name` names a node in errors.
    ///
    /// # Errors
    /// Returns an error if a node has several parents, is among its own descendants, or does not belong to a tree.
    pub(super) fn trees(
        &self,
        votes: &Votes,
        name: impl Fn(usize) -> String,
    ) -> Result<Vec<Tree>, String> {
        let mut walk = Walk {
            draft: self,
            votes,
            seen: vec![false; self.nodes.len()],
        };
        let trees = self.roots.iter().map(|root| walk.tree(*root, &name));
        let trees = trees.collect::<Result<Vec<_>, _>>()?;
        match walk.seen.iter().position(|seen| !seen) {
            Some(node) => Err(format!("{} does not belong to a tree", name(node))),
            None => Ok(trees),
        }
    }
}

/// A walk over all trees.
struct Walk<'a> {
    draft: &'a Draft,
    votes: &'a Votes,
    seen: Vec<bool>,
}

impl Walk<'_> {
    /// Returns the tree below a root, in pre-order.
    fn tree(&mut self, root: usize, name: &impl Fn(usize) -> String) -> Result<Tree, String> {
        let mut nodes: Vec<Node> = Vec::new();
        // What is to be visited, and the split that leads there: its index in `nodes`, and whether by `yes`.
        let mut waiting = vec![(Child::Node(root), None)];
        while let Some((child, parent)) = waiting.pop() {
            let index = u32::try_from(nodes.len()).map_err(|_| "a tree is too large")?;
            if let Some((parent, is_yes)) = parent
                && let Some(Node::Split { yes, no, .. }) = nodes.get_mut(parent)
            {
                *(if is_yes { yes } else { no }) = index;
            }
            let node = match child {
                Child::Leaf(leaf) => {
                    nodes.push(Node::Leaf(self.votes.leaf(leaf)));
                    continue;
                }
                Child::Node(node) => node,
            };
            self.enter(node, name)?;
            match &self.draft.nodes[node] {
                DraftNode::Leaf(leaf) => nodes.push(Node::Leaf(self.votes.leaf(*leaf))),
                DraftNode::Split { input, .. } => {
                    let input = *input;
                    let (test, missing, yes, no) = self.joined(node, name)?;
                    let parent = nodes.len();
                    waiting.push((no, Some((parent, false))));
                    waiting.push((yes, Some((parent, true))));
                    nodes.push(Node::Split {
                        input,
                        test,
                        missing,
                        // Set when the children are visited.
                        yes: 0,
                        no: 0,
                    });
                }
            }
        }
        Ok(Tree { nodes })
    }

    fn enter(&mut self, node: usize, name: &impl Fn(usize) -> String) -> Result<(), String> {
        if std::mem::replace(&mut self.seen[node], true) {
            return Err(format!(
                "{} has several parents, or is its own descendant",
                name(node)
            ));
        }
        Ok(())
    }

    /// Returns the condition and the children of a split.
    ///
    /// Converters of XGBoost and LightGBM write "x is one of a, b, c" as a chain of splits `x == a`, `x == b`, `x == c` that share
    /// their `yes`. Such a chain becomes one condition; without that, its `yes` would have several parents.
    fn joined(
        &mut self,
        node: usize,
        name: &impl Fn(usize) -> String,
    ) -> Result<(Test, Missing, Child, Child), String> {
        let DraftNode::Split {
            input,
            test,
            missing,
            yes,
            no,
        } = &self.draft.nodes[node]
        else {
            return Err(format!("{} is not a split", name(node)));
        };
        let (input, yes, mut missing, mut no) = (*input, *yes, *missing, *no);
        let Test::Equal(first) = test else {
            return Ok((test.clone(), missing, yes, no));
        };
        let mut values = vec![*first];
        while let Child::Node(next) = no
            && let DraftNode::Split {
                input: next_input,
                test: Test::Equal(value),
                missing: next_missing,
                yes: next_yes,
                no: next_no,
            } = &self.draft.nodes[next]
            && (*next_input, *next_yes) == (input, yes)
        {
            self.enter(next, name)?;
            values.push(*value);
            // NaN stays in the chain until a split sends it to `yes`.
            if missing == Missing::No {
                missing = *next_missing;
            }
            no = *next_no;
        }
        let test = if values.len() == 1 {
            test.clone()
        } else {
            among(values)
        };
        Ok((test, missing, yes, no))
    }
}

/// Returns the condition "is one of these numbers", which are ascending and differ.
pub(super) fn among(mut values: Vec<f64>) -> Test {
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    Test::Among(values)
}

/// Returns the condition with the number that `TreeEnsemble` uses, and where it sends NaN if the file does not say.
///
/// NaN differs from every number, so it goes to `yes` of "differs".
pub(super) fn condition(mode: u8, threshold: f64) -> Option<(Test, Missing)> {
    let test = match mode {
        0 => Test::LessOrEqual(threshold),
        1 => Test::Less(threshold),
        2 => Test::GreaterOrEqual(threshold),
        3 => Test::Greater(threshold),
        4 => Test::Equal(threshold),
        5 => return Some((Test::NotEqual(threshold), Missing::Yes)),
        _ => return None,
    };
    Some((test, Missing::No))
}

impl Votes {
    /// Returns the leaf with the votes of this index.
    fn leaf(&self, leaf: usize) -> Leaf {
        match self.of(leaf) {
            [(output, value)] => Leaf::One {
                output: *output,
                value: *value,
            },
            several => Leaf::Many(several.to_vec()),
        }
    }
}
