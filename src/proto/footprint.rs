//! The memory that a message takes once it is decoded, computed before it is.
//!
//! An element of two bytes on the wire can take a hundred times as much in memory, at any depth. The scan walks the bytes of a message
//! along the descriptors of its type, reads keys and lengths, and stops as soon as the message takes too much.
//! Source of the format: <https://protobuf.dev/programming-guides/encoding/>.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use super::DESCRIPTORS;

/// Bytes in memory that a message may take for each of its bytes on the wire. Rows with names of a few letters take some six times as
/// much, and integers of one byte eight times.
pub const FACTOR: usize = 8;
/// Bytes in memory that a message may take in addition, so that messages of a few hundred kilobytes are never refused.
pub const ALLOWANCE: usize = 16 << 20;
/// Messages up to this many bytes cannot exceed [`ALLOWANCE`], whatever they contain.
const NEVER_TOO_LARGE: usize = 16 << 10;
/// Memory of a list, a map or a string, without its content.
const CONTAINER: usize = 24;
/// Memory of a slice of a message.
const SLICE: usize = 32;
/// How deep messages are nested at most. The decoder fails there too.
const MOST_NESTED: usize = 100;

/// How deep messages are stored within messages at most; deeper ones are of no account.
const MOST_INLINE: usize = 6;

/// The types of all messages.
static TYPES: LazyLock<Types> = LazyLock::new(Types::read);

/// A message that takes too much memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge {
    /// Path of the field at which the limit was exceeded, `rows.fields.value`.
    pub(super) field: String,
    /// The limit in bytes.
    pub(super) limit: usize,
}

/// Checks that `message`, of the type `name`, takes at most [`FACTOR`] times its bytes and [`ALLOWANCE`] in memory. Malformed messages
/// pass: the decoder fails at the same place.
///
/// # Errors
/// Returns the field at which the message exceeds the limit.
pub(super) fn check(name: impl FnOnce() -> String, message: &[u8]) -> Result<(), TooLarge> {
    if message.len() <= NEVER_TOO_LARGE {
        return Ok(());
    }
    let Some(start) = TYPES.by_name.get(&name()) else {
        return Ok(());
    };
    let limit = message
        .len()
        .saturating_mul(FACTOR)
        .saturating_add(ALLOWANCE);
    let mut left = limit;
    match TYPES.scan(*start, message, &mut left, MOST_NESTED) {
        Err(Stop::TooLarge(mut path)) => {
            path.reverse();
            let field = path.join(".");
            Err(TooLarge { field, limit })
        }
        Ok(()) | Err(Stop::Malformed) => Ok(()),
    }
}

/// Why a scan ends early.
enum Stop {
    Malformed,
    /// Names of the fields, the innermost first.
    TooLarge(Vec<&'static str>),
}

/// How a value of a field is stored.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A number with this many bytes in memory, of varying length on the wire.
    Varint(usize),
    /// A number with this many bytes in memory and on the wire.
    Fixed(usize),
    Text,
    /// A message of the type with this index.
    Message(usize),
}

#[derive(Debug)]
struct Field {
    number: u64,
    name: String,
    kind: Kind,
    /// Memory of an element; 0 if the field is stored within its message.
    element: usize,
}

#[derive(Debug, Default)]
struct Types {
    by_name: HashMap<String, usize>,
    /// The fields of each type.
    fields: Vec<Vec<Field>>,
}

impl Types {
    fn read() -> Self {
        // The bytes come from the compiler of the protocol files. Without them no message is refused.
        let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default();
        let mut all = Vec::new();
        for file in &files.file {
            for message in &file.message_type {
                collect(file.package(), message, &mut all);
            }
        }
        let indexes = all.iter().enumerate();
        let by_name = indexes.map(|(at, (name, _))| (name.clone(), at)).collect();
        let mut types = Self {
            by_name,
            fields: Vec::new(),
        };
        let messages: Vec<_> = all.iter().map(|(_, message)| *message).collect();
        for message in &messages {
            let fields = message.field.iter();
            let fields = fields.map(|field| types.field(field, &messages)).collect();
            types.fields.push(fields);
        }
        types
    }

