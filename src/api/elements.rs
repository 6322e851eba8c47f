//! Elements of tensors on the wire: blocks of bytes, and lists of a wider type.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use data_encoding::BASE64_NOPAD;
use half::{bf16, f16};

use crate::model::payload::{Datatype, TensorData};

/// Decodes a block of elements: little-endian without padding; BOOL as one byte, 0 or 1; each element of BYTES after its length in four
/// bytes. Source: the Open Inference Protocol's raw tensor contents.
///
/// # Errors
/// Returns what was expected.
pub(super) fn from_raw(datatype: Datatype, raw: &Bytes) -> Result<TensorData, &'static str> {
    Ok(match datatype {
        Datatype::Bool => TensorData::Bool(
            raw.iter()
                .map(|byte| match byte {
                    0 => Ok(false),
                    1 => Ok(true),
                    _ => Err("bytes that are 0 or 1"),
                })
                .collect::<Result<_, _>>()?,
        ),
        Datatype::Int8 => TensorData::Int8(elements(raw, i8::from_le_bytes)?),
        Datatype::Int16 => TensorData::Int16(elements(raw, i16::from_le_bytes)?),
        Datatype::Int32 => TensorData::Int32(elements(raw, i32::from_le_bytes)?),
        Datatype::Int64 => TensorData::Int64(elements(raw, i64::from_le_bytes)?),
        Datatype::Uint8 => TensorData::Uint8(raw.to_vec()),
        Datatype::Uint16 => TensorData::Uint16(elements(raw, u16::from_le_bytes)?),
        Datatype::Uint32 => TensorData::Uint32(elements(raw, u32::from_le_bytes)?),
        Datatype::Uint64 => TensorData::Uint64(elements(raw, u64::from_le_bytes)?),
        Datatype::Fp16 => TensorData::Fp16(elements(raw, f16::from_le_bytes)?),
        Datatype::Bf16 => TensorData::Bf16(elements(raw, bf16::from_le_bytes)?),
        Datatype::Fp32 => TensorData::Fp32(elements(raw, f32::from_le_bytes)?),
        Datatype::Fp64 => TensorData::Fp64(elements(raw, f64::from_le_bytes)?),
        Datatype::Bytes => TensorData::Bytes(texts(raw)?),
    })
}

/// Decodes `base64`, with or without padding and white space.
pub(super) fn from_base64(base64: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    append_base64(base64, &mut decoded).map(|()| decoded)
}

/// Appends the bytes that `base64` stands for. Returns `None` if it is not base64.
fn append_base64(base64: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let mut text = Cow::Borrowed(base64);
    if base64.iter().any(u8::is_ascii_whitespace) {
        text.to_mut().retain(|byte| !byte.is_ascii_whitespace());
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding.min(2)];
    let begin = to.len();
    to.resize(begin + BASE64_NOPAD.decode_len(digits.len()).ok()?, 0);
    let decoded = BASE64_NOPAD.decode_mut(digits, &mut to[begin..]).ok()?;
    to.truncate(begin + decoded);
    Some(())
}

/// Decodes each element of BYTES from base64. Elements of other types are left as they are. All decoded elements share one block of memory,
/// which is smaller than the message.
///
/// # Errors
/// Returns the number of the first element that is not base64.
pub(super) fn decode_base64(data: TensorData) -> Result<TensorData, usize> {
    let TensorData::Bytes(mut texts) = data else {
        return Ok(data);
    };
    let mut decoded = Vec::with_capacity(texts.iter().map(|text| text.len() / 4 * 3 + 3).sum());
    let mut ends = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        append_base64(text, &mut decoded).ok_or(at)?;
        ends.push(decoded.len());
    }
    let decoded = Bytes::from(decoded);
    let mut begin = 0;
    for (text, end) in texts.iter_mut().zip(ends) {
        *text = decoded.slice(begin..end);
        begin = end;
    }
    Ok(TensorData::Bytes(texts))
}

