//! Tensors of `taper.v1` as the tensors of the model, and archives of them.

use std::path::Path;

use half::{bf16, f16};

use super::failure::Failure;
use super::v1;
use crate::model::npz;
use crate::model::payload::{Tensor, TensorData};

/// Returns the tensors in a numpy archive. `origin` names it in errors.
///
/// # Errors
/// Returns an error if the bytes are not such an archive, or if it has no tensors.
pub(crate) fn from_archive(origin: &str, bytes: &[u8]) -> Result<Vec<v1::Tensor>, Failure> {
    let tensors = npz::read(bytes);
    let tensors = tensors.map_err(|why| Failure::new(format!("{origin}: {why}")))?;
    if tensors.is_empty() {
        return Err(Failure::new(format!("{origin}: contains no arrays")));
    }
    Ok(tensors.into_iter().map(to_wire).collect())
}

/// Writes tensors to `path` as a numpy archive.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(crate) fn write_archive(path: &Path, tensors: &[v1::Tensor]) -> Result<(), Failure> {
    let tensors: Vec<Tensor> = tensors.iter().map(from_wire).collect();
    let written = npz::write(&tensors)
        .and_then(|bytes| std::fs::write(path, bytes).map_err(|error| error.to_string()));
    written.map_err(|why| Failure::new(format!("cannot write {}: {why}", path.display())))
}

fn to_wire(tensor: Tensor) -> v1::Tensor {
    let wire = v1::Tensor {
        name: tensor.name,
        shape: tensor.shape,
        ..v1::Tensor::default()
    };
    fn block<T: Copy, const N: usize>(values: &[T], encode: impl Fn(T) -> [u8; N]) -> bytes::Bytes {
        values.iter().flat_map(|value| encode(*value)).collect()
    }
    let (datatype, raw) = match tensor.data {
        TensorData::Bytes(bytes_values) => {
            return v1::Tensor {
                datatype: v1::Datatype::Bytes.into(),
                bytes_values,
                ..wire
            };
        }
        TensorData::Bool(values) => {
            let bytes = values.into_iter().map(u8::from).collect();
            (v1::Datatype::Bool, bytes)
        }
        TensorData::Int8(values) => (v1::Datatype::Int8, block(&values, i8::to_le_bytes)),
        TensorData::Int16(values) => (v1::Datatype::Int16, block(&values, i16::to_le_bytes)),
        TensorData::Int32(values) => (v1::Datatype::Int32, block(&values, i32::to_le_bytes)),
        TensorData::Int64(values) => (v1::Datatype::Int64, block(&values, i64::to_le_bytes)),
        TensorData::Uint8(values) => (v1::Datatype::Uint8, values.into()),
        TensorData::Uint16(values) => (v1::Datatype::Uint16, block(&values, u16::to_le_bytes)),
        TensorData::Uint32(values) => (v1::Datatype::Uint32, block(&values, u32::to_le_bytes)),
        TensorData::Uint64(values) => (v1::Datatype::Uint64, block(&values, u64::to_le_bytes)),
        TensorData::Fp16(values) => (v1::Datatype::Fp16, block(&values, f16::to_le_bytes)),
        TensorData::Bf16(values) => (v1::Datatype::Bf16, block(&values, bf16::to_le_bytes)),
        TensorData::Fp32(values) => (v1::Datatype::Fp32, block(&values, f32::to_le_bytes)),
        TensorData::Fp64(values) => (v1::Datatype::Fp64, block(&values, f64::to_le_bytes)),
    };
    v1::Tensor {
        datatype: datatype.into(),
        raw,
        ..wire
    }
}

