//! What is malformed or not supported is refused when a file is read, by name, and all of it at once.

use super::super::proto::attribute_proto::AttributeType;
use super::super::proto::tensor_proto::DataType;
use super::super::proto::{
    AttributeProto, FunctionProto, OperatorSetIdProto, SparseTensorProto, TensorProto, TypeProto,
    type_proto,
};
use super::build::{File, float, info, int, ints, shape};
use super::{read_alone, texts};

/// A file of one node that reads `x`, `[rows, 4]`.
fn single(version: i64, operator: &str) -> File {
    File::new(version)
        .floats("x", shape!["rows", 4])
        .node(operator, "x", "y")
        .outputs(&["y"])
}

#[test]
fn all_faults_are_reported_at_once_with_their_nodes() {
    let file = File::new(13)
        .floats("x", shape!["rows", 4])
        .weights("short", &[2, 3], vec![0.0; 5])
        .node("Relu", "x", "a")
        .node("Loop", "a", "b")
        .node("Relu", "b", "c")
        .node_with("Softmax", "c", "d", vec![int("axes", 1)])
        .node("Add", "a missing", "e")
        .node("Add", "x short", "g")
        .node_with("Flatten", "a", "h", vec![float("axis", 1.0)])
        .node("Gelu", "a", "i")
        .outputs(&["d", "e", "g", "h", "i", "nowhere"]);
    assert_eq!(
        file.faults(),
        [
            r#"node "n_e" (Add): "missing" is not defined"#,
            r#"output "nowhere": "nowhere" is not defined"#,
            r#"initializer "short": got 5 elements in float_data and 0 in others, expected 6 in float_data"#,
            r#"node "n_b" (Loop): operator Loop is not supported"#,
            r#"node "n_d" (Softmax): attribute axes is not supported"#,
            r#"node "n_e" (Add): input 1 is missing"#,
            r#"node "n_h" (Flatten): attribute axis: got type FLOAT, expected INT"#,
            r#"node "n_i" (Gelu): operator Gelu: got version 13 of its domain, expected at least 20"#,
        ]
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for operator in [
        "If",
        "Loop",
        "Scan",
        "LSTM",
        "QuantizeLinear",
        "SequenceAt",
        "NonZero",
        "RandomNormal",
    ] {
        let expected = format!("node \"n_y\" ({operator}): operator {operator} is not supported");
        assert_eq!(single(13, operator).faults(), [expected]);
    }
    let mut file = single(13, "FusedConv");
    file.graph().node[0].domain = "com.microsoft".into();
    let missing = r#"node "n_y" (FusedConv): domain "com.microsoft" is not in opset_import"#;
    assert_eq!(file.faults(), [missing]);
    file.model.opset_import.push(OperatorSetIdProto {
        domain: "com.microsoft".into(),
        version: 1,
    });
    let unknown =
        r#"node "n_y" (FusedConv): operator FusedConv of domain "com.microsoft" is not supported"#;
    assert_eq!(file.faults(), [unknown]);
    file.graph().node[0].domain = "ai.onnx".into();
    file.graph().node[0].op_type = "Relu".into();
    assert!(
        file.read().is_ok(),
        "a domain that no node uses, and the other name of ONNX's own"
    );
    file.model.functions.push(FunctionProto {
        name: "Relu".into(),
        domain: "mine".into(),
    });
    file.graph().sparse_initializer.push(SparseTensorProto {
        values: Some(TensorProto {
            name: "s".into(),
            ..TensorProto::default()
        }),
    });
    assert_eq!(
        file.faults(),
        [
            r#"functions: operators that the file itself defines are not supported: "Relu""#,
            r#"sparse_initializer "s": sparse tensors are not supported"#,
        ]
    );
}

#[test]
fn versions_that_are_not_known_are_refused() {
    for (version, ir_version, expected) in [
        (
            6,
            8,
            "opset_import: got version 6 of ai.onnx, expected 7 to 25",
        ),
        (
            26,
            8,
            "opset_import: got version 26 of ai.onnx, expected 7 to 25",
        ),
        (13, 2, "ir_version: got 2, expected 3 to 13"),
        (13, 14, "ir_version: got 14, expected 3 to 13"),
    ] {
        let mut file = single(version, "Relu");
        file.model.ir_version = ir_version;
        assert_eq!(file.faults(), [expected]);
    }
    let mut file = single(13, "Relu");
    file.model.opset_import.clear();
    assert_eq!(
        file.faults(),
        [
            "opset_import: is empty",
            r#"node "n_y" (Relu): domain "" is not in opset_import"#
        ]
    );
    file.model.opset_import = vec![
        OperatorSetIdProto {
            domain: "ai.onnx.ml".into(),
            version: 6,
        },
        OperatorSetIdProto {
            domain: String::new(),
            version: 12,
        },
        OperatorSetIdProto {
            domain: "ai.onnx".into(),
            version: 13,
        },
    ];
    assert_eq!(
        file.faults(),
        [
            "opset_import: got version 6 of ai.onnx.ml, expected 1 to 5",
            "opset_import: got two versions of \"\"",
        ]
    );
}

#[test]
fn names_must_be_defined_once_and_not_in_a_cycle() {
    let file = File::new(13)
        .floats("x", shape!["rows", 4])
        .node("Add", "x b", "a")
        .node("Relu", "a", "b")
        .node("Relu", "x", "c")
        .node("Neg", "x", "c")
        .outputs(&["b", "c"]);
    assert_eq!(
        file.faults(),
        [
            r#"node "n_c" (Neg): "c" is defined twice"#,
            r#"node "n_a" (Add): is part of a cycle, or depends on one"#,
            r#"node "n_b" (Relu): is part of a cycle, or depends on one"#,
        ]
    );
    let empty = File::new(13).faults();
    assert_eq!(empty, ["graph: has no output"]);
    assert_eq!(
        texts(&read_alone(vec![]).unwrap_err()),
        [": the file has no graph"]
    );
    let file = File::new(13)
        .node("Relu", "x", "y")
        .node("Relu", "y", "x")
        .outputs(&["y"]);
    assert_eq!(file.faults().len(), 2, "a graph that is only a cycle");
}

#[test]
fn inputs_must_be_tensors_of_supported_types() {
    let mut file = single(13, "Relu");
    file.graph().input[0].r#type = Some(TypeProto {
        value: Some(type_proto::Value::SequenceType(Box::default())),
    });
    assert_eq!(file.faults(), [r#"input "x": is not a tensor"#]);
    file.graph().input[0] = info("x", DataType::Complex64, None);
    let complex = r#"input "x": element type COMPLEX64 is not supported"#;
    assert_eq!(file.faults(), [complex]);
    file.graph().input[0] = info("x", DataType::Float, Some(shape![0, 4]));
    assert_eq!(file.faults(), [r#"input "x": axis 0 has length 0"#]);
    file.graph().input[0] = info("x", DataType::Int32, Some(shape!["rows", 4]));
    let mut typed = single(13, "Sqrt");
    typed.graph().input[0] = info("x", DataType::Int32, Some(shape!["rows", 4]));
    let sqrt = r#"node "n_y" (Sqrt): got an input of type INT32, expected FP32, FP64"#;
    assert_eq!(typed.faults(), [sqrt]);
    let mut declared = single(13, "Relu");
    declared.graph().output[0] = info("y", DataType::Int64, None);
    let other = r#"output "y": got type FP32, but the file declares INT64"#;
    assert_eq!(declared.faults(), [other]);
}

#[test]
fn types_and_shapes_that_do_not_fit_are_refused() {
    let file = |operator: &str, inputs: &str| {
        File::new(13)
            .floats("x", shape!["rows", 4])
            .input("i", DataType::Int64, shape!["rows", 4])
            .weights("w", &[3, 2], vec![1.0; 6])
            .weights("v", &[3], vec![1.0; 3])
            .node(operator, inputs, "y")
            .outputs(&["y"])
            .faults()
    };
    for (operator, inputs, expected) in [
        (
            "Add",
            "x i",
            "got inputs of types FP32 and INT64, expected one type",
        ),
        ("Add", "x v", "lengths 4 and 3 of one axis do not fit"),
        ("MatMul", "x w", "got matrices of 4 columns and 3 rows"),
        ("Gemm", "x w", "got matrices of 4 columns and 3 rows"),
        (
            "Gather",
            "x x",
            "got an input of type FP32, expected INT32, INT64",
        ),
        ("Not", "x", "got an input of type FP32, expected BOOL"),
        ("Conv", "x w", "got a window over 0 axes, expected 1 or 2"),
        (
            "Reshape",
            "x x",
            "got an input of type FP32, expected INT64",
        ),
    ] {
        let expected = format!("node \"n_y\" ({operator}): {expected}");
        assert_eq!(file(operator, inputs), [expected]);
    }
}

#[test]
fn attributes_must_be_of_their_type_and_occur_once() {
    let node = |attributes: Vec<AttributeProto>| {
        File::new(13)
            .floats("x", shape!["rows", 4])
            .node_with("Softmax", "x", "y", attributes)
            .outputs(&["y"])
            .faults()
    };
    let reference = AttributeProto {
        ref_attr_name: "outer".into(),
        ..int("axis", 1)
    };
    let graph = AttributeProto {
        r#type: AttributeType::Graph.into(),
        ..int("axis", 1)
    };
    for (attributes, expected) in [
        (
            vec![int("axis", 2)],
            "got axis 2, expected an axis of a tensor of rank 2",
        ),
        (
            vec![int("axis", i64::MIN)],
            &*format!(
                "got axis {}, expected an axis of a tensor of rank 2",
                i64::MIN
            ),
        ),
        (
            vec![ints("axis", &[1])],
            "attribute axis: got type INTS, expected INT",
        ),
        (vec![graph], "attribute axis: got type GRAPH, expected INT"),
        (
            vec![reference],
            "attribute axis: references are not supported",
        ),
        (
            vec![int("axis", 1), int("axis", 0)],
            "attribute axis occurs twice",
        ),
    ] {
        assert_eq!(
            node(attributes),
            [format!("node \"n_y\" (Softmax): {expected}")]
        );
    }
}

#[test]
fn nodes_that_no_output_needs_are_left_out_unchecked() {
    let graph = single(13, "Relu").node("Loop", "x", "z").read().unwrap();
    assert_eq!(graph.steps.len(), 1);
}
