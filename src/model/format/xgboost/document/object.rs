//! Reads the fields of an object and reports what is missing or has another type.

use super::super::faults::Faults;
use super::numbers::{Number, Numbers};
use super::value::{Entries, Value};

/// An object of a document, and its path in it.
#[derive(Clone, Debug)]
pub(in super::super) struct Object<'d, 'a> {
    entries: &'d Entries<'a>,
    path: String,
}

impl<'d, 'a> Object<'d, 'a> {
    /// Returns the value at `path` as an object.
    pub(in super::super) fn new(
        value: &'d Value<'a>,
        path: impl Into<String>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let path = path.into();
        match value {
            Value::Object(entries) => Some(Self { entries, path }),
            other => {
                faults.add(path, expected("an object", other));
                None
            }
        }
    }

    /// Returns the path of the object.
    pub(in super::super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path of the field `key`.
    pub(in super::super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            return key.into();
        }
        format!("{}.{key}", self.path)
    }

    /// Returns a field that older or newer files do not have.
    pub(in super::super) fn find(&self, key: &str) -> Option<&'d Value<'a>> {
        self.entries.find(key)
    }

    /// Returns a field that every file has.
    fn field(&self, key: &str, faults: &mut Faults) -> Option<&'d Value<'a>> {
        let value = self.find(key);
        if value.is_none() {
            faults.add(self.path_of(key), "this field is missing");
        }
        value
    }

    /// Returns a field that is an object.
    pub(in super::super) fn object(&self, key: &str, faults: &mut Faults) -> Option<Self> {
        let value = self.field(key, faults)?;
        Self::new(value, self.path_of(key), faults)
    }

    /// Returns a field that is a text.
    pub(in super::super) fn text(&self, key: &str, faults: &mut Faults) -> Option<&'d str> {
        match self.field(key, faults)? {
            Value::Text(text) => Some(text),
            other => {
                faults.add(self.path_of(key), expected("a text", other));
                None
            }
        }
    }

    /// Returns a field that is the text of a whole number that is not negative, as XGBoost writes parameters.
    pub(in super::super) fn count(&self, key: &str, faults: &mut Faults) -> Option<usize> {
        let text = self.text(key, faults)?;
        let count = text.parse::<u32>().ok();
        if count.is_none() {
            let text = crate::text::ellipsize(text, 64);
            let message = format!("got {text:?}, expected the text of a whole number below 2^32");
            faults.add(self.path_of(key), message);
        }
        count.map(|count| count as usize)
    }

    /// Returns a field that is a list of anything but numbers.
    pub(in super::super) fn list(&self, key: &str, faults: &mut Faults) -> Option<&'d [Value<'a>]> {
        match self.field(key, faults)? {
            Value::List(values) => Some(values),
            // An empty typed list of UBJ.
            Value::Numbers(numbers) if numbers.count() == 0 => Some(&[]),
            other => {
                faults.add(self.path_of(key), expected("a list", other));
                None
            }
        }
    }

    /// Returns a field that is a list of texts.
    pub(in super::super) fn texts(&self, key: &str, faults: &mut Faults) -> Option<Vec<&'d str>> {
        let before = faults.count();
        let mut texts = Vec::new();
        for (at, value) in self.list(key, faults)?.iter().enumerate() {
            match value {
                Value::Text(text) => texts.push(text.as_ref()),
                other => faults.add(
                    format!("{}[{at}]", self.path_of(key)),
                    expected("a text", other),
                ),
            }
        }
        (faults.count() == before).then_some(texts)
    }

    /// Returns a field that is a list of whole numbers.
    pub(in super::super) fn integers(&self, key: &str, faults: &mut Faults) -> Option<Vec<i64>> {
        self.numbers(key, "a whole number", Number::integer, faults)
    }

    /// Returns a field that is a list of f32.
    pub(in super::super) fn singles(&self, key: &str, faults: &mut Faults) -> Option<Vec<f32>> {
        self.numbers(key, "a number of 32 bits", Number::single, faults)
    }

    /// Returns a field that is a list of 0 and 1, or of `true` and `false`.
    pub(in super::super) fn flags(&self, key: &str, faults: &mut Faults) -> Option<Vec<bool>> {
        self.numbers(key, "0 or 1", Number::flag, faults)
    }

    /// Returns the number of numbers of a field, if the file has it.
    pub(in super::super) fn numbers_if_any(&self, key: &str) -> Option<usize> {
        match self.find(key)? {
            Value::Numbers(numbers) => Some(numbers.count()),
            Value::List(values) => Some(values.len()),
            _ => None,
        }
    }

    /// Returns a field that is a list of numbers, each converted by `convert`. Reports the first number that it cannot convert.
    fn numbers<T>(
        &self,
        key: &str,
        kind: &str,
        convert: fn(Number) -> Option<T>,
        faults: &mut Faults,
    ) -> Option<Vec<T>> {
        let numbers: Numbers<'a> = match self.field(key, faults)? {
            Value::Numbers(numbers) => *numbers,
            Value::List(values) if values.is_empty() => return Some(Vec::new()),
            other => {
                faults.add(self.path_of(key), expected("a list of numbers", other));
                return None;
            }
        };
        let mut converted = Vec::with_capacity(numbers.count());
        for (at, number) in numbers.iter().enumerate() {
            let Some(number) = convert(number) else {
                let place = format!("{}[{at}]", self.path_of(key));
                faults.add(place, format!("got {number}, expected {kind}"));
                return None;
            };
            converted.push(number);
        }
        Some(converted)
    }
}

fn expected(kind: &str, got: &Value<'_>) -> String {
    format!("got {}, expected {kind}", got.describe())
}
