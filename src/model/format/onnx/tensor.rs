//! Tensors as they are stored in a file.

use bytes::Bytes;
use half::{bf16, f16};

use super::proto::tensor_proto::{DataLocation, DataType};
use super::proto::{StringStringEntryProto, TensorProto};
use super::value::{Value, count};
use crate::model::payload::{Datatype, TensorData};

/// Returns the type of elements with this number in a file.
pub(super) fn datatype(code: i32) -> Result<Datatype, String> {
    let kind = DataType::try_from(code).map_err(|_| format!("unknown element type {code}"))?;
    Ok(match kind {
        DataType::Float => Datatype::Fp32,
        DataType::Uint8 => Datatype::Uint8,
        DataType::Int8 => Datatype::Int8,
        DataType::Uint16 => Datatype::Uint16,
        DataType::Int16 => Datatype::Int16,
        DataType::Int32 => Datatype::Int32,
        DataType::Int64 => Datatype::Int64,
        DataType::String => Datatype::Bytes,
        DataType::Bool => Datatype::Bool,
        DataType::Float16 => Datatype::Fp16,
        DataType::Double => Datatype::Fp64,
        DataType::Uint32 => Datatype::Uint32,
        DataType::Uint64 => Datatype::Uint64,
        DataType::Bfloat16 => Datatype::Bf16,
        other => {
            let name = other.as_str_name();
            return Err(format!("element type {name} is not supported"));
        }
    })
}

/// Returns the type in which elements of type `datatype` are computed.
pub(super) fn computed(datatype: Datatype) -> Datatype {
    match datatype {
        Datatype::Fp16 | Datatype::Bf16 => Datatype::Fp32,
        other => other,
    }
}

/// Returns a tensor of a file. The data must be in the file itself; see [`Reference`] for other data. There is no allocation before
/// the file is known to have an element for each element of the tensor.
pub(super) fn value(tensor: &TensorProto) -> Result<Value, String> {
    if tensor.segment.is_some() {
        return Err("segmented tensors are not supported".into());
    }
    if tensor.data_location() == DataLocation::External {
        return Err("the data is in another file, which has not been read".into());
    }
    let (datatype, shape) = (datatype(tensor.data_type)?, shape(tensor)?);
    let elements = count(&shape).ok_or_else(|| too_large(&shape))?;
    let data = if tensor.raw_data.is_empty() {
        from_list(tensor, datatype, elements)?
    } else {
        if lists(tensor) != 0 {
            return Err("got data both in raw_data and in a list".into());
        }
        from_raw(&tensor.raw_data, datatype, elements)?
    };
    Value::new(shape, data)
}

fn too_large(shape: &[usize]) -> String {
    format!("shape {shape:?} has too many elements")
}

fn shape(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    let length = |length: &i64| {
        usize::try_from(*length)
            .map_err(|_| format!("got a length of {length}, expected 0 or more"))
    };
    tensor.dims.iter().map(length).collect()
}

/// Returns the number of elements in all lists.
fn lists(tensor: &TensorProto) -> usize {
    tensor.float_data.len()
        + tensor.int32_data.len()
        + tensor.int64_data.len()
        + tensor.uint64_data.len()
        + tensor.double_data.len()
        + tensor.string_data.len()
}

/// Splits little-endian data into elements.
macro_rules! elements {
    ($raw:expr, $type:ty) => {
        $raw.as_chunks()
            .0
            .iter()
            .map(|bytes| <$type>::from_le_bytes(*bytes))
    };
}

fn from_raw(raw: &[u8], datatype: Datatype, count: usize) -> Result<TensorData, String> {
    let width = datatype.width().ok_or("got strings in raw_data")?;
    if Some(raw.len()) != count.checked_mul(width) {
        let bytes = raw.len();
        return Err(format!(
            "got {bytes} bytes of data, expected {count} elements of {width} bytes"
        ));
    }
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(raw.iter().map(|byte| *byte != 0).collect()),
        Datatype::Int8 => TensorData::Int8(elements!(raw, i8).collect()),
        Datatype::Int16 => TensorData::Int16(elements!(raw, i16).collect()),
        Datatype::Int32 => TensorData::Int32(elements!(raw, i32).collect()),
        Datatype::Int64 => TensorData::Int64(elements!(raw, i64).collect()),
        Datatype::Uint8 => TensorData::Uint8(raw.to_vec()),
        Datatype::Uint16 => TensorData::Uint16(elements!(raw, u16).collect()),
        Datatype::Uint32 => TensorData::Uint32(elements!(raw, u32).collect()),
        Datatype::Uint64 => TensorData::Uint64(elements!(raw, u64).collect()),
        Datatype::Fp16 => TensorData::Fp32(elements!(raw, f16).map(f32::from).collect()),
        Datatype::Bf16 => TensorData::Fp32(elements!(raw, bf16).map(f32::from).collect()),
        Datatype::Fp32 => TensorData::Fp32(elements!(raw, f32).collect()),
        Datatype::Fp64 => TensorData::Fp64(elements!(raw, f64).collect()),
        Datatype::Bytes => return Err("got strings in raw_data".into()),
    })
}

