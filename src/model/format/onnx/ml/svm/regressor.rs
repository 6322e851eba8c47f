//! SVMRegressor: a weighted sum of similarities; or, of one class, whether it is positive.

use super::super::super::operator::{Dim, Entry, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::{check_finite, check_length};
use super::super::matrix::{Matrix, MatrixFact, dot};
use super::super::post::PostTransform;
use super::kernel::Kernel;
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "SVMRegressor",
    since: 1,
    attributes: &[
        "coefficients",
        "kernel_params",
        "kernel_type",
        "n_supports",
        "one_class",
        "post_transform",
        "rho",
        "support_vectors",
    ],
    lower,
};

#[derive(Debug)]
struct SvmRegressor {
    kernel: Kernel,
    coefficients: Vec<f64>,
    rho: f64,
    /// Whether the result is 1 for a positive sum, and -1 otherwise.
    is_one_class: bool,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let count = node.int("n_supports")?.unwrap_or(0);
    let count = usize::try_from(count).ok().filter(|count| *count > 0);
    let count = count.ok_or("attribute n_supports: expected support vectors")?;
    let kernel = Kernel::read(node, &input, count)?;
    let coefficients = node.floats("coefficients")?.unwrap_or_default();
    check_length("coefficients", coefficients.len(), count)?;
    check_finite("coefficients", coefficients)?;
    let rho = node.floats("rho")?.unwrap_or_default();
    check_finite("rho", rho)?;
    let [rho] = *rho else {
        return Err(format!(
            "attribute rho: got {} values, expected 1",
            rho.len()
        ));
    };
    PostTransform::of(node)?.refuse_for_one(1)?;
    let fact = input.output(Datatype::Fp32, Dim::Fixed(1));
    let cost = kernel.cost();
    let operator = SvmRegressor {
        kernel,
        coefficients: coefficients.iter().copied().map(f64::from).collect(),
        rho: f64::from(rho),
        is_one_class: node.flag("one_class")?.unwrap_or(false),
    };
    Ok(Lowered::new(operator, vec![fact], cost))
}

impl Operator for SvmRegressor {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::with_columns(inputs, 0, self.kernel.features())?;
        let mut results = Vec::with_capacity(matrix.rows);
        let mut similarities = Vec::with_capacity(self.coefficients.len());
        matrix.for_each_row(|row| {
            self.kernel.compare(row, &mut similarities);
            let sum = dot(&similarities, &self.coefficients) + self.rho;
            results.push(match (self.is_one_class, sum > 0.0) {
                (false, _) => sum as f32,
                (true, true) => 1.0,
                (true, false) => -1.0,
            });
        });
        Ok(vec![Value::of(vec![matrix.rows, 1], results)?])
    }

    fn bytes(&self) -> usize {
        self.kernel.bytes() + size_of_val(&*self.coefficients)
    }
}
