//! One value of a document.

use std::borrow::Cow;

use super::numbers::{Number, Numbers};

/// The most objects and lists within each other. XGBoost nests 8.
pub(super) const MOST_NESTED: usize = 32;

/// A value of a document. Texts and lists of numbers borrow from the file.
#[derive(Clone, Debug)]
pub(in super::super) enum Value<'a> {
    /// `null`
    Null,
    /// A number, `true` or `false`.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// A list of numbers, `true` and `false`; not empty in JSON.
    Numbers(Numbers<'a>),
    /// A list of other values, or an empty list.
    List(Vec<Value<'a>>),
    /// An object.
    Object(Entries<'a>),
}

/// The keys and values of an object, ascending by key, each key once.
#[derive(Clone, Debug)]
pub(in super::super) struct Entries<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Entries<'a> {
    /// Sorts the entries.
    ///
    /// # Errors
    /// Returns a key that occurs twice.
    pub(super) fn new(mut entries: Vec<(Cow<'a, str>, Value<'a>)>) -> Result<Self, String> {
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(pair[0].0.to_string()),
            None => Ok(Self(entries)),
        }
    }

    /// Returns the value of `key`.
    pub(super) fn find(&self, key: &str) -> Option<&Value<'a>> {
        let at = self
            .0
            .binary_search_by(|(other, _)| other.as_ref().cmp(key));
        at.ok().map(|at| &self.0[at].1)
    }
}

impl Value<'_> {
    /// Returns whether a list of such values is kept as values. Numbers have lists of their own, and XGBoost writes no `null` in lists.
    pub(super) fn is_element(&self) -> bool {
        !matches!(self, Self::Number(_) | Self::Null)
    }

    /// Describes the value in a message.
    pub(in super::super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("{:?}", crate::text::ellipsize(text, 64)),
            Self::Numbers(numbers) if numbers.count() == 0 => "an empty list".into(),
            Self::List(values) if values.is_empty() => "an empty list".into(),
            Self::Numbers(numbers) => format!("a list of {} numbers", numbers.count()),
            Self::List(values) => format!("a list of {} values", values.len()),
            Self::Object(_) => "an object".into(),
        }
    }
}
