//! Files of ONNX.

use std::fs;

use super::{ALL, hostile, import, publish, refuses, tried};
use crate::harness::TestGateway;
use crate::lifecycle::faults;
use crate::onnx_file::{
    Attribute, FLOAT, Graph, INT64, Message, attribute, empty_tensor, floats, integers, node, value,
};

/// A network of one layer: `x [rows, 4]` to `y [rows, 1]`.
fn network() -> Graph {
    Graph {
        nodes: vec![node("", "MatMul", &["x", "w"], &["y"], &[])],
        weights: vec![floats("w", &[4, 1], &[0.5, -1.0, 0.25, 2.0])],
        inputs: vec![value("x", FLOAT, &[4])],
        outputs: vec![value("y", FLOAT, &[1])],
    }
}

/// Returns the network with other weights.
fn with_weights(weights: Message) -> Vec<u8> {
    Graph {
        weights: vec![weights],
        ..network()
    }
    .file()
}

/// Returns the network with `nodes` between the weights that are stored, `s`, and those that are used, `w`.
fn with_nodes(stored: &[Message], nodes: &[Message]) -> Vec<u8> {
    let mut graph = network();
    graph.nodes.splice(0..0, nodes.iter().cloned());
    graph.weights = stored.to_vec();
    graph.file()
}

/// Returns weights that are in the file `location`.
fn external(location: &str) -> Message {
    let place = Message::default()
        .bytes(1, b"location")
        .bytes(2, location.as_bytes());
    empty_tensor("w", FLOAT, &[4, 1])
        .bytes(13, &place.0)
        .number(14, 1)
}

/// Returns the network with a graph in a graph in a graph, and so on.
fn nested(levels: usize) -> Vec<u8> {
    let mut inner = Message::default();
    for _ in 0..levels {
        let graph = attribute("body", &Attribute::Graph(inner));
        let message = node("", "If", &["x"], &["y"], &[graph]);
        inner = Message::default().bytes(1, &message.0);
    }
    let body = attribute("body", &Attribute::Graph(inner));
    let mut graph = network();
    graph.nodes[0] = node("", "MatMul", &["x", "w"], &["y"], &[body]);
    graph.file()
}

/// Returns the network with types in types: sequences of sequences, and so on.
fn nested_types(levels: usize) -> Vec<u8> {
    let mut kind = Message::default();
    for _ in 0..levels {
        kind = Message::default().bytes(4, &Message::default().bytes(1, &kind.0).0);
    }
    let mut graph = network();
    graph
        .inputs
        .push(Message::default().bytes(1, b"deep").bytes(2, &kind.0));
    graph.file()
}

