//! The inputs and outputs of a graph, as a file declares them.

use std::collections::HashMap;

use super::lower::Lowered;
use super::names::{Network, shown};
use crate::model::format::FormatFault;
use crate::model::format::onnx::fact::{Dim, Fact, Meaning, Rows};
use crate::model::format::onnx::graph::TensorInfo;
use crate::model::format::onnx::proto::tensor_shape_proto::dimension;
use crate::model::format::onnx::proto::{TensorShapeProto, ValueInfoProto, type_proto};
use crate::model::format::onnx::tensor;

/// Describes the inputs of the graph.
pub(super) fn inputs(network: &Network<'_>, lowered: &mut Lowered, faults: &mut Vec<FormatFault>) {
    let mut symbols = Symbols::new(network);
    for (id, info) in &network.inputs {
        match input(info, &mut symbols) {
            Ok(info) => {
                let has_rows = info
                    .shape
                    .as_ref()
                    .is_some_and(|dims| dims.first() == Some(&Dim::Rows));
                let rows = if has_rows { Rows::Axis(0) } else { Rows::Mixed };
                let datatype = tensor::computed(info.datatype);
                lowered.facts[*id] = Some(Fact::new(datatype, info.shape.clone(), rows));
                lowered.inputs.push(info);
            }
            Err(message) => {
                let at = format!("input {:?}", shown(&info.name));
                faults.push(FormatFault::new(at, message));
            }
        }
    }
}

/// Numbers of named lengths.
struct Symbols<'a> {
    by_name: HashMap<&'a str, Dim>,
    next: u32,
}

impl<'a> Symbols<'a> {
    /// Collects the names of axis 0 of the inputs, which all mean the number of rows.
    fn new(network: &Network<'a>) -> Self {
        let mut by_name = HashMap::new();
        for (_, info) in &network.inputs {
            if let Some(dimension::Value::DimParam(name)) =
                dimensions(info).and_then(|dims| dims.dim.first()?.value.as_ref())
                && !name.is_empty()
            {
                by_name.insert(&**name, Dim::Rows);
            }
        }
        Self { by_name, next: 0 }
    }

    fn fresh(&mut self) -> Dim {
        self.next += 1;
        Dim::Symbol(self.next)
    }
}

fn tensor_type(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match info.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor),
        _ => None,
    }
}

fn dimensions(info: &ValueInfoProto) -> Option<&TensorShapeProto> {
    tensor_type(info)?.shape.as_ref()
}

fn input<'a>(info: &'a ValueInfoProto, symbols: &mut Symbols<'a>) -> Result<TensorInfo, String> {
    let tensor = tensor_type(info).ok_or("is not a tensor")?;
    let datatype = tensor::datatype(tensor.elem_type)?;
    let mut axes = Vec::new();
    let mut shape = Vec::new();
    let dims = dimensions(info).map(|dims| &*dims.dim);
    for (axis, dim) in dims.unwrap_or_default().iter().enumerate() {
        let (dim, name) = match &dim.value {
            Some(dimension::Value::DimValue(0)) => {
                return Err(format!("axis {axis} has length 0"));
            }
            Some(dimension::Value::DimValue(length)) if *length > 0 => {
                let length = usize::try_from(*length).map_err(|_| "is too large".to_owned())?;
                (Dim::Fixed(length), None)
            }
            Some(dimension::Value::DimParam(name)) if !name.is_empty() => {
                let fresh = symbols.fresh();
                let dim = *symbols.by_name.entry(name).or_insert(fresh);
                (dim, Some(shown(name).into_owned()))
            }
            // Some exporters write a negative length for one that is not known.
            _ if axis == 0 => (Dim::Rows, None),
            _ => (symbols.fresh(), None),
        };
        shape.push(dim);
        axes.push(name);
    }
    Ok(TensorInfo {
        name: info.name.clone(),
        datatype,
        by_row: shape.first() == Some(&Dim::Rows),
        shape: dims.map(|_| shape),
        axes,
        meaning: Meaning::Unknown,
        classes: None,
        used: true,
    })
}

/// Describes the outputs of the graph.
pub(super) fn outputs(network: &Network<'_>, lowered: &mut Lowered, faults: &mut Vec<FormatFault>) {
    for (id, info) in &network.outputs {
        let Some(fact) = &lowered.facts[*id] else {
            continue;
        };
        match output(info, fact) {
            Ok(info) => lowered.outputs.push(info),
            Err(message) => {
                let at = format!("output {:?}", shown(&info.name));
                faults.push(FormatFault::new(at, message));
            }
        }
    }
}

fn output(info: &ValueInfoProto, fact: &Fact) -> Result<TensorInfo, String> {
    let declared = match tensor_type(info) {
        Some(tensor) if tensor.elem_type != 0 => tensor::datatype(tensor.elem_type)?,
        // Without a type; or the sequence of maps of a ZipMap, which becomes the tensor that it is made from.
        _ => fact.datatype,
    };
    if tensor::computed(declared) != fact.datatype {
        let computed = fact.datatype;
        return Err(format!(
            "got type {computed}, but the file declares {declared}"
        ));
    }
    let declared_dims = dimensions(info).map_or(&[][..], |dims| &dims.dim);
    let name = |axis: usize| match &declared_dims.get(axis)?.value {
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => {
            Some(shown(name).into_owned())
        }
        _ => None,
    };
    Ok(TensorInfo {
        name: info.name.clone(),
        datatype: declared,
        axes: (0..fact.rank().unwrap_or(0)).map(name).collect(),
        shape: fact.shape.clone(),
        meaning: fact.meaning,
        classes: fact.classes.clone(),
        used: true,
        by_row: fact.rows == Rows::Axis(0),
    })
}
