//! Notices frames of HTTP/2 and header blocks that do not end.
//!
//! The transport waits for the rest of a frame, and for the rest of a header block, for as long as the connection is open, and it answers
//! nothing else meanwhile.
//!
//! Source: RFC 9113, sections 3.4 (preface), 4.1 (frames), 6.2 and 6.10 (header blocks).

/// Bytes before the first frame.
pub(super) const PREFACE: usize = 24;
/// Bytes before the payload of each frame: its length in three bytes, its type, its flags, and its stream.
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// The flag of a frame that ends a header block.
const END_HEADERS: u8 = 4;

/// Where the bytes that a client has sent end.
#[derive(Debug)]
pub(super) struct FrameWatch {
    /// Bytes that are missing of the preface or of a payload.
    missing: usize,
    /// The beginning of a frame's head.
    head: [u8; HEAD],
    head_length: usize,
    /// Whether the last frame left a header block open.
    is_block_open: bool,
}

impl FrameWatch {
    /// Creates the state of a connection on which nothing has arrived.
    pub(super) fn new() -> Self {
        Self {
            missing: PREFACE,
            head: [0; HEAD],
            head_length: 0,
            is_block_open: false,
        }
    }

    /// Takes the next bytes. Returns whether the end of a frame that is not within a header block was among them.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_ended = false;
        loop {
            // Nothing is missing while a head is incomplete.
            let skipped = bytes.len().min(self.missing);
            self.missing -= skipped;
            bytes = &bytes[skipped..];
            has_ended |= skipped > 0 && self.is_complete();
            if self.head_length == 0
                && let Some((head, rest)) = bytes.split_first_chunk()
            {
                self.begin(*head);
                bytes = rest;
            } else if !self.complete_head(&mut bytes) {
                return has_ended;
            }
            has_ended |= self.is_complete();
        }
    }

    /// Begins a frame.
    fn begin(&mut self, head: [u8; HEAD]) {
        let [a, b, c, kind, flags, ..] = head;
        self.missing = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_block_open = flags & END_HEADERS == 0;
        }
    }

    /// Takes the rest of a head that is split. Returns whether it is complete now, so that its frame has begun.
    fn complete_head(&mut self, bytes: &mut &[u8]) -> bool {
        let taken = bytes.len().min(HEAD - self.head_length);
        let (begin, rest) = bytes.split_at(taken);
        self.head[self.head_length..][..taken].copy_from_slice(begin);
        self.head_length += taken;
        *bytes = rest;
        let is_complete = self.head_length == HEAD;
        if is_complete {
            self.head_length = 0;
            self.begin(self.head);
        }
        is_complete
    }

    /// Returns whether all that has begun has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0 && self.head_length == 0 && !self.is_block_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: u8 = 0;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        [&head[..], &vec![7; payload]].concat()
    }

    /// A preface, and a frame after each of these ends.
    fn connection() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = vec![b'P'; PREFACE];
        let mut ends = vec![bytes.len()];
        for (frames, is_end) in [
            (frame(DATA, 0, 0), true),
            (frame(HEADERS, END_HEADERS, 300), true),
            (frame(HEADERS, 0, 5), false),
            (frame(CONTINUATION, 0, 0), false),
            (frame(CONTINUATION, END_HEADERS, 1), true),
            (frame(DATA, 1, 70_000), true),
        ] {
            bytes.extend(frames);
            if is_end {
                ends.push(bytes.len());
            }
        }
        (bytes, ends)
    }

    #[test]
    fn the_end_of_a_frame_is_found_however_the_bytes_are_split() {
        let (bytes, ends) = connection();
        for size in [1, 2, 3, 8, 9, 10, 24, 25, 33, 34, 4096, bytes.len()] {
            let mut watch = FrameWatch::new();
            let mut at = 0;
            for piece in bytes.chunks(size) {
                let before = at;
                at += piece.len();
                let has_ended = watch.push(piece);
                let want = ends.iter().any(|end| (before + 1..=at).contains(end));
                assert_eq!(has_ended, want, "{before}..{at} in pieces of {size}");
                assert_eq!(watch.is_complete(), ends.contains(&at), "{at} of {size}");
            }
        }
    }
}
