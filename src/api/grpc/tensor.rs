//! `taper.v1.Tensor` to a payload tensor and back.

use crate::api::{elements, read};
use crate::error::{InputFault, InputFaults};
use crate::model::payload::{Datatype, Tensor, TensorData};
use crate::model::{OutputContent, OutputTensor};
use crate::proto::v1;

/// Reads a tensor. Returns `None` if it has a fault, which is added to `faults`.
pub(super) fn read(tensor: v1::Tensor, faults: &mut InputFaults) -> Option<Tensor> {
    let fault = |part: &str, got: String, wanted: String| InputFault {
        field: format!("tensors[{}].{part}", read::cut(&tensor.name)),
        got,
        wanted,
    };
    let datatype = match v1::Datatype::try_from(tensor.datatype) {
        Ok(v1::Datatype::Unspecified) => {
            faults.add_with(|| fault("datatype", "nothing".into(), "a datatype".into()));
            return None;
        }
        Ok(known) => from_wire(known)?,
        Err(_) => {
            let got = tensor.datatype;
            faults.add_with(|| fault("datatype", got.to_string(), "a known datatype".into()));
            return None;
        }
    };
    if let Some(name) = surplus_field(&tensor, datatype) {
        let wanted = || match field_of(datatype) {
            Some(_) => format!("only the values of datatype {datatype}, or only `raw`"),
            None => format!("only `raw`, for datatype {datatype}"),
        };
        faults.add_with(|| fault(name, "values".into(), wanted()));
        return None;
    }
    let (name, shape, bytes) = (tensor.name.clone(), tensor.shape.clone(), tensor.raw.len());
    let (field, got) = match field_of(datatype) {
        Some(field) if bytes == 0 => (field, "values".to_owned()),
        _ => ("raw", format!("{bytes} bytes")),
    };
    match data(tensor, datatype) {
        Ok(data) => Some(Tensor { name, shape, data }),
        Err(wanted) => {
            faults.add_with(|| InputFault {
                field: format!("tensors[{}].{field}", read::cut(&name)),
                got,
                wanted: wanted.into(),
            });
            None
        }
    }
}

/// Returns the elements, which are in the field of the datatype or in `raw`.
fn data(tensor: v1::Tensor, datatype: Datatype) -> Result<TensorData, &'static str> {
    if !tensor.raw.is_empty() {
        return match datatype {
            Datatype::Bytes => Err("`bytes_values`: BYTES has no raw form here"),
            datatype => elements::from_raw(datatype, &tensor.raw),
        };
    }
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(tensor.bool_values),
        Datatype::Int8 | Datatype::Int16 => elements::narrowed(datatype, tensor.int32_values)?,
        Datatype::Int32 => TensorData::Int32(tensor.int32_values),
        Datatype::Int64 => TensorData::Int64(tensor.int64_values),
        Datatype::Uint8 | Datatype::Uint16 => {
            elements::narrowed_unsigned(datatype, tensor.uint32_values)?
        }
        Datatype::Uint32 => TensorData::Uint32(tensor.uint32_values),
        Datatype::Uint64 => TensorData::Uint64(tensor.uint64_values),
        Datatype::Fp16 | Datatype::Bf16 => elements::from_raw(datatype, &tensor.raw)?,
        Datatype::Fp32 => TensorData::Fp32(tensor.fp32_values),
        Datatype::Fp64 => TensorData::Fp64(tensor.fp64_values),
        Datatype::Bytes => TensorData::Bytes(tensor.bytes_values),
    })
}

/// Returns the field with the values of `datatype`; `None` if they are only in `raw`.
fn field_of(datatype: Datatype) -> Option<&'static str> {
    Some(match datatype {
        Datatype::Bool => "bool_values",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => "int32_values",
        Datatype::Int64 => "int64_values",
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => "uint32_values",
        Datatype::Uint64 => "uint64_values",
        Datatype::Fp16 | Datatype::Bf16 => return None,
        Datatype::Fp32 => "fp32_values",
        Datatype::Fp64 => "fp64_values",
        Datatype::Bytes => "bytes_values",
    })
}

/// Returns the first field that has values although a tensor of `datatype` must not have them.
fn surplus_field(tensor: &v1::Tensor, datatype: Datatype) -> Option<&'static str> {
    let is_raw = !tensor.raw.is_empty();
    let own = field_of(datatype).filter(|_| !is_raw);
    let fields = [
        ("bool_values", tensor.bool_values.is_empty()),
        ("int32_values", tensor.int32_values.is_empty()),
        ("int64_values", tensor.int64_values.is_empty()),
        ("fp32_values", tensor.fp32_values.is_empty()),
        ("fp64_values", tensor.fp64_values.is_empty()),
        ("bytes_values", tensor.bytes_values.is_empty()),
        ("uint32_values", tensor.uint32_values.is_empty()),
        ("uint64_values", tensor.uint64_values.is_empty()),
    ];
    let mut surplus = fields
        .iter()
        .filter(|(name, is_empty)| !is_empty && own != Some(name));
    surplus.next().map(|(name, _)| *name)
}

