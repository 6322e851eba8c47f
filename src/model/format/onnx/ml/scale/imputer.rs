//! Imputer: replaces one value, such as NaN, by another.

use std::fmt;

use super::super::super::operator::{Entry, Fact, Inputs, Lowered, Node, Operator};
use super::super::super::value::{Element, Value};
use super::super::attributes::check_finite;
use super::super::matrix::{NUMBERS, accepted};
use super::{check_columns, check_per_column};
use crate::model::payload::Datatype;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "Imputer",
    since: 1,
    attributes: &[
        "imputed_value_floats",
        "imputed_value_int64s",
        "replaced_value_float",
        "replaced_value_int64",
    ],
    lower,
};

/// `by` replaces `replaced`: one value for all columns, or one per column.
#[derive(Debug)]
struct Imputer<T> {
    replaced: T,
    by: Vec<T>,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let fact = accepted(node, 0, NUMBERS)?;
    let floats = node.floats("imputed_value_floats")?.unwrap_or_default();
    let integers = node.ints("imputed_value_int64s")?.unwrap_or_default();
    let float = node.float("replaced_value_float")?.unwrap_or_default();
    let integer = node.int("replaced_value_int64")?.unwrap_or_default();
    let output = Fact::new(fact.datatype, fact.shape.clone(), fact.rows);
    let cost = fact.elements_per_row();
    let (name, len, other) = if fact.datatype.is_float() {
        ("imputed_value_floats", floats.len(), integers.len())
    } else {
        ("imputed_value_int64s", integers.len(), floats.len())
    };
    if other > 0 {
        let got = fact.datatype;
        return Err(format!("input 0 is {got}, expected only {name}"));
    }
    check_per_column(name, len, fact)?;
    check_finite(name, floats)?;
    let outputs = vec![output];
    Ok(match fact.datatype {
        Datatype::Fp32 => {
            let by = floats.to_vec();
            let replaced = float;
            Lowered::new(Imputer { replaced, by }, outputs, cost)
        }
        Datatype::Fp64 => {
            let by = floats.iter().copied().map(f64::from).collect();
            let replaced = f64::from(float);
            Lowered::new(Imputer { replaced, by }, outputs, cost)
        }
        Datatype::Int64 => {
            let by = integers.to_vec();
            let replaced = integer;
            Lowered::new(Imputer { replaced, by }, outputs, cost)
        }
        _ => {
            let by = integers.iter().copied().map(narrow);
            let by = by.collect::<Result<Vec<i32>, _>>()?;
            let replaced = narrow(integer)?;
            Lowered::new(Imputer { replaced, by }, outputs, cost)
        }
    })
}

fn narrow(value: i64) -> Result<i32, String> {
    i32::try_from(value).map_err(|_| format!("got {value}, expected a 32-bit integer"))
}

/// Returns whether `x` differs from itself, as only NaN does.
fn is_nan<T: PartialOrd>(x: &T) -> bool {
    x.partial_cmp(x).is_none()
}

impl<T: Element + Copy + PartialOrd + fmt::Debug> Operator for Imputer<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        check_columns(inputs.get(0)?, self.by.len())?;
        let value = inputs.take(0)?;
        let shape = value.shape().to_vec();
        let mut elements = value.into_elements::<T>()?;
        let replaces_nan = is_nan(&self.replaced);
        for row in elements.chunks_mut(self.by.len()) {
            for (element, by) in row.iter_mut().zip(&self.by) {
                if *element == self.replaced || (replaces_nan && is_nan(element)) {
                    *element = *by;
                }
            }
        }
        Ok(vec![Value::of(shape, elements)?])
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.by)
    }
}
