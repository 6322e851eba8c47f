//! Compression with gzip: requests are inflated piece by piece, so that a limit refuses a bomb early; large answers are compressed for
//! clients that accept it.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder};
use http::{HeaderMap, HeaderName};

/// Bytes of output after which a task lets others run: a few kilobytes can inflate to megabytes.
pub(super) const SLICE: usize = 32 << 10;

/// The compressed bytes of a message that is inflated before all of it has arrived. An [`Inflater`] takes up to 270 KiB besides its output,
/// most of it for the names that the message may begin with, so one that a client leaves waiting must have cost that client something.
pub(super) const WHOLE: usize = 128 << 10;

/// Returns a function that counts bytes of output by `count`, beyond `counted` bytes that the compressed message was counted as.
pub(super) fn count_beyond<E>(
    mut counted: usize,
    count: impl Fn(usize) -> Result<(), E>,
) -> impl FnMut(usize) -> Result<(), E> {
    move |more| {
        let known = more.min(counted);
        counted -= known;
        count(more - known)
    }
}

/// Why a compressed message is refused.
#[derive(Debug)]
pub(super) enum InflateError<E> {
    /// It is not well-formed.
    Malformed(io::Error),
    /// A limit refuses it.
    Refused(E),
}

/// The files of a message, besides one for each [`BYTES_PER_FILE`] bytes of it. Each takes as long to begin as many bytes to inflate.
const FILES: usize = 64;
const BYTES_PER_FILE: usize = 4096;

/// Inflates one message, which may be several files of gzip in a row: RFC 1952, section 2.2. `charge` gets the number of bytes before each
/// piece of output, and the number of bytes in it.
pub(super) struct Inflater<C: FnMut(usize, usize) -> Result<(), E>, E> {
    decoder: MultiGzDecoder<Limited<C, E>>,
    /// Bytes of input.
    taken: usize,
    /// Parts of the input that ended before what had arrived, with a file or its head.
    parts: usize,
}

impl<C: FnMut(usize, usize) -> Result<(), E>, E> Inflater<C, E> {
    /// Creates an inflater that appends its output to `begin`.
    pub(super) fn new(begin: Vec<u8>, charge: C) -> Self {
        let decoder = MultiGzDecoder::new(Limited {
            bytes: begin,
            charge,
            refused: None,
        });
        Self {
            decoder,
            taken: 0,
            parts: 0,
        }
    }

    /// Inflates the beginning of `input`, at least one byte of it, to at most twice [`SLICE`] bytes. Returns how many bytes of `input` it has
    /// taken.
    ///
    /// # Errors
    /// Returns an error if the input is malformed or the output is refused.
    pub(super) fn push(&mut self, input: &[u8]) -> Result<usize, InflateError<E>> {
        let before = self.output();
        let written = self.decoder.write(input);
        let taken = written.map_err(|error| self.fault(error))?;
        let malformed = |text| Err(InflateError::Malformed(io::Error::other(text)));
        if taken == 0 && !input.is_empty() {
            return malformed("bytes follow the end of the compressed data");
        }
        self.taken += taken;
        if taken < input.len() && self.output() - before < SLICE {
            self.parts += 1;
            // A file is at most two parts: its head, and the rest.
            if self.parts > 2 * (FILES + self.taken / BYTES_PER_FILE) {
                return malformed("it consists of too many small files");
            }
        }
        Ok(taken)
    }

    /// Returns how many bytes of output there are, with those that it began with.
    pub(super) fn output(&self) -> usize {
        self.decoder.get_ref().bytes.len()
    }

    /// Returns the whole output.
    ///
    /// # Errors
    /// As [`push`](Self::push), also if the input is incomplete.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, InflateError<E>> {
        let ended = self.decoder.try_finish();
        ended.map_err(|error| self.fault(error))?;
        Ok(std::mem::take(&mut self.decoder.get_mut().bytes))
    }

    fn fault(&mut self, error: io::Error) -> InflateError<E> {
        match self.decoder.get_mut().refused.take() {
            Some(refused) => InflateError::Refused(refused),
            None => InflateError::Malformed(error),
        }
    }
}

