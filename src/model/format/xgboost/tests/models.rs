//! Builds models, given and random ones, together with what must be read from them.

use super::writer::{Doc, object, text};
use crate::model::trees::{Leaf, Missing, Node, Test, Tree};

/// The columns of a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) left: Vec<i32>,
    pub(super) right: Vec<i32>,
    pub(super) parents: Vec<i32>,
    pub(super) inputs: Vec<i32>,
    pub(super) conditions: Vec<f32>,
    pub(super) default_left: Vec<bool>,
    /// The categories of categorical nodes.
    pub(super) categories: Vec<(i32, Vec<i32>)>,
    /// Values per node, of trees with vectors.
    pub(super) vectors: Vec<Vec<f32>>,
}

impl Columns {
    pub(super) fn doc(&self, id: usize, inputs: usize) -> Doc {
        let nodes = self.left.len();
        let mut split_type = vec![0_u8; nodes];
        let mut segments = Vec::new();
        let mut start = 0;
        for (node, set) in &self.categories {
            split_type[usize::try_from(*node).unwrap()] = 1;
            segments.push(start);
            start += i32::try_from(set.len()).unwrap();
        }
        let sizes = self
            .categories
            .iter()
            .map(|(_, set)| i32::try_from(set.len()).unwrap());
        let deleted = self
            .inputs
            .iter()
            .filter(|&&input| input == i32::MAX)
            .count();
        let outputs = self.vectors.first().map_or(1, Vec::len);
        let base_weights = match self.vectors.is_empty() {
            true => vec![0.0; nodes],
            false => self.vectors.concat(),
        };
        object([
            ("base_weights", Doc::Singles(base_weights)),
            (
                "categories",
                Doc::Integers(
                    self.categories
                        .iter()
                        .flat_map(|(_, set)| set.clone())
                        .collect(),
                ),
            ),
            (
                "categories_nodes",
                Doc::Integers(self.categories.iter().map(|(node, _)| *node).collect()),
            ),
            ("categories_segments", Doc::Integers(segments)),
            ("categories_sizes", Doc::Integers(sizes.collect())),
            ("default_left", Doc::Flags(self.default_left.clone())),
            ("id", Doc::Integer(i64::try_from(id).unwrap())),
            ("left_children", Doc::Integers(self.left.clone())),
            ("loss_changes", Doc::Singles(vec![0.5; nodes])),
            ("parents", Doc::Integers(self.parents.clone())),
            ("right_children", Doc::Integers(self.right.clone())),
            ("split_conditions", Doc::Singles(self.conditions.clone())),
            ("split_indices", Doc::Integers(self.inputs.clone())),
            ("split_type", Doc::Bytes(split_type)),
            ("sum_hessian", Doc::Singles(vec![1.0; nodes])),
            (
                "tree_param",
                object([
                    ("num_deleted", text(deleted.to_string())),
                    ("num_feature", text(inputs.to_string())),
                    ("num_nodes", text(nodes.to_string())),
                    ("size_leaf_vector", text(outputs.to_string())),
                ]),
            ),
        ])
    }

    /// Returns the tree that must be read: the output of scalar leaves, and the factor of all.
    pub(super) fn tree(&self, output: u32, weight: f32) -> Tree {
        let kept: Vec<usize> = (0..self.left.len())
            .filter(|&node| self.inputs[node] != i32::MAX)
            .collect();
        let position = |node: i32| {
            let node = usize::try_from(node).unwrap();
            u32::try_from(kept.iter().position(|&other| other == node).unwrap()).unwrap()
        };
        let value = |value: f32| f64::from(value * weight);
        let nodes = kept.iter().map(|&node| {
            if self.left[node] == -1 {
                return Node::Leaf(match self.vectors.get(node) {
                    Some(values) => {
                        Leaf::Many((0..).zip(values.iter().map(|&x| value(x))).collect())
                    }
                    None => Leaf::One {
                        output,
                        value: value(self.conditions[node]),
                    },
                });
            }
            let (left, right) = (position(self.left[node]), position(self.right[node]));
            let goes_left = self.default_left[node];
            let set = self
                .categories
                .iter()
                .find(|(at, _)| usize::try_from(*at) == Ok(node));
            let (test, yes, no, missing_is_yes) = match set {
                Some((_, set)) => {
                    let mut codes: Vec<u32> = set
                        .iter()
                        .map(|&code| u32::try_from(code).unwrap())
                        .collect();
                    codes.sort_unstable();
                    let test = Test::In {
                        codes,
                        truncates_first: false,
                    };
                    (test, right, left, !goes_left)
                }
                None => (
                    Test::Less(self.conditions[node].into()),
                    left,
                    right,
                    goes_left,
                ),
            };
            Node::Split {
                input: u32::try_from(self.inputs[node]).unwrap(),
                test,
                missing: if missing_is_yes {
                    Missing::Yes
                } else {
                    Missing::No
                },
                yes,
                no,
            }
        });
        Tree {
            nodes: nodes.collect(),
        }
    }
}

