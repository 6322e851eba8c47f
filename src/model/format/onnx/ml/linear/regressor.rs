//! LinearRegressor: one or several linear functions.

use super::super::super::operator::{Dim, Entry, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::matrix::{Matrix, MatrixFact};
use super::super::post::PostTransform;
use super::Functions;
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "LinearRegressor",
    since: 1,
    attributes: &["coefficients", "intercepts", "post_transform", "targets"],
    lower,
};

#[derive(Debug)]
struct LinearRegressor {
    functions: Functions,
    post: PostTransform,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let targets = node.int("targets")?.unwrap_or(1);
    let len = usize::try_from(targets)
        .ok()
        .filter(|len| *len > 0)
        .ok_or_else(|| format!("attribute targets: got {targets}, expected a positive number"))?;
    let post = PostTransform::of(node)?;
    post.refuse_for_one(len)?;
    let functions = Functions::read(node, &input, len)?;
    let fact = input.output(Datatype::Fp32, Dim::Fixed(len));
    let cost = functions.cost();
    let operator = LinearRegressor { functions, post };
    Ok(Lowered::new(operator, vec![fact], cost))
}

impl Operator for LinearRegressor {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::with_columns(inputs, 0, self.functions.features)?;
        let mut results = Vec::with_capacity(matrix.rows * self.functions.len);
        self.functions.for_each_row(&matrix, |values| {
            self.post.apply(values);
            results.extend(values.iter().map(|value| *value as f32));
        });
        let shape = vec![matrix.rows, self.functions.len];
        Ok(vec![Value::of(shape, results)?])
    }

    fn bytes(&self) -> usize {
        self.functions.bytes()
    }
}
