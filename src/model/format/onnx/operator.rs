//! Operators: how a node of a file becomes an operator, and how an operator runs.
//!
//! Each operator that is supported has an [`Entry`]. Its `lower` function is called once, when the file is read. It sees the
//! attributes, what is known of the inputs, and those inputs that are constants; it checks all of them, prepares what can be prepared
//! (such as the layout of weights), and returns an [`Operator`] with the facts about its outputs. Errors of `lower` refuse the file.
//! [`Operator::run`] is called for each request. It may fail only for a reason that depends on the values or the run-time shapes of
//! its inputs: types have been checked by `lower`.

use std::fmt;

pub(crate) use super::fact::{Classes, Dim, Fact, Meaning, Rows};
pub(crate) use super::node::{Known, Node};
use super::ops::{Channels, Convolution, pair, row_mean};
use super::rows::{Chain, PairOperation, Step};
use super::value::Value;

/// An operator of a graph with its attributes and prepared weights.
///
/// It is immutable, and several threads run it at the same time.
pub(crate) trait Operator: fmt::Debug + Send + Sync {
    /// Computes the outputs, in the order of the node. There is one per fact in [`Lowered`], including outputs that the graph
    /// does not use, which may be empty tensors.
    ///
    /// # Errors
    /// Returns an error if the values or shapes of the inputs are not allowed. The caller adds the name of the node.
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String>;

    /// Returns the bytes of memory that the operator's own weights take.
    fn bytes(&self) -> usize {
        0
    }

    /// Returns the operator if it is a chain of steps over the rows of its input.
    fn as_chain(&self) -> Option<&Chain> {
        None
    }
}

/// Reads a node when a file is loaded.
pub(crate) type Lower = fn(&Node<'_>) -> Result<Lowered, String>;

/// A supported operator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Its name in files (`op_type`).
    pub(crate) name: &'static str,
    /// The first version of its domain that has it.
    pub(crate) since: i64,
    /// Names of all attributes that `lower` reads, in any version. A node with another attribute is refused.
    pub(crate) attributes: &'static [&'static str],
    /// Checks a node and prepares it.
    pub(crate) lower: Lower,
}

/// What a node becomes.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(super) work: Work,
    pub(super) outputs: Vec<Fact>,
    pub(super) cost: usize,
    /// The inputs of the node that the operator reads; `None` for all.
    pub(super) reads: Option<Vec<usize>>,
}

/// How the outputs of a node come about.
#[derive(Debug)]
pub(super) enum Work {
    /// An operator computes them.
    Run(Box<dyn Operator>),
    /// The first output is this input.
    Same(usize),
    /// They are known.
    Constants(Vec<Value>),
    /// Each row of input 0, along its last axis, goes through these steps. FP32.
    Steps(Vec<Step>),
    /// A convolution, of input 0.
    Convolve(Box<Convolution>),
    /// Factor and shift of each channel, which is axis 1, of input 0. FP32.
    Channels(Channels),
    /// A combination of inputs 0 and 1, with broadcasting. FP32.
    Pair(PairOperation),
    /// The mean of each row of input 0, along its last axis, which becomes 1. FP32.
    RowMean,
}

impl Work {
    /// Returns the operator. Calls `rest` between pieces of work.
    pub(super) fn into_operator(self, rest: &mut dyn FnMut()) -> Box<dyn Operator> {
        match self {
            Self::Run(operator) => operator,
            Self::Steps(steps) => Box::new(Chain::new(steps, rest)),
            Self::Convolve(convolution) => convolution,
            Self::Channels(channels) => Box::new(channels),
            Self::Pair(operation) => Box::new(pair(operation)),
            Self::RowMean => Box::new(row_mean()),
            Self::Same(input) => Box::new(Given::Input(input)),
            Self::Constants(values) => Box::new(Given::Values(values)),
        }
    }
}

/// Outputs that need no computation.
#[derive(Debug)]
enum Given {
    Input(usize),
    Values(Vec<Value>),
}

impl Operator for Given {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        match self {
            Self::Input(at) => Ok(vec![inputs.take(*at)?]),
            Self::Values(values) => Ok(values.clone()),
        }
    }
}

impl Lowered {
    /// Creates an operator. `outputs` has one fact for each output. `cost` is the number of multiply-adds per row, or of other
    /// operations that take as long.
    pub(crate) fn new(operator: impl Operator + 'static, outputs: Vec<Fact>, cost: usize) -> Self {
        Self {
            work: Work::Run(Box::new(operator)),
            outputs,
            cost,
            reads: None,
        }
    }