fn from_list(tensor: &TensorProto, datatype: Datatype, count: usize) -> Result<TensorData, String> {
    let (list, length) = match datatype {
        Datatype::Fp32 => ("float_data", tensor.float_data.len()),
        Datatype::Fp64 => ("double_data", tensor.double_data.len()),
        Datatype::Int64 => ("int64_data", tensor.int64_data.len()),
        Datatype::Uint32 | Datatype::Uint64 => ("uint64_data", tensor.uint64_data.len()),
        Datatype::Bytes => ("string_data", tensor.string_data.len()),
        _ => ("int32_data", tensor.int32_data.len()),
    };
    if length != count || lists(tensor) != length {
        return Err(format!(
            "got {length} elements in {list} and {} in others, expected {count} in {list}",
            lists(tensor) - length
        ));
    }
    let small = &tensor.int32_data;
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(small.iter().map(|x| *x != 0).collect()),
        Datatype::Int8 => TensorData::Int8(narrowed(small)?),
        Datatype::Int16 => TensorData::Int16(narrowed(small)?),
        Datatype::Int32 => TensorData::Int32(small.clone()),
        Datatype::Int64 => TensorData::Int64(tensor.int64_data.clone()),
        Datatype::Uint8 => TensorData::Uint8(narrowed(small)?),
        Datatype::Uint16 => TensorData::Uint16(narrowed(small)?),
        Datatype::Uint32 => TensorData::Uint32(narrowed(&tensor.uint64_data)?),
        Datatype::Uint64 => TensorData::Uint64(tensor.uint64_data.clone()),
        Datatype::Fp16 => {
            let bits = narrowed(small)?.into_iter();
            TensorData::Fp32(bits.map(|bits| f16::from_bits(bits).into()).collect())
        }
        Datatype::Bf16 => {
            let bits = narrowed(small)?.into_iter();
            TensorData::Fp32(bits.map(|bits| bf16::from_bits(bits).into()).collect())
        }
        Datatype::Fp32 => TensorData::Fp32(tensor.float_data.clone()),
        Datatype::Fp64 => TensorData::Fp64(tensor.double_data.clone()),
        Datatype::Bytes => TensorData::Bytes(tensor.string_data.clone()),
    })
}

fn narrowed<T: Copy + ToString, U: TryFrom<T>>(values: &[T]) -> Result<Vec<U>, String> {
    let narrow = |value: &T| {
        U::try_from(*value).map_err(|_| {
            let value = value.to_string();
            format!("got the element {value}, which does not fit the element type")
        })
    };
    values.iter().map(narrow).collect()
}

/// Where the data of a tensor is, if it is in another file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Path below the folder of the model, with `/` between its parts.
    pub(super) path: String,
    /// Bytes before the data.
    pub(super) offset: u64,
    /// Bytes of the data.
    pub(super) length: u64,
}

impl Reference {
    /// Returns the reference of a tensor, or `None` if its data is in the file of the model.
    pub(super) fn of(tensor: &TensorProto) -> Result<Option<Self>, String> {
        if tensor.data_location() != DataLocation::External {
            if !tensor.external_data.is_empty() {
                return Err("got external_data of a tensor that is not external".into());
            }
            return Ok(None);
        }
        if lists(tensor) != 0 || !tensor.raw_data.is_empty() {
            return Err("got data both in this file and in another one".into());
        }
        let (mut path, mut offset, mut length) = (None, 0, None);
        for StringStringEntryProto { key, value } in &tensor.external_data {
            let number = || {
                let number = value.parse::<u64>();
                number.map_err(|_| format!("external_data: got {key} {value:?}, expected a number"))
            };
            match &**key {
                "location" => path = Some(inside(value)?),
                "offset" => offset = number()?,
                "length" => length = Some(number()?),
                "checksum" => {}
                other => return Err(format!("external_data: unknown key {other:?}")),
            }
        }
        let path = path.ok_or("external_data has no location")?;
        let expected = bytes(tensor)?;
        let length = length.unwrap_or(expected);
        if length != expected {
            return Err(format!(
                "external_data: got a length of {length} bytes, expected {expected}"
            ));
        }
        Ok(Some(Self {
            path,
            offset,
            length,
        }))
    }

    /// Adds the data to the tensor.
    pub(super) fn resolve(&self, tensor: &mut TensorProto, data: Vec<u8>) -> Result<(), String> {
        if u64::try_from(data.len()) != Ok(self.length) {
            let (path, got, expected) = (&self.path, data.len(), self.length);
            return Err(format!("{path}: got {got} bytes, expected {expected}"));
        }
        tensor.raw_data = Bytes::from(data);
        tensor.data_location = DataLocation::Default.into();
        tensor.external_data.clear();
        Ok(())
    }
}

/// Returns the bytes of the data of a tensor.
fn bytes(tensor: &TensorProto) -> Result<u64, String> {
    let datatype = datatype(tensor.data_type)?;
    let width = datatype
        .width()
        .ok_or("strings in another file are not supported")?;
    let shape = shape(tensor)?;
    let bytes = count(&shape).and_then(|count| count.checked_mul(width));
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| too_large(&shape))
}

/// Returns the path if it certainly stays inside the folder of the model.
fn inside(location: &str) -> Result<String, String> {
    let refused = || {
        let shown = crate::text::truncate(location, 200);
        format!("external_data: got location {shown:?}, expected a path inside the model's folder")
    };
    let path = location.strip_prefix("./").unwrap_or(location);
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let forbidden = |c: char| c == '\\' || c == ':' || c.is_control();
    if path.len() > 1_000 || path.contains(forbidden) || !path.split('/').all(plain) {
        return Err(refused());
    }
    Ok(path.to_owned())
}
