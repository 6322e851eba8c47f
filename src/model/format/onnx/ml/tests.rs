//! What the tests of the operators share: nodes, inputs, and running one operator alone.

mod mutations;

use bytes::Bytes;

use super::super::operator::{Dim, Fact, Known, Lowered, Node, Rows, run_alone};
use super::super::proto::attribute_proto::AttributeType;
use super::super::proto::tensor_proto::DataType;
use super::super::proto::{AttributeProto, NodeProto, TensorProto};
use super::super::value::{Element, Value};
use super::find;
use crate::model::payload::TensorData;

/// A node of a file.
#[derive(Clone, Debug)]
pub(super) struct TestNode {
    proto: NodeProto,
    version: i64,
    producer: &'static str,
    constants: Vec<usize>,
    unused: Vec<usize>,
}

/// Starts a node of an operator, of version 1 of the domain.
pub(super) fn node(operator: &str) -> TestNode {
    TestNode {
        proto: NodeProto {
            op_type: operator.to_owned(),
            ..NodeProto::default()
        },
        version: 1,
        producer: "",
        constants: Vec::new(),
        unused: Vec::new(),
    }
}

impl TestNode {
    pub(super) fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    pub(super) fn producer(mut self, producer: &'static str) -> Self {
        self.producer = producer;
        self
    }

    /// Makes an input a constant.
    pub(super) fn constant(mut self, input: usize) -> Self {
        self.constants.push(input);
        self
    }

    /// Makes an output one that nothing reads.
    pub(super) fn unused(mut self, output: usize) -> Self {
        self.unused.push(output);
        self
    }

