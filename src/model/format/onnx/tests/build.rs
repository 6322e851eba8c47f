//! Builds files.

use prost::Message;

use super::super::Graph;
use super::super::proto::attribute_proto::AttributeType;
use super::super::proto::tensor_proto::DataType;
use super::super::proto::tensor_shape_proto::{Dimension, dimension};
use super::super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use super::read_alone;
use crate::model::format::FormatFault;

/// The length of an axis in a file: a number, or the name of a length that is not fixed.
pub(super) enum Axis {
    Fixed(i64),
    Named(&'static str),
}

impl From<i64> for Axis {
    fn from(length: i64) -> Self {
        Self::Fixed(length)
    }
}

impl From<&'static str> for Axis {
    fn from(name: &'static str) -> Self {
        Self::Named(name)
    }
}

/// Returns the shape of an input.
macro_rules! shape {
    ($($axis:expr),*) => {
        vec![$($crate::model::format::onnx::tests::build::Axis::from($axis)),*]
    };
}
pub(super) use shape;

/// A file that is being built.
pub(super) struct File {
    pub(super) model: ModelProto,
}

impl File {
    /// Creates a file of this version of ONNX's operators.
    pub(super) fn new(version: i64) -> Self {
        let opset = OperatorSetIdProto {
            domain: String::new(),
            version,
        };
        Self {
            model: ModelProto {
                ir_version: 8,
                producer_name: "test".into(),
                opset_import: vec![opset],
                graph: Some(GraphProto::default()),
                ..ModelProto::default()
            },
        }
    }

    pub(super) fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    /// Adds an input.
    pub(super) fn input(mut self, name: &str, kind: DataType, shape: Vec<Axis>) -> Self {
        let info = info(name, kind, Some(shape));
        self.graph().input.push(info);
        self
    }

    /// Adds an input of FP32.
    pub(super) fn floats(self, name: &str, shape: Vec<Axis>) -> Self {
        self.input(name, DataType::Float, shape)
    }

    /// Adds an initializer of FP32.
    pub(super) fn weights(mut self, name: &str, dims: &[i64], values: Vec<f32>) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: DataType::Float.into(),
            float_data: values,
            ..TensorProto::default()
        });
        self
    }

    /// Adds an initializer of INT64 of rank 1.
    pub(super) fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.into(),
            dims: vec![i64::try_from(values.len()).unwrap()],
            data_type: DataType::Int64.into(),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// Adds a node, named like its first output. Inputs and outputs are separated by spaces; `_` is one that is left out.
    pub(super) fn node(self, operator: &str, inputs: &str, outputs: &str) -> Self {
        self.node_with(operator, inputs, outputs, vec![])
    }

    /// Adds a node with attributes.
    pub(super) fn node_with(
        mut self,
        operator: &str,
        inputs: &str,
        outputs: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        let names = |list: &str| -> Vec<String> {
            let names = list.split_whitespace();
            names
                .map(|name| if name == "_" { "" } else { name }.to_owned())
                .collect()
        };
        let output = names(outputs);
        self.graph().node.push(NodeProto {
            name: format!("n_{}", output.first().map_or("", String::as_str)),
            input: names(inputs),
            output,
            op_type: operator.into(),
            attribute,
            domain: String::new(),
        });
        self
    }

    /// Adds outputs whose types the file does not say.
    pub(super) fn outputs(mut self, names: &[&str]) -> Self {
        let infos = names.iter().map(|name| ValueInfoProto {
            name: (*name).into(),
            r#type: None,
        });
        self.graph().output.extend(infos);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.model.encode_to_vec()
    }

    pub(super) fn read(&self) -> Result<Graph, Vec<FormatFault>> {
        read_alone(self.bytes())
    }

    /// Returns the faults as texts.
    pub(super) fn faults(&self) -> Vec<String> {
        super::texts(&self.read().unwrap_err())
    }
}

/// Describes an input or output.
pub(super) fn info(name: &str, kind: DataType, shape: Option<Vec<Axis>>) -> ValueInfoProto {
    let dim = |axis| Dimension {
        value: Some(match axis {
            Axis::Fixed(length) => dimension::Value::DimValue(length),
            Axis::Named(name) => dimension::Value::DimParam(name.into()),
        }),
    };
    let tensor = type_proto::Tensor {
        elem_type: kind.into(),
        shape: shape.map(|shape| TensorShapeProto {
            dim: shape.into_iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
        }),
    }
}

/// An attribute that is an integer.
pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i,
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

/// An attribute that is a list of integers.
pub(super) fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: ints.to_vec(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}

/// An attribute that is a number.
pub(super) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f,
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    }
}
