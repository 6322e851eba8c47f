//! Hostile files: refused with a reason, without a panic and without much memory.

use std::fs;

use prost::Message;

use super::super::proto::tensor_proto::DataType;
use super::super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};
use super::super::{Graph, Value, wire};
use super::build::{File, ints, shape};
use super::{answers, read_alone, texts, torch_folder};

/// Pseudo-random numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        list.get(self.below(list.len())).cloned()
    }
}

#[test]
fn sizes_that_the_file_does_not_have_are_refused() {
    for (dims, expected) in [
        (
            &[1 << 29][..],
            "got 1 elements in float_data and 0 in others, expected 536870912 in float_data",
        ),
        (&[1 << 40, 1 << 40], "has too many elements"),
        (&[0, 1 << 40, 1 << 40], "has too many elements"),
        (&[-1], "got a length of -1, expected 0 or more"),
    ] {
        let file = File::new(13)
            .weights("w", dims, vec![1.0])
            .node("Relu", "w", "y")
            .outputs(&["y"]);
        let faults = file.faults();
        assert!(faults[0].contains(expected), "{faults:?}");
    }
}

#[test]
fn small_files_cannot_make_large_constants() {
    let large = [1 << 16, 1 << 16];
    for (operator, inputs) in [
        ("ConstantOfShape", "large"),
        ("Expand", "one large"),
        ("Tile", "pair large"),
        ("Pad", "pair pads"),
        ("Range", "zero most step"),
    ] {
        let file = File::new(13)
            .ints("large", &large)
            .ints("pads", &[1 << 19, 1 << 19, 1 << 19, 1 << 19])
            .weights("one", &[1], vec![1.0])
            .weights("pair", &[1, 1], vec![1.0])
            .weights("zero", &[], vec![0.0])
            .weights("most", &[], vec![1e8])
            .weights("step", &[], vec![1.0])
            .node(operator, inputs, "y")
            .outputs(&["y"]);
        let faults = file.faults();
        assert!(
            faults[0].contains("expected at most"),
            "{operator}: {faults:?}"
        );
    }
}

#[test]
fn large_outputs_are_refused_when_the_file_is_read_or_before_they_are_made() {
    let file = |operator: &str, inputs: &str| {
        File::new(13)
            .floats("x", shape!["rows", 1])
            .input("shape", DataType::Int64, shape![2])
            .ints("large", &[1, 1 << 30])
            .node(operator, inputs, "y")
            .outputs(&["y"])
    };
    let faults = file("Expand", "x large").faults();
    assert!(
        faults[0].contains("elements per row, expected at most"),
        "{faults:?}"
    );
    let value = Value::of(vec![1, 1], vec![1.0_f32]).unwrap();
    let huge = Value::vector(vec![1_i64 << 20, 1 << 20]);
    for (operator, inputs, values) in [
        ("Expand", "x shape", vec![value.clone(), huge.clone()]),
        ("Tile", "x shape", vec![value.clone(), huge.clone()]),
        ("ConstantOfShape", "shape", vec![value, huge]),
    ] {
        let error = file(operator, inputs)
            .read()
            .unwrap()
            .run(values)
            .unwrap_err();
        let error = error.to_string();
        assert!(error.contains("expected at most"), "{operator}: {error}");
    }
}

#[test]
fn many_empty_messages_are_refused_before_they_are_decoded() {
    let graph = GraphProto {
        node: vec![NodeProto::default(); wire::MOST_MESSAGES],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: 8,
        graph: Some(graph),
        ..ModelProto::default()
    };
    let faults = texts(&read_alone(model.encode_to_vec()).unwrap_err());
    assert_eq!(faults, [": got more than 500000 messages in the file"]);
}

#[test]
fn deep_messages_do_not_overflow_the_stack() {
    // Sequences of sequences, as the type of an input.
    let mut kind = Vec::new();
    for _ in 0..10_000 {
        let mut outer = vec![0x22];
        for part in [0x0a, kind.len()] {
            prost::encoding::encode_varint(u64::try_from(part).unwrap(), &mut outer);
        }
        outer.extend(&kind);
        kind = outer;
        if kind.len() > 100_000 {
            break;
        }
    }
    let mut file = File::new(13).node("Relu", "x", "y").outputs(&["y"]).bytes();
    file.extend([0x3a]);
    let mut info = vec![0x5a];
    prost::encoding::encode_varint(u64::try_from(kind.len()).unwrap(), &mut info);
    info.extend(&kind);
    prost::encoding::encode_varint(u64::try_from(info.len()).unwrap(), &mut file);
    file.extend(&info);
    assert!(read_alone(file).is_err());
    // A graph in an attribute is skipped, however deep it is; the node is refused.
    let attribute = AttributeProto {
        name: "body".into(),
        ..ints("body", &[])
    };
    let file = File::new(13)
        .floats("x", shape!["rows"])
        .node_with("If", "x", "y", vec![attribute])
        .outputs(&["y"]);
    assert!(file.faults()[0].contains("operator If is not supported"));
}

