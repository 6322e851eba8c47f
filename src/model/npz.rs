//! Tensors in a numpy archive: a zip file with one `.npy` file per tensor.
//!
//! Format: `numpy.lib.format` versions 1 to 3. Arrays of objects, which need pickle, are refused, as are structured and complex types.

use std::io::{Cursor, Read as _, Write as _};

use bytes::Bytes;
use half::f16;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::payload::{Datatype, Tensor, TensorData};

/// The most bytes of one unpacked array: 4 GiB.
const MAX_BYTES: u64 = 1 << 32;
/// The first bytes of an array.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Returns whether `bytes` begin as a zip file does.
#[must_use]
pub fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Reads all arrays of an archive, in its order.
///
/// # Errors
/// Returns what is wrong, with the name of the array.
pub fn read(bytes: &[u8]) -> Result<Vec<Tensor>, String> {
    let archive = ZipArchive::new(Cursor::new(bytes));
    let mut archive = archive.map_err(|error| format!("is not a zip archive: {error}"))?;
    let mut tensors = Vec::new();
    for at in 0..archive.len() {
        let file = archive.by_index(at);
        let file = file.map_err(|error| format!("entry {at} cannot be read: {error}"))?;
        let name = file.name().map(|name| name.into_owned());
        let name = name.map_err(|error| format!("entry {at} has no name: {error}"))?;
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            return Err(format!("{name}: expected an array, NAME.npy"));
        };
        let mut content = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut content);
        read.map_err(|error| format!("{name}: cannot be read: {error}"))?;
        if content.len() as u64 > MAX_BYTES {
            return Err(format!("{name}: expected at most {MAX_BYTES} bytes"));
        }
        let (shape, data) = array(&content).map_err(|error| format!("{name}: {error}"))?;
        tensors.push(Tensor { name, shape, data });
    }
    Ok(tensors)
}

/// Writes tensors as an archive without compression, in their order.
///
/// # Errors
/// Returns an error if a name is repeated.
pub fn write(tensors: &[Tensor]) -> Result<Vec<u8>, String> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for tensor in tensors {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", tensor.name);
        let begun = archive.start_file(format!("{}.npy", tensor.name), options);
        begun.map_err(|error| failed(&error))?;
        let written = archive.write_all(&to_array(tensor));
        written.map_err(|error| failed(&error))?;
    }
    let finished = archive.finish().map_err(|error| error.to_string())?;
    Ok(finished.into_inner())
}

/// Reads one array.
fn array(content: &[u8]) -> Result<(Vec<i64>, TensorData), String> {
    let rest = content.strip_prefix(MAGIC).ok_or("is not an array")?;
    let ([major, _minor], rest) = rest.split_first_chunk::<2>().ok_or("is cut off")?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or("is cut off")?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or("is cut off")?;
            let length = usize::try_from(u32::from_le_bytes(*length));
            (length.map_err(|_| "is cut off")?, rest)
        }
        other => return Err(format!("got format version {other}, expected 1 to 3")),
    };
    let (header, elements) = rest.split_at_checked(length).ok_or("is cut off")?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is not text")?;
    let descr = field(header, "'descr':").ok_or("has no element type")?;
    let descr = descr.trim_start().strip_prefix('\'');
    let descr = descr.and_then(|text| text.split('\'').next());
    let descr = descr.ok_or("has a structured element type, expected a plain one")?;
    let by_columns = field(header, "'fortran_order':").ok_or("has no order")?;
    if by_columns.trim_start().starts_with("True") {
        return Err("is stored by columns; write numpy.ascontiguousarray of it".into());
    }
    let shape = field(header, "'shape':").ok_or("has no shape")?;
    let shape = shape.trim_start().strip_prefix('(').ok_or("has no shape")?;
    let shape = shape.split(')').next().ok_or("has no shape")?;
    let axes = shape
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty());
    let axes: Result<Vec<i64>, _> = axes.map(str::parse).collect();
    let shape = axes.map_err(|_| "has a shape that is not made of numbers")?;
    let mut count = 1_usize;
    for axis in &shape {
        let axis = usize::try_from(*axis).ok();
        let product = axis.and_then(|axis| count.checked_mul(axis));
        count = product.ok_or("has a shape that is too large")?;
    }
    let data = data(descr, elements, count)?;
    if data.len() == count {
        Ok((shape, data))
    } else {
        let got = data.len();
        Err(format!(
            "got {got} elements, expected {count} for its shape"
        ))
    }
}