fn elements<T, const N: usize>(
    raw: &[u8],
    decode: fn([u8; N]) -> T,
) -> Result<Vec<T>, &'static str> {
    let (whole, rest) = raw.as_chunks::<N>();
    if rest.is_empty() {
        Ok(whole.iter().map(|element| decode(*element)).collect())
    } else {
        Err("a whole number of elements")
    }
}

/// Decodes strings. They are slices of `raw`, not copies.
fn texts(raw: &Bytes) -> Result<Vec<Bytes>, &'static str> {
    let mut rest = raw.clone();
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let length = rest.split_first_chunk::<4>();
        let (length, _) = length.ok_or("elements that each begin with a length of 4 bytes")?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let _ = rest.split_to(4);
        if length > rest.len() {
            return Err("elements as long as the lengths before them");
        }
        texts.push(rest.split_to(length));
    }
    Ok(texts)
}

/// Encodes elements as a block.
pub(super) fn to_raw(data: &TensorData) -> Bytes {
    fn block<T: Copy, const N: usize>(values: &[T], encode: impl Fn(T) -> [u8; N]) -> Bytes {
        let mut bytes = Vec::with_capacity(values.len() * N);
        for value in values {
            bytes.extend_from_slice(&encode(*value));
        }
        bytes.into()
    }
    match data {
        TensorData::Bool(values) => values.iter().map(|value| u8::from(*value)).collect(),
        TensorData::Int8(values) => block(values, i8::to_le_bytes),
        TensorData::Int16(values) => block(values, i16::to_le_bytes),
        TensorData::Int32(values) => block(values, i32::to_le_bytes),
        TensorData::Int64(values) => block(values, i64::to_le_bytes),
        TensorData::Uint8(values) => Bytes::copy_from_slice(values),
        TensorData::Uint16(values) => block(values, u16::to_le_bytes),
        TensorData::Uint32(values) => block(values, u32::to_le_bytes),
        TensorData::Uint64(values) => block(values, u64::to_le_bytes),
        TensorData::Fp16(values) => block(values, f16::to_le_bytes),
        TensorData::Bf16(values) => block(values, bf16::to_le_bytes),
        TensorData::Fp32(values) => block(values, f32::to_le_bytes),
        TensorData::Fp64(values) => block(values, f64::to_le_bytes),
        TensorData::Bytes(texts) => texts_to_raw(texts),
    }
}

/// Encodes strings as a block.
pub(super) fn texts_to_raw<T: AsRef<[u8]>>(texts: &[T]) -> Bytes {
    let mut block = BytesMut::new();
    for text in texts {
        let text = text.as_ref();
        // Strings are shorter than a message, whose length fits.
        block.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
        block.put_slice(text);
    }
    block.freeze()
}

/// Returns integers of 32 bits as elements of `datatype`, which is INT8, INT16, INT32, UINT8 or UINT16.
///
/// # Errors
/// Returns an error if an integer does not fit.
pub(super) fn narrowed(datatype: Datatype, values: Vec<i32>) -> Result<TensorData, &'static str> {
    match datatype {
        Datatype::Int8 => fitting(values, i8::try_from).map(TensorData::Int8),
        Datatype::Int16 => fitting(values, i16::try_from).map(TensorData::Int16),
        Datatype::Uint8 => fitting(values, u8::try_from).map(TensorData::Uint8),
        Datatype::Uint16 => fitting(values, u16::try_from).map(TensorData::Uint16),
        _ => Ok(TensorData::Int32(values)),
    }
}

/// Returns unsigned integers of 32 bits as elements of `datatype`, which is UINT8, UINT16 or UINT32.
///
/// # Errors
/// Returns an error if an integer does not fit.
pub(super) fn narrowed_unsigned(
    datatype: Datatype,
    values: Vec<u32>,
) -> Result<TensorData, &'static str> {
    match datatype {
        Datatype::Uint8 => fitting(values, u8::try_from).map(TensorData::Uint8),
        Datatype::Uint16 => fitting(values, u16::try_from).map(TensorData::Uint16),
        _ => Ok(TensorData::Uint32(values)),
    }
}

