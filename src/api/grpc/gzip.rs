//! Messages of gRPC that are compressed with gzip: requests are inflated before the service reads them, and large answers are compressed
//! for clients that accept it. The service itself sees no compression.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/compression.md>.

use std::sync::Arc;
use std::{fmt, mem};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

use crate::api::gzip::{InflateError, Inflater, SLICE, WHOLE, count_beyond, deflate, is_accepted};

/// Bytes before each message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GZIP: &str = "gzip";

/// Which messages are inflated and compressed.
#[derive(Clone, Copy, Debug)]
pub struct CompressionLimits {
    /// The most bytes of an inflated message.
    pub max_message_bytes: usize,
    /// The fewest bytes of an answer that is compressed for a client that accepts it; 0: none is.
    pub min_compressed_bytes: usize,
}

impl Default for CompressionLimits {
    fn default() -> Self {
        Self {
            max_message_bytes: 16 << 20,
            min_compressed_bytes: 4096,
        }
    }
}

/// What the headers of a call say about compression.
pub(super) struct CallCompression {
    /// Whether messages of the request are compressed.
    pub(super) is_compressed: bool,
    /// The fewest bytes of an answer that is compressed; `None`: none is.
    pub(super) compress_from: Option<usize>,
}

impl CallCompression {
    /// Reads what `headers` say, among which `encoding` and `accepted` are the first `grpc-encoding` and `grpc-accept-encoding`.
    ///
    /// Clients on gRPC's C core list all that they can read with every call, `identity, deflate, gzip`. This does not request compression, which
    /// takes longer than answering. Such a client asks by compressing its request.
    pub(super) fn read(
        headers: &HeaderMap,
        encoding: Option<&HeaderValue>,
        accepted: Option<&HeaderValue>,
        limits: CompressionLimits,
    ) -> Self {
        let is_compressed = encoding.is_some_and(|encoding| encoding == GZIP);
        let least = limits.min_compressed_bytes;
        let is_asked = accepted.is_some_and(|accepted| {
            least > 0
                && (is_compressed || !accepted.as_bytes().starts_with(b"identity"))
                && is_accepted(headers, ACCEPTED)
        });
        Self {
            is_compressed,
            compress_from: is_asked.then_some(least),
        }
    }

    /// Like [`read`](Self::read), for headers that have not been searched yet.
    pub(super) fn find(headers: &HeaderMap, limits: CompressionLimits) -> Self {
        Self::read(
            headers,
            headers.get(ENCODING),
            headers.get(ACCEPTED),
            limits,
        )
    }

    /// Removes `grpc-encoding` from the headers of a compressed request, since the service gets inflated messages.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        if self.is_compressed {
            headers.remove(ENCODING);
        }
    }
}

/// Marks an answer as one whose messages may be compressed.
pub(super) fn set_encoding(headers: &mut HeaderMap) {
    headers.insert(ENCODING, HeaderValue::from_static(GZIP));
}

/// Compresses the messages in `frame` of at least `least` bytes.
pub(super) fn compress(mut frame: Bytes, least: usize) -> Bytes {
    if frame.len() < least + HEAD_BYTES {
        return frame;
    }
    let mut compressed = BytesMut::new();
    while let Some((is_compressed, length)) = head(&frame) {
        if frame.len() < HEAD_BYTES + length {
            break;
        }
        let message = frame.split_to(HEAD_BYTES + length);
        let shorter = (length >= least && !is_compressed)
            .then(|| deflate(vec![0; HEAD_BYTES], &message[HEAD_BYTES..]));
        match shorter.flatten() {
            Some(shorter) => compressed.extend_from_slice(&with_head(shorter, true)),
            None => compressed.extend_from_slice(&message),
        }
    }
    compressed.extend_from_slice(&frame);
    compressed.freeze()
}

/// Returns the head of a message: whether it is compressed, and its length.
fn head(mut frame: &[u8]) -> Option<(bool, usize)> {
    if frame.len() < HEAD_BYTES {
        return None;
    }
    let is_compressed = frame.get_u8() == 1;
    Some((is_compressed, usize::try_from(frame.get_u32()).ok()?))
}

/// Writes the head of a message into the space before it.
fn with_head(mut message: Vec<u8>, is_compressed: bool) -> Vec<u8> {
    // A message is at most 1 GiB long.
    let length = u32::try_from(message.len() - HEAD_BYTES).unwrap_or(u32::MAX);
    let mut head = &mut message[..HEAD_BYTES];
    head.put_u8(is_compressed.into());
    head.put_u32(length);
    message
}

/// Counts bytes that are held.
type Count = dyn Fn(usize) -> Result<(), Status> + Send + Sync;
/// Gets the bytes of a message before a piece and the bytes of the piece.
type Charge = Box<dyn FnMut(usize, usize) -> Result<(), Status> + Send>;

/// Inflates the messages of one request as they arrive, one at a time: what has arrived after it stays compressed until it is asked for.
pub(super) struct GzipMessages {
    max_bytes: usize,
    count: Arc<Count>,
    state: State,
    /// What has arrived and is not read.
    arrived: Bytes,
}

