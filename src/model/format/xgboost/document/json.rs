//! Parses JSON as XGBoost writes it: with `NaN` and `Infinity`, and a backslash before `u` that is not always an escape.

use std::borrow::Cow;

use super::numbers::{Form, Numbers, parse_number};
use super::value::{Entries, MOST_NESTED, Value};
use crate::model::format::fault::FormatFault;

type Parsed<T> = Result<T, FormatFault>;

/// Parses a whole file.
///
/// # Errors
/// Returns the first violation, at its byte.
pub(super) fn parse(bytes: &[u8]) -> Parsed<Value<'_>> {
    let text = str::from_utf8(bytes).map_err(|error| {
        FormatFault::new(
            format!("byte {}", error.valid_up_to()),
            "got a byte that is not UTF-8, expected JSON",
        )
    })?;
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(parser.unexpected("the end of the file")),
    }
}

/// Returns the first key of the object, and the first key of the object that is its value. Keys with escapes are cut or missing.
pub(super) fn first_keys(bytes: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let mut rest = bytes;
    let first = first_key(&mut rest);
    let inner = rest.trim_ascii_start().strip_prefix(b":");
    let second = first.and(inner).and_then(|mut inner| first_key(&mut inner));
    (first, second)
}

/// Takes `{` and a key.
fn first_key<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let inside = rest.trim_ascii_start().strip_prefix(b"{")?;
    let text = inside.trim_ascii_start().strip_prefix(b"\"")?;
    let end = text.iter().position(|&byte| byte == b'"')?;
    *rest = &text[end + 1..];
    Some(&text[..end])
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte` after spaces, or fails.
    fn expect(&mut self, byte: u8) -> Parsed<()> {
        self.skip_space();
        if self.take(byte) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{}`", char::from(byte))))
    }

    fn unexpected(&self, expected: &str) -> FormatFault {
        let found = match self
            .text
            .get(self.at..)
            .and_then(|rest| rest.chars().next())
        {
            Some(found) => format!("{found:?}"),
            None => "the end of the file".into(),
        };
        self.fault(format!("got {found}, expected {expected}"))
    }

    fn fault(&self, message: impl Into<String>) -> FormatFault {
        FormatFault::new(format!("byte {}", self.at), message)
    }

    fn value(&mut self, depth: usize) -> Parsed<Value<'a>> {
        if depth > MOST_NESTED {
            return Err(self.fault(format!(
                "got more than {MOST_NESTED} objects and lists within each other"
            )));
        }
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'n') if self.text[self.at..].starts_with("null") => {
                self.at += 4;
                Ok(Value::Null)
            }
            _ => {
                let token = self.number_token()?;
                let number = parse_number(token)
                    .ok_or_else(|| self.fault("got a whole number of more than 64 bits"))?;
                Ok(Value::Number(number))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Value<'a>> {
        self.at += 1;
        let mut entries = Vec::new();
        self.skip_space();
        if !self.take(b'}') {
            loop {
                self.skip_space();
                if self.peek() != Some(b'"') {
                    return Err(self.unexpected("a key"));
                }
                let key = self.string()?;
                self.expect(b':')?;
                entries.push((key, self.value(depth + 1)?));
                self.skip_space();
                if !self.take(b',') {
                    break;
                }
            }
            self.expect(b'}')?;
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
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::List(Vec::new()));
        }
        if matches!(
            self.peek(),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I' | b't' | b'f')
        ) {
            return self.numbers().map(Value::Numbers);
        }
        let mut values = Vec::new();
        loop {
            self.skip_space();
            let value = self.value(depth + 1)?;
            if !value.is_element() {
                return Err(self.fault(format!(
                    "got {} in a list of other values",
                    value.describe()
                )));
            }
            values.push(value);
            self.skip_space();
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b']')?;
        Ok(Value::List(values))
    }

    /// Checks a list of numbers without keeping them.
    fn numbers(&mut self) -> Parsed<Numbers<'a>> {
        let start = self.at;
        let mut count = 0_u32;
        loop {
            self.skip_space();
            let token = self.number_token()?;
            // Shorter tokens always fit.
            if token.len() > 18 && parse_number(token).is_none() {
                return Err(self.fault("got a whole number of more than 64 bits"));
            }
            count = count
                .checked_add(1)
                .ok_or_else(|| self.fault("got a list of more than 4,294,967,295 numbers"))?;
            self.skip_space();
            if !self.take(b',') {
                break;
            }
        }
        let end = self.at;
        self.expect(b']')?;
        let bytes = &self.text.as_bytes()[start..end];
        Ok(Numbers::new(bytes, count, Form::Text))
    }

    /// Takes a number, `true`, `false`, `NaN`, `Infinity` or `-Infinity`.
    fn number_token(&mut self) -> Parsed<&'a str> {
        let start = self.at;
        let rest = &self.text[start..];
        if !rest
            .trim_start_matches('-')
            .starts_with(|first: char| first.is_ascii_digit())
        {
            let words = ["true", "false", "NaN", "Infinity", "-Infinity"];
            let word = words.into_iter().find(|word| rest.starts_with(word));
            let word = word.ok_or_else(|| self.unexpected("a value"))?;
            self.at += word.len();
            return Ok(word);
        }
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// Takes one digit or more.
    fn digits(&mut self) -> Parsed<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start {
            return Ok(());
        }
        Err(self.unexpected("a value"))
    }

    fn string(&mut self) -> Parsed<Cow<'a, str>> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0x20..) => self.at += 1,
                Some(_) => return Err(self.unexpected("a character of a text")),
                None => return Err(self.unexpected("the end of a text")),
            }
        }
        // A backslash before a character of several bytes leaves `at` within it, which no escape allows either.
        let raw = self.text.get(start..self.at);
        let text = match raw {
            Some(raw) if escaped => unescape(raw).map(Cow::Owned),
            raw => raw.map(Cow::Borrowed),
        };
        let text = text.ok_or_else(|| self.fault("got a text with an unknown escape"))?;
        self.at += 1;
        Ok(text)
    }
}

/// Replaces the escapes of a text; `None` if one is unknown.
///
/// XGBoost escapes control characters as `\u00xx`, but writes a backslash that stands before a `u` as it is, so that `\u` without four
/// hexadecimal digits is the text `\u`.
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let escape = after.chars().next()?;
        rest = &after[escape.len_utf8()..];
        match escape {
            '"' | '\\' | '/' => text.push(escape),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'u' => match unicode(rest) {
                Some((character, length)) => {
                    text.push(character);
                    rest = &rest[length..];
                }
                None => text.push_str("\\u"),
            },
            _ => return None,
        }
    }
    text.push_str(rest);
    Some(text)
}

/// Returns the character after `\u`, and the length of its digits, including the second half of a surrogate pair.
fn unicode(rest: &str) -> Option<(char, usize)> {
    let unit = |start: usize| {
        let digits = rest.get(start..start + 4)?;
        let all_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        all_hexadecimal.then_some(())?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 4));
    }
    let second = (rest.get(4..6)? == "\\u").then(|| unit(6))??;
    let pair = char::decode_utf16([first, second]).next()?.ok()?;
    Some((pair, 10))
}