    /// Removes an attribute.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.proto
            .attribute
            .retain(|attribute| attribute.name != name);
        self
    }

    /// Changes one value, the length or the type of an attribute, or removes it.
    fn mutated(mut self, random: &mut Random) -> Self {
        const INTEGERS: [i64; 9] = [-1, 0, 1, 2, 5, 1 << 31, 1 << 40, i64::MAX, i64::MIN];
        const NUMBERS: [f32; 7] = [f32::NAN, f32::INFINITY, 0.0, -0.0, -1.0, 1e38, 1e-45];
        const TEXTS: [&[u8]; 6] = [b"", b"LEAF", b"BRANCH_EQ", b"NONE", b"a", &[0xff]];
        fn change<T: Clone>(list: &mut Vec<T>, random: &mut Random, value: T) {
            let at = random.below(list.len() + 1);
            match random.below(4) {
                0 => list.truncate(at),
                1 => list.insert(at, value),
                2 => list.extend(list.clone()),
                _ => list
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|old| *old = value.clone()),
            }
        }
        let at = random.below(self.proto.attribute.len());
        if random.below(30) == 0 {
            self.proto.attribute.remove(at);
            return self;
        }
        let attribute = &mut self.proto.attribute[at];
        let integer = INTEGERS[random.below(INTEGERS.len())];
        let number = NUMBERS[random.below(NUMBERS.len())];
        let text = Bytes::from_static(TEXTS[random.below(TEXTS.len())]);
        match attribute.r#type() {
            AttributeType::Int => attribute.i = integer,
            AttributeType::Float => attribute.f = number,
            AttributeType::String => attribute.s = text,
            AttributeType::Ints => change(&mut attribute.ints, random, integer),
            AttributeType::Floats => change(&mut attribute.floats, random, number),
            AttributeType::Strings => change(&mut attribute.strings, random, text),
            _ => {
                let Some(tensor) = &mut attribute.t else {
                    return self;
                };
                change(&mut tensor.float_data, random, number);
                tensor.dims = vec![tensor.float_data.len() as i64];
            }
        }
        self
    }

    /// Adds or replaces an attribute.
    fn with(self, name: &str, kind: AttributeType, attribute: AttributeProto) -> Self {
        let mut node = self.without(name);
        node.proto.attribute.push(AttributeProto {
            name: name.to_owned(),
            r#type: kind.into(),
            ..attribute
        });
        node
    }

    pub(super) fn int(self, name: &str, i: i64) -> Self {
        let attribute = AttributeProto {
            i,
            ..AttributeProto::default()
        };
        self.with(name, AttributeType::Int, attribute)
    }

    pub(super) fn float(self, name: &str, f: f32) -> Self {
        let attribute = AttributeProto {
            f,
            ..AttributeProto::default()
        };
        self.with(name, AttributeType::Float, attribute)
    }

    pub(super) fn text(self, name: &str, text: &str) -> Self {
        let s = Bytes::copy_from_slice(text.as_bytes());
        let attribute = AttributeProto {
            s,
            ..AttributeProto::default()
        };
        self.with(name, AttributeType::String, attribute)
    }

    pub(super) fn ints(self, name: &str, values: impl Into<Vec<i64>>) -> Self {
        let attribute = AttributeProto {
            ints: values.into(),
            ..AttributeProto::default()
        };
        self.with(name, AttributeType::Ints, attribute)
    }

    pub(super) fn floats(self, name: &str, values: impl Into<Vec<f32>>) -> Self {
        let attribute = AttributeProto {
            floats: values.into(),
            ..AttributeProto::default()
        };
        self.with(name, AttributeType::Floats, attribute)
    }

    pub(super) fn texts(self, name: &str, texts: &[&str]) -> Self {
        let strings = texts
            .iter()
            .map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let attribute = AttributeProto {
            strings: strings.collect(),
            ..AttributeProto::default()
        };
        self.with(name, AttributeType::Strings, attribute)
    }

    pub(super) fn doubles(self, name: &str, values: impl Into<Vec<f64>>) -> Self {
        let values = values.into();
        self.tensor(name, values.len(), DataType::Double, |tensor| {
            tensor.double_data = values
        })
    }

    pub(super) fn singles(self, name: &str, values: impl Into<Vec<f32>>) -> Self {
        let values = values.into();
        self.tensor(name, values.len(), DataType::Float, |tensor| {
            tensor.float_data = values
        })
    }

    pub(super) fn small(self, name: &str, kind: DataType, values: impl Into<Vec<i32>>) -> Self {
        let values = values.into();
        self.tensor(name, values.len(), kind, |tensor| {
            tensor.int32_data = values
        })
    }

    pub(super) fn longs(self, name: &str, values: impl Into<Vec<i64>>) -> Self {
        let values = values.into();
        self.tensor(name, values.len(), DataType::Int64, |tensor| {
            tensor.int64_data = values
        })
    }

    fn tensor(
        self,
        name: &str,
        len: usize,
        kind: DataType,
        fill: impl FnOnce(&mut TensorProto),
    ) -> Self {
        let mut tensor = TensorProto {
            dims: vec![len as i64],
            data_type: kind.into(),
            ..TensorProto::default()
        };
        fill(&mut tensor);
        let attribute = AttributeProto {
            t: Some(tensor),
            ..AttributeProto::default()
        };
        self.with(name, AttributeType::Tensor, attribute)
    }

    /// Reads the node for inputs like these, with rows on axis 0.
    pub(super) fn lower(&self, inputs: &[Value]) -> Result<Lowered, String> {
        let facts = inputs.iter().enumerate().map(|(at, value)| {
            if self.constants.contains(&at) {
                Fact::of(value)
            } else {
                by_row(value)
            }
        });
        self.lower_for(&facts.collect::<Vec<_>>(), inputs)
    }

    /// Reads the node for inputs of which these facts are known.
    pub(super) fn lower_for(&self, facts: &[Fact], inputs: &[Value]) -> Result<Lowered, String> {
        let known = facts.iter().enumerate().map(|(at, fact)| {
            let is_constant = self.constants.contains(&at);
            let constant = inputs.get(at).filter(|_| is_constant);
            Some(Known { fact, constant })
        });
        let known: Vec<_> = known.collect();
        let used: Vec<bool> = (0..2).map(|at| !self.unused.contains(&at)).collect();
        let entry = find(&self.proto.op_type, self.producer).ok_or("unknown operator")?;
        let given = self
            .proto
            .attribute
            .iter()
            .map(|attribute| &*attribute.name);
        let unknown: Vec<_> = given
            .filter(|name| !entry.attributes.contains(name))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        (entry.lower)(&Node {
            version: self.version,
            proto: &self.proto,
            inputs: &known,
            used: &used,
        })
    }

    /// Reads the node and runs it. The outputs are checked against the facts about them.
    pub(super) fn run(&self, inputs: &[Value]) -> Result<Vec<Value>, String> {
        let lowered = self.lower(inputs)?;
        let facts = lowered.outputs.clone();
        let operator = lowered.work.into_operator(&mut || {});
        let outputs = run_alone(&*operator, inputs.iter().cloned().map(Some).collect())?;
        for (at, (value, fact)) in outputs.iter().zip(&facts).enumerate() {
            if self.unused.contains(&at) {
                continue;
            }
            assert_eq!(value.datatype(), fact.datatype);
            for (axis, length) in value.shape().iter().enumerate() {
                let fixed = fact.dim(axis).fixed();
                assert!(
                    fixed.is_none_or(|fixed| fixed == *length),
                    "{fact:?} {value:?}"
                );
            }
            assert!(fact.rank().is_none_or(|rank| rank == value.rank()));
        }
        Ok(outputs)
    }

    /// Returns the reason for which the node is refused.
    pub(super) fn refusal(&self, inputs: &[Value]) -> String {
        match self.lower(inputs) {
            Ok(lowered) => panic!("expected a refusal, got {lowered:?}"),
            Err(reason) => reason,
        }
    }
}

