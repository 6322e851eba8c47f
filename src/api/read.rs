//! What all protocols read in the same way: pins, keys and ids, blocks of bytes.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};

use crate::error::{InputFault, InputFaults};
use crate::ident::ResponseId;
use crate::model::payload::{Datatype, TensorData};
use crate::serving::Pin;

/// Limit on the bytes of a routing key.
const MAX_KEY_BYTES: usize = 1024;

/// Header with the routing key, for protocols without a field for it.
const ROUTING_KEY: HeaderName = HeaderName::from_static("taper-routing-key");
/// Header with the caller's id for the answer, for protocols without a field for it. Responses have it too.
pub(super) const RESPONSE_ID: HeaderName = HeaderName::from_static("taper-response-id");

/// Reads a version from a text that is a number or a label; `None` if it is empty.
pub(super) fn pin(text: String) -> Option<Pin> {
    if text.is_empty() {
        return None;
    }
    // Unambiguous, since no label is a number. A text with a sign or leading zeros is a label, since versions are not written so.
    let is_number = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    let number = text.parse().ok().filter(|_| is_number);
    Some(number.map_or_else(|| Pin::Label(text), Pin::Version))
}

/// Returns the routing key of a request: from the message if `in_message` has the name and the value of its field, otherwise from the
/// header.
pub(super) fn routing_key_of(
    in_message: Option<(&str, String)>,
    headers: &HeaderMap,
    faults: &mut InputFaults,
) -> String {
    let name = ROUTING_KEY;
    let (field, key) = in_message.unwrap_or_else(|| from_header(headers, &name, faults));
    routing_key(key, field, faults)
}

/// Returns the caller's id for the answer, found as in [`routing_key_of`].
pub(super) fn response_id_of(
    in_message: Option<(&str, String)>,
    headers: &HeaderMap,
    faults: &mut InputFaults,
) -> Option<ResponseId> {
    let name = RESPONSE_ID;
    let (field, id) = in_message.unwrap_or_else(|| from_header(headers, &name, faults));
    response_id(id, field, faults)
}

fn from_header<'n>(
    headers: &HeaderMap,
    name: &'n HeaderName,
    faults: &mut InputFaults,
) -> (&'n str, String) {
    (name.as_str(), header(headers, name, faults))
}

/// Returns the routing key found in `field`. Adds a fault if it is too long.
pub(super) fn routing_key(key: String, field: &str, faults: &mut InputFaults) -> String {
    if key.len() > MAX_KEY_BYTES {
        let got = format!("{} bytes", key.len());
        faults.add(field, got, format!("at most {MAX_KEY_BYTES} bytes"));
    }
    key
}

/// Returns the caller's id for the answer found in `field`; `None` if it is empty. Adds a fault if it is not valid.
pub(super) fn response_id(id: String, field: &str, faults: &mut InputFaults) -> Option<ResponseId> {
    if id.is_empty() {
        return None;
    }
    let id = ResponseId::try_from(id);
    id.map_err(|error| faults.add(field, error.got, error.wanted))
        .ok()
}

/// Returns the text of header `name`, empty if it is missing. Adds a fault if it is not text.
fn header(headers: &HeaderMap, name: &HeaderName, faults: &mut InputFaults) -> String {
    match headers.get(name).map(|value| value.to_str()) {
        None => String::new(),
        Some(Ok(text)) => text.to_owned(),
        Some(Err(_)) => {
            faults.add(name.as_str(), "bytes", "visible ASCII characters");
            String::new()
        }
    }
}

/// Adds a fault for each of the `wanted` outputs that a version with the one output `available` does not have, or that is repeated. `field`
/// returns the field of the output at an index.
pub(super) fn check_outputs<'a>(
    wanted: impl Iterator<Item = &'a str>,
    available: &str,
    field: impl Fn(usize) -> String,
    faults: &mut InputFaults,
) {
    let mut was_found = false;
    for (at, name) in wanted.enumerate() {
        if name == available && !was_found {
            was_found = true;
            continue;
        }
        faults.add_with(|| InputFault {
            field: field(at),
            got: format!("`{}`", cut(name)),
            wanted: format!("`{available}`, once"),
        });
    }
}

/// Decodes a block of elements: little-endian without padding; BOOL as one byte, 0 or 1; each element of BYTES after its length in four
/// bytes. Source: the Open Inference Protocol's raw tensor contents.
///
/// # Errors
/// Returns what was expected.
pub(super) fn raw(datatype: Datatype, raw: &Bytes) -> Result<TensorData, &'static str> {
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
        Datatype::Int32 => TensorData::Int32(elements(raw, i32::from_le_bytes)?),
        Datatype::Int64 => TensorData::Int64(elements(raw, i64::from_le_bytes)?),
        Datatype::Fp32 => TensorData::Fp32(elements(raw, f32::from_le_bytes)?),
        Datatype::Fp64 => TensorData::Fp64(elements(raw, f64::from_le_bytes)?),
        Datatype::Bytes => TensorData::Bytes(texts(raw)?),
    })
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

/// Encodes scores as a block.
pub(super) fn scores_to_raw(scores: &[f32]) -> Bytes {
    scores
        .iter()
        .flat_map(|score| score.to_le_bytes())
        .collect()
}

/// Encodes strings as a block.
pub(super) fn texts_to_raw(texts: &[String]) -> Bytes {
    let mut block = BytesMut::new();
    for text in texts {
        // Strings are shorter than a message, whose length fits.
        block.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
        block.put_slice(text.as_bytes());
    }
    block.freeze()
}

/// Shortens a name from a request to 64 characters, to repeat it in an error.
pub(super) fn cut(name: &str) -> String {
    crate::text::truncate(name, 64).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_a_label() {
        assert_eq!(pin(String::new()), None);
        assert_eq!(pin("12".into()), Some(Pin::Version(12)));
        assert_eq!(pin("0".into()), Some(Pin::Version(0)));
        for label in ["+1", "01", "-1", "00", "1e1", "99999999999999999999", " 1"] {
            assert_eq!(pin(label.into()), Some(Pin::Label(label.into())));
        }
        assert_eq!(pin("1.4.0".into()), Some(Pin::Label("1.4.0".into())));
        assert_eq!(pin("stable".into()), Some(Pin::Label("stable".into())));
    }

    #[test]
    fn strings_end_at_their_lengths_and_within_the_block() {
        let block = Bytes::from_static(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c");
        let Ok(TensorData::Bytes(texts)) = raw(Datatype::Bytes, &block) else {
            panic!("three strings");
        };
        assert_eq!(texts, ["ab", "", "c"]);
        for wrong in [
            &b"\x01"[..],
            b"\x02\0\0\0a",
            b"\xff\xff\xff\xffa",
            b"\0\0\0\0\0",
        ] {
            assert!(raw(Datatype::Bytes, &Bytes::copy_from_slice(wrong)).is_err());
        }
        assert_eq!(texts_to_raw(&["ab", "", "c"].map(str::to_owned)), block);
    }

    #[test]
    fn a_block_has_whole_elements() {
        let block = scores_to_raw(&[1.5, -0.0]);
        assert_eq!(
            raw(Datatype::Fp32, &block),
            Ok(TensorData::Fp32(vec![1.5, -0.0]))
        );
        assert!(raw(Datatype::Fp32, &block.slice(1..)).is_err());
        assert!(raw(Datatype::Bool, &Bytes::from_static(&[2])).is_err());
        assert!(raw(Datatype::Int64, &Bytes::from_static(&[0; 12])).is_err());
    }
}
