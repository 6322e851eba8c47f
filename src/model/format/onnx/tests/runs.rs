//! Answers of graphs, and errors of single requests.

use std::fs;
use std::path::Path;
use std::thread;

use serde_json::Value as Json;

use super::super::proto::tensor_proto::DataType;
use super::super::{Meaning, Value};
use super::answers::{self, difference};
use super::build::{File, info, shape};
use super::{read_alone, texts, torch_folder};
use crate::model::payload::{Datatype, TensorData};

fn read_json(path: &Path) -> Json {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn graphs_of_torch_answer_as_torch() {
    let mut names = Vec::new();
    for entry in fs::read_dir(torch_folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            names.push(path);
        }
    }
    assert!(!names.is_empty());
    for path in names {
        let case = read_json(&path);
        let file = torch_folder().join(case["files"][0].as_str().unwrap());
        let graph = read_alone(fs::read(file).unwrap());
        let graph = graph.unwrap_or_else(|faults| panic!("{path:?}: {:?}", texts(&faults)));
        let input =
            |info: &super::TensorInfo| answers::tensor(info.datatype, &case["inputs"][&info.name]);
        for (name, got) in answers::run(&graph, input).unwrap() {
            let expected = answers::tensor(got.datatype(), &case["expected"][&name]);
            let difference = difference(&got, &expected).unwrap();
            assert!(difference < 1e-5, "{path:?}, {name}: {difference}");
        }
    }
}