enum State {
    /// The beginning of a message's head.
    Head(BytesMut),
    /// A message that is not compressed, of which this many bytes are missing.
    Plain(usize),
    /// A compressed message of this many bytes, and those that have arrived.
    Collected(usize, BytesMut),
    /// A compressed message, of which this many bytes are missing.
    Compressed(usize, Box<Inflater<Charge, Status>>),
}

impl GzipMessages {
    /// Creates a reader that refuses messages of more than `max_bytes` inflated bytes. `count` counts bytes as they are inflated.
    pub(super) fn new(
        max_bytes: usize,
        count: impl Fn(usize) -> Result<(), Status> + Send + Sync + 'static,
    ) -> Self {
        Self {
            max_bytes,
            count: Arc::new(count),
            state: State::Head(BytesMut::new()),
            arrived: Bytes::new(),
        }
    }

    /// Takes the next bytes of the request. The bytes before must have been read.
    pub(super) fn push(&mut self, data: Bytes) {
        self.arrived = data;
    }

    /// Returns whether all that has arrived is read, and ended with a message.
    pub(super) fn is_complete(&self) -> bool {
        self.arrived.is_empty() && matches!(&self.state, State::Head(begin) if begin.is_empty())
    }

    /// Returns whether there is more to read of what has arrived.
    pub(super) fn has_more(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Returns the next message, or the next part of one that is not compressed. Returns `None` if more bytes must arrive first, and after
    /// [`SLICE`] bytes of a message if there [is more](Self::has_more): others should run before it goes on.
    ///
    /// # Errors
    /// Returns a status if a message is malformed or larger than a limit.
    pub(super) fn read(&mut self) -> Result<Option<Bytes>, Status> {
        // Bytes of the message that were inflated before.
        let mut inflated = None;
        let mut is_slice = false;
        while !self.arrived.is_empty() {
            let mut read = None;
            match &mut self.state {
                State::Head(begin) => {
                    let missing = HEAD_BYTES - begin.len();
                    begin.put(self.arrived.split_to(missing.min(self.arrived.len())));
                    if let Some((is_compressed, length)) = head(begin) {
                        read = (!is_compressed).then(|| begin.split().freeze());
                        self.begin(is_compressed, length)?;
                    }
                }
                State::Plain(left) => {
                    let part = self.arrived.split_to(self.arrived.len().min(*left));
                    *left -= part.len();
                    if part.len() > self.max_bytes {
                        return Err(too_large(self.max_bytes));
                    }
                    (self.count)(part.len())?;
                    read = Some(part);
                }
                State::Collected(length, data) => {
                    let missing = *length - data.len();
                    let part = self.arrived.split_to(self.arrived.len().min(missing));
                    (self.count)(part.len())?;
                    data.put(part);
                    if data.len() == *length || data.len() >= WHOLE {
                        self.inflate();
                    }
                }
                State::Compressed(left, inflater) => {
                    let before = *inflated.get_or_insert_with(|| inflater.output());
                    let part = &self.arrived[..self.arrived.len().min(*left)];
                    let taken = inflater.push(part).map_err(refusal)?;
                    self.arrived.advance(taken);
                    *left -= taken;
                    is_slice = inflater.output() - before >= SLICE;
                }
            }
            let message = self.end_message()?;
            let read = read.or(message);
            if read.is_some() || is_slice {
                return Ok(read);
            }
        }
        Ok(None)
    }

    /// Begins a message of `length` bytes.
    ///
    /// # Errors
    /// Returns a status if it is compressed and longer than gzip makes any message within the limit.
    fn begin(&mut self, is_compressed: bool, length: usize) -> Result<(), Status> {
        if !is_compressed {
            self.state = State::Plain(length);
            return Ok(());
        }
        if length > self.max_bytes + self.max_bytes / 1000 + 100 {
            return Err(too_large(self.max_bytes));
        }
        self.state = State::Collected(length, BytesMut::new());
        if length == 0 {
            self.inflate();
        }
        Ok(())
    }

    /// Begins to inflate the message that is collected.
    fn inflate(&mut self) {
        let State::Collected(length, data) = &mut self.state else {
            return;
        };
        let (length, mut data) = (*length, mem::take(data));
        let (max_bytes, count) = (self.max_bytes, Arc::clone(&self.count));
        let mut count = count_beyond(data.len(), move |bytes| count(bytes));
        let charge: Charge = Box::new(move |before, more| {
            if before + more > max_bytes + HEAD_BYTES {
                return Err(too_large(max_bytes));
            }
            count(more)
        });
        let inflater = Inflater::new(vec![0; HEAD_BYTES], charge);
        self.state = State::Compressed(length, Box::new(inflater));
        data.extend_from_slice(&self.arrived);
        self.arrived = data.freeze();
    }

    /// Ends the message if all of it has arrived, and returns it if it was compressed.
    fn end_message(&mut self) -> Result<Option<Bytes>, Status> {
        let message = match &mut self.state {
            State::Compressed(0, inflater) => {
                let message = inflater.finish().map_err(refusal)?;
                Some(with_head(message, false).into())
            }
            State::Plain(0) => None,
            State::Head(_) | State::Plain(_) | State::Collected(..) | State::Compressed(..) => {
                return Ok(None);
            }
        };
        self.state = State::Head(BytesMut::new());
        Ok(message)
    }
}

fn too_large(max_bytes: usize) -> Status {
    Status::out_of_range(format!(
        "the message is larger than the limit, {max_bytes} bytes, once it is inflated"
    ))
}

fn refusal(error: InflateError<Status>) -> Status {
    match error {
        InflateError::Refused(status) => status,
        InflateError::Malformed(why) => {
            Status::invalid_argument(format!("the message is not well-formed gzip: {why}"))
        }
    }
}

impl fmt::Debug for GzipMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GzipMessages")
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn plain(message: &[u8]) -> Vec<u8> {
        with_head([&[0; HEAD_BYTES][..], message].concat(), false)
    }

