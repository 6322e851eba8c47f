//! Writes small ONNX files, also such as no library writes. Fields: `onnx.proto` of ONNX.

/// A message of protobuf that is being written.
#[derive(Clone, Debug, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    /// Adds an integer.
    pub fn number(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(u64::from_le_bytes(value.to_le_bytes()));
        self
    }

    /// Adds a string, bytes, a message or packed numbers.
    pub fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        self.claimed(field, bytes.len() as u64, bytes)
    }

    /// Adds bytes whose length is said to be `length`.
    pub fn claimed(mut self, field: u64, length: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(length);
        self.0.extend(bytes);
        self
    }

    /// Adds messages or texts.
    pub fn each<T: AsRef<[u8]>>(self, field: u64, all: &[T]) -> Self {
        let add = |message: Self, one: &T| message.bytes(field, one.as_ref());
        all.iter().fold(self, add)
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Types of elements.
pub const FLOAT: i64 = 1;
pub const INT64: i64 = 7;

/// Returns a tensor without values.
pub fn empty_tensor(name: &str, datatype: i64, dims: &[i64]) -> Message {
    let add = |message: Message, dim: &i64| message.number(1, *dim);
    let dims = dims.iter().fold(Message::default(), add);
    dims.number(2, datatype).bytes(8, name.as_bytes())
}

/// Returns a tensor of floats.
pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> Message {
    empty_tensor(name, FLOAT, dims).bytes(9, &in_bytes(values))
}

/// Returns a tensor of integers.
pub fn integers(name: &str, dims: &[i64], values: &[i64]) -> Message {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    empty_tensor(name, INT64, dims).bytes(9, &bytes)
}

fn in_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Returns a node with its attributes.
pub fn node(
    domain: &str,
    operator: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: &[Message],
) -> Message {
    let edges = Message::default().each(1, inputs).each(2, outputs);
    let named = edges.bytes(3, operator.to_lowercase().as_bytes());
    named
        .bytes(4, operator.as_bytes())
        .each(5, attributes)
        .bytes(7, domain.as_bytes())
}

/// The value of an attribute.
pub enum Attribute<'a> {
    Integer(i64),
    Integers(&'a [i64]),
    Floats(&'a [f32]),
    Texts(&'a [&'a str]),
    Graph(Message),
}

/// Returns an attribute.
pub fn attribute(name: &str, value: &Attribute<'_>) -> Message {
    let named = Message::default().bytes(1, name.as_bytes());
    match value {
        Attribute::Integer(value) => named.number(3, *value).number(20, 2),
        Attribute::Integers(values) => {
            let add = |message: Message, value: &i64| message.number(8, *value);
            values.iter().fold(named, add).number(20, 7)
        }
        Attribute::Floats(values) => named.bytes(7, &in_bytes(values)).number(20, 6),
        Attribute::Texts(texts) => named.each(9, texts).number(20, 8),
        Attribute::Graph(graph) => named.bytes(6, &graph.0).number(20, 5),
    }
}

/// Returns an input or output `[rows, axes...]`.
pub fn value(name: &str, datatype: i64, axes: &[i64]) -> Message {
    let rows = Message::default().bytes(2, b"rows");
    let fixed = axes.iter().map(|axis| Message::default().number(1, *axis));
    let dims: Vec<_> = [rows].into_iter().chain(fixed).collect();
    let shape = Message::default().each(1, &dims);
    let tensor = Message::default().number(1, datatype).bytes(2, &shape.0);
    let kind = Message::default().bytes(1, &tensor.0);
    Message::default()
        .bytes(1, name.as_bytes())
        .bytes(2, &kind.0)
}

/// The parts of a graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: Vec<Message>,
    pub weights: Vec<Message>,
    pub inputs: Vec<Message>,
    pub outputs: Vec<Message>,
}

impl Graph {
    pub fn message(&self) -> Message {
        let nodes = Message::default().each(1, &self.nodes).bytes(2, b"graph");
        let weights = nodes.each(5, &self.weights);
        weights.each(11, &self.inputs).each(12, &self.outputs)
    }

    /// Returns the file of a model.
    pub fn file(&self) -> Vec<u8> {
        let standard = Message::default().bytes(1, b"").number(2, 17);
        let trees = Message::default().bytes(1, b"ai.onnx.ml").number(2, 3);
        let model = Message::default().number(1, 8).bytes(7, &self.message().0);
        model.each(8, &[standard, trees]).0
    }
}
