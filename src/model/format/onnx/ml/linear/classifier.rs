//! LinearClassifier: the class with the largest linear function.

use super::super::super::operator::{Entry, Inputs, Lowered, Meaning, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::classes;
use super::super::labels::{Labels, largest};
use super::super::matrix::{Matrix, MatrixFact};
use super::super::post::PostTransform;
use super::Functions;

/// The entry in the table of operators. `multi_class` says how the model was trained, which `post_transform` already expresses.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "LinearClassifier",
    since: 1,
    attributes: &[
        "classlabels_ints",
        "classlabels_strings",
        "coefficients",
        "intercepts",
        "multi_class",
        "post_transform",
    ],
    lower,
};

#[derive(Debug)]
struct LinearClassifier {
    functions: Functions,
    labels: Labels,
    post: PostTransform,
    needs_labels: bool,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = MatrixFact::of(node, 0)?;
    let labels = Labels::new(classes(node, "classlabels_ints", "classlabels_strings")?);
    let post = PostTransform::of(node)?;
    node.int("multi_class")?;
    let intercepts = node.floats("intercepts")?.map_or(0, <[f32]>::len);
    let len = match (intercepts, labels.len()) {
        (0, classes) => classes,
        (functions, classes) if functions == classes => classes,
        (1, 2) => 1,
        (functions, classes) => {
            return Err(format!(
                "got {functions} intercepts for {classes} classes, expected one for each class, or one for two classes"
            ));
        }
    };
    if labels.len() < 2 {
        return Err("got a single class, expected several".into());
    }
    if len == 1 && post != PostTransform::Logistic {
        // ONNX Runtime returns `1 - x` and `x`, the reference implementation of ONNX applies the function to `-x` and `x`.
        let name = post.name();
        return Err(format!(
            "attribute post_transform: {name} of one function for two classes is not supported, expected LOGISTIC"
        ));
    }
    let functions = Functions::read(node, &input, len)?;
    let facts = labels.facts(input.fact, labels.len(), meaning(post, &functions));
    let cost = functions.cost();
    let operator = LinearClassifier {
        functions,
        labels,
        post,
        needs_labels: node.is_used(0),
    };
    Ok(Lowered::new(operator, facts, cost))
}

fn meaning(post: PostTransform, functions: &Functions) -> Meaning {
    match post {
        PostTransform::Softmax => Meaning::Probabilities,
        // scikit-learn's binary classifiers are written as two functions of opposite sign, which add up to 1.
        PostTransform::Logistic if functions.len == 1 || functions.are_opposite() => {
            Meaning::Probabilities
        }
        PostTransform::Logistic => Meaning::Logistic,
        _ => Meaning::Unknown,
    }
}

impl Operator for LinearClassifier {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let matrix = Matrix::with_columns(inputs, 0, self.functions.features)?;
        let columns = self.labels.len();
        let mut found = Vec::with_capacity(matrix.rows);
        let mut scores = Vec::with_capacity(matrix.rows * columns);
        let mut row = vec![0.0; columns];
        self.functions.for_each_row(&matrix, |values| {
            match *values {
                [score] => row.copy_from_slice(&[-score, score]),
                _ => row.copy_from_slice(values),
            }
            if self.needs_labels {
                found.push(largest(row.iter().copied()).unwrap_or(0));
            }
            self.post.apply(&mut row);
            scores.extend(row.iter().map(|score| *score as f32));
        });
        Ok(vec![
            self.labels.pick(&found),
            Value::of(vec![matrix.rows, columns], scores)?,
        ])
    }

    fn bytes(&self) -> usize {
        self.functions.bytes()
    }
}