#[tokio::test]
async fn damaged_and_hostile_onnx_files_are_refused() {
    let good = network().file();
    let huge = 1_i64 << 20;
    let shape = integers("s", &[2], &[huge, huge]);
    let zeros = node("", "ConstantOfShape", &["s"], &["w"], &[]);
    let expand = node("", "Expand", &["one", "s"], &["w"], &[]);
    let tile = node("", "Tile", &["one", "s"], &["w"], &[]);
    let one = floats("one", &[1, 1], &[1.0]);
    let outside = "../outside.bin";
    let no_data = empty_tensor("w", FLOAT, &[4, 1]);
    let mut unknown = network();
    unknown.nodes = vec![
        node("", "Frobnicate", &["x"], &["x1"], &[]),
        node("com.example", "Attention", &["x1"], &["x2"], &[]),
        node("", "MatMul", &["x2", "w"], &["y"], &[]),
    ];
    let mut cycle = network();
    cycle.nodes.push(node("", "Add", &["y", "b"], &["a"], &[]));
    cycle.nodes.push(node("", "Add", &["y", "a"], &["b"], &[]));
    let mut missing = network();
    missing.nodes[0] = node("", "MatMul", &["x", "v"], &["y"], &[]);
    let mut twice = network();
    twice.nodes.push(node("", "Relu", &["x"], &["y"], &[]));
    let many: Vec<Message> = vec![Message::default(); 600_000];
    let all = [
        hostile("truncated", &good[..good.len() / 2], "not an ONNX file"),
        hostile(
            "a message of 2 GB in a short file",
            [&good[..], &Message::default().claimed(7, 1 << 31, b"x").0].concat(),
            "not an ONNX file",
        ),
        hostile(
            "a tensor of 2 GB in a short file",
            with_weights(no_data.clone().claimed(9, 1 << 31, &[0; 16])),
            "not an ONNX file",
        ),
        hostile(
            "a tensor that claims 2 GB",
            with_weights(empty_tensor("w", FLOAT, &[4, 1 << 27]).bytes(9, &[0; 16])),
            "536870912 elements",
        ),
        hostile(
            "a tensor that claims more than memory",
            with_weights(empty_tensor("w", FLOAT, &[i64::MAX, i64::MAX]).bytes(9, &[0; 16])),
            "too many elements",
        ),
        hostile(
            "a tensor of negative size",
            with_weights(empty_tensor("w", FLOAT, &[-4, -1]).bytes(9, &[0; 16])),
            "-4",
        ),
        hostile("a tensor without values", with_weights(no_data), "w"),
        hostile(
            "a tensor of an unknown type",
            with_weights(empty_tensor("w", 99, &[4, 1]).bytes(9, &[0; 16])),
            "99",
        ),
        hostile(
            "weights that are NaN",
            with_weights(floats("w", &[4, 1], &[f32::NAN; 4])),
            "not finite",
        ),
        hostile(
            "a constant of 4 TB",
            with_nodes(std::slice::from_ref(&shape), &[zeros]),
            "4398046511104 bytes",
        ),
        hostile(
            "one number, expanded to 4 TB",
            with_nodes(&[shape.clone(), one.clone()], &[expand]),
            "4398046511104 bytes",
        ),
        hostile(
            "one number, repeated to 4 TB",
            with_nodes(&[shape, one], &[tile]),
            "4398046511104 bytes",
        ),
        hostile("unknown operators", unknown.file(), "Frobnicate"),
        hostile(
            "an unknown domain, all at once",
            unknown.file(),
            "com.example",
        ),
        hostile("a cycle", cycle.file(), "part of a cycle"),
        hostile(
            "a value that no node makes",
            missing.file(),
            "\"v\" is not defined",
        ),
        hostile(
            "a value that two nodes make",
            twice.file(),
            "\"y\" is defined twice",
        ),
        hostile(
            "data above the folder",
            with_weights(external(outside)),
            outside,
        ),
        hostile(
            "data at an absolute path",
            with_weights(external("/etc/hostname")),
            "/etc/hostname",
        ),
        hostile(
            "data in the manifest",
            with_weights(external("metadata.json")),
            "not among the files",
        ),
        hostile(
            "data that is not there",
            with_weights(external("gone.bin")),
            "gone.bin",
        ),
        hostile("graphs in graphs", nested(2_000), "body is not supported"),
        hostile("types in types", nested_types(2_000), "not an ONNX file"),
        hostile(
            "hundreds of thousands of empty nodes",
            [
                good.clone(),
                Message::default()
                    .bytes(7, &Message::default().each(1, &many).0)
                    .0,
            ]
            .concat(),
            "500000 messages",
        ),
    ];
    refuses("model.onnx", &good, 4, &all).await;
}

#[tokio::test]
async fn data_of_a_graph_is_not_read_through_a_link_that_leaves_the_folder() {
    let weights: Vec<u8> = [0.5_f32, -1.0, 0.25, 2.0]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let gateway = TestGateway::start(ALL, |root| {
        import(root, "m", "model.onnx", &network().file())
    })
    .await;
    let models = gateway.models();
    let outside = models.parent().expect("a folder").join("outside.bin");
    fs::write(&outside, weights).expect("written");
    publish(
        &models,
        "m",
        2,
        &with_weights(external("weights.bin")),
        |dir| {
            std::os::unix::fs::symlink(&outside, dir.join("weights.bin")).expect("linked");
        },
    );
    let refused = tried(&gateway, "m", 2).await;
    assert!(
        faults(&refused).contains("leads out of the version's folder"),
        "{refused:?}"
    );
    gateway.drain().await;
}

