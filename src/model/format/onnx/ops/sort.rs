//! The largest or smallest elements along an axis.

use std::cmp::Ordering;

use super::axes::split;
use super::number::Number;
use super::with_number;
use crate::model::format::onnx::fact::{Dim, Fact};
use crate::model::format::onnx::infer::{self, axis, constant_ints, expect_type, ints, mixing};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[Entry {
    name: "TopK",
    since: 1,
    attributes: &["axis", "k", "largest", "sorted"],
    lower,
}];

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let at = node.int("axis")?.unwrap_or(-1);
    let largest = node.flag("largest")?.unwrap_or(true);
    node.flag("sorted")?;
    let k = if node.version < 10 {
        vec![node.int("k")?.ok_or("attribute k is missing")?]
    } else {
        expect_type(node.input(1)?.fact.datatype, &[Datatype::Int64])?;
        match node.input(1)?.constant {
            Some(_) => constant_ints(node, 1)?,
            None => Vec::new(),
        }
    };
    let k = match *k {
        [k] => Some(usize::try_from(k).map_err(|_| format!("got {k} as the number of elements"))?),
        [] => None,
        _ => return Err("expected a single number of elements".into()),
    };
    let (mut shape, mut rows) = (input.shape.clone(), infer::all_constant([input]));
    if let Some(shape) = &mut shape {
        let at = axis(at, shape.len())?;
        if let (Some(k), Dim::Fixed(length)) = (k, shape[at])
            && k > length
        {
            return Err(format!("got {k} as the number of elements of {length}"));
        }
        shape[at] = k.map_or(Dim::Unknown, Dim::Fixed);
        if k.is_some() {
            rows = mixing(input.rows, |axis| axis == at);
        }
    }
    let outputs = vec![
        Fact::new(input.datatype, shape.clone(), rows),
        Fact::new(Datatype::Int64, shape, rows),
    ];
    let cost = input.elements_per_row().saturating_mul(8);
    let datatype = input.datatype;
    with_number!(datatype, _T => Ok(()))?;
    let operator = TopK {
        axis: at,
        k,
        largest,
    };
    Ok(Lowered::new(operator, outputs, cost))
}

/// The `k` largest or smallest elements along an axis, in order, with their positions. Of equal ones, the first come first.
#[derive(Debug)]
struct TopK {
    axis: i64,
    /// Input 1 if absent.
    k: Option<usize>,
    largest: bool,
}

impl Operator for TopK {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let k = match self.k {
            Some(k) => k,
            None => match *ints(inputs.get(1)?)? {
                [k] => {
                    usize::try_from(k).map_err(|_| format!("got {k} as the number of elements"))?
                }
                _ => return Err("expected a single number of elements".into()),
            },
        };
        let input = inputs.get(0)?;
        with_number!(input.datatype(), T => self.pick::<T>(input, k))
    }
}

impl TopK {
    fn pick<T: Number>(&self, input: &Value, k: usize) -> Result<Vec<Value>, String> {
        let at = axis(self.axis, input.rank())?;
        let (outer, length, inner) = split(input.shape(), at);
        if k > length {
            return Err(format!("got {k} as the number of elements of {length}"));
        }
        let values = input.elements::<T>()?;
        let mut shape = input.shape().to_vec();
        shape[at] = k;
        let count = outer * k * inner;
        let (mut best, mut positions) = (vec![T::ZERO; count], vec![0_i64; count]);
        for block in 0..outer {
            for column in 0..inner {
                let at = |step: usize| values[(block * length + step) * inner + column];
                let order = |a: &usize, b: &usize| {
                    let order = total(at(*a), at(*b));
                    let order = if self.largest { order.reverse() } else { order };
                    order.then(a.cmp(b))
                };
                let mut steps: Vec<usize> = (0..length).collect();
                if k > 0 && k < length {
                    steps.select_nth_unstable_by(k - 1, order);
                }
                steps.truncate(k);
                steps.sort_unstable_by(order);
                for (place, step) in steps.into_iter().enumerate() {
                    let to = (block * k + place) * inner + column;
                    best[to] = at(step);
                    positions[to] = i64::try_from(step).unwrap_or(i64::MAX);
                }
            }
        }
        Ok(vec![
            Value::of(shape.clone(), best)?,
            Value::of(shape, positions)?,
        ])
    }
}

/// Compares two numbers. NaN is above all others, so that the order is total.
fn total<T: Number>(a: T, b: T) -> Ordering {
    let by_nan = a.is_nan().cmp(&b.is_nan());
    by_nan.then(a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}