fn fitting<T: Copy, U, E>(
    values: Vec<T>,
    narrow: impl Fn(T) -> Result<U, E>,
) -> Result<Vec<U>, &'static str> {
    let narrowed = values.into_iter().map(narrow);
    narrowed
        .collect::<Result<_, _>>()
        .map_err(|_| "integers within the range of the datatype")
}

/// Returns integers of INT8, INT16, INT32, UINT8 and UINT16 as integers of 32 bits; `None` for other types.
pub(super) fn widened(data: &TensorData) -> Option<Vec<i32>> {
    Some(match data {
        TensorData::Int8(values) => values.iter().copied().map(i32::from).collect(),
        TensorData::Int16(values) => values.iter().copied().map(i32::from).collect(),
        TensorData::Int32(values) => values.clone(),
        TensorData::Uint8(values) => values.iter().copied().map(i32::from).collect(),
        TensorData::Uint16(values) => values.iter().copied().map(i32::from).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_lengths_and_within_the_block() {
        let block = Bytes::from_static(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c");
        let Ok(TensorData::Bytes(texts)) = from_raw(Datatype::Bytes, &block) else {
            panic!("three strings");
        };
        assert_eq!(texts, ["ab", "", "c"]);
        for wrong in [
            &b"\x01"[..],
            b"\x02\0\0\0a",
            b"\xff\xff\xff\xffa",
            b"\0\0\0\0\0",
        ] {
            assert!(from_raw(Datatype::Bytes, &Bytes::copy_from_slice(wrong)).is_err());
        }
        assert_eq!(texts_to_raw(&["ab", "", "c"].map(str::to_owned)), block);
    }

    #[test]
    fn a_block_has_whole_elements() {
        let block = to_raw(&TensorData::Fp32(vec![1.5, -0.0]));
        assert_eq!(
            from_raw(Datatype::Fp32, &block),
            Ok(TensorData::Fp32(vec![1.5, -0.0]))
        );
        assert!(from_raw(Datatype::Fp32, &block.slice(1..)).is_err());
        assert!(from_raw(Datatype::Bool, &Bytes::from_static(&[2])).is_err());
        assert!(from_raw(Datatype::Int64, &Bytes::from_static(&[0; 12])).is_err());
    }

    #[test]
    fn every_type_reads_what_it_writes() {
        let texts = ["a", "", "é"].map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let halves = [1.5, -0.0, 65_504.0];
        for data in [
            TensorData::Bool(vec![true, false]),
            TensorData::Int8(vec![i8::MIN, 1]),
            TensorData::Int16(vec![i16::MIN, 1]),
            TensorData::Int32(vec![i32::MIN, 1]),
            TensorData::Int64(vec![i64::MIN, 1]),
            TensorData::Uint8(vec![u8::MAX, 1]),
            TensorData::Uint16(vec![u16::MAX, 1]),
            TensorData::Uint32(vec![u32::MAX, 1]),
            TensorData::Uint64(vec![u64::MAX, 1]),
            TensorData::Fp16(halves.map(f16::from_f64).to_vec()),
            TensorData::Bf16(halves.map(bf16::from_f64).to_vec()),
            TensorData::Fp32(vec![f32::MIN_POSITIVE, 1.0]),
            TensorData::Fp64(vec![f64::MIN_POSITIVE, 1.0]),
            TensorData::Bytes(texts.to_vec()),
        ] {
            let block = to_raw(&data);
            assert_eq!(from_raw(data.datatype(), &block), Ok(data));
        }
    }

    #[test]
    fn integers_are_narrowed_only_if_they_fit() {
        assert_eq!(
            narrowed(Datatype::Int8, vec![-128, 127]),
            Ok(TensorData::Int8(vec![-128, 127]))
        );
        assert!(narrowed(Datatype::Int8, vec![128]).is_err());
        assert!(narrowed(Datatype::Uint16, vec![-1]).is_err());
        assert!(narrowed_unsigned(Datatype::Uint8, vec![256]).is_err());
    }
}
