//! Converts an `InferInputTensor` to a payload tensor.

use bytes::Bytes;

use crate::api::{elements, oip, read};
use crate::error::InputFaults;
use crate::model::payload::{Datatype, Tensor, TensorData};
use crate::proto::inference::InferTensorContents;
use crate::proto::inference::model_infer_request::InferInputTensor;

/// Reads all inputs of a request: from `raw`, one entry for each in order, or if that is empty, from their contents. Inputs with faults are
/// left out.
pub(super) fn read(
    inputs: Vec<InferInputTensor>,
    raw: Vec<Bytes>,
    faults: &mut InputFaults,
) -> Vec<Tensor> {
    if raw.is_empty() {
        let inputs = inputs.into_iter();
        return inputs
            .filter_map(|input| from_contents(input, faults))
            .collect();
    }
    if raw.len() != inputs.len() {
        let wanted = format!("one for each of {} inputs, in their order", inputs.len());
        faults.add(
            "raw_input_contents",
            format!("{} entries", raw.len()),
            wanted,
        );
        return Vec::new();
    }
    let with_blocks = inputs.into_iter().zip(&raw);
    with_blocks
        .filter_map(|(input, raw)| from_block(input, raw, faults))
        .collect()
}

fn from_block(input: InferInputTensor, raw: &Bytes, faults: &mut InputFaults) -> Option<Tensor> {
    let datatype = datatype(&input, faults)?;
    let is_empty = |contents: &InferTensorContents| *contents == InferTensorContents::default();
    if !input.contents.as_deref().is_none_or(is_empty) {
        let wanted = "none, because `raw_input_contents` has the elements";
        faults.add(field(&input.name, "contents"), "elements", wanted);
        return None;
    }
    match elements::from_raw(datatype, raw) {
        Ok(data) => {
            let data = decoded(&input, data, faults)?;
            Some(Tensor {
                name: input.name,
                shape: input.shape,
                data,
            })
        }
        Err(wanted) => {
            let field = format!("raw_input_contents[{}]", read::cut(&input.name));
            faults.add(field, format!("{} bytes", raw.len()), wanted);
            None
        }
    }
}

fn from_contents(mut input: InferInputTensor, faults: &mut InputFaults) -> Option<Tensor> {
    let datatype = datatype(&input, faults)?;
    let contents = *input.contents.take().unwrap_or_default();
    let own = field_of(datatype);
    let fields = [
        ("bool_contents", contents.bool_contents.is_empty()),
        ("int_contents", contents.int_contents.is_empty()),
        ("int64_contents", contents.int64_contents.is_empty()),
        ("uint_contents", contents.uint_contents.is_empty()),
        ("uint64_contents", contents.uint64_contents.is_empty()),
        ("fp32_contents", contents.fp32_contents.is_empty()),
        ("fp64_contents", contents.fp64_contents.is_empty()),
        ("bytes_contents", contents.bytes_contents.is_empty()),
    ];
    for (name, is_empty) in fields {
        if !is_empty && own != Some(name) {
            let wanted = match own {
                Some(_) => format!("only the field of datatype {datatype}"),
                None => format!("`raw_input_contents` for datatype {datatype}"),
            };
            let part = format!("contents.{name}");
            faults.add(field(&input.name, &part), "elements", wanted);
            return None;
        }
    }
    let data = data(datatype, contents).map_err(|wanted| {
        let part = format!("contents.{}", own.unwrap_or("raw"));
        faults.add(field(&input.name, &part), "elements", wanted);
    });
    let data = decoded(&input, data.ok()?, faults)?;
    Some(Tensor {
        name: input.name,
        shape: input.shape,
        data,
    })
}

/// Returns the elements of `input`, decoded if they are in base64.
fn decoded(
    input: &InferInputTensor,
    data: TensorData,
    faults: &mut InputFaults,
) -> Option<TensorData> {
    if input.parameters.is_empty() {
        return Some(data);
    }
    match input.parameters.get("content_type") {
        Some(content_type) if oip::is_base64(content_type) => {
            oip::decode_base64(data, &input.name, faults)
        }
        _ => Some(data),
    }
}

/// Returns the field with the elements of `datatype`; `None` if they travel only as blocks.
fn field_of(datatype: Datatype) -> Option<&'static str> {
    Some(match datatype {
        Datatype::Bool => "bool_contents",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => "int_contents",
        Datatype::Int64 => "int64_contents",
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => "uint_contents",
        Datatype::Uint64 => "uint64_contents",
        Datatype::Fp16 | Datatype::Bf16 => return None,
        Datatype::Fp32 => "fp32_contents",
        Datatype::Fp64 => "fp64_contents",
        Datatype::Bytes => "bytes_contents",
    })
}

fn data(datatype: Datatype, contents: InferTensorContents) -> Result<TensorData, &'static str> {
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(contents.bool_contents),
        Datatype::Int8 | Datatype::Int16 => elements::narrowed(datatype, contents.int_contents)?,
        Datatype::Int32 => TensorData::Int32(contents.int_contents),
        Datatype::Int64 => TensorData::Int64(contents.int64_contents),
        Datatype::Uint8 | Datatype::Uint16 => {
            elements::narrowed_unsigned(datatype, contents.uint_contents)?
        }
        Datatype::Uint32 => TensorData::Uint32(contents.uint_contents),
        Datatype::Uint64 => TensorData::Uint64(contents.uint64_contents),
        Datatype::Fp16 | Datatype::Bf16 => elements::from_raw(datatype, &Bytes::new())?,
        Datatype::Fp32 => TensorData::Fp32(contents.fp32_contents),
        Datatype::Fp64 => TensorData::Fp64(contents.fp64_contents),
        Datatype::Bytes => TensorData::Bytes(contents.bytes_contents),
    })
}

/// Returns the datatype of an input whose elements are in the message. Adds a fault if they are in shared memory.
fn datatype(input: &InferInputTensor, faults: &mut InputFaults) -> Option<Datatype> {
    if input.parameters.contains_key(oip::SHARED_MEMORY) {
        let part = format!("parameters[{}]", oip::SHARED_MEMORY);
        let wanted = "the elements in the message: no memory is shared";
        faults.add(field(&input.name, &part), "a region", wanted);
        return None;
    }
    oip::datatype(&input.datatype, &input.name, faults)
}

fn field(name: &str, part: &str) -> String {
    format!("inputs[{}].{part}", read::cut(name))
}