/// Runs a graph on small inputs, and checks what was said of its outputs.
fn run_on_small_inputs(graph: &Graph, numbers: &mut Numbers) {
    let rows = 1 + numbers.below(3);
    let mut inputs = Vec::new();
    for info in graph.inputs() {
        let dims = info.shape.clone().unwrap_or_default();
        let length = |(axis, dim): (usize, &super::Dim)| match dim {
            super::Dim::Fixed(length) => *length,
            _ if axis == 0 => rows,
            _ => 3,
        };
        let shape: Vec<usize> = dims.iter().enumerate().map(length).collect();
        let count = shape.iter().try_fold(1_usize, |a, b| a.checked_mul(*b));
        let Some(count) = count.filter(|count| *count < 1 << 20) else {
            return;
        };
        let numbers = (0..count).map(|_| serde_json::json!(numbers.below(5)));
        inputs.push(answers::shaped(
            info.datatype,
            shape,
            &numbers.collect::<Vec<_>>(),
        ));
    }
    let Ok(outputs) = graph.run(inputs) else {
        return;
    };
    for (info, output) in graph.outputs().iter().zip(&outputs) {
        assert_eq!(info.datatype, output.datatype());
        let dims = info.shape.iter().flatten().zip(output.shape());
        for (dim, length) in dims {
            assert!(dim.fixed().is_none_or(|fixed| fixed == *length), "{info:?}");
        }
    }
}

fn torch_files() -> Vec<Vec<u8>> {
    let entries = fs::read_dir(torch_folder()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "onnx"))
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn truncated_and_damaged_files_are_read_or_refused_without_a_panic() {
    let mut numbers = Numbers(0x5eed);
    for file in torch_files() {
        for _ in 0..40 {
            let end = numbers.below(file.len());
            let _ = read_alone(file[..end].to_vec());
            let mut damaged = file.clone();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(damaged.len());
                damaged[at] = numbers.pick(&[0, 1, 2, 7, 8, 0x7f, 0x80, 0xff]).unwrap();
            }
            if let Ok(graph) = read_alone(damaged) {
                run_on_small_inputs(&graph, &mut numbers);
            }
        }
    }
}

#[test]
fn files_with_changed_fields_are_read_or_refused_without_a_panic() {
    let mut numbers = Numbers(0xcafe);
    let mut read = 0;
    for file in torch_files() {
        let model = ModelProto::decode(&*file).unwrap();
        for _ in 0..60 {
            let mut changed = model.clone();
            for _ in 0..=numbers.below(2) {
                change(&mut changed, &mut numbers);
            }
            if let Ok(graph) = read_alone(changed.encode_to_vec()) {
                read += 1;
                run_on_small_inputs(&graph, &mut numbers);
            }
        }
    }
    assert!(read > 40, "got {read} files that are still valid");
}

/// Changes a field of a file.
fn change(model: &mut ModelProto, numbers: &mut Numbers) {
    const INTS: [i64; 10] = [0, 1, 2, 3, -1, -2, 7, 1 << 31, i64::MAX, i64::MIN];
    let graph = model.graph.as_mut().unwrap();
    let names: Vec<String> = graph
        .node
        .iter()
        .flat_map(|node| node.output.clone())
        .collect();
    let at = numbers.below(graph.node.len());
    let node = &mut graph.node[at];
    let weight = numbers.below(graph.initializer.len());
    let attribute = numbers.below(node.attribute.len());
    match numbers.below(7) {
        0 => {
            node.op_type = numbers.pick(&super::ops::names()).unwrap().to_owned();
            node.attribute.clear();
        }
        1 => {
            if let Some(attribute) = node.attribute.get_mut(attribute) {
                attribute.i = numbers.pick(&INTS).unwrap();
                for int in &mut attribute.ints {
                    *int = numbers.pick(&INTS).unwrap();
                }
            }
        }
        2 => {
            let input = numbers.below(node.input.len());
            if let (Some(name), Some(input)) = (numbers.pick(&names), node.input.get_mut(input)) {
                *input = name;
            }
        }
        3 => {
            node.input.pop();
        }
        4 => {
            if let Some(tensor) = graph.initializer.get_mut(weight) {
                let count: i64 = tensor.dims.iter().product();
                tensor.dims = numbers
                    .pick(&[vec![count], vec![1, count], vec![count, 1], vec![]])
                    .unwrap();
            }
        }
        5 => {
            for opset in &mut model.opset_import {
                opset.version = numbers.pick(&[7, 9, 11, 12, 13, 18, 20, 25]).unwrap();
            }
        }
        _ => {
            if attribute < node.attribute.len() {
                node.attribute.remove(attribute);
            }
        }
    }
}
