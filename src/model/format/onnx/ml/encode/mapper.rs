//! CategoryMapper: texts to integers, or integers to texts.

use super::super::super::operator::{Entry, Lowered, Node};
use super::label_encoder::{Mapping, bytes};
use crate::model::payload::{Datatype, TensorData};

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "CategoryMapper",
    since: 1,
    attributes: &[
        "cats_int64s",
        "cats_strings",
        "default_int64",
        "default_string",
    ],
    lower,
};

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let integers = node.ints("cats_int64s")?.unwrap_or_default().to_vec();
    let texts = node.texts("cats_strings")?.unwrap_or_default();
    let integers = TensorData::Int64(integers);
    let texts = TensorData::Bytes(texts.into_iter().map(bytes).collect());
    if node.input(0)?.fact.datatype == Datatype::Bytes {
        let default = TensorData::Int64(vec![node.int("default_int64")?.unwrap_or(-1)]);
        Mapping::lower(node, &texts, integers, default)
    } else {
        let default = bytes(node.text("default_string")?.unwrap_or("_Unused"));
        Mapping::lower(node, &integers, texts, TensorData::Bytes(vec![default]))
    }
}
