//! Nodes that are joined compute the same as alone, in fewer steps.

use super::super::value::Element;
use super::super::{Graph, Value};
use super::answers::{difference, numbers};
use super::build::{File, int, ints, shape};

fn weights(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|at| ((at * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0)
        .collect()
}

/// A multilayer perceptron, of which `hidden` adds the nodes between `a` and `b`.
fn network(hidden: impl Fn(File) -> File) -> File {
    let file = File::new(13)
        .floats("x", shape!["rows", 5])
        .weights("w1", &[5, 8], weights(40, 1))
        .weights("b1", &[8], weights(8, 2))
        .weights("w2", &[8, 3], weights(24, 3))
        .weights("root", &[], vec![std::f32::consts::SQRT_2])
        .weights("one", &[], vec![1.0])
        .weights("half", &[1], vec![0.5])
        .weights("scale", &[8], weights(8, 4))
        .node("MatMul", "x w1", "m")
        .node("Add", "b1 m", "a");
    hidden(file)
        .node("MatMul", "b w2", "c")
        .node_with("Softmax", "c", "y", vec![int("axis", -1)])
}

/// Runs a graph of which every intermediate value is also an output, so that nothing can be joined.
fn apart(file: File) -> Graph {
    let mut file = file;
    let names: Vec<String> = file
        .graph()
        .node
        .iter()
        .flat_map(|node| node.output.clone())
        .collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.reverse();
    file.outputs(&names).read().unwrap()
}

#[test]
fn perceptrons_become_one_step_and_compute_the_same() {
    type Nodes = fn(File) -> File;
    let hidden: [(&str, Nodes); 6] = [
        ("relu", |f| f.node("Relu", "a", "b")),
        ("two functions", |f| {
            f.node("Tanh", "a", "t").node("Mul", "t scale", "b")
        }),
        ("GELU by parts", |f| {
            f.node("Div", "a root", "d")
                .node("Erf", "d", "e")
                .node("Add", "e one", "f")
                .node("Mul", "a f", "g")
                .node("Mul", "g half", "b")
        }),
        ("GELU by other parts", |f| {
            f.node("Mul", "a half", "h")
                .node("Div", "a root", "d")
                .node("Erf", "d", "e")
                .node("Add", "e one", "f")
                .node("Mul", "f h", "b")
        }),
        ("SiLU", |f| {
            f.node("Sigmoid", "a", "s").node("Mul", "a s", "b")
        }),
        ("Mish", |f| {
            f.node("Softplus", "a", "s")
                .node("Tanh", "s", "t")
                .node("Mul", "t a", "b")
        }),
    ];
    for (name, nodes) in hidden {
        let joined = network(nodes).outputs(&["y"]).read().unwrap();
        assert_eq!(joined.steps.len(), 1, "{name}");
        let apart = apart(network(nodes));
        assert!(apart.steps.len() > 4, "{name}");
        for rows in [1, 2, 3, 7, 100] {
            let x = Value::of(vec![rows, 5], weights(rows * 5, 7)).unwrap();
            let got = joined.run(vec![x.clone()]).unwrap();
            let expected = apart.run(vec![x]).unwrap();
            let difference = difference(&got[0], &expected[0]).unwrap();
            assert!(difference < 1e-6, "{name}: {difference}");
        }
    }
}

#[test]
fn batch_norm_and_activation_become_part_of_a_convolution() {
    let file = || {
        File::new(13)
            .floats("x", shape!["rows", 2, 5, 5])
            .weights("w", &[4, 2, 3, 3], weights(72, 1))
            .weights("b", &[4], weights(4, 2))
            .weights("s", &[4], weights(4, 3))
            .weights("t", &[4], weights(4, 4))
            .weights("m", &[4], weights(4, 5))
            .weights("v", &[4], vec![0.5, 1.0, 1.5, 2.0])
            .node_with("Conv", "x w b", "c", vec![ints("pads", &[1, 1, 1, 1])])
            .node("BatchNormalization", "c s t m v", "n")
            .node("Sigmoid", "n", "g")
            .node("Mul", "n g", "y")
    };
    let joined = file().outputs(&["y"]).read().unwrap();
    assert_eq!(joined.steps.len(), 1);
    let apart = apart(file());
    assert_eq!(apart.steps.len(), 4);
    for rows in [1, 3, 70] {
        let x = Value::of(vec![rows, 2, 5, 5], weights(rows * 50, 6)).unwrap();
        let got = joined.run(vec![x.clone()]).unwrap();
        let expected = apart.run(vec![x]).unwrap();
        assert!(difference(&got[0], &expected[0]).unwrap() < 1e-6);
    }
}

#[test]
fn what_does_not_depend_on_requests_is_computed_once() {
    let file = File::new(13)
        .floats("x", shape!["rows", 4])
        .weights("w", &[4, 4], weights(16, 1))
        .node_with("Transpose", "w", "t", vec![])
        .node("Neg", "t", "n")
        .node("Identity", "x", "i")
        .node("Cast", "i", "f")
        .node("MatMul", "f n", "y")
        .outputs(&["y"]);
    let mut file = file;
    file.graph().node[3].attribute.push(int("to", 1));
    let graph = file.read().unwrap();
    assert_eq!(graph.steps.len(), 1);
    assert!(
        graph.constants.is_empty(),
        "the weights are laid out in another way"
    );
    assert_eq!(graph.bytes(), (16 + 4) * f32::DATATYPE.width().unwrap());
    assert_eq!(graph.cost_per_row(), 16);
    let x = Value::of(vec![1, 4], vec![1.0_f32, 0.0, 0.0, 0.0]).unwrap();
    let answer = numbers(&graph.run(vec![x]).unwrap()[0]).unwrap();
    let column: Vec<f64> = weights(16, 1)
        .iter()
        .step_by(4)
        .map(|w| -f64::from(*w))
        .collect();
    assert_eq!(answer, column);
}
