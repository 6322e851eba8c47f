//! Resolves the names of values to numbers, and orders the nodes.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::format::FormatFault;
use crate::model::format::onnx::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::text::ellipsize;

/// A graph whose values are numbered.
#[derive(Debug, Default)]
pub(super) struct Network<'a> {
    /// The number of values.
    pub(super) values: usize,
    /// Inputs that are not initializers.
    pub(super) inputs: Vec<(usize, &'a ValueInfoProto)>,
    pub(super) initializers: Vec<(usize, &'a TensorProto)>,
    /// The nodes that outputs depend on, each after the nodes that compute its inputs.
    pub(super) nodes: Vec<Resolved<'a>>,
    pub(super) outputs: Vec<(usize, &'a ValueInfoProto)>,
}

/// A node with the numbers of its inputs and outputs; `None` for one that is left out.
#[derive(Debug)]
pub(super) struct Resolved<'a> {
    /// Where it is in the file.
    pub(super) place: String,
    pub(super) proto: &'a NodeProto,
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<Option<usize>>,
}

/// Returns a name of a file for a message.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    ellipsize(name, 200)
}

/// Returns where a node is, for a message: its name, or its position if it has none, and its operator.
pub(super) fn place(index: usize, node: &NodeProto) -> String {
    let operator = shown(&node.op_type);
    if node.name.is_empty() {
        format!("node {index} ({operator})")
    } else {
        format!("node {:?} ({operator})", shown(&node.name))
    }
}

/// Resolves all names of a graph. Nodes that no output depends on are left out.
pub(super) fn resolve<'a>(graph: &'a GraphProto, faults: &mut Vec<FormatFault>) -> Network<'a> {
    let mut names = Names::default();
    let mut network = Network::default();
    for tensor in &graph.initializer {
        let at = || format!("initializer {:?}", shown(&tensor.name));
        if let Some(id) = names.define(&tensor.name, at, faults) {
            network.initializers.push((id, tensor));
        }
    }
    let constants = names.ids.len();
    for info in &graph.input {
        // Before version 4 of the format, each initializer was also listed as an input.
        let id = names.ids.get(&*info.name);
        if id.is_none_or(|id| *id >= constants) {
            let at = || format!("input {:?}", shown(&info.name));
            if let Some(id) = names.define(&info.name, at, faults) {
                network.inputs.push((id, info));
            }
        }
    }
    let mut nodes = number(graph, &mut names, faults);
    let missing = |name: &str| format!("{:?} is not defined", shown(name));
    for (node, resolved) in graph.node.iter().zip(&mut nodes) {
        for name in &node.input {
            let id = names.ids.get(&**name).copied();
            if id.is_none() && !name.is_empty() {
                faults.push(FormatFault::new(&*resolved.place, missing(name)));
            }
            resolved.inputs.push(id.filter(|_| !name.is_empty()));
        }
    }
    for info in &graph.output {
        match names.ids.get(&*info.name) {
            Some(id) => network.outputs.push((*id, info)),
            None => faults.push(FormatFault::new(
                format!("output {:?}", shown(&info.name)),
                missing(&info.name),
            )),
        }
    }
    if graph.output.is_empty() {
        faults.push(FormatFault::new("graph", "has no output"));
    }
    network.values = names.count;
    network.nodes = sorted(nodes, names.count, faults);
    keep_needed(&mut network);
    network
}

/// Numbers by name.
#[derive(Default)]
struct Names<'a> {
    ids: HashMap<&'a str, usize>,
    count: usize,
}

impl<'a> Names<'a> {
    /// Gives a number to a name. Returns `None` if it has one.
    fn define(
        &mut self,
        name: &'a str,
        at: impl FnOnce() -> String,
        faults: &mut Vec<FormatFault>,
    ) -> Option<usize> {
        if name.is_empty() {
            faults.push(FormatFault::new(at(), "has no name"));
            return None;
        }
        let id = self.count;
        if self.ids.contains_key(name) {
            let message = format!("{:?} is defined twice", shown(name));
            faults.push(FormatFault::new(at(), message));
            return None;
        }
        self.ids.insert(name, id);
        self.count += 1;
        Some(id)
    }
}

/// Numbers the outputs of all nodes.
fn number<'a>(
    graph: &'a GraphProto,
    names: &mut Names<'a>,
    faults: &mut Vec<FormatFault>,
) -> Vec<Resolved<'a>> {
    let resolve = |(index, node): (usize, &'a NodeProto)| {
        let place = place(index, node);
        let outputs = node.output.iter().map(|name| {
            if name.is_empty() {
                return None;
            }
            names.define(name, || place.clone(), faults)
        });
        Resolved {
            outputs: outputs.collect(),
            proto: node,
            inputs: Vec::with_capacity(node.input.len()),
            place,
        }
    };
    graph.node.iter().enumerate().map(resolve).collect()
}

/// Returns the nodes in an order in which each follows those that compute its inputs. Nodes that are in order stay in order. Those
/// of a cycle are left out and reported.
fn sorted<'a>(
    nodes: Vec<Resolved<'a>>,
    values: usize,
    faults: &mut Vec<FormatFault>,
) -> Vec<Resolved<'a>> {
    let mut producer = vec![None; values];
    for (at, node) in nodes.iter().enumerate() {
        for id in node.outputs.iter().flatten() {
            producer[*id] = Some(at);
        }
    }
    let mut waiting = vec![0_usize; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let needed: HashSet<usize> = node
            .inputs
            .iter()
            .flatten()
            .filter_map(|id| producer[*id])
            .collect();
        waiting[at] = needed.len();
        for other in needed {
            readers[other].push(at);
        }
    }
    let ready = waiting.iter().enumerate().filter(|(_, count)| **count == 0);
    let mut ready: BTreeSet<usize> = ready.map(|(at, _)| at).collect();
    let mut nodes: Vec<_> = nodes.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(nodes.len());
    while let Some(at) = ready.pop_first() {
        sorted.extend(nodes[at].take());
        for reader in &readers[at] {
            waiting[*reader] -= 1;
            if waiting[*reader] == 0 {
                ready.insert(*reader);
            }
        }
    }
    for node in nodes.into_iter().flatten() {
        let message = "is part of a cycle, or depends on one";
        faults.push(FormatFault::new(node.place, message));
    }
    sorted
}

/// Removes the nodes that no output depends on.
fn keep_needed(network: &mut Network<'_>) {
    let mut needed = vec![false; network.values];
    for (id, _) in &network.outputs {
        needed[*id] = true;
    }
    let mut kept = Vec::with_capacity(network.nodes.len());
    while let Some(node) = network.nodes.pop() {
        if node.outputs.iter().flatten().any(|id| needed[*id]) {
            for id in node.inputs.iter().flatten() {
                needed[*id] = true;
            }
            kept.push(node);
        }
    }
    kept.reverse();
    network.nodes = kept;
}
