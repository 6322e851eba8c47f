//! Validates an ensemble.

use super::Arithmetic;
use crate::model::format::FormatFault;
use crate::model::trees::{Ensemble, Leaf, Node, Test, Tree};

/// The most inputs.
const MAX_INPUTS: usize = 1 << 20;
/// The most outputs.
const MAX_OUTPUTS: usize = 1 << 16;
/// The most parts of all trees: nodes, and what is in them. A part needs about 16 bytes when it is laid out.
const MAX_PARTS: usize = 1 << 27;
/// The parts that a value of a set becomes: two edges, each with two nodes below it.
const PARTS_PER_VALUE: usize = 4;
/// Category codes are below this number, up to which f32 represents all integers.
const CODES: u32 = 1 << 24;
/// The most faults that are reported.
const MAX_FAULTS: usize = 100;

/// Returns all faults of an ensemble, but at most [`MAX_FAULTS`].
pub(super) fn check(ensemble: &Ensemble, arithmetic: Arithmetic) -> Vec<FormatFault> {
    let mut checker = Checker {
        ensemble,
        arithmetic,
        faults: Vec::new(),
        omitted: 0,
    };
    checker.check();
    if checker.omitted > 0 {
        let message = format!("{} more faults are not listed", checker.omitted);
        checker.faults.push(FormatFault::new("", message));
    }
    checker.faults
}

struct Checker<'a> {
    ensemble: &'a Ensemble,
    arithmetic: Arithmetic,
    faults: Vec<FormatFault>,
    omitted: usize,
}