/// The lists of a tree of three nodes.
struct Tree {
    yes: [i64; 3],
    no: [i64; 3],
    columns: [i64; 3],
    thresholds: [f32; 3],
    modes: [&'static str; 3],
    nodes: [i64; 3],
    targets: [i64; 2],
    leaves: [i64; 2],
}

/// Returns a model of one tree with `change`.
fn forest(change: impl FnOnce(&mut Tree)) -> Vec<u8> {
    let mut tree = Tree {
        yes: [1, 0, 0],
        no: [2, 0, 0],
        columns: [3, 0, 0],
        thresholds: [0.25, 0.0, 0.0],
        modes: ["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes: [0, 1, 2],
        targets: [0, 0],
        leaves: [1, 2],
    };
    change(&mut tree);
    let attributes = [
        attribute("n_targets", &Attribute::Integer(1)),
        attribute("nodes_treeids", &Attribute::Integers(&[0, 0, 0])),
        attribute("nodes_nodeids", &Attribute::Integers(&tree.nodes)),
        attribute("nodes_featureids", &Attribute::Integers(&tree.columns)),
        attribute("nodes_values", &Attribute::Floats(&tree.thresholds)),
        attribute("nodes_modes", &Attribute::Texts(&tree.modes)),
        attribute("nodes_truenodeids", &Attribute::Integers(&tree.yes)),
        attribute("nodes_falsenodeids", &Attribute::Integers(&tree.no)),
        attribute("target_treeids", &Attribute::Integers(&[0, 0])),
        attribute("target_nodeids", &Attribute::Integers(&tree.leaves)),
        attribute("target_ids", &Attribute::Integers(&tree.targets)),
        attribute("target_weights", &Attribute::Floats(&[-1.0, 1.0])),
    ];
    let mut graph = network();
    graph.nodes = vec![node(
        "ai.onnx.ml",
        "TreeEnsembleRegressor",
        &["x"],
        &["y"],
        &attributes,
    )];
    graph.weights.clear();
    graph.file()
}

#[tokio::test]
async fn hostile_trees_of_onnx_are_refused() {
    let good = forest(|_| {});
    let all = [
        hostile(
            "a child that is an ancestor",
            forest(|tree| tree.yes[0] = 0),
            "node",
        ),
        hostile(
            "a child that is not there",
            forest(|tree| tree.no[0] = 99),
            "99",
        ),
        hostile(
            "a child of negative number",
            forest(|tree| tree.no[0] = -7),
            "-7",
        ),
        hostile(
            "a child of both branches",
            forest(|tree| tree.no[0] = 1),
            "",
        ),
        hostile(
            "a column that is not there",
            forest(|tree| tree.columns[0] = 99),
            "expected at least 100",
        ),
        hostile(
            "a negative column",
            forest(|tree| tree.columns[0] = -1),
            "-1",
        ),
        hostile(
            "a threshold that is NaN",
            forest(|tree| tree.thresholds[0] = f32::NAN),
            "NaN",
        ),
        hostile(
            "an unknown kind of node",
            forest(|tree| tree.modes[0] = "BRANCH_MAYBE"),
            "BRANCH_MAYBE",
        ),
        hostile(
            "two nodes of one number",
            forest(|tree| tree.nodes[2] = 1),
            "",
        ),
        hostile(
            "a leaf of no tree",
            forest(|tree| tree.leaves[1] = 99),
            "99",
        ),
        hostile(
            "a leaf that branches",
            forest(|tree| tree.leaves[1] = 0),
            "",
        ),
        hostile(
            "a target that is not there",
            forest(|tree| tree.targets[0] = 5),
            "5",
        ),
    ];
    refuses("model.onnx", &good, 4, &all).await;
}

/// An input type that the graph does not accept is a fault of the file too.
#[tokio::test]
async fn a_graph_whose_types_do_not_fit_is_refused() {
    let mut graph = network();
    graph.inputs = vec![value("x", INT64, &[4])];
    refuses(
        "model.onnx",
        &network().file(),
        4,
        &[hostile("types", graph.file(), "MatMul")],
    )
    .await;
}