/// Returns a datatype; `None` if it is not specified.
fn from_wire(datatype: v1::Datatype) -> Option<Datatype> {
    Some(match datatype {
        v1::Datatype::Unspecified => return None,
        v1::Datatype::Bool => Datatype::Bool,
        v1::Datatype::Int8 => Datatype::Int8,
        v1::Datatype::Int16 => Datatype::Int16,
        v1::Datatype::Int32 => Datatype::Int32,
        v1::Datatype::Int64 => Datatype::Int64,
        v1::Datatype::Uint8 => Datatype::Uint8,
        v1::Datatype::Uint16 => Datatype::Uint16,
        v1::Datatype::Uint32 => Datatype::Uint32,
        v1::Datatype::Uint64 => Datatype::Uint64,
        v1::Datatype::Fp16 => Datatype::Fp16,
        v1::Datatype::Bf16 => Datatype::Bf16,
        v1::Datatype::Fp32 => Datatype::Fp32,
        v1::Datatype::Fp64 => Datatype::Fp64,
        v1::Datatype::Bytes => Datatype::Bytes,
    })
}

pub(in crate::api::grpc) fn to_wire(datatype: Datatype) -> v1::Datatype {
    match datatype {
        Datatype::Bool => v1::Datatype::Bool,
        Datatype::Int8 => v1::Datatype::Int8,
        Datatype::Int16 => v1::Datatype::Int16,
        Datatype::Int32 => v1::Datatype::Int32,
        Datatype::Int64 => v1::Datatype::Int64,
        Datatype::Uint8 => v1::Datatype::Uint8,
        Datatype::Uint16 => v1::Datatype::Uint16,
        Datatype::Uint32 => v1::Datatype::Uint32,
        Datatype::Uint64 => v1::Datatype::Uint64,
        Datatype::Fp16 => v1::Datatype::Fp16,
        Datatype::Bf16 => v1::Datatype::Bf16,
        Datatype::Fp32 => v1::Datatype::Fp32,
        Datatype::Fp64 => v1::Datatype::Fp64,
        Datatype::Bytes => v1::Datatype::Bytes,
    }
}

/// Writes an output.
pub(super) fn write(tensor: &OutputTensor<'_>) -> v1::Tensor {
    let written = v1::Tensor {
        name: tensor.output.name.clone(),
        datatype: to_wire(tensor.output.datatype).into(),
        shape: tensor.shape(),
        ..v1::Tensor::default()
    };
    if let (OutputContent::Scores(scores), Datatype::Fp32) =
        (tensor.content, tensor.output.datatype)
    {
        return v1::Tensor {
            fp32_values: scores.as_slice().to_vec(),
            ..written
        };
    }
    write_data(written, tensor.data())
}

fn write_data(tensor: v1::Tensor, data: TensorData) -> v1::Tensor {
    match data {
        TensorData::Bool(bool_values) => v1::Tensor {
            bool_values,
            ..tensor
        },
        TensorData::Int64(int64_values) => v1::Tensor {
            int64_values,
            ..tensor
        },
        TensorData::Uint8(values) => v1::Tensor {
            uint32_values: values.into_iter().map(u32::from).collect(),
            ..tensor
        },
        TensorData::Uint16(values) => v1::Tensor {
            uint32_values: values.into_iter().map(u32::from).collect(),
            ..tensor
        },
        TensorData::Uint32(uint32_values) => v1::Tensor {
            uint32_values,
            ..tensor
        },
        TensorData::Uint64(uint64_values) => v1::Tensor {
            uint64_values,
            ..tensor
        },
        TensorData::Fp32(fp32_values) => v1::Tensor {
            fp32_values,
            ..tensor
        },
        TensorData::Fp64(fp64_values) => v1::Tensor {
            fp64_values,
            ..tensor
        },
        TensorData::Bytes(bytes_values) => v1::Tensor {
            bytes_values,
            ..tensor
        },
        data @ (TensorData::Fp16(_) | TensorData::Bf16(_)) => v1::Tensor {
            raw: elements::to_raw(&data),
            ..tensor
        },
        data @ (TensorData::Int8(_) | TensorData::Int16(_) | TensorData::Int32(_)) => v1::Tensor {
            int32_values: elements::widened(&data).unwrap_or_default(),
            ..tensor
        },
    }
}