/// Returns the fact about an input with rows on axis 0.
pub(super) fn by_row(value: &Value) -> Fact {
    let mut shape: Vec<_> = value
        .shape()
        .iter()
        .map(|length| Dim::Fixed(*length))
        .collect();
    let rows = match shape.first_mut() {
        Some(first) => {
            *first = Dim::Rows;
            Rows::Axis(0)
        }
        None => Rows::None,
    };
    Fact::new(value.datatype(), Some(shape), rows)
}

/// Returns a matrix with these rows.
pub(super) fn matrix<T: Element, const N: usize>(rows: &[[T; N]]) -> Value {
    Value::of(vec![rows.len(), N], rows.concat()).unwrap()
}

/// Returns a column of texts.
pub(super) fn texts(texts: &[&str]) -> Value {
    let texts = texts
        .iter()
        .map(|text| Bytes::copy_from_slice(text.as_bytes()));
    Value::of(vec![texts.len(), 1], texts.collect()).unwrap()
}

/// Returns the texts of a tensor.
pub(super) fn as_texts(value: &Value) -> Vec<&str> {
    let TensorData::Bytes(texts) = value.data() else {
        panic!("got {}", value.datatype());
    };
    texts
        .iter()
        .map(|text| str::from_utf8(text).unwrap())
        .collect()
}

/// Asserts that numbers are equal up to the rounding of f32.
pub(super) fn assert_close(got: &Value, expected: &[f64]) {
    let got: Vec<f64> = match got.data() {
        TensorData::Fp32(values) => values.iter().copied().map(f64::from).collect(),
        TensorData::Fp64(values) => values.clone(),
        other => panic!("got {}", other.datatype()),
    };
    assert_eq!(got.len(), expected.len(), "{got:?} {expected:?}");
    for (got_one, expected_one) in got.iter().zip(expected) {
        let close = (got_one - expected_one).abs() <= 1e-6 * expected_one.abs().max(1.0);
        let same = got_one == expected_one || (got_one.is_nan() && expected_one.is_nan());
        assert!(close || same, "{got:?} {expected:?}");
    }
}

/// Pseudo-random numbers, the same in every run.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1)
    }

    /// Returns an integer below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    /// Returns a number between -1 and 1 with few digits, so that equal numbers occur.
    pub(super) fn number(&mut self) -> f32 {
        (self.below(33) as f32 - 16.0) / 16.0
    }
}

#[test]
fn operators_are_found_by_name_and_have_different_names() {
    let mut names: Vec<_> = super::OPERATORS.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(names.iter().all(|name| find(name, "").is_some()));
    for name in ["CastMap", "DictVectorizer", "Tokenizer", "Scaler2", ""] {
        assert!(find(name, "skl2onnx").is_none(), "{name}");
    }
}

#[test]
fn attributes_are_named_once_in_each_operator() {
    for entry in &super::OPERATORS {
        let mut names = entry.attributes.to_vec();
        names.sort_unstable();
        assert!(
            names.windows(2).all(|pair| pair[0] != pair[1]),
            "{}",
            entry.name
        );
    }
}
