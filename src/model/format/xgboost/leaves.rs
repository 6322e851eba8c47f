//! The values of a tree's leaves: one number, or a vector with one number per output.

use super::document::Object;
use super::faults::Faults;
use crate::model::trees::Leaf;

/// What a tree must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Values per row.
    pub(super) inputs: usize,
    /// Sums per row.
    pub(super) outputs: usize,
    /// The sum to which scalar leaves are added.
    pub(super) output: u32,
    /// The factor of all leaves: 1, or the weight of DART.
    pub(super) weight: f32,
}

/// Where the values of leaves are.
pub(super) enum Leaves {
    /// In `split_conditions`.
    Scalar,
    /// In a matrix with one row per node (XGBoost 2.0 to 3.1), and one column per output.
    ByNode(Vec<f32>),
    /// In a matrix with one row per leaf (XGBoost 3.2); `right_children` of the leaf is the row.
    ByLeaf(Vec<f32>),
}

impl Leaves {
    pub(super) fn read(
        object: &Object<'_, '_>,
        nodes: usize,
        leaf_size: usize,
        outputs: usize,
        faults: &mut Faults,
    ) -> Option<Self> {
        // XGBoost 1 writes 0 for scalar leaves.
        if leaf_size <= 1 {
            return Some(Self::Scalar);
        }
        if leaf_size != outputs {
            let message = format!("got {leaf_size}, expected {outputs}, the outputs of the model");
            faults.add(
                format!("{}.tree_param.size_leaf_vector", object.path()),
                message,
            );
            return None;
        }
        if object.find("leaf_weights").is_some() {
            let values = object.singles("leaf_weights", faults)?;
            if values.len() % outputs == 0 {
                return Some(Self::ByLeaf(values));
            }
            let message = format!(
                "got {} numbers, expected a multiple of {outputs}",
                values.len()
            );
            faults.add(object.path_of("leaf_weights"), message);
            return None;
        }
        let values = object.singles("base_weights", faults)?;
        if Some(values.len()) == nodes.checked_mul(outputs) {
            return Some(Self::ByNode(values));
        }
        let message = format!(
            "got {} numbers, expected {outputs} for each of {nodes} nodes",
            values.len()
        );
        faults.add(object.path_of("base_weights"), message);
        None
    }
}

/// Takes the values of leaves, each row of a matrix once.
pub(super) struct LeafRows<'a> {
    leaves: &'a Leaves,
    frame: Frame,
    // Rows that are shared by leaves could make the trees much larger than the file.
    taken: Vec<bool>,
}

impl<'a> LeafRows<'a> {
    pub(super) fn new(leaves: &'a Leaves, frame: Frame) -> Self {
        let rows = match leaves {
            Leaves::ByLeaf(values) => values.len() / frame.outputs,
            Leaves::Scalar | Leaves::ByNode(_) => 0,
        };
        Self {
            leaves,
            frame,
            taken: vec![false; rows],
        }
    }

    /// Returns the values of a leaf, or a column and what is wrong with it.
    pub(super) fn leaf(
        &mut self,
        node: usize,
        condition: f32,
        right: i64,
    ) -> Result<Leaf, (&'static str, String)> {
        match self.leaves {
            Leaves::Scalar => Ok(Leaf::One {
                output: self.frame.output,
                value: self.value(condition, "split_conditions")?,
            }),
            Leaves::ByNode(values) => self.row(values, node, "base_weights"),
            Leaves::ByLeaf(values) => {
                let row = usize::try_from(right).ok();
                let taken = row.and_then(|row| self.taken.get_mut(row));
                let is_free = taken.is_some_and(|taken| !std::mem::replace(taken, true));
                match row.filter(|_| is_free) {
                    Some(row) => self.row(values, row, "leaf_weights"),
                    None => {
                        let message = format!(
                            "got {right}, expected a row of `leaf_weights` that no other leaf has, of {}",
                            self.taken.len()
                        );
                        Err(("right_children", message))
                    }
                }
            }
        }
    }

    fn row(
        &self,
        values: &[f32],
        row: usize,
        column: &'static str,
    ) -> Result<Leaf, (&'static str, String)> {
        let outputs = self.frame.outputs;
        let values = values.iter().skip(row * outputs).take(outputs);
        let pairs = (0..).zip(values).map(|(output, &value)| {
            let value = self.value(value, column)?;
            Ok((output, value))
        });
        pairs.collect::<Result<_, _>>().map(Leaf::Many)
    }

    /// Returns a leaf's value as XGBoost adds it: multiplied by the weight in f32.
    fn value(&self, value: f32, column: &'static str) -> Result<f64, (&'static str, String)> {
        let weighted = value * self.frame.weight;
        if weighted.is_finite() {
            return Ok(weighted.into());
        }
        let message = match self.frame.weight {
            1.0 => format!("the leaf adds {value:?}, expected a finite number"),
            weight => format!("the leaf adds {value:?} times {weight:?}, expected a finite number"),
        };
        Err((column, message))
    }
}
