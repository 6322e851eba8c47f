//! The memory that a JSON body takes once it is parsed, computed before it is.
//!
//! The scan counts separators outside strings. It does not check that the body is JSON, which the parser does.

use crate::error::InputFaults;
use crate::proto::footprint::{ALLOWANCE, FACTOR};

/// Bodies up to this many bytes cannot exceed [`ALLOWANCE`], whatever they contain.
const NEVER_TOO_LARGE: usize = 64 << 10;

/// What values take in memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// Each value.
    value: usize,
    /// Each string, in addition to its bytes.
    text: usize,
    /// Each name in an object, in addition to its bytes.
    name: usize,
}

impl Costs {
    /// Cells of named rows, or of tensors without a datatype.
    pub(super) const CELLS: Self = Self {
        value: 24,
        text: 0,
        name: 24,
    };
    /// Elements of tensors with a datatype.
    pub(super) const ELEMENTS: Self = Self {
        value: 8,
        text: 24,
        name: 0,
    };
}

/// Checks that the values of `json` take at most [`FACTOR`] times its bytes and [`ALLOWANCE`] in memory.
///
/// # Errors
/// Returns a fault of the outermost field at which they exceed it.
pub(super) fn check(json: &[u8], costs: Costs) -> Result<(), InputFaults> {
    if json.len() <= NEVER_TOO_LARGE {
        return Ok(());
    }
    let limit = json.len().saturating_mul(FACTOR).saturating_add(ALLOWANCE);
    let mut scan = Scan {
        json,
        at: 0,
        depth: 0,
        text: b"",
        field: b"",
    };
    let mut bytes = 0_usize;
    while let Some(token) = scan.next() {
        bytes += match token {
            Token::Value => costs.value,
            Token::Name => costs.name,
            Token::Text(length) => costs.text + length,
        };
        if bytes > limit {
            let got = format!("values that take more than {limit} bytes of memory");
            let wanted = "fewer values per request";
            return Err(InputFaults::one(scan.field(), got, wanted));
        }
    }
    Ok(())
}

/// What takes memory.
enum Token {
    /// A value, of any kind.
    Value,
    /// The name of a field; its text came before.
    Name,
    /// A string of this many bytes.
    Text(usize),
}

/// Walks JSON.
struct Scan<'j> {
    json: &'j [u8],
    at: usize,
    depth: usize,
    /// The last string of the outermost object.
    text: &'j [u8],
    /// The field of the outermost object that is being read.
    field: &'j [u8],
}

impl Scan<'_> {
    /// Returns the next thing that takes memory.
    fn next(&mut self) -> Option<Token> {
        loop {
            let byte = *self.json.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return Some(self.skip_text()),
                b',' => return Some(Token::Value),
                b'[' | b'{' => {
                    self.depth += 1;
                    return Some(Token::Value);
                }
                b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                b':' => {
                    if self.depth == 1 {
                        self.field = self.text;
                    }
                    return Some(Token::Name);
                }
                _ => {}
            }
        }
    }

    /// Skips the rest of a string.
    fn skip_text(&mut self) -> Token {
        let begin = self.at;
        while let Some(byte) = self.json.get(self.at) {
            match byte {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        let end = self.at.min(self.json.len());
        let text = &self.json[begin..end];
        self.at = end + 1;
        if self.depth == 1 {
            self.text = text;
        }
        Token::Text(text.len())
    }

    /// Returns the field that is being read. Names of clients are shortened when the fault is written.
    fn field(&self) -> String {
        match self.field {
            b"" => "body".to_owned(),
            field => String::from_utf8_lossy(field).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 4 << 20;

    fn list(item: &str) -> String {
        format!("[{}{item}]", format!("{item},").repeat(MANY))
    }

    #[test]
    fn values_of_few_bytes_are_too_large_and_their_field_is_named() {
        for item in ["0", "[]", "{}"] {
            let json = format!(r#"{{"id": "a\"", "rows": [{{"x": {}}}]}}"#, list(item));
            let faults = check(json.as_bytes(), Costs::CELLS).unwrap_err();
            assert!(faults.to_string().starts_with("rows: "), "{faults}");
        }
        let texts = format!(r#"{{"inputs": {}}}"#, list(r#""""#));
        assert!(check(texts.as_bytes(), Costs::ELEMENTS).is_err());
    }

    #[test]
    fn rows_tensors_and_texts_of_usual_length_pass() {
        let row = r#"{"dep_hour":17,"carrier":"UA","delayed":true}"#;
        let rows = format!(
            r#"{{"rows": [{row}{}]}}"#,
            format!(",{row}").repeat(300_000)
        );
        assert!(check(rows.as_bytes(), Costs::CELLS).is_ok());
        assert!(check(list("0").as_bytes(), Costs::ELEMENTS).is_ok());
        let text = format!(r#"{{"rows": [{{"x": "{}"}}]}}"#, ",[{:".repeat(MANY));
        assert!(check(text.as_bytes(), Costs::CELLS).is_ok());
    }

    #[test]
    fn an_open_string_ends_with_the_body() {
        let open = format!("\"{}\\", "a".repeat(NEVER_TOO_LARGE));
        assert!(check(open.as_bytes(), Costs::CELLS).is_ok());
    }
}
