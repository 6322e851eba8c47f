//! Whether the rows of several requests can be computed together.

use super::super::proto::tensor_proto::DataType;
use super::super::{Dim, Graph, Value};
use super::answers::difference;
use super::build::{Axis, File, int, ints, shape};

/// A graph of some nodes that read `x`, `[rows, 4, 6]`, and return `y`.
fn graph(nodes: impl Fn(File) -> File) -> Graph {
    let file = File::new(13)
        .floats("x", shape!["batch", 4, 6])
        .weights("w", &[6, 3], (0..18_u8).map(f32::from).collect())
        .weights("c", &[4, 1], vec![1.0, 2.0, 3.0, 4.0])
        .weights("d", &[2, 1, 1], vec![1.0, 2.0])
        .ints("i", &[1, 0])
        .ints("zero", &[0])
        .ints("one", &[1])
        .ints("two", &[2])
        .ints("minus", &[-1])
        .ints("flat", &[-1, 24])
        .ints("halves", &[0, 2, 12])
        .ints("wrong", &[-1, 12])
        .ints("fixed", &[1, 24])
        .ints("target", &[-1, 4, 6]);
    nodes(file).outputs(&["y"]).read().unwrap()
}

/// Returns row `at` of a tensor.
fn row(value: &Value, at: usize) -> Value {
    let size = value.len() / value.shape()[0];
    let elements = &value.elements::<f32>().unwrap()[at * size..][..size];
    let mut shape = value.shape().to_vec();
    shape[0] = 1;
    Value::of(shape, elements.to_vec()).unwrap()
}

#[test]
fn graphs_that_treat_each_row_alone_are_batchable_and_do() {
    type Nodes = fn(File) -> File;
    let graphs: [(&str, Nodes); 14] = [
        ("a matrix", |f| f.node("MatMul", "x w", "y")),
        ("columns", |f| f.node("Mul", "x c", "y")),
        ("another axis", |f| {
            f.node_with("ReduceSum", "x two", "y", vec![int("keepdims", 0)])
        }),
        ("softmax along axis 1", |f| {
            f.node_with("Softmax", "x", "y", vec![int("axis", 1)])
        }),
        ("reshaped", |f| f.node("Reshape", "x flat", "y")),
        ("in halves", |f| f.node("Reshape", "x halves", "y")),
        ("transposed", |f| {
            f.node_with("Transpose", "x", "y", vec![ints("perm", &[0, 2, 1])])
        }),
        ("there and back", |f| {
            f.node_with("Transpose", "x", "t", vec![ints("perm", &[1, 0, 2])])
                .node_with("Softmax", "t", "s", vec![int("axis", 0)])
                .node_with("Transpose", "s", "y", vec![ints("perm", &[1, 0, 2])])
        }),
        ("gathered columns", |f| {
            f.node_with("Gather", "x i", "y", vec![int("axis", 1)])
        }),
        ("matrices of one row", |f| {
            f.node_with("Transpose", "x", "t", vec![ints("perm", &[0, 2, 1])])
                .node("MatMul", "x t", "y")
        }),
        ("a shape that is taken apart", |f| {
            f.node("Shape", "x", "s")
                .node_with("Gather", "s zero", "n", vec![])
                .node_with("Concat", "n minus", "to", vec![int("axis", 0)])
                .node("Reshape", "x to", "y")
        }),
        ("a constant for each row", |f| {
            f.node("Shape", "x", "s")
                .node("Expand", "c s", "e")
                .node("Add", "e x", "y")
        }),
        ("an expansion as torch writes it", |f| {
            f.node("Shape", "target", "n")
                .node("ConstantOfShape", "n", "zeros")
                .node_with("Cast", "zeros", "ints", vec![int("to", 7)])
                .node("Add", "ints one", "ones")
                .node("Equal", "target minus", "q")
                .node("Where", "q ones target", "to")
                .node("Expand", "c to", "e")
                .node("Add", "x e", "y")
        }),
        ("joined", |f| {
            f.node_with("Concat", "x x", "y", vec![int("axis", 2)])
        }),
    ];
    for (name, nodes) in graphs {
        let graph = graph(nodes);
        assert!(graph.is_batchable(), "{name}");
        let values = (0..72_u8).map(|x| f32::from(x) / 16.0 - 2.0).collect();
        let whole = Value::of(vec![3, 4, 6], values).unwrap();
        let together = graph.run(vec![whole.clone()]).unwrap();
        assert_eq!(
            graph.outputs()[0].shape.as_ref().unwrap()[0],
            Dim::Rows,
            "{name}"
        );
        for at in 0..3 {
            let alone = graph.run(vec![row(&whole, at)]).unwrap();
            let difference = difference(&alone[0], &row(&together[0], at)).unwrap();
            assert!(difference < 1e-6, "{name}: {difference}");
        }
    }
}

