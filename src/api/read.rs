//! What all protocols read in the same way: who must answer, keys and ids, elements as bytes.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName};

use crate::error::{InputFault, InputFaults};
use crate::ident::ResponseId;
use crate::model::payload::{Datatype, TensorData};
use crate::serving::Pin;

/// Longest routing key, in bytes.
const LONGEST_KEY: usize = 1024;

/// Carries the routing key where a protocol has no field for it.
const ROUTING_KEY: HeaderName = HeaderName::from_static("taper-routing-key");
/// Carries the caller's id for the answer where a protocol has no field for it; tells it in answers.
pub(super) const RESPONSE_ID: HeaderName = HeaderName::from_static("taper-response-id");

/// A version as a protocol writes it that has one text for numbers and labels; empty: no pin.
pub(super) fn pin(text: String) -> Option<Pin> {
    if text.is_empty() {
        return None;
    }
    // No label is a number, so there is nothing to mix up. What has a sign or a zero in front is how nobody writes a version.
    let is_number = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    let number = text.parse().ok().filter(|_| is_number);
    Some(number.map_or_else(|| Pin::Label(text), Pin::Version))
}

/// The routing key of a request: `said`, the name of its own field for it with what stands there, or else the header.
pub(super) fn routing_key_of(
    said: Option<(&str, String)>,
    headers: &HeaderMap,
    faults: &mut InputFaults,
) -> String {
    let name = ROUTING_KEY;
    let (field, key) = said.unwrap_or_else(|| by_header(headers, &name, faults));
    routing_key(key, field, faults)
}

/// The caller's id for the answer, said as in [`routing_key_of`].
pub(super) fn response_id_of(
    said: Option<(&str, String)>,
    headers: &HeaderMap,
    faults: &mut InputFaults,
) -> Option<ResponseId> {
    let name = RESPONSE_ID;
    let (field, id) = said.unwrap_or_else(|| by_header(headers, &name, faults));
    response_id(id, field, faults)
}

fn by_header<'n>(
    headers: &HeaderMap,
    name: &'n HeaderName,
    faults: &mut InputFaults,
) -> (&'n str, String) {
    (name.as_str(), header(headers, name, faults))
}

/// A routing key that came in `field`. Too long ones are a fault.
pub(super) fn routing_key(key: String, field: &str, faults: &mut InputFaults) -> String {
    if key.len() > LONGEST_KEY {
        let got = format!("{} bytes", key.len());
        faults.add(field, got, format!("at most {LONGEST_KEY} bytes"));
    }
    key
}

/// The caller's id for the answer, which came in `field`; empty: none.
pub(super) fn response_id(id: String, field: &str, faults: &mut InputFaults) -> Option<ResponseId> {
    if id.is_empty() {
        return None;
    }
    let id = ResponseId::try_from(id);
    id.map_err(|error| faults.add(field, error.got, error.wanted))
        .ok()
}

/// The text of header `name`; empty where it is not there. One that is no text is a fault.
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

/// Refuses what is `wanted` of a version that gives the one output `given`; `field` tells where each stands.
pub(super) fn outputs<'a>(
    wanted: impl Iterator<Item = &'a str>,
    given: &str,
    field: impl Fn(usize) -> String,
    faults: &mut InputFaults,
) {
    let mut is_there = false;
    for (at, name) in wanted.enumerate() {
        if name == given && !is_there {
            is_there = true;
            continue;
        }
        faults.add_with(|| InputFault {
            field: field(at),
            got: format!("`{}`", cut(name)),
            wanted: format!("`{given}`, once"),
        });
    }
}

/// Elements as they travel in one block: little-endian without padding, BOOL as one byte, 0 or 1; each of BYTES after its length in
/// four bytes. Source: the Open Inference Protocol's raw tensor contents.
///
/// # Errors
/// What was wanted.
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

fn elements<T, const N: usize>(raw: &[u8], read: fn([u8; N]) -> T) -> Result<Vec<T>, &'static str> {
    let (whole, rest) = raw.as_chunks::<N>();
    if rest.is_empty() {
        Ok(whole.iter().map(|element| read(*element)).collect())
    } else {
        Err("a whole number of elements")
    }
}

/// The texts are slices of `raw`, not copies.
fn texts(raw: &Bytes) -> Result<Vec<Bytes>, &'static str> {
    let mut rest = raw.clone();
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let length = rest.split_first_chunk::<4>();
        let (length, _) = length.ok_or("elements that each begin with a length of 4 bytes")?;
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let _ = rest.split_to(4);
        if length > rest.len() {
            return Err("elements as long as the lengths before them say");
        }
        texts.push(rest.split_to(length));
    }
    Ok(texts)
}

/// Scores as they travel in one block.
pub(super) fn to_raw(scores: &[f32]) -> Bytes {
    scores
        .iter()
        .flat_map(|score| score.to_le_bytes())
        .collect()
}

/// Texts as they travel in one block.
pub(super) fn texts_to_raw(texts: &[String]) -> Bytes {
    let mut block = BytesMut::new();
    for text in texts {
        // None is longer than the message that it goes into.
        block.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
        block.put_slice(text.as_bytes());
    }
    block.freeze()
}

/// A name as a caller wrote it, for telling it back: not longer than any sensible one.
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
    fn texts_are_cut_at_their_lengths_and_never_beyond_the_block() {
        let block = Bytes::from_static(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c");
        let Ok(TensorData::Bytes(texts)) = raw(Datatype::Bytes, &block) else {
            panic!("three texts");
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
    fn blocks_hold_whole_elements() {
        let block = to_raw(&[1.5, -0.0]);
        assert_eq!(
            raw(Datatype::Fp32, &block),
            Ok(TensorData::Fp32(vec![1.5, -0.0]))
        );
        assert!(raw(Datatype::Fp32, &block.slice(1..)).is_err());
        assert!(raw(Datatype::Bool, &Bytes::from_static(&[2])).is_err());
        assert!(raw(Datatype::Int64, &Bytes::from_static(&[0; 12])).is_err());
    }
}