/// Returns what follows `name` in a header.
fn field<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split_once(name).map(|(_, rest)| rest)
}

/// Decodes `count` elements of the type `descr`, such as `<f4`.
fn data(descr: &str, raw: &[u8], count: usize) -> Result<TensorData, String> {
    let order = descr.as_bytes().first().copied().unwrap_or_default();
    let kind = descr.get(1..).unwrap_or_default();
    if order == b'>' {
        return Err("is big-endian, expected little-endian".into());
    }
    Ok(match kind {
        "b1" => TensorData::Bool(raw.iter().map(|byte| *byte != 0).collect()),
        "i1" => TensorData::Int8(elements(raw, i8::from_le_bytes)),
        "i2" => TensorData::Int16(elements(raw, i16::from_le_bytes)),
        "i4" => TensorData::Int32(elements(raw, i32::from_le_bytes)),
        "i8" => TensorData::Int64(elements(raw, i64::from_le_bytes)),
        "u1" => TensorData::Uint8(raw.to_vec()),
        "u2" => TensorData::Uint16(elements(raw, u16::from_le_bytes)),
        "u4" => TensorData::Uint32(elements(raw, u32::from_le_bytes)),
        "u8" => TensorData::Uint64(elements(raw, u64::from_le_bytes)),
        "f2" => TensorData::Fp16(elements(raw, f16::from_le_bytes)),
        "f4" => TensorData::Fp32(elements(raw, f32::from_le_bytes)),
        "f8" => TensorData::Fp64(elements(raw, f64::from_le_bytes)),
        _ if kind.starts_with(['U', 'S']) => texts(kind, raw, count)?,
        _ if order == b'O' || kind.starts_with('O') => {
            return Err(
                "contains Python objects, which only pickle can read; write numbers, or texts with astype(str)"
                    .into(),
            );
        }
        other => {
            return Err(format!(
                "got elements of type {other:?}, expected numbers or texts"
            ));
        }
    })
}

fn elements<T, const N: usize>(raw: &[u8], decode: fn([u8; N]) -> T) -> Vec<T> {
    let (whole, _) = raw.as_chunks::<N>();
    whole.iter().map(|element| decode(*element)).collect()
}

/// Decodes texts of a fixed length: UTF-32 for `U`, bytes for `S`, padded with zeros.
fn texts(kind: &str, raw: &[u8], count: usize) -> Result<TensorData, String> {
    let length: usize = kind[1..]
        .parse()
        .map_err(|_| format!("got elements of type {kind:?}, expected texts of a length"))?;
    let is_wide = kind.starts_with('U');
    let width = length.saturating_mul(if is_wide { 4 } else { 1 });
    if width == 0 {
        return Ok(TensorData::Bytes(vec![Bytes::new(); count.min(raw.len())]));
    }
    let text = |element: &[u8]| {
        if !is_wide {
            let end = element.iter().rposition(|byte| *byte != 0);
            return Ok(Bytes::copy_from_slice(
                &element[..end.map_or(0, |end| end + 1)],
            ));
        }
        let (points, _) = element.as_chunks::<4>();
        let points = points.iter().map(|point| u32::from_le_bytes(*point));
        let text: Option<String> = points
            .take_while(|point| *point != 0)
            .map(char::from_u32)
            .collect();
        text.map(Bytes::from)
            .ok_or("contains a text that is not Unicode")
    };
    let texts: Result<Vec<_>, _> = raw.chunks_exact(width).map(text).collect();
    Ok(TensorData::Bytes(texts?))
}