    /// Creates a node that reads only input 0, of type FP32, with an output of type FP32, whose rows along the last axis go through
    /// steps that neighbouring nodes can join.
    pub(super) fn steps(steps: Vec<Step>, output: Fact, cost: usize) -> Self {
        Self {
            work: Work::Steps(steps),
            outputs: vec![output],
            cost,
            reads: Some(vec![0]),
        }
    }

    /// Says that [`Operator::run`] gets only these inputs of the node, in this order. Others, such as weights that have been laid out
    /// in another way, need not stay in memory.
    #[must_use]
    pub(crate) fn reading(self, inputs: impl Into<Vec<usize>>) -> Self {
        Self {
            reads: Some(inputs.into()),
            ..self
        }
    }

    /// Creates a node whose first output is input number `input`, unchanged, with the given fact. It costs nothing at run time. Its
    /// other outputs must not be used.
    pub(crate) fn same(input: usize, fact: Fact) -> Self {
        Self {
            work: Work::Same(input),
            outputs: vec![fact],
            cost: 0,
            reads: None,
        }
    }

    /// Creates a node whose outputs do not depend on any request.
    pub(crate) fn constants(values: Vec<Value>) -> Self {
        Self {
            outputs: values.iter().map(Fact::of).collect(),
            work: Work::Constants(values),
            cost: 0,
            reads: None,
        }
    }
}

/// Where an input of an operator comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An optional input that is left out.
    Absent,
    /// A constant of the graph, by index.
    Constant(usize),
    /// A value of the current run, by index.
    Slot {
        /// Index of the value.
        index: usize,
        /// Whether no later operator reads the value.
        last: bool,
    },
}

/// The inputs of an operator in one run.
#[derive(Debug)]
pub(crate) struct Inputs<'a> {
    pub(super) sources: &'a [Source],
    pub(super) constants: &'a [Value],
    pub(super) slots: &'a mut [Option<Value>],
    /// Whether an operator has refused a value.
    pub(super) refused: bool,
}

impl Inputs<'_> {
    /// Marks the `error` as one of the values of the request: other values of the same shapes could be computed.
    pub(crate) fn refuse<E>(&mut self, error: E) -> E {
        self.refused = true;
        error
    }

    /// Returns the number of inputs, including optional ones that are left out.
    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Returns an input, or `None` if it is left out.
    pub(crate) fn optional(&self, at: usize) -> Option<&Value> {
        match self.sources.get(at)? {
            Source::Absent => None,
            Source::Constant(index) => self.constants.get(*index),
            Source::Slot { index, .. } => self.slots.get(*index)?.as_ref(),
        }
    }

    /// Returns an input.
    ///
    /// # Errors
    /// Returns an error if it is left out, which `lower` normally excludes.
    pub(crate) fn get(&self, at: usize) -> Result<&Value, String> {
        self.optional(at)
            .ok_or_else(|| format!("input {at} is missing"))
    }

    /// Takes an input, so that its memory can be used for an output. It is copied only if another operator still needs it. Call this
    /// at most once per input, after the last [`get`](Self::get) of the same input.
    ///
    /// # Errors
    /// Returns an error if it is left out, which `lower` normally excludes.
    pub(crate) fn take(&mut self, at: usize) -> Result<Value, String> {
        if let Some(Source::Slot { index, last: true }) = self.sources.get(at)
            && let Some(value) = self.slots.get_mut(*index).and_then(Option::take)
        {
            return Ok(value);
        }
        self.get(at).cloned()
    }
}

/// Runs an operator on the given values, outside a graph. `None` is an optional input that is left out.
///
/// # Errors
/// Returns the error of the operator.
pub(crate) fn run_alone(
    operator: &dyn Operator,
    values: Vec<Option<Value>>,
) -> Result<Vec<Value>, String> {
    let source = |(index, value): (usize, &Option<Value>)| match value {
        None => Source::Absent,
        Some(_) => Source::Slot { index, last: true },
    };
    let sources: Vec<_> = values.iter().enumerate().map(source).collect();
    let mut slots = values;
    operator.run(&mut Inputs {
        sources: &sources,
        constants: &[],
        slots: &mut slots,
        refused: false,
    })
}