#[test]
fn graphs_that_may_mix_rows_are_not_batchable() {
    type Nodes = fn(File) -> File;
    let graphs: [(&str, Nodes); 14] = [
        ("a sum of rows", |f| {
            f.node_with("ReduceSum", "x zero", "y", vec![int("keepdims", 1)])
        }),
        ("softmax over rows", |f| {
            f.node_with("Softmax", "x", "y", vec![int("axis", 0)])
        }),
        ("rows in another order", |f| f.node("Gather", "x i", "y")),
        ("rows merged with an axis", |f| {
            f.node("Reshape", "x wrong", "y")
        }),
        ("a fixed number of rows", |f| {
            f.node("Reshape", "x fixed", "y")
        }),
        ("constants for two rows", |f| f.node("Mul", "x d", "y")),
        ("rows moved away", |f| {
            f.node_with("Transpose", "x", "y", vec![ints("perm", &[1, 0, 2])])
        }),
        ("rows flattened into columns", |f| {
            f.node_with("Flatten", "x", "y", vec![int("axis", 0)])
        }),
        ("rows joined after rows", |f| {
            f.node_with("Concat", "x x", "y", vec![int("axis", 0)])
        }),
        ("running sums", |f| f.node("CumSum", "x zero", "y")),
        ("the number of rows", |f| f.node("Shape", "x", "y")),
        ("a part of the rows", |f| {
            f.node("Slice", "x zero two zero", "y")
        }),
        ("products of rows", |f| {
            f.node_with("Transpose", "x", "t", vec![ints("perm", &[1, 0, 2])])
                .node_with("Transpose", "x", "u", vec![ints("perm", &[1, 2, 0])])
                .node("MatMul", "t u", "y")
        }),
        ("a constant", |f| {
            f.node("Add", "x x", "z").node("Neg", "c", "y")
        }),
    ];
    for (name, nodes) in graphs {
        assert!(!graph(nodes).is_batchable(), "{name}");
    }
    for shape in [shape![1, 4], shape![]] {
        let file = File::new(13)
            .floats("x", shape)
            .node("Relu", "x", "y")
            .outputs(&["y"]);
        assert!(!file.read().unwrap().is_batchable(), "no axis of rows");
    }
}

#[test]
fn inputs_are_described_as_the_file_declares_them() {
    let info = |shape: Vec<Axis>, kind: DataType| {
        let file = File::new(13)
            .input("x", kind, shape)
            .node("Identity", "x", "y")
            .outputs(&["y"]);
        file.read().unwrap().inputs()[0].clone()
    };
    let named = info(
        shape!["batch", 3, "height", "height", -1],
        DataType::Float16,
    );
    let dims = named.shape.clone().unwrap();
    assert_eq!(dims[..2], [Dim::Rows, Dim::Fixed(3)]);
    assert!(dims[2].equals(dims[3]) && !dims[2].equals(dims[4]));
    assert_eq!(named.shown(), "[batch, 3, height, height, ?]");
    assert_eq!(named.datatype, crate::model::payload::Datatype::Fp16);
    assert_eq!(info(shape![1, 3], DataType::Float).shown(), "[1, 3]");
    assert_eq!(info(shape![-1], DataType::Float).shown(), "[rows]");
}

#[test]
fn inputs_of_other_shapes_and_types_are_refused() {
    let file = File::new(13)
        .floats("x", shape!["rows", 4])
        .floats("z", shape!["rows", 4])
        .node("Add", "x z", "y")
        .outputs(&["y"]);
    let graph = file.read().unwrap();
    let tensor = |rows: usize, columns: usize| {
        Value::of(vec![rows, columns], vec![0.0_f32; rows * columns]).unwrap()
    };
    let wide = Value::of(vec![1, 4], vec![0.0_f64; 4]).unwrap();
    for (inputs, expected) in [
        (vec![tensor(1, 4)], "got 1 inputs, expected 2"),
        (
            vec![tensor(1, 4), tensor(1, 3)],
            "input \"z\": got shape [1, 3], expected [rows, 4]",
        ),
        (
            vec![tensor(1, 4), tensor(2, 4)],
            "input \"z\": got another number of rows",
        ),
        (
            vec![wide, tensor(1, 4)],
            "input \"x\": got FP64, expected FP32",
        ),
    ] {
        assert_eq!(graph.run(inputs).unwrap_err().to_string(), expected);
    }
}