/// Output that stops once it is refused.
struct Limited<C, E> {
    bytes: Vec<u8>,
    charge: C,
    refused: Option<E>,
}

impl<C: FnMut(usize, usize) -> Result<(), E>, E> Write for Limited<C, E> {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if let Err(refused) = (self.charge)(self.bytes.len(), more.len()) {
            self.refused = Some(refused);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns `bytes` compressed, after `begin`; `None` if that is not shorter.
pub(super) fn deflate(begin: Vec<u8>, bytes: &[u8]) -> Option<Vec<u8>> {
    let before = begin.len();
    let mut encoder = GzEncoder::new(begin, Compression::fast());
    encoder.write_all(bytes).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() - before < bytes.len()).then_some(compressed)
}

/// Returns whether the list of encodings in the header `name` contains gzip with a weight above zero.
pub(super) fn is_accepted(headers: &HeaderMap, name: HeaderName) -> bool {
    let lists = headers.get_all(name).into_iter();
    let encodings = lists.flat_map(|list| list.to_str().unwrap_or_default().split(','));
    encodings.into_iter().any(|encoding| {
        let mut parts = encoding.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn inflate(input: &[u8], piece: usize) -> Result<Vec<u8>, InflateError<usize>> {
        let charge = |before, more| {
            let total = before + more;
            if total <= LIMIT { Ok(()) } else { Err(total) }
        };
        let mut inflater = Inflater::new(Vec::new(), charge);
        for mut piece in input.chunks(piece) {
            while !piece.is_empty() {
                let before = inflater.output();
                piece = &piece[inflater.push(piece)?..];
                assert!(inflater.output() - before <= 2 * SLICE);
            }
        }
        inflater.finish()
    }

    #[test]
    fn messages_are_inflated_in_pieces_of_any_length() {
        let text = b"the same words, the same words, the same words".repeat(100);
        let compressed = deflate(Vec::new(), &text).unwrap();
        for piece in [1, 7, 1000] {
            assert_eq!(inflate(&compressed, piece).unwrap(), text);
        }
        assert_eq!(deflate(Vec::new(), b"xyz"), None);
        let twice = [&compressed[..], &compressed].concat();
        for piece in [1, 7, 1000] {
            assert_eq!(inflate(&twice, piece).unwrap(), text.repeat(2));
        }
    }

    #[test]
    fn a_bomb_is_refused_soon_after_the_limit() {
        let bomb = deflate(Vec::new(), &vec![0; 100 * LIMIT]).unwrap();
        let Err(InflateError::Refused(total)) = inflate(&bomb, 1 << 14) else {
            panic!("refused")
        };
        assert!(total < 2 * LIMIT, "{total}");
    }

    #[test]
    fn a_message_of_many_small_files_is_refused() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"x").unwrap();
        let one = encoder.finish().unwrap();
        for piece in [9, 1 << 20] {
            assert_eq!(inflate(&one.repeat(FILES), piece).unwrap(), [b'x'; FILES]);
        }
        let many = inflate(&one.repeat(1000), 1 << 20);
        assert!(matches!(many, Err(InflateError::Malformed(_))));
    }

    #[test]
    fn malformed_and_incomplete_messages_are_refused() {
        let compressed = deflate(Vec::new(), &[7; 1000]).unwrap();
        let more = [&compressed[..], b"more"].concat();
        for wrong in [
            &b"no gzip at all"[..],
            &compressed[..compressed.len() - 3],
            &more,
        ] {
            assert!(matches!(inflate(wrong, 4), Err(InflateError::Malformed(_))));
        }
    }

    #[test]
    fn gzip_is_one_of_the_encodings_of_a_list() {
        for (list, want) in [
            ("gzip", true),
            ("identity, deflate, gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("xgzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept-encoding", list.parse().unwrap());
            assert_eq!(
                is_accepted(&headers, http::header::ACCEPT_ENCODING),
                want,
                "{list}"
            );
        }
    }
}
