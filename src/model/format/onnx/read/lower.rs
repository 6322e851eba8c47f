//! Turns each node into an operator, and computes what is the same for every request.

use super::header::{self, Header};
use super::names::{Network, Resolved, shown};
use super::{interface, symbolic};
use crate::model::format::FormatFault;
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::graph::TensorInfo;
use crate::model::format::onnx::node::{Known, Node};
use crate::model::format::onnx::operator::{Entry, Work, run_alone};
use crate::model::format::onnx::proto::AttributeProto;
use crate::model::format::onnx::tensor;
use crate::model::format::onnx::value::{self, Value};
use crate::model::format::onnx::{ml, ops};

/// Bytes that constants computed from other constants may take, in addition to four times the size of the file.
const FOLDED: usize = 16 << 20;
/// The most elements per row of a value.
const MOST_PER_ROW: usize = 1 << 26;

/// A graph whose nodes are operators.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) pieces: Vec<Piece>,
    /// What is known of each value; `None` if its node has a fault.
    pub(super) facts: Vec<Option<Fact>>,
    /// The values that are the same for every request.
    pub(super) constants: Vec<Option<Value>>,
    /// For each value, the value that it is equal to.
    pub(super) same: Vec<usize>,
    pub(super) inputs: Vec<TensorInfo>,
    pub(super) outputs: Vec<TensorInfo>,
    /// The values that the graph returns.
    pub(super) returned: Vec<usize>,
}

/// An operator with the numbers of its inputs and outputs.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) place: String,
    pub(super) work: Work,
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<Option<usize>>,
    pub(super) cost: usize,
}

impl Lowered {
    /// Returns the value that computes `id`.
    fn source(&self, id: usize) -> usize {
        self.same[id]
    }
}

/// Lowers all nodes. `size` is the size of the file.
pub(super) fn lower(
    network: &Network<'_>,
    header: &Header,
    size: usize,
    rest: &mut dyn FnMut(),
    faults: &mut Vec<FormatFault>,
) -> Lowered {
    let mut lowered = Lowered {
        pieces: Vec::with_capacity(network.nodes.len()),
        facts: vec![None; network.values],
        constants: Vec::new(),
        same: (0..network.values).collect(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        returned: network.outputs.iter().map(|(id, _)| *id).collect(),
    };
    lowered.constants.resize_with(network.values, || None);
    interface::inputs(network, &mut lowered, faults);
    for (id, tensor) in &network.initializers {
        match tensor::value(tensor) {
            Ok(value) => define(&mut lowered, *id, value),
            Err(message) => {
                let at = format!("initializer {:?}", shown(&tensor.name));
                faults.push(FormatFault::new(at, message));
            }
        }
        rest();
    }
    let mut lowering = Lowering {
        budget: size.saturating_mul(4).saturating_add(FOLDED),
        uses: uses(network),
        header,
        lowered,
        faults,
    };
    for node in &network.nodes {
        lowering.node(node);
        rest();
    }
    let mut lowered = lowering.lowered;
    interface::outputs(network, &mut lowered, faults);
    lowered
}

/// Returns whether each value is read by a node or returned.
fn uses(network: &Network<'_>) -> Vec<bool> {
    let mut used = vec![false; network.values];
    let read = network.nodes.iter().flat_map(|node| &node.inputs).flatten();
    let returned = network.outputs.iter().map(|(id, _)| id);
    read.chain(returned).for_each(|id| used[*id] = true);
    used
}

fn define(lowered: &mut Lowered, id: usize, value: Value) {
    lowered.facts[id] = Some(Fact::of(&value));
    lowered.constants[id] = Some(value);
}

struct Lowering<'a> {
    header: &'a Header,
    uses: Vec<bool>,
    /// Bytes that further computed constants may take.
    budget: usize,
    lowered: Lowered,
    faults: &'a mut Vec<FormatFault>,
}

