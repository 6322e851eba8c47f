//! `taper.v1.Tensor` to a payload tensor and back.

use bytes::Bytes;

use crate::api::read;
use crate::error::{InputFault, InputFaults};
use crate::model::Scores;
use crate::model::payload::{Datatype, Tensor, TensorData};
use crate::proto::v1;

/// Reads a tensor. Returns `None` if it has a fault, which is added to `faults`.
pub(super) fn read(tensor: v1::Tensor, faults: &mut InputFaults) -> Option<Tensor> {
    let fault = |part: &str, got: String, wanted: String| InputFault {
        field: format!("tensors[{}].{part}", read::cut(&tensor.name)),
        got,
        wanted,
    };
    let datatype = match v1::Datatype::try_from(tensor.datatype) {
        Ok(v1::Datatype::Bool) => Datatype::Bool,
        Ok(v1::Datatype::Int32) => Datatype::Int32,
        Ok(v1::Datatype::Int64) => Datatype::Int64,
        Ok(v1::Datatype::Fp32) => Datatype::Fp32,
        Ok(v1::Datatype::Fp64) => Datatype::Fp64,
        Ok(v1::Datatype::Bytes) => Datatype::Bytes,
        Ok(v1::Datatype::Unspecified) => {
            faults.add_with(|| fault("datatype", "nothing".into(), "a datatype".into()));
            return None;
        }
        Err(_) => {
            let got = tensor.datatype;
            faults.add_with(|| fault("datatype", got.to_string(), "a known datatype".into()));
            return None;
        }
    };
    if let Some(name) = surplus_field(&tensor, datatype) {
        let wanted = || format!("only the values of datatype {datatype}, or only `raw`");
        faults.add_with(|| fault(name, "values".into(), wanted()));
        return None;
    }
    let data = if tensor.raw.is_empty() {
        match datatype {
            Datatype::Bool => TensorData::Bool(tensor.bool_values),
            Datatype::Int32 => TensorData::Int32(tensor.int32_values),
            Datatype::Int64 => TensorData::Int64(tensor.int64_values),
            Datatype::Fp32 => TensorData::Fp32(tensor.fp32_values),
            Datatype::Fp64 => TensorData::Fp64(tensor.fp64_values),
            Datatype::Bytes => TensorData::Bytes(tensor.bytes_values),
        }
    } else {
        match from_raw(datatype, &tensor.raw) {
            Ok(data) => data,
            Err(wanted) => {
                let got = || format!("{} bytes", tensor.raw.len());
                faults.add_with(|| fault("raw", got(), wanted.into()));
                return None;
            }
        }
    };
    Some(Tensor {
        name: tensor.name,
        shape: tensor.shape,
        data,
    })
}

/// Returns the first field that has values although a tensor of `datatype` must not have them.
fn surplus_field(tensor: &v1::Tensor, datatype: Datatype) -> Option<&'static str> {
    let is_raw = !tensor.raw.is_empty();
    let is_surplus = |is_empty: bool, of| !is_empty && (is_raw || of != datatype);
    if is_surplus(tensor.bool_values.is_empty(), Datatype::Bool) {
        Some("bool_values")
    } else if is_surplus(tensor.int32_values.is_empty(), Datatype::Int32) {
        Some("int32_values")
    } else if is_surplus(tensor.int64_values.is_empty(), Datatype::Int64) {
        Some("int64_values")
    } else if is_surplus(tensor.fp32_values.is_empty(), Datatype::Fp32) {
        Some("fp32_values")
    } else if is_surplus(tensor.fp64_values.is_empty(), Datatype::Fp64) {
        Some("fp64_values")
    } else if is_surplus(tensor.bytes_values.is_empty(), Datatype::Bytes) {
        Some("bytes_values")
    } else {
        None
    }
}

/// Decodes as [`read::raw`] does, except BYTES, which have a field of their own.
fn from_raw(datatype: Datatype, raw: &Bytes) -> Result<TensorData, &'static str> {
    match datatype {
        Datatype::Bytes => Err("`bytes_values`: BYTES has no raw form here"),
        datatype => read::raw(datatype, raw),
    }
}

/// Encodes scores as `FP32 [rows, columns]`.
pub(super) fn write(name: &str, scores: Scores) -> v1::Tensor {
    let axis = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let shape = vec![axis(scores.rows().len()), axis(scores.columns())];
    v1::Tensor {
        name: name.to_owned(),
        datatype: v1::Datatype::Fp32.into(),
        shape,
        fp32_values: scores.into_vec(),
        ..v1::Tensor::default()
    }
}