/// Returns a document of trees for outputs in turn, with the parameters of a current file.
pub(super) fn model(
    inputs: usize,
    outputs: usize,
    objective: &str,
    trees: Vec<Doc>,
    tree_info: Vec<i32>,
) -> Doc {
    let count = trees.len();
    object([
        (
            "learner",
            object([
                ("attributes", object([])),
                ("feature_names", Doc::List(vec![])),
                ("feature_types", Doc::List(vec![])),
                (
                    "gradient_booster",
                    object([
                        (
                            "model",
                            object([
                                (
                                    "gbtree_model_param",
                                    object([
                                        ("num_parallel_tree", text("1")),
                                        ("num_trees", text(count.to_string())),
                                    ]),
                                ),
                                (
                                    "tree_info",
                                    Doc::List(
                                        tree_info
                                            .iter()
                                            .map(|&output| Doc::Integer(output.into()))
                                            .collect(),
                                    ),
                                ),
                                ("trees", Doc::List(trees)),
                            ]),
                        ),
                        ("name", text("gbtree")),
                    ]),
                ),
                (
                    "learner_model_param",
                    object([
                        ("base_score", text("[5E-1]")),
                        ("num_class", text("0")),
                        ("num_feature", text(inputs.to_string())),
                        ("num_target", text(outputs.to_string())),
                    ]),
                ),
                ("objective", object([("name", text(objective))])),
            ]),
        ),
        ("version", Doc::List([3, 2, 0].map(Doc::Integer).into())),
    ])
}

/// Returns a model with one tree: a numeric split, a categorical one below it, and three leaves.
pub(super) fn small() -> Doc {
    model(
        3,
        1,
        "reg:squarederror",
        vec![small_tree().doc(0, 3)],
        vec![0],
    )
}

pub(super) fn small_tree() -> Columns {
    Columns {
        left: vec![1, -1, 3, -1, -1],
        right: vec![2, -1, 4, -1, -1],
        parents: vec![i32::MAX, 0, 0, 2, 2],
        inputs: vec![1, 0, 2, 0, 0],
        conditions: vec![0.5, -1.0, 1e-45, 2.0, 3.0],
        default_left: vec![true, false, false, false, false],
        categories: vec![(2, vec![1, 4])],
        vectors: vec![],
    }
}

/// Pseudo-random numbers, the same for each seed.
#[derive(Debug)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        let mut numbers = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        numbers.next();
        numbers
    }

    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 32).unwrap()
    }

    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    pub(super) fn index(&mut self, end: usize) -> i32 {
        i32::try_from(self.below(end)).unwrap()
    }

    pub(super) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Returns any finite f32, subnormal numbers and both zeros included, whose doubling is finite too.
    pub(super) fn single(&mut self) -> f32 {
        loop {
            let value = f32::from_bits(self.next());
            if value.abs() < f32::MAX / 2.0 {
                return value;
            }
        }
    }

    /// Returns a random tree for `outputs` values per leaf; 1 makes scalar leaves.
    pub(super) fn tree(&mut self, inputs: usize, outputs: usize) -> Columns {
        let mut columns = Columns::default();
        self.add_node(&mut columns, -1);
        let mut leaves = vec![0];
        for _ in 0..self.below(8) {
            if self.below(4) == 0 {
                self.add_deleted(&mut columns);
            }
            let at = self.below(leaves.len());
            let node = leaves.swap_remove(at);
            let left = columns.left.len();
            for _ in 0..2 {
                leaves.push(columns.left.len());
                self.add_node(&mut columns, i32::try_from(node).unwrap());
            }
            columns.left[node] = i32::try_from(left).unwrap();
            columns.right[node] = columns.left[node] + 1;
            columns.inputs[node] = self.index(inputs);
            if self.below(3) == 0 {
                let mut set: Vec<i32> = (0..self.below(9) + 1).map(|_| self.index(100)).collect();
                set.sort_unstable();
                set.dedup();
                columns.categories.push((i32::try_from(node).unwrap(), set));
            } else if self.below(9) == 0 {
                columns.conditions[node] = f32::INFINITY;
            }
        }
        columns.categories.sort_unstable();
        if outputs > 1 {
            columns.vectors = (0..columns.left.len())
                .map(|_| (0..outputs).map(|_| self.single()).collect())
                .collect();
        }
        columns
    }

    fn add_node(&mut self, columns: &mut Columns, parent: i32) {
        columns.left.push(-1);
        columns.right.push(-1);
        columns.parents.push(parent);
        columns.inputs.push(0);
        columns.conditions.push(self.single());
        columns.default_left.push(self.flag());
    }

    /// Adds two nodes as the pruner leaves them.
    fn add_deleted(&mut self, columns: &mut Columns) {
        for _ in 0..2 {
            self.add_node(columns, 0);
            *columns.inputs.last_mut().unwrap() = i32::MAX;
        }
    }
}