impl Lowering<'_> {
    fn node(&mut self, node: &Resolved<'_>) {
        let (entry, version) = match self.entry(node) {
            Ok(found) => found,
            Err(message) => return self.fault(node, message),
        };
        let unknown = unknown_attributes(node, entry);
        if !unknown.is_empty() {
            unknown
                .into_iter()
                .for_each(|message| self.fault(node, message));
            return;
        }
        if let Err(message) = self.lower(node, entry, version) {
            self.fault(node, message);
        }
    }

    fn fault(&mut self, node: &Resolved<'_>, message: String) {
        self.faults.push(FormatFault::new(&*node.place, message));
    }

    /// Returns the operator of a node, and the version of its domain.
    fn entry(&self, node: &Resolved<'_>) -> Result<(&'static Entry, i64), String> {
        let domain = header::canonical(&node.proto.domain);
        let name = shown(&node.proto.op_type);
        let Some(version) = self.header.version(domain) else {
            let domain = shown(domain);
            return Err(format!("domain {domain:?} is not in opset_import"));
        };
        let entry = match domain {
            "" => ops::find(&node.proto.op_type),
            header::ML => ml::find(&node.proto.op_type, &self.header.metadata.producer),
            _ => None,
        };
        let entry = entry.ok_or_else(|| match domain {
            "" => format!("operator {name} is not supported"),
            domain => format!(
                "operator {name} of domain {:?} is not supported",
                shown(domain)
            ),
        })?;
        if version < entry.since {
            let since = entry.since;
            return Err(format!(
                "operator {name}: got version {version} of its domain, expected at least {since}"
            ));
        }
        Ok((entry, version))
    }

    /// Lowers a node whose inputs are all known. Otherwise, another fault has been reported.
    fn lower(&mut self, node: &Resolved<'_>, entry: &Entry, version: i64) -> Result<(), String> {
        let lowered = &self.lowered;
        let known = |id: &Option<usize>| {
            let Some(id) = *id else { return Some(None) };
            Some(Some(Known {
                fact: lowered.facts[id].as_ref()?,
                constant: lowered.constants[lowered.source(id)].as_ref(),
            }))
        };
        let Some(inputs) = node.inputs.iter().map(known).collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let used: Vec<bool> = node
            .outputs
            .iter()
            .map(|id| id.is_some_and(|id| self.uses[id]))
            .collect();
        let view = Node {
            version,
            proto: node.proto,
            inputs: &inputs,
            used: &used,
        };
        let mut made = (entry.lower)(&view)?;
        if let Some(fact) = made.outputs.first_mut()
            && fact.integers.is_none()
        {
            fact.integers = symbolic::evaluate(&view, fact);
        }
        let constant = inputs
            .iter()
            .flatten()
            .all(|input| input.constant.is_some());
        let facts: Vec<_> = made.outputs.into_iter().map(concluded).collect();
        let missing = |(at, used): (usize, &bool)| *used && at >= facts.len();
        if used.iter().enumerate().any(missing) {
            return Err(format!(
                "got more outputs than the {} supported",
                facts.len()
            ));
        }
        if let Work::Same(input) = made.work {
            return self.same(node, input, facts);
        }
        let reads = made.reads.unwrap_or_else(|| (0..inputs.len()).collect());
        let values = if let Work::Constants(values) = made.work {
            values
        } else if let Some(value) = facts.first().and_then(symbolic::constant)
            && facts.len() == 1
        {
            vec![value]
        } else if constant {
            let inputs: Vec<_> = reads
                .iter()
                .map(|at| inputs.get(*at).copied().flatten()?.constant.cloned())
                .collect();
            self.fold(made.work, inputs, &facts)?
        } else {
            facts.iter().try_for_each(check_size)?;
            self.push(node, made.work, &reads, facts, made.cost);
            return Ok(());
        };
        for ((id, value), fact) in node.outputs.iter().zip(values).zip(facts) {
            if let Some(id) = *id {
                let shape = Fact::of(&value).shape;
                self.lowered.constants[id] = Some(value);
                self.lowered.facts[id] = Some(Fact { shape, ..fact });
            }
        }
        Ok(())
    }

    fn same(&mut self, node: &Resolved<'_>, input: usize, facts: Vec<Fact>) -> Result<(), String> {
        let input = node.inputs.get(input).copied().flatten();
        let input = input.ok_or("the input is missing")?;
        if let (Some(Some(id)), Some(fact)) = (node.outputs.first(), facts.into_iter().next()) {
            self.lowered.same[*id] = self.lowered.source(input);
            self.lowered.facts[*id] = Some(fact);
        }
        Ok(())
    }

    fn push(
        &mut self,
        node: &Resolved<'_>,
        work: Work,
        reads: &[usize],
        facts: Vec<Fact>,
        cost: usize,
    ) {
        let lowered = &mut self.lowered;
        let source = |at: &usize| {
            let id = node.inputs.get(*at).copied().flatten();
            id.map(|id| lowered.same[id])
        };
        let inputs = reads.iter().map(source).collect();
        for (id, fact) in node.outputs.iter().zip(facts) {
            if let Some(id) = *id {
                lowered.facts[id] = Some(fact);
            }
        }
        lowered.pieces.push(Piece {
            place: node.place.clone(),
            work,
            inputs,
            outputs: node.outputs.clone(),
            cost,
        });
    }

    /// Computes outputs whose inputs are all constant.
    fn fold(
        &mut self,
        work: Work,
        inputs: Vec<Option<Value>>,
        facts: &[Fact],
    ) -> Result<Vec<Value>, String> {
        let mut bytes = 0_usize;
        for fact in facts {
            let shape = fact.fixed_shape();
            let shape = shape.ok_or("the shape of a constant cannot be determined")?;
            let width = fact.datatype.width().unwrap_or(size_of::<bytes::Bytes>());
            let size = value::count(&shape).and_then(|count| count.checked_mul(width));
            bytes = bytes.saturating_add(size.unwrap_or(usize::MAX));
        }
        let Some(left) = self.budget.checked_sub(bytes) else {
            let most = self.budget;
            return Err(format!(
                "got constants of {bytes} bytes to compute, expected at most {most} for a file of this size"
            ));
        };
        self.budget = left;
        run_alone(&*work.into_operator(&mut || {}), inputs)
    }
}