    fn field(&self, field: &FieldDescriptorProto, messages: &[&DescriptorProto]) -> Field {
        let kind = self.kind(field);
        let element = match kind {
            _ if field.label() != Label::Repeated => 0,
            Kind::Varint(bytes) | Kind::Fixed(bytes) => bytes,
            Kind::Text => SLICE,
            // Once as it is decoded, once as the rows or tensors that it is converted to.
            Kind::Message(at) => 2 * self.size(at, messages, MOST_INLINE).max(CONTAINER),
        };
        Field {
            number: u64::try_from(field.number()).unwrap_or_default(),
            name: field.name().to_owned(),
            kind,
            element,
        }
    }

    fn kind(&self, field: &FieldDescriptorProto) -> Kind {
        match field.r#type() {
            Type::Message => {
                let name = field.type_name().trim_start_matches('.');
                self.by_name
                    .get(name)
                    .map_or(Kind::Text, |at| Kind::Message(*at))
            }
            Type::String | Type::Bytes | Type::Group => Kind::Text,
            Type::Bool => Kind::Varint(1),
            Type::Int32 | Type::Uint32 | Type::Sint32 | Type::Enum => Kind::Varint(4),
            Type::Int64 | Type::Uint64 | Type::Sint64 => Kind::Varint(8),
            Type::Float | Type::Fixed32 | Type::Sfixed32 => Kind::Fixed(4),
            Type::Double | Type::Fixed64 | Type::Sfixed64 => Kind::Fixed(8),
        }
    }

    /// Returns the memory of a message without its lists, maps and texts.
    fn size(&self, at: usize, messages: &[&DescriptorProto], nested: usize) -> usize {
        let Some(nested) = nested.checked_sub(1) else {
            return 0;
        };
        let message = messages[at];
        let size_of = |field: &FieldDescriptorProto| match self.kind(field) {
            _ if field.label() == Label::Repeated => CONTAINER,
            Kind::Varint(_) | Kind::Fixed(_) => 8,
            Kind::Text => CONTAINER,
            // A message that contains itself is behind a pointer.
            Kind::Message(inner) if inner == at => 8,
            Kind::Message(inner) => self.size(inner, messages, nested),
        };
        let alone = message
            .field
            .iter()
            .filter(|field| field.oneof_index.is_none());
        let choices = (0..message.oneof_decl.len()).map(|choice| {
            let of_choice = message.field.iter().filter(|field| {
                field.oneof_index.and_then(|at| usize::try_from(at).ok()) == Some(choice)
            });
            8 + of_choice.map(size_of).max().unwrap_or_default()
        });
        alone.map(size_of).sum::<usize>() + choices.sum::<usize>()
    }

    /// Subtracts the memory of `message` from `left`.
    fn scan(
        &'static self,
        at: usize,
        mut message: &[u8],
        left: &mut usize,
        nested: usize,
    ) -> Result<(), Stop> {
        let nested = nested.checked_sub(1).ok_or(Stop::Malformed)?;
        while !message.is_empty() {
            let key = varint(&mut message).ok_or(Stop::Malformed)?;
            let content = content(key & 7, &mut message).ok_or(Stop::Malformed)?;
            let Some(field) = self.fields[at]
                .iter()
                .find(|field| field.number == key >> 3)
            else {
                continue;
            };
            let bytes = match (field.kind, key & 7) {
                // A packed list: the last byte of each number has no high bit.
                (Kind::Varint(bytes), 2) => {
                    bytes * content.iter().filter(|byte| **byte < 0x80).count()
                }
                (Kind::Fixed(_), 2) => content.len(),
                (Kind::Text, _) => field.element.saturating_add(content.len()),
                _ => field.element,
            };
            let inner = left
                .checked_sub(bytes)
                .ok_or_else(|| Stop::TooLarge(Vec::new()))
                .and_then(|rest| {
                    *left = rest;
                    match field.kind {
                        Kind::Message(inner) => self.scan(inner, content, left, nested),
                        Kind::Varint(_) | Kind::Fixed(_) | Kind::Text => Ok(()),
                    }
                });
            if let Err(Stop::TooLarge(mut path)) = inner {
                path.push(&field.name);
                return Err(Stop::TooLarge(path));
            }
            inner?;
        }
        Ok(())
    }
}