    fn read(sent: &[u8], piece: usize, max: usize) -> Result<Vec<u8>, Status> {
        let mut messages = GzipMessages::new(max, |_| Ok(()));
        let mut all = Vec::new();
        for piece in sent.chunks(piece) {
            messages.push(Bytes::copy_from_slice(piece));
            loop {
                let read = messages.read()?;
                if read.is_none() && !messages.has_more() {
                    break;
                }
                let read = read.unwrap_or_default();
                assert!(read.len() <= max + HEAD_BYTES);
                all.extend_from_slice(&read);
            }
        }
        assert!(messages.is_complete());
        Ok(all)
    }

    #[test]
    fn compressed_and_plain_messages_are_read_in_pieces_of_any_length() {
        let (long, short) = (plain(&[7; 5000]), plain(b"short"));
        let sent = [&*compress(long.clone().into(), 4096), &short].concat();
        assert!(sent.len() < 500);
        let both = [long, short].concat();
        assert_eq!(compress(both.clone().into(), 4096), sent);
        for piece in [1, 6, 1000] {
            assert_eq!(read(&sent, piece, 5000).unwrap(), both);
        }
    }

    #[test]
    fn a_piece_with_many_messages_is_inflated_message_by_message() {
        let one = plain(&[7; 5000]);
        let many = compress(one.repeat(100).into(), 1);
        let mut messages = GzipMessages::new(5000, |_| Ok(()));
        messages.push(many.slice(..many.len() - 1));
        for _ in 0..99 {
            assert_eq!(messages.read().unwrap().as_deref(), Some(&*one));
        }
        assert_eq!(messages.read().unwrap(), None);
        assert!(!messages.is_complete());
        messages.push(many.slice(many.len() - 1..));
        assert_eq!(messages.read().unwrap().as_deref(), Some(&*one));
        assert!(messages.is_complete());
    }

    #[test]
    fn a_large_message_is_inflated_in_slices() {
        let large = plain(&vec![7; 100 * SLICE]);
        let mut messages = GzipMessages::new(large.len(), |_| Ok(()));
        messages.push(compress(large.clone().into(), 1));
        let mut slices = 0;
        let read = loop {
            match messages.read().unwrap() {
                Some(read) => break read,
                None => assert!(messages.has_more()),
            }
            slices += 1;
        };
        assert_eq!(read, large);
        assert!((40..=110).contains(&slices), "{slices}");
        assert!(messages.is_complete());
    }

    #[test]
    fn compressed_bytes_count_until_they_are_inflated() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        let large = plain(&[7; 5000]);
        let sent = compress(large.clone().into(), 1);
        let counted = Arc::new(AtomicUsize::new(0));
        let total = Arc::clone(&counted);
        let mut messages = GzipMessages::new(5000, move |bytes| {
            total.fetch_add(bytes, Ordering::Relaxed);
            Ok(())
        });
        messages.push(sent.slice(..sent.len() - 1));
        assert_eq!(messages.read().unwrap(), None);
        let collected = sent.len() - 1 - HEAD_BYTES;
        assert_eq!(counted.load(Ordering::Relaxed), collected);
        messages.push(sent.slice(sent.len() - 1..));
        assert_eq!(messages.read().unwrap().as_deref(), Some(&*large));
        assert_eq!(counted.load(Ordering::Relaxed), 5000);
    }

    #[test]
    fn a_message_that_claims_to_be_too_long_is_refused_at_its_head() {
        let mut messages = GzipMessages::new(5000, |_| Ok(()));
        messages.push(Bytes::from_static(&[1, 0, 0, 20, 20]));
        let status = messages.read().unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange);
    }

    #[test]
    fn large_and_malformed_messages_are_refused() {
        let sent = compress(plain(&[7; 5000]).into(), 1);
        assert_eq!(read(&sent, 9, 4999).unwrap_err().code(), Code::OutOfRange);
        let malformed = with_head([&[0; HEAD_BYTES][..], b"no gzip"].concat(), true);
        let status = read(&malformed, 9, 4999).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let empty = plain(b"");
        assert_eq!(read(&empty, 9, 1).unwrap(), empty);
    }
}
