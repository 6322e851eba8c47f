//! Decodes protobuf messages with prost, after a check of the number of fields and of the memory that they take.
//!
//! An empty nested message takes two bytes on the wire and a hundred times as much in memory. A message within the size limit
//! could therefore take gigabytes of memory while it is decoded. To prevent this, the decoder first counts the fields of the
//! outermost message; it reads their keys and skips their contents. [`footprint`] then computes the memory of a large message at every
//! depth.
//! Source of the format: <https://protobuf.dev/programming-guides/encoding/>.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::footprint::{self, varint};

/// The most fields of the outermost message. Each element of a repeated field counts. No version accepts as many rows.
pub const MOST_FIELDS: usize = 66_000;

/// The codec of every generated service and client.
#[derive(Debug)]
pub struct Bounded<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Bounded<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Bounded<T, U>
where
    T: Message + Send + 'static,
    U: Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(buffers())
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

/// Returns the sizes of the buffers of a call. It begins with space for one or a few rows, because the default of 8 KiB costs the
/// allocator more than a larger message costs that grows its buffer.
fn buffers() -> BufferSettings {
    const FIRST: usize = 1024;
    const YIELD_FROM: usize = 32 * 1024;
    BufferSettings::new(FIRST, YIELD_FROM)
}

/// Decodes messages of at most [`MOST_FIELDS`] fields, which take at most [`FACTOR`](footprint::FACTOR) times their bytes in memory.
#[derive(Debug)]
pub struct BoundedDecoder<U>(PhantomData<U>);

impl<U: Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Split off as `Bytes`, because reading single bytes from the growable buffer is slower.
        decode(buf.copy_to_bytes(buf.remaining())).map(Some)
    }
}

/// Decodes a message of at most [`MOST_FIELDS`] fields, which takes at most [`FACTOR`](footprint::FACTOR) times its bytes in memory.
///
/// # Errors
/// Returns INVALID_ARGUMENT if it is malformed or beyond a limit.
pub fn decode<U: Name + Default>(message: Bytes) -> Result<U, Status> {
    if !has_at_most(&message, MOST_FIELDS) {
        return Err(Status::invalid_argument(format!(
            "the message has more than {MOST_FIELDS} fields: send fewer rows per request"
        )));
    }
    footprint::check(U::full_name, &message).map_err(|too_large| {
        let footprint::TooLarge { field, limit } = too_large;
        Status::invalid_argument(format!(
            "the message takes more than {limit} bytes of memory, which the field `{field}` exceeds: send fewer elements per request"
        ))
    })?;
    U::decode(message).map_err(|error| {
        Status::invalid_argument(format!("the message is not well-formed protobuf: {error}"))
    })
}

/// Returns whether `message` has at most `max` fields. Returns true for a malformed message: the decoder fails at the same place.
fn has_at_most(mut message: &[u8], max: usize) -> bool {
    // A field takes at least two bytes.
    if message.len() <= 2 * max {
        return true;
    }
    for _ in 0..=max {
        if message.is_empty() {
            return true;
        }
        let Some(key) = varint(&mut message) else {
            return true;
        };
        let skip = match key & 7 {
            0 => varint(&mut message).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut message),
            5 => Some(4),
            _ => None,
        };
        let rest = skip.and_then(|skip| message.get(usize::try_from(skip).ok()?..));
        let Some(rest) = rest else { return true };
        message = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{PredictRequest, Tensor, predict_request::Pin};

    #[test]
    fn fields_of_the_outermost_message_are_counted_whatever_they_contain() {
        let message = PredictRequest {
            model: "m".repeat(300),
            pin: Some(Pin::Version(u64::MAX)),
            tensors: vec![
                Tensor {
                    fp64_values: vec![1.0; 100],
                    ..Tensor::default()
                },
                Tensor::default(),
            ],
            ..PredictRequest::default()
        };
        let bytes = message.encode_to_vec();
        assert!(has_at_most(&bytes, 4));
        assert!(!has_at_most(&bytes, 3));
    }

    #[test]
    fn malformed_messages_are_left_to_the_decoder() {
        for bytes in [
            &[0x80][..],
            &[0x0a, 0xff],
            &[0x0f, 0x00],
            &[0xff; 20],
            &[0x0a, 0x05, 0x00],
        ] {
            assert!(has_at_most(bytes, 1), "{bytes:?}");
            assert!(PredictRequest::decode(bytes).is_err(), "{bytes:?}");
        }
        assert!(has_at_most(&[], 0));
    }
}