impl Checker<'_> {
    fn check(&mut self) {
        let ensemble = self.ensemble;
        self.limit("inputs", ensemble.inputs, 0, MAX_INPUTS);
        self.limit("outputs", ensemble.outputs, 1, MAX_OUTPUTS);
        let nodes = ensemble.trees.iter().flat_map(|tree| &tree.nodes);
        self.limit("trees", nodes.map(parts_of).sum(), 0, MAX_PARTS);
        if ensemble.base.len() != ensemble.outputs {
            let (got, expected) = (ensemble.base.len(), ensemble.outputs);
            self.fault("base", format!("got {got} values, expected {expected}"));
        }
        for (at, value) in ensemble.base.iter().enumerate() {
            self.finite(*value, || format!("base[{at}]"));
        }
        let divisor = ensemble.divisor;
        if !(self.narrow(divisor).is_finite() && self.narrow(divisor) > 0.0) {
            let message = format!("got {divisor}, expected a finite number above 0");
            self.fault("divisor", message);
        }
        for (at, tree) in ensemble.trees.iter().enumerate() {
            let before = (self.faults.len(), self.omitted);
            for (node, content) in tree.nodes.iter().enumerate() {
                self.node(content, &|| format!("trees[{at}].nodes[{node}]"));
            }
            self.parents(at, tree);
            if before == (self.faults.len(), self.omitted) {
                self.reachable(at, tree);
            }
        }
    }

    fn fault(&mut self, at: impl Into<String>, message: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(FormatFault::new(at, message));
        } else {
            self.omitted += 1;
        }
    }

    /// Returns the value as it is added.
    fn narrow(&self, value: f64) -> f64 {
        match self.arithmetic {
            Arithmetic::Single => f64::from(value as f32),
            Arithmetic::Double | Arithmetic::SingleInputs => value,
        }
    }

    fn limit(&mut self, at: &str, got: usize, min: usize, max: usize) {
        if !(min..=max).contains(&got) {
            let what = if at == "trees" { " parts" } else { "" };
            self.fault(at, format!("got {got}{what}, expected {min} to {max}"));
        }
    }

    fn finite(&mut self, value: f64, at: impl Fn() -> String) {
        if !self.narrow(value).is_finite() {
            let expected = match self.arithmetic {
                Arithmetic::Single => "a finite number of 32 bits",
                Arithmetic::Double | Arithmetic::SingleInputs => "a finite number",
            };
            self.fault(at(), format!("got {value}, expected {expected}"));
        }
    }

    fn index(&mut self, what: &str, got: u32, length: usize, at: &dyn Fn() -> String) {
        if got as usize >= length {
            let message = format!("got {what} {got}, expected an index below {length}");
            self.fault(at(), message);
        }
    }

    fn node(&mut self, node: &Node, at: &dyn Fn() -> String) {
        let Ensemble {
            inputs, outputs, ..
        } = *self.ensemble;
        match node {
            Node::Split { input, test, .. } => {
                self.index("input", *input, inputs, at);
                self.test(test, at);
            }
            Node::Leaf(Leaf::One { output, value }) => {
                self.index("output", *output, outputs, at);
                self.finite(*value, at);
            }
            Node::Leaf(Leaf::Many(values)) => {
                for (output, value) in values {
                    self.index("output", *output, outputs, at);
                    self.finite(*value, at);
                }
            }
            Node::Leaf(Leaf::Linear {
                output,
                constant,
                terms,
                if_missing,
            }) => {
                self.index("output", *output, outputs, at);
                self.finite(*constant, at);
                self.finite(*if_missing, at);
                for (input, coefficient) in terms {
                    self.index("input", *input, inputs, at);
                    self.finite(*coefficient, at);
                }
            }
        }
    }

    fn test(&mut self, test: &Test, at: &dyn Fn() -> String) {
        let thresholds = match test {
            Test::Less(x)
            | Test::LessOrEqual(x)
            | Test::Greater(x)
            | Test::GreaterOrEqual(x)
            | Test::Equal(x)
            | Test::NotEqual(x) => std::slice::from_ref(x),
            Test::Among(values) => values,
            Test::In { codes, .. } => {
                if let Some(pair) = codes.windows(2).find(|pair| pair[0] >= pair[1]) {
                    let message = format!("got category {} after {}", pair[1], pair[0]);
                    self.fault(at(), format!("{message}, expected ascending categories"));
                }
                if let Some(code) = codes.iter().find(|code| **code >= CODES) {
                    let message = format!("got category {code}, expected a code below {CODES}");
                    self.fault(at(), message);
                }
                &[]
            }
        };
        if thresholds.iter().any(|x| x.is_nan()) {
            self.fault(at(), "got the threshold NaN, expected a number".to_owned());
        }
    }

    /// Checks that the children of each node exist and that no node has two parents.
    fn parents(&mut self, at: usize, tree: &Tree) {
        let count = tree.nodes.len();
        if count == 0 {
            self.fault(
                format!("trees[{at}]"),
                "got no nodes, expected at least 1".to_owned(),
            );
        }
        let mut has_parent = vec![false; count];
        for (node, content) in tree.nodes.iter().enumerate() {
            let Node::Split { yes, no, .. } = content else {
                continue;
            };
            for child in [*yes, *no] {
                let place = || format!("trees[{at}].nodes[{node}]");
                match has_parent.get_mut(child as usize) {
                    None => self.index("child", child, count, &place),
                    Some(known) if *known || child == 0 => {
                        let is = if child == 0 {
                            "is the root"
                        } else {
                            "has another parent"
                        };
                        let message = format!(
                            "got child {child}, which {is}; expected a node without a parent"
                        );
                        self.fault(place(), message);
                    }
                    Some(known) => *known = true,
                }
            }
        }
    }

    /// Checks that each node of a tree in which no node has two parents is reachable.
    fn reachable(&mut self, at: usize, tree: &Tree) {
        let mut reached = vec![false; tree.nodes.len()];
        let mut next = vec![0];
        while let Some(node) = next.pop() {
            reached[node] = true;
            if let Node::Split { yes, no, .. } = &tree.nodes[node] {
                next.extend([*yes as usize, *no as usize]);
            }
        }
        for (node, reached) in reached.into_iter().enumerate() {
            if !reached {
                let message = "got a node that cannot be reached from node 0".to_owned();
                self.fault(format!("trees[{at}].nodes[{node}]"), message);
            }
        }
    }
}

/// Returns the number of parts of a node.
fn parts_of(node: &Node) -> usize {
    1 + match node {
        Node::Split { test, .. } => match test {
            Test::In { codes, .. } => PARTS_PER_VALUE * codes.len(),
            Test::Among(values) => PARTS_PER_VALUE * values.len(),
            _ => 0,
        },
        Node::Leaf(Leaf::One { .. }) => 0,
        Node::Leaf(Leaf::Many(values)) => values.len(),
        Node::Leaf(Leaf::Linear { terms, .. }) => terms.len(),
    }
}
