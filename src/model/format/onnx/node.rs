//! A node of a file, as the operators see it when the file is read.

use super::fact::Fact;
use super::proto::{AttributeProto, NodeProto, attribute_proto::AttributeType};
use super::tensor;
use super::value::Value;

/// A node: its attributes, and what is known of its inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    /// The version of the operator's domain.
    pub(crate) version: i64,
    pub(super) proto: &'a NodeProto,
    pub(super) inputs: &'a [Option<Known<'a>>],
    /// Whether each output is read by another node or returned.
    pub(super) used: &'a [bool],
}

/// What is known of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// Type and shape.
    pub(crate) fact: &'a Fact,
    /// The value, if it is the same for every request.
    pub(crate) constant: Option<&'a Value>,
}

impl<'a> Node<'a> {
    /// Returns the name of the operator (`op_type`).
    pub(crate) fn operator(&self) -> &'a str {
        &self.proto.op_type
    }

    /// Returns the number of inputs, including optional ones that are left out between others.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Returns the number of outputs in the file, including ones that are not named.
    pub(crate) fn outputs(&self) -> usize {
        self.used.len()
    }

    /// Returns whether an output is read by another node or returned by the graph.
    pub(crate) fn is_used(&self, output: usize) -> bool {
        self.used.get(output).copied().unwrap_or(false)
    }

    /// Returns an input, or `None` if it is left out.
    pub(crate) fn optional(&self, at: usize) -> Option<Known<'a>> {
        self.inputs.get(at).copied().flatten()
    }

    /// Returns an input.
    ///
    /// # Errors
    /// Returns an error if it is left out.
    pub(crate) fn input(&self, at: usize) -> Result<Known<'a>, String> {
        self.optional(at)
            .ok_or_else(|| format!("input {at} is missing"))
    }

    /// Returns whether the node has an attribute of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Returns an attribute that is an integer.
    ///
    /// # Errors
    /// Returns an error if it is something else.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        let found = self.typed(name, AttributeType::Int)?;
        Ok(found.map(|attribute| attribute.i))
    }

    /// Returns an attribute that is a flag, as an integer.
    ///
    /// # Errors
    /// Returns an error if it is something else than 0 or 1.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        match self.int(name)? {
            None => Ok(None),
            Some(0) => Ok(Some(false)),
            Some(1) => Ok(Some(true)),
            Some(other) => Err(format!("attribute {name}: got {other}, expected 0 or 1")),
        }
    }

    /// Returns an attribute that is a number.
    ///
    /// # Errors
    /// Returns an error if it is something else.
    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>, String> {
        let found = self.typed(name, AttributeType::Float)?;
        Ok(found.map(|attribute| attribute.f))
    }

    /// Returns an attribute that is a text.
    ///
    /// # Errors
    /// Returns an error if it is something else, or not UTF-8.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        let found = self.typed(name, AttributeType::String)?;
        found.map(|attribute| utf8(name, &attribute.s)).transpose()
    }

    /// Returns an attribute that is a list of integers.
    ///
    /// # Errors
    /// Returns an error if it is something else.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, String> {
        let found = self.typed(name, AttributeType::Ints)?;
        Ok(found.map(|attribute| &*attribute.ints))
    }

    /// Returns an attribute that is a list of numbers.
    ///
    /// # Errors
    /// Returns an error if it is something else.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, String> {
        let found = self.typed(name, AttributeType::Floats)?;
        Ok(found.map(|attribute| &*attribute.floats))
    }

    /// Returns an attribute that is a list of texts.
    ///
    /// # Errors
    /// Returns an error if it is something else, or one is not UTF-8.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, String> {
        let Some(attribute) = self.typed(name, AttributeType::Strings)? else {
            return Ok(None);
        };
        let texts = attribute.strings.iter().map(|bytes| utf8(name, bytes));
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Returns an attribute that is a tensor.
    ///
    /// # Errors
    /// Returns an error if it is something else, or not a valid tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Value>, String> {
        let Some(attribute) = self.typed(name, AttributeType::Tensor)? else {
            return Ok(None);
        };
        let tensor = attribute.t.as_ref();
        let value = tensor.ok_or("no tensor".into()).and_then(tensor::value);
        value
            .map(Some)
            .map_err(|error| format!("attribute {name}: {error}"))
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        let mut attributes = self.proto.attribute.iter();
        attributes.find(|attribute| attribute.name == name)
    }

    fn typed(
        &self,
        name: &str,
        expected: AttributeType,
    ) -> Result<Option<&'a AttributeProto>, String> {
        let Some(attribute) = self.attribute(name) else {
            return Ok(None);
        };
        if attribute.r#type() != expected {
            let (got, expected) = (attribute.r#type().as_str_name(), expected.as_str_name());
            return Err(format!(
                "attribute {name}: got type {got}, expected {expected}"
            ));
        }
        Ok(Some(attribute))
    }
}

fn utf8<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    str::from_utf8(bytes).map_err(|_| format!("attribute {name}: got a text that is not UTF-8"))
}