/// Compares with the answers in the folder that `TAPER_ONNX_ANSWERS` names, which `tests/it/formats/onnx_answers.py` writes. Does
/// nothing if there is no such variable.
#[test]
fn single_operators_answer_as_onnx_runtime() {
    let Some(folder) = std::env::var_os("TAPER_ONNX_ANSWERS") else {
        return;
    };
    let folder = Path::new(&folder);
    let mut wrong = Vec::new();
    for case in read_json(&folder.join("answers.json")).as_array().unwrap() {
        if let Err(error) = compare(folder, case) {
            wrong.push(format!("{} ({}): {error}", case["name"], case["file"]));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

fn described(json: &Json) -> Value {
    let name = json["datatype"].as_str().unwrap();
    let mut types = Datatype::ALL.into_iter();
    let datatype = types.find(|datatype| datatype.as_str() == name).unwrap();
    let shape = json["shape"].as_array().unwrap().iter();
    let shape = shape.map(|length| usize::try_from(length.as_u64().unwrap()).unwrap());
    answers::shaped(datatype, shape.collect(), json["data"].as_array().unwrap())
}

fn compare(folder: &Path, case: &Json) -> Result<(), String> {
    let file = fs::read(folder.join(case["file"].as_str().unwrap())).unwrap();
    let graph = read_alone(file).map_err(|faults| texts(&faults).join("; "))?;
    let inputs = case["inputs"].as_array().unwrap();
    let input = |info: &super::TensorInfo| {
        let mut inputs = inputs.iter();
        described(inputs.find(|input| input["name"] == info.name).unwrap())
    };
    let outputs = answers::run(&graph, input)?;
    for ((name, got), expected) in outputs.iter().zip(case["outputs"].as_array().unwrap()) {
        let difference = difference(got, &described(expected))?;
        if difference > case["tolerance"].as_f64().unwrap() {
            return Err(format!("{name} differs by {difference:e}"));
        }
    }
    Ok(())
}

#[test]
fn several_threads_run_one_graph() {
    let file = File::new(13)
        .floats("x", shape!["rows", 4])
        .node("Add", "x x", "a")
        .node("Mul", "a x", "y")
        .outputs(&["y", "x", "y"]);
    let graph = file.read().unwrap();
    thread::scope(|scope| {
        for number in 0..4_u8 {
            let graph = &graph;
            scope.spawn(move || {
                for _ in 0..50 {
                    let x = Value::of(vec![1, 4], vec![f32::from(number); 4]).unwrap();
                    let outputs = graph.run(vec![x.clone()]).unwrap();
                    let expected = f32::from(number) * f32::from(number) * 2.0;
                    assert_eq!(outputs[0].elements::<f32>().unwrap(), [expected; 4]);
                    assert_eq!((&outputs[1], &outputs[2]), (&x, &outputs[0]));
                }
            });
        }
    });
}

#[test]
fn errors_of_a_request_name_the_node() {
    let ints = |values: Vec<i32>| Value::of(vec![values.len()], values).unwrap();
    let file = |operator: &str| {
        File::new(14)
            .input("x", DataType::Int32, shape!["n"])
            .input("z", DataType::Int32, shape!["n"])
            .node(operator, "x z", "y")
            .outputs(&["y"])
            .read()
            .unwrap()
    };
    for (operator, inputs, expected) in [
        (
            "Div",
            [vec![1], vec![0]],
            "node \"n_y\" (Div): got a division of an integer by zero",
        ),
        (
            "Mod",
            [vec![1], vec![0]],
            "node \"n_y\" (Mod): got a division of an integer by zero",
        ),
        (
            "Gather",
            [vec![1], vec![1]],
            "node \"n_y\" (Gather): got index 1, expected one of 1 positions",
        ),
        (
            "Gather",
            [vec![1], vec![i32::MIN]],
            "node \"n_y\" (Gather): got index -2147483648, expected one of 1 positions",
        ),
    ] {
        let error = file(operator).run(inputs.map(ints).to_vec()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let least = file("Div")
        .run(vec![ints(vec![i32::MIN]), ints(vec![-1])])
        .unwrap();
    assert_eq!(least[0].data(), &TensorData::Int32(vec![i32::MIN]), "wraps");
}

#[test]
fn floats_of_16_bits_enter_and_leave_as_declared() {
    let mut file = File::new(13)
        .input("x", DataType::Float16, shape!["rows", 2])
        .node("Add", "x x", "y")
        .outputs(&[]);
    file.graph().output.push(info("y", DataType::Float16, None));
    let graph = file.read().unwrap();
    assert_eq!(graph.outputs()[0].datatype, Datatype::Fp16);
    let half =
        |values: [f32; 2]| Value::of(vec![1, 2], values.map(half::f16::from_f32).to_vec()).unwrap();
    assert_eq!(
        graph.run(vec![half([1.0, 0.25])]).unwrap(),
        [half([2.0, 0.5])]
    );
}

#[test]
fn initializers_that_are_also_inputs_are_constants() {
    let mut file = File::new(7)
        .floats("x", shape!["rows", 2])
        .floats("w", shape![2])
        .weights("w", &[2], vec![1.0, 2.0])
        .node("Add", "x w", "y")
        .outputs(&["y"]);
    file.model.ir_version = 3;
    let graph = file.read().unwrap();
    assert_eq!(graph.inputs().len(), 1);
    let x = Value::of(vec![1, 2], vec![1.0_f32, 1.0]).unwrap();
    assert_eq!(
        graph.run(vec![x]).unwrap()[0].elements::<f32>().unwrap(),
        [2.0, 3.0]
    );
}

#[test]
fn a_graph_says_what_its_outputs_are() {
    let graph = |operator: &str| {
        let file = File::new(13)
            .floats("x", shape!["rows", 3])
            .node(operator, "x", "y")
            .outputs(&["y"]);
        file.read().unwrap()
    };
    for (operator, meaning) in [
        ("Softmax", Meaning::Probabilities),
        ("Sigmoid", Meaning::Logistic),
        ("Relu", Meaning::Unknown),
        ("LogSoftmax", Meaning::Unknown),
    ] {
        assert_eq!(graph(operator).outputs()[0].meaning, meaning, "{operator}");
    }
    let metadata = graph("Relu").metadata().clone();
    assert_eq!(metadata.producer, "test");
    assert_eq!(metadata.opsets, [(String::new(), 13)]);
}

#[test]
fn nodes_may_be_in_any_order_and_inputs_may_be_unused() {
    let file = File::new(13)
        .floats("x", shape!["rows", 2])
        .floats("unused", shape!["rows", 2])
        .node("Neg", "a", "y")
        .node("Relu", "x", "a")
        .outputs(&["y"]);
    let graph = file.read().unwrap();
    let used: Vec<bool> = graph.inputs().iter().map(|info| info.used).collect();
    assert_eq!(used, [true, false]);
    let x = Value::of(vec![1, 2], vec![-1.0_f32, 2.0]).unwrap();
    let outputs = graph.run(vec![x.clone(), x]).unwrap();
    assert_eq!(outputs[0].elements::<f32>().unwrap(), [0.0, -2.0]);
}
