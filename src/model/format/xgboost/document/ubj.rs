//! Parses UBJ (Universal Binary JSON) as XGBoost writes it.
//!
//! All numbers are big-endian. Lengths are always `L` and an int64. Lists are `[#L` count and values, `[$` type `#L` count and plain
//! numbers, both without a closing bracket, or `[` values `]`. Numbers are `d D i U I l L`. `H` (decimal numbers of any length), `C` and
//! `N` are refused: XGBoost does not write them.

use std::borrow::Cow;

use super::numbers::{Form, Number, Numbers, next_of_ubj, width};
use super::value::{Entries, MOST_NESTED, Value};
use crate::model::format::fault::FormatFault;

type Parsed<T> = Result<T, FormatFault>;

/// Parses a whole file.
///
/// # Errors
/// Returns the first violation, at its byte.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Value<'_>> {
    let mut parser = Parser { bytes, at: 0 };
    let value = parser.value(0)?;
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.unexpected("the end of the file")),
    }
}

/// Returns the first key of the object, and the first key of the object that is its value.
pub(super) fn first_keys(bytes: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let mut parser = Parser { bytes, at: 0 };
    let mut first_key = || {
        parser.expect(b'{').ok()?;
        let length = parser.length(1).ok()? as usize;
        let key = &parser.rest()[..length];
        parser.at += length;
        Some(key)
    };
    let first = first_key();
    (first, first.and_then(|_| first_key()))
}

struct Parser<'a> {
    bytes: &'a [u8],
    // At most the number of bytes.
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte`, or fails.
    fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{}`", char::from(byte))))
    }

    fn unexpected(&self, expected: &str) -> FormatFault {
        let found = match self.peek() {
            Some(found) => format!("the byte {:?}", char::from(found)),
            None => "the end of the file".into(),
        };
        self.fault(format!("got {found}, expected {expected}"))
    }

    fn fault(&self, message: impl Into<String>) -> FormatFault {
        FormatFault::new(format!("byte {}", self.at), message)
    }

    /// Takes `count` elements of at least `width` bytes each, if the file has so many.
    fn check_count(&self, count: i64, width: usize) -> Parsed<u32> {
        let fits = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(width))
            .is_some_and(|bytes| bytes <= self.rest().len());
        match u32::try_from(count) {
            Ok(count) if fits => Ok(count),
            _ => Err(self.fault(format!(
                "got a length of {count}, expected at most the {} bytes that are left",
                self.rest().len()
            ))),
        }
    }

    /// Takes a length: `L` and an int64.
    fn length(&mut self, width: usize) -> Parsed<u32> {
        self.expect(b'L')?;
        match self.number(b'L')? {
            Number::Integer(count) => self.check_count(count, width),
            _ => Err(self.unexpected("a length")),
        }
    }

    /// Takes the number after its marker.
    fn number(&mut self, marker: u8) -> Parsed<Number> {
        let mut rest = self.rest();
        let number = next_of_ubj(marker, &mut rest);
        let number =
            number.ok_or_else(|| self.fault("got the end of the file, expected a number"))?;
        self.at = self.bytes.len() - rest.len();
        Ok(number)
    }

    fn value(&mut self, depth: usize) -> Parsed<Value<'a>> {
        if depth > MOST_NESTED {
            return Err(self.fault(format!(
                "got more than {MOST_NESTED} objects and lists within each other"
            )));
        }
        let Some(marker) = self.peek() else {
            return Err(self.unexpected("a value"));
        };
        if width(marker).is_some() {
            self.at += 1;
            return self.number(marker).map(Value::Number);
        }
        match marker {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'S' => {
                self.at += 1;
                self.string().map(Value::Text)
            }
            b'Z' => {
                self.at += 1;
                Ok(Value::Null)
            }
            b'H' => Err(self.fault("got a high-precision number, which XGBoost does not support")),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Takes a length and a text of so many bytes.
    fn string(&mut self) -> Parsed<Cow<'a, str>> {
        let length = self.length(1)? as usize;
        let text = str::from_utf8(&self.rest()[..length])
            .map_err(|_| self.fault("got a text that is not UTF-8"))?;
        self.at += length;
        Ok(Cow::Borrowed(text))
    }

    fn object(&mut self, depth: usize) -> Parsed<Value<'a>> {
        self.at += 1;
        let mut entries = Vec::new();
        while !self.take(b'}') {
            let key = self.string()?;
            entries.push((key, self.value(depth + 1)?));
        }
        let entries = Entries::new(entries);
        entries.map(Value::Object).map_err(|key| {
            self.fault(format!(
                "the object that ends here has the key {key:?} twice"
            ))
        })
    }

    fn list(&mut self, depth: usize) -> Parsed<Value<'a>> {
        self.at += 1;
        if self.take(b'$') {
            return self.typed_list();
        }
        // Each value has a marker of one byte at least.
        let count = match self.take(b'#') {
            true => Some(self.length(1)?),
            false => None,
        };
        if self.peek().and_then(width).is_some() && count != Some(0) {
            return self.marked_list(count);
        }
        let mut values = Vec::new();
        while self.has_another(values.len(), count) {
            let value = self.value(depth + 1)?;
            if !value.is_element() {
                return Err(self.fault(format!(
                    "got {} in a list of other values",
                    value.describe()
                )));
            }
            values.push(value);
        }
        Ok(Value::List(values))
    }

    /// Returns whether a list continues after `taken` elements; takes the closing bracket of a list without a count.
    fn has_another(&mut self, taken: usize, count: Option<u32>) -> bool {
        match count {
            Some(count) => taken < count as usize,
            None => !self.take(b']'),
        }
    }

    /// Takes a list of numbers without markers, after `[$`.
    fn typed_list(&mut self) -> Parsed<Value<'a>> {
        let width = self.peek().and_then(width).filter(|&width| width > 0);
        let (Some(marker), Some(width)) = (self.peek(), width) else {
            return Err(self.unexpected("one of the number types d D i U I l L"));
        };
        self.at += 1;
        self.expect(b'#')?;
        let count = self.length(width)?;
        let bytes = &self.rest()[..count as usize * width];
        self.at += bytes.len();
        Ok(Value::Numbers(Numbers::new(
            bytes,
            count,
            Form::Typed(marker),
        )))
    }

    /// Takes a list of numbers with a marker each. Checks them without keeping them.
    fn marked_list(&mut self, count: Option<u32>) -> Parsed<Value<'a>> {
        let start = self.at;
        let mut taken = 0_u32;
        let mut end = start;
        while self.has_another(taken as usize, count) {
            let marker = self.peek().filter(|&marker| width(marker).is_some());
            let Some(marker) = marker else {
                return Err(self.unexpected("a number, as the others in this list"));
            };
            self.at += 1;
            self.number(marker)?;
            end = self.at;
            taken = taken
                .checked_add(1)
                .ok_or_else(|| self.fault("got a list of more than 4,294,967,295 numbers"))?;
        }
        let bytes = &self.bytes[start..end];
        Ok(Value::Numbers(Numbers::new(bytes, taken, Form::Marked)))
    }
}