/// Returns an output of a gateway, whose elements are in the field of their type or in a block of bytes.
pub(crate) fn from_wire(tensor: &v1::Tensor) -> Tensor {
    fn decoded<T, const N: usize>(raw: &[u8], decode: fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>()
            .0
            .iter()
            .map(|one| decode(*one))
            .collect()
    }
    fn either<T: Clone, const N: usize>(
        values: &[T],
        raw: &[u8],
        decode: fn([u8; N]) -> T,
    ) -> Vec<T> {
        if raw.is_empty() {
            values.to_vec()
        } else {
            decoded(raw, decode)
        }
    }
    /// Integers that the gateway has widened fit their own type again.
    fn narrow<T: TryFrom<W> + Default, W: Copy>(values: &[W]) -> Vec<T> {
        values
            .iter()
            .map(|value| T::try_from(*value).unwrap_or_default())
            .collect()
    }
    let raw = &tensor.raw[..];
    let data = match tensor.datatype() {
        v1::Datatype::Bool if raw.is_empty() => TensorData::Bool(tensor.bool_values.clone()),
        v1::Datatype::Bool => TensorData::Bool(raw.iter().map(|byte| *byte != 0).collect()),
        v1::Datatype::Int8 => TensorData::Int8(either(
            &narrow(&tensor.int32_values),
            raw,
            i8::from_le_bytes,
        )),
        v1::Datatype::Int16 => TensorData::Int16(either(
            &narrow(&tensor.int32_values),
            raw,
            i16::from_le_bytes,
        )),
        v1::Datatype::Int32 => {
            TensorData::Int32(either(&tensor.int32_values, raw, i32::from_le_bytes))
        }
        v1::Datatype::Int64 => {
            TensorData::Int64(either(&tensor.int64_values, raw, i64::from_le_bytes))
        }
        v1::Datatype::Uint8 => TensorData::Uint8(either(
            &narrow(&tensor.uint32_values),
            raw,
            u8::from_le_bytes,
        )),
        v1::Datatype::Uint16 => TensorData::Uint16(either(
            &narrow(&tensor.uint32_values),
            raw,
            u16::from_le_bytes,
        )),
        v1::Datatype::Uint32 => {
            TensorData::Uint32(either(&tensor.uint32_values, raw, u32::from_le_bytes))
        }
        v1::Datatype::Uint64 => {
            TensorData::Uint64(either(&tensor.uint64_values, raw, u64::from_le_bytes))
        }
        v1::Datatype::Fp16 => TensorData::Fp16(decoded(raw, f16::from_le_bytes)),
        v1::Datatype::Bf16 => TensorData::Bf16(decoded(raw, bf16::from_le_bytes)),
        v1::Datatype::Fp64 => {
            TensorData::Fp64(either(&tensor.fp64_values, raw, f64::from_le_bytes))
        }
        v1::Datatype::Bytes => TensorData::Bytes(tensor.bytes_values.clone()),
        v1::Datatype::Fp32 | v1::Datatype::Unspecified => {
            TensorData::Fp32(either(&tensor.fp32_values, raw, f32::from_le_bytes))
        }
    };
    Tensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_keep_their_type_and_elements() {
        let halves = [1.5, -2.0];
        for data in [
            TensorData::Bool(vec![true, false]),
            TensorData::Int8(vec![i8::MIN, 1]),
            TensorData::Uint16(vec![u16::MAX, 1]),
            TensorData::Int64(vec![i64::MIN, 1]),
            TensorData::Uint64(vec![u64::MAX, 1]),
            TensorData::Fp16(halves.map(f16::from_f64).to_vec()),
            TensorData::Bf16(halves.map(bf16::from_f64).to_vec()),
            TensorData::Fp64(vec![0.1, -0.2]),
            TensorData::Bytes(vec!["a".into(), "é".into()]),
        ] {
            let tensor = Tensor {
                name: "x".into(),
                shape: vec![2],
                data,
            };
            assert_eq!(from_wire(&to_wire(tensor.clone())), tensor);
        }
        let widened = v1::Tensor {
            datatype: v1::Datatype::Int8.into(),
            int32_values: vec![-3, 4],
            ..v1::Tensor::default()
        };
        assert_eq!(from_wire(&widened).data, TensorData::Int8(vec![-3, 4]));
    }
}
