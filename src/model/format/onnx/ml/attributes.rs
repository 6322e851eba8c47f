//! Attributes that several operators have.

use super::super::operator::{Classes, Node};
use super::super::value::Value;
use crate::model::payload::TensorData;
use crate::text::ellipsize;

/// Numbers of an attribute that is a list of f32 or, under a name of its own, a tensor of f32 or f64.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    /// The numbers, exact copies of those in the file.
    pub(super) values: Vec<f64>,
    /// Whether they are f64 in the file.
    pub(super) are_double: bool,
}

impl Numbers {
    /// Reads the attribute `name`, or else `name` with the ending `_as_tensor`. Returns no numbers if there is neither.
    ///
    /// # Errors
    /// Returns an error if both are there, or one has another type.
    pub(super) fn list_or_tensor(node: &Node<'_>, name: &str) -> Result<Self, String> {
        let tensor_name = format!("{name}_as_tensor");
        let list = node.floats(name)?.unwrap_or_default();
        let tensor = Self::tensor(node, &tensor_name)?.unwrap_or_default();
        match (list.is_empty(), tensor.values.is_empty()) {
            (false, false) => Err(format!(
                "attribute {name}: got {tensor_name} as well, expected only one of them"
            )),
            (false, true) => Ok(Self {
                values: list.iter().copied().map(f64::from).collect(),
                are_double: false,
            }),
            (true, _) => Ok(tensor),
        }
    }

    /// Reads an attribute that is a tensor of floats.
    ///
    /// # Errors
    /// Returns an error if it has another type.
    pub(super) fn tensor(node: &Node<'_>, name: &str) -> Result<Option<Self>, String> {
        node.tensor(name)?
            .map(|tensor| Self::of(&tensor).map_err(|error| format!("attribute {name}: {error}")))
            .transpose()
    }

    fn of(tensor: &Value) -> Result<Self, String> {
        match tensor.data() {
            TensorData::Fp32(values) => Ok(Self {
                values: values.iter().copied().map(f64::from).collect(),
                are_double: false,
            }),
            TensorData::Fp64(values) => Ok(Self {
                values: values.clone(),
                are_double: true,
            }),
            other => Err(format!(
                "got elements of type {}, expected FP32 or FP64",
                other.datatype()
            )),
        }
    }
}

/// Returns an error if one of the values of an attribute is not finite.
pub(super) fn check_finite<T: Copy + Into<f64>>(name: &str, values: &[T]) -> Result<(), String> {
    let found = values.iter().position(|value| !(*value).into().is_finite());
    found.map_or(Ok(()), |at| {
        let value: f64 = values.get(at).map_or(f64::NAN, |value| (*value).into());
        Err(format!(
            "attribute {name}: got {value} at index {at}, expected a finite number"
        ))
    })
}

/// Returns an error if an attribute does not have `expected` values.
pub(super) fn check_length(name: &str, got: usize, expected: usize) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "attribute {name}: got {got} values, expected {expected}"
    ))
}

/// Returns the entry of `choices` that a text attribute names. `choices` begins with the default.
///
/// # Errors
/// Returns an error that lists the choices if it names none.
pub(super) fn choice<T: Copy>(
    node: &Node<'_>,
    name: &str,
    choices: &[(&str, T)],
) -> Result<T, String> {
    let text = match node.text(name)? {
        Some(text) => text,
        None => choices.first().map_or("", |(default, _)| default),
    };
    let found = choices.iter().find(|(known, _)| *known == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let known: Vec<_> = choices.iter().map(|(known, _)| *known).collect();
        let got = shown(text);
        format!("attribute {name}: got {got}, expected one of {known:?}")
    })
}

/// Reads the classes, which are in exactly one of two attributes.
///
/// # Errors
/// Returns an error if there are none, both attributes have some, or a class occurs twice.
pub(super) fn classes(node: &Node<'_>, integers: &str, texts: &str) -> Result<Classes, String> {
    let found_integers = node.ints(integers)?.unwrap_or_default();
    let found_texts = node.texts(texts)?.unwrap_or_default();
    let classes = match (found_integers.is_empty(), found_texts.is_empty()) {
        (false, true) => Classes::Integers(found_integers.to_vec()),
        (true, false) => Classes::Texts(found_texts.into_iter().map(str::to_owned).collect()),
        (true, true) => return Err(format!("expected classes in {integers} or {texts}")),
        (false, false) => {
            return Err(format!(
                "got classes in {integers} and in {texts}, expected only one of them"
            ));
        }
    };
    let twice = match &classes {
        Classes::Integers(values) => repeated(values).map(|value| value.to_string()),
        Classes::Texts(values) => repeated(values).map(|text| shown(text)),
    };
    match twice {
        Some(class) => Err(format!("got class {class} twice")),
        None => Ok(classes),
    }
}

/// Returns a text of a file or request for an error: quoted, and shortened.
pub(super) fn shown(text: &str) -> String {
    format!("{:?}", ellipsize(text, 64))
}

/// Returns a value that occurs twice.
pub(super) fn repeated<T: Ord>(values: &[T]) -> Option<&T> {
    let mut sorted: Vec<&T> = values.iter().collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
    twice.map(|pair| pair[0])
}