/// Returns the faults of attributes that the operator does not have.
fn unknown_attributes(node: &Resolved<'_>, entry: &Entry) -> Vec<String> {
    let attributes = &node.proto.attribute;
    let fault = |(at, attribute): (usize, &AttributeProto)| {
        let name = shown(&attribute.name);
        if !entry.attributes.contains(&&*attribute.name) {
            return Some(format!("attribute {name} is not supported"));
        }
        if !attribute.ref_attr_name.is_empty() {
            return Some(format!("attribute {name}: references are not supported"));
        }
        let before = &attributes[..at];
        let twice = before.iter().any(|other| other.name == attribute.name);
        twice.then(|| format!("attribute {name} occurs twice"))
    };
    // A node with thousands of attributes is hostile; comparing all of them would take too long.
    attributes
        .iter()
        .take(64)
        .enumerate()
        .filter_map(fault)
        .collect()
}

/// Returns the fact with what must hold of every fact: rows are along an axis whose length is the number of rows.
fn concluded(fact: Fact) -> Fact {
    let rows = match fact.rows {
        Rows::Axis(axis) if fact.dim(axis) != Dim::Rows => Rows::Mixed,
        rows => rows,
    };
    Fact { rows, ..fact }
}

fn check_size(fact: &Fact) -> Result<(), String> {
    let elements = fact.elements_per_row();
    if elements <= MOST_PER_ROW {
        return Ok(());
    }
    Err(format!(
        "got an output of {elements} elements per row, expected at most {MOST_PER_ROW}"
    ))
}
