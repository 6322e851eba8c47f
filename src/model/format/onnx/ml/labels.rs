//! Labels: the class of each row, as a tensor.

use std::sync::Arc;

use bytes::Bytes;

use super::super::operator::{Classes, Dim, Fact, Meaning};
use super::super::value::Value;
use crate::model::payload::Datatype;

/// The classes of a classifier, ready to be output.
#[derive(Debug)]
pub(super) struct Labels {
    classes: Arc<Classes>,
    /// The classes as elements of a tensor, if they are texts.
    texts: Vec<Bytes>,
}

impl Labels {
    /// Prepares classes.
    pub(super) fn new(classes: Classes) -> Self {
        let texts = match &classes {
            Classes::Texts(texts) => texts
                .iter()
                .map(|text| Bytes::copy_from_slice(text.as_bytes()))
                .collect(),
            Classes::Integers(_) => Vec::new(),
        };
        Self {
            classes: Arc::new(classes),
            texts,
        }
    }

    /// Returns the number of classes.
    pub(super) fn len(&self) -> usize {
        match &*self.classes {
            Classes::Texts(texts) => texts.len(),
            Classes::Integers(integers) => integers.len(),
        }
    }

    /// Returns the facts about the outputs of a classifier: the class per row of `input`, and `columns` scores per row.
    pub(super) fn facts(&self, input: &Fact, columns: usize, meaning: Meaning) -> Vec<Fact> {
        let datatype = match &*self.classes {
            Classes::Texts(_) => Datatype::Bytes,
            Classes::Integers(_) => Datatype::Int64,
        };
        let labels = Fact::row_by_row(datatype, vec![input.dim(0)], [input])
            .with_meaning(Meaning::Labels)
            .with_classes(Some(Arc::clone(&self.classes)));
        let shape = vec![input.dim(0), Dim::Fixed(columns)];
        let classes = (columns == self.len()).then(|| Arc::clone(&self.classes));
        let scores = Fact::row_by_row(Datatype::Fp32, shape, [input])
            .with_meaning(meaning)
            .with_classes(classes);
        vec![labels, scores]
    }

    /// Returns the tensor with the classes at these positions.
    pub(super) fn pick(&self, positions: &[usize]) -> Value {
        match &*self.classes {
            Classes::Texts(_) => Value::vector(picked(&self.texts, positions)),
            Classes::Integers(integers) => Value::vector(picked(integers, positions)),
        }
    }
}

/// Returns the elements at these positions, which are below the length of `elements`.
fn picked<T: Clone + Default>(elements: &[T], positions: &[usize]) -> Vec<T> {
    let element = |at: &usize| elements.get(*at).cloned().unwrap_or_default();
    positions.iter().map(element).collect()
}

/// Returns the position of the largest value, of equal ones the first. NaN is never larger.
pub(super) fn largest<T: Copy + PartialOrd>(values: impl IntoIterator<Item = T>) -> Option<usize> {
    let mut best: Option<(usize, T)> = None;
    for (at, value) in values.into_iter().enumerate() {
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((at, value));
        }
    }
    best.map(|(at, _)| at)
}
