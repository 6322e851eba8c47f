//! Counts the messages of an encoded file before it is decoded.
//!
//! An empty message takes two bytes in the file and a hundred times as much in memory. A file could therefore take far more memory
//! than its size while it is decoded. To prevent this, the messages are counted first; their contents are skipped.
//! Source of the format: <https://protobuf.dev/programming-guides/encoding/>.

/// The most messages in a file. The largest published networks have fewer than a tenth.
pub(super) const MOST_MESSAGES: usize = 500_000;

/// Deeper messages are not counted, because they are not decoded: no message that is read contains its own type, except types of
/// sequences and maps, which the decoder limits.
const DEEPEST: usize = 8;

/// Messages whose fields contain messages.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    Shape,
    Leaf,
}

impl Kind {
    /// Returns what a field contains, if it contains a message.
    fn field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Model, 7) => Some(Self::Graph),
            (Self::Model, 8 | 14 | 25) | (Self::Tensor, 3 | 13) | (Self::Shape, 1) => {
                Some(Self::Leaf)
            }
            (Self::Graph, 1) => Some(Self::Node),
            (Self::Graph, 5 | 15) | (Self::Attribute, 5) => Some(Self::Tensor),
            (Self::Graph, 11 | 12) => Some(Self::ValueInfo),
            (Self::Node, 5) => Some(Self::Attribute),
            // Field 1 of a tensor type is its element type, and its shape is in field 2, as the values of a map.
            (Self::ValueInfo, 2) | (Self::Type, 1 | 4 | 5 | 7 | 8 | 9) => Some(Self::Type),
            (Self::Type, 2) => Some(Self::Shape),
            _ => None,
        }
    }
}

/// Returns whether the file has at most [`MOST_MESSAGES`] messages. Returns true for a malformed file: the decoder fails there.
pub(super) fn is_decodable(file: &[u8]) -> bool {
    let mut left = MOST_MESSAGES;
    visit(file, Kind::Model, 0, &mut left)
}

/// Visits the messages in `message`. Returns false if there are more than `left`.
fn visit(message: &[u8], kind: Kind, depth: usize, left: &mut usize) -> bool {
    let mut rest = message;
    while let Some(field) = next(&mut rest) {
        let Some((content, kind)) = field.content.zip(kind.field(field.number)) else {
            continue;
        };
        if *left == 0 {
            return false;
        }
        *left -= 1;
        if depth < DEEPEST && !visit(content, kind, depth + 1, left) {
            return false;
        }
    }
    true
}

/// A field of a message.
struct Field<'a> {
    number: u64,
    /// What it contains, if that may be a message.
    content: Option<&'a [u8]>,
}

/// Reads one field and advances `bytes` past it. Returns `None` at the end of the message, and if it is malformed.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<Field<'a>> {
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => varint(bytes).map(|_| 0),
        1 => Some(8),
        2 => varint(bytes),
        5 => Some(4),
        _ => None,
    };
    let (content, rest) = bytes.split_at_checked(usize::try_from(length?).ok()?)?;
    *bytes = rest;
    Some(Field {
        number: key >> 3,
        content: (key & 7 == 2).then_some(content),
    })
}

/// Reads one varint and advances `bytes` past it. Returns `None` if it is malformed.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}
