//! Lines of the file, and the fields `key=value` that they contain.

use std::str::FromStr;

use super::faults::{Faults, quote};

/// One line, without its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub(super) number: usize,
    /// Index of its first byte in the file.
    pub(super) offset: usize,
    /// Its text. A carriage return before the line feed is not part of it.
    pub(super) text: &'a str,
}

/// The lines of a text, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    rest: &'a str,
    number: usize,
    offset: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            number: 0,
            offset: 0,
        }
    }

    /// Returns the next line and leaves it in place.
    pub(super) fn peek(&self) -> Option<Line<'a>> {
        self.clone().next()
    }

    /// Skips empty lines.
    pub(super) fn skip_blank(&mut self) {
        while self.peek().is_some_and(|line| line.text.is_empty()) {
            self.next();
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (whole, rest) = match self.rest.find('\n') {
            Some(end) => self.rest.split_at(end + 1),
            None => (self.rest, ""),
        };
        self.number += 1;
        let line = Line {
            number: self.number,
            offset: self.offset,
            text: whole.trim_end_matches(['\r', '\n']),
        };
        self.rest = rest;
        self.offset += whole.len();
        Some(line)
    }
}

/// The fields of the header or of one tree.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// `Tree=3`, or empty for the header.
    place: String,
    known: &'static [&'static str],
    found: Vec<(&'static str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Creates fields that may have the names `known`.
    pub(super) fn new(place: String, known: &'static [&'static str]) -> Self {
        Self {
            place,
            known,
            found: Vec::new(),
        }
    }

    /// Adds the field of a line. A key without `=` has an empty value.
    pub(super) fn add(&mut self, line: Line<'a>, faults: &mut Faults) {
        let (key, value) = line.text.split_once('=').unwrap_or((line.text, ""));
        let at = || format!("line {}", line.number);
        let Some(&known) = self.known.iter().find(|&&known| known == key) else {
            faults.add(at(), format!("got {}, expected a known field", quote(key)));
            return;
        };
        if self.get(known).is_some() {
            faults.add(at(), format!("{known} occurs twice"));
            return;
        }
        self.found.push((known, value));
    }

    /// Returns the value of the field `key`.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.found
            .iter()
            .find_map(|&(found, value)| (found == key).then_some(value))
    }

    /// Returns the value of the field `key`, which must exist.
    pub(super) fn require(&self, key: &str, faults: &mut Faults) -> Option<&'a str> {
        let value = self.get(key);
        if value.is_none() {
            faults.add(self.at(key), "missing");
        }
        value
    }

    /// Returns the name of a field in messages.
    pub(super) fn at(&self, key: &str) -> String {
        if self.place.is_empty() {
            key.to_owned()
        } else {
            format!("{}, {key}", self.place)
        }
    }

    /// Returns the name of one value of a field in messages.
    pub(super) fn at_value(&self, key: &str, index: usize) -> String {
        self.at(&format!("{key}[{index}]"))
    }

    /// Returns the number in the field `key`, which must exist.
    pub(super) fn number<T: FromStr>(
        &self,
        key: &str,
        expected: &str,
        faults: &mut Faults,
    ) -> Option<T> {
        let value = self.require(key, faults)?;
        let number = value.trim().parse().ok();
        if number.is_none() {
            faults.add(
                self.at(key),
                format!("got {}, expected {expected}", quote(value)),
            );
        }
        number
    }

    /// Returns the `count` numbers in the field `key`, which must exist unless `count` is 0. Reserves memory only after it has
    /// counted the values.
    pub(super) fn numbers<T: FromStr>(
        &self,
        key: &str,
        count: usize,
        expected: &str,
        faults: &mut Faults,
    ) -> Option<Vec<T>> {
        let value = match self.get(key) {
            Some(value) => value,
            None if count == 0 => "",
            None => self.require(key, faults)?,
        };
        let found = words(value).count();
        if found != count {
            faults.add(
                self.at(key),
                format!("got {found} values, expected {count}"),
            );
            return None;
        }
        let mut numbers = Vec::with_capacity(count);
        for (index, word) in words(value).enumerate() {
            match word.parse() {
                Ok(number) => numbers.push(number),
                Err(_) if faults.is_full() => return None,
                Err(_) => faults.add(
                    self.at_value(key, index),
                    format!("got {}, expected {expected}", quote(word)),
                ),
            }
        }
        (numbers.len() == count).then_some(numbers)
    }
}

/// Returns the parts of `text` between spaces. LightGBM reads several spaces as one.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}