/// Returns a tensor as a `.npy` file. FP16 stays FP16, BF16 becomes FP32, and texts become texts of the length of the longest.
fn to_array(tensor: &Tensor) -> Vec<u8> {
    fn block<T: Copy, const N: usize>(values: &[T], encode: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|value| encode(*value)).collect()
    }
    let (descr, elements) = match &tensor.data {
        TensorData::Bool(values) => (
            "|b1".to_owned(),
            values.iter().map(|x| u8::from(*x)).collect(),
        ),
        TensorData::Int8(values) => ("|i1".to_owned(), block(values, i8::to_le_bytes)),
        TensorData::Int16(values) => ("<i2".to_owned(), block(values, i16::to_le_bytes)),
        TensorData::Int32(values) => ("<i4".to_owned(), block(values, i32::to_le_bytes)),
        TensorData::Int64(values) => ("<i8".to_owned(), block(values, i64::to_le_bytes)),
        TensorData::Uint8(values) => ("|u1".to_owned(), values.clone()),
        TensorData::Uint16(values) => ("<u2".to_owned(), block(values, u16::to_le_bytes)),
        TensorData::Uint32(values) => ("<u4".to_owned(), block(values, u32::to_le_bytes)),
        TensorData::Uint64(values) => ("<u8".to_owned(), block(values, u64::to_le_bytes)),
        TensorData::Fp16(values) => ("<f2".to_owned(), block(values, f16::to_le_bytes)),
        TensorData::Bf16(values) => (
            "<f4".to_owned(),
            block(values, |x| x.to_f32().to_le_bytes()),
        ),
        TensorData::Fp32(values) => ("<f4".to_owned(), block(values, f32::to_le_bytes)),
        TensorData::Fp64(values) => ("<f8".to_owned(), block(values, f64::to_le_bytes)),
        TensorData::Bytes(values) => {
            let texts = values.iter().map(|text| String::from_utf8_lossy(text));
            let texts: Vec<Vec<char>> = texts.map(|text| text.chars().collect()).collect();
            let longest = texts.iter().map(Vec::len).max().unwrap_or(0).max(1);
            let mut wide = Vec::with_capacity(texts.len() * longest * 4);
            for text in &texts {
                let padded = text.iter().copied().chain(std::iter::repeat('\0'));
                for point in padded.take(longest) {
                    wide.extend(u32::from(point).to_le_bytes());
                }
            }
            (format!("<U{longest}"), wide)
        }
    };
    let axes = tensor.shape.iter().map(|axis| format!("{axis},"));
    let shape: String = axes.collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The elements begin at a multiple of 64, as numpy writes them.
    let unpadded = MAGIC.len() + 8 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    let mut file = [MAGIC, &[2, 0], &length.to_le_bytes(), header.as_bytes()].concat();
    file.extend(elements);
    file
}

/// Returns the type that an array of this tensor has once it is written and read again.
#[must_use]
pub fn stored_type(datatype: Datatype) -> Datatype {
    match datatype {
        Datatype::Bf16 => Datatype::Fp32,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_read_as_they_were_written() {
        let texts = ["a", "", "né"].map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let tensors = [
            ("a", vec![2, 2], TensorData::Fp32(vec![1.0, 2.0, 3.0, -0.5])),
            ("b", vec![3], TensorData::Bytes(texts.to_vec())),
            ("c", vec![], TensorData::Int64(vec![i64::MIN])),
            ("d", vec![1, 2], TensorData::Bool(vec![true, false])),
            ("e", vec![0, 4], TensorData::Fp64(vec![])),
            ("f", vec![1], TensorData::Uint8(vec![7])),
        ];
        let tensors = tensors.map(|(name, shape, data)| Tensor {
            name: name.into(),
            shape,
            data,
        });
        let archive = write(&tensors).unwrap();
        assert!(recognises(&archive));
        assert_eq!(read(&archive).unwrap(), tensors);
        for end in 0..archive.len() {
            assert!(read(&archive[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn arrays_that_are_not_plain_are_refused() {
        let with = |header: &str, elements: &[u8]| {
            let length = u16::try_from(header.len()).unwrap().to_le_bytes();
            array(&[MAGIC, &[1, 0], &length, header.as_bytes(), elements].concat())
        };
        for (header, want) in [
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
                "Python objects",
            ),
            (
                "{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}",
                "big-endian",
            ),
            (
                "{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}",
                "by columns",
            ),
            (
                "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
                "\"c8\"",
            ),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
                "structured",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
                "expected 3",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999)}",
                "too large",
            ),
            (
                "{'descr': '<U0', 'fortran_order': False, 'shape': (9999999999,)}",
                "expected 9999999999",
            ),
        ] {
            let error = with(header, &[0; 8]).unwrap_err();
            assert!(error.contains(want), "{header}: {error}");
        }
    }
}