/// Returns the content of a field of `wire_type`, and advances `message` past it. Returns `None` if it is malformed.
fn content<'m>(wire_type: u64, message: &mut &'m [u8]) -> Option<&'m [u8]> {
    let length = match wire_type {
        0 => {
            varint(message)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(message)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (content, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(content)
}

/// Reads one varint and advances `bytes` past it. Returns `None` if it is malformed.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    // Fast path: most keys and lengths take one byte.
    if let [byte @ ..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(u64::from(*byte));
    }
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

/// Lists the types of `message` and of the messages in it, by name.
fn collect<'d>(
    prefix: &str,
    message: &'d DescriptorProto,
    all: &mut Vec<(String, &'d DescriptorProto)>,
) {
    let name = format!("{prefix}.{}", message.name());
    for inner in &message.nested_type {
        collect(&name, inner, all);
    }
    all.push((name, message));
}

#[cfg(test)]
mod tests {
    use prost::Name as _;
    use prost_types::{ListValue, Struct, Value, value};

    use super::*;
    use crate::proto::inference::InferTensorContents;
    use crate::proto::inference::ModelInferRequest;
    use crate::proto::inference::model_infer_request::InferInputTensor;
    use crate::proto::v1::PredictRequest;

    const MANY: usize = 2 << 20;

    fn check_rows(cell: Value, rows: usize) -> Result<(), TooLarge> {
        let row = Struct {
            fields: [("x".to_owned(), cell)].into(),
        };
        let request = PredictRequest {
            rows: vec![row; rows],
            ..PredictRequest::default()
        };
        check(PredictRequest::full_name, &request.encode_to_vec())
    }

    fn list(values: Vec<Value>) -> Value {
        let kind = Some(value::Kind::ListValue(ListValue { values }));
        Value { kind }
    }

    #[test]
    fn nested_elements_without_content_are_too_large_and_named() {
        let refused = check_rows(list(vec![Value::default(); MANY]), 1).unwrap_err();
        assert_eq!(refused.field, "rows.fields.value.list_value.values");
        let lists = list(vec![list(Vec::new()); MANY]);
        let refused = check_rows(lists, 1).unwrap_err();
        assert_eq!(refused.field, "rows.fields.value.list_value.values");
    }

    #[test]
    fn rows_and_tensors_of_the_largest_size_pass() {
        let kind = Some(value::Kind::NumberValue(1.5));
        let number = Value { kind };
        assert_eq!(check_rows(list(vec![number.clone(); 1 << 20]), 1), Ok(()));
        assert_eq!(check_rows(number, 1 << 16), Ok(()));
        let contents = InferTensorContents {
            int64_contents: vec![1; MANY],
            fp32_contents: vec![1.0; 1 << 20],
            bytes_contents: vec![bytes::Bytes::from_static(b"M"); 1 << 18],
            ..InferTensorContents::default()
        };
        let input = InferInputTensor {
            contents: Some(Box::new(contents)),
            ..InferInputTensor::default()
        };
        let request = ModelInferRequest {
            inputs: vec![input],
            ..ModelInferRequest::default()
        };
        let request = request.encode_to_vec();
        assert_eq!(check(ModelInferRequest::full_name, &request), Ok(()));
    }

    #[test]
    fn malformed_messages_are_left_to_the_decoder() {
        let bytes = vec![0xff; NEVER_TOO_LARGE + 1];
        assert_eq!(check(PredictRequest::full_name, &bytes), Ok(()));
    }

    #[test]
    fn every_type_has_its_fields() {
        assert!(TYPES.by_name.contains_key("google.protobuf.Value"));
        assert!(TYPES.by_name.contains_key("tensorflow.TensorProto"));
        assert_eq!(TYPES.by_name.len(), TYPES.fields.len());
    }
}
