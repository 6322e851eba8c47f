//! Passes inputs on as tensors, for models that compute with tensors: each is converted to the datatype of its input, and checked.

use super::elements::{each, push};
use super::observe::{Observe, Observed};
use super::tensors::{mask_of, masked};
use super::value::{Value, ValueFault};
use crate::error::{InputFault, InputFaults};
use crate::model::batch::{Batch, Content, Value as TensorValue};
use crate::model::payload::{Datatype, Tensor, TensorData};
use crate::model::signature::{Encoding, Input, Signature};

/// Statistics observe the values of an input with at most this many per row. Of a larger one, such as an image, they would say little,
/// and take longer than the model.
const MAX_OBSERVED: usize = 64;

/// Returns the tensors, which fit the signature, as the model gets them.
pub(super) fn tensors(
    signature: &Signature,
    found: &[Option<&Tensor>],
    rows: usize,
    observer: &mut impl Observe,
) -> Result<Batch, InputFaults> {
    let mut faults = InputFaults::default();
    let mut values = Vec::with_capacity(found.len());
    for (at, (input, tensor)) in signature.inputs().iter().zip(found).enumerate() {
        let Some(tensor) = tensor else { continue };
        let mask = mask_of(signature, found, at);
        let data = convert(input, at, (&tensor.data, mask), &mut faults, observer);
        if input.is_used() {
            let shape = shape(input, rows, &tensor.shape);
            values.push(TensorValue { shape, data });
        }
    }
    faults.into_result()?;
    Ok(Batch::new(Content::Tensors(values), rows))
}

/// Returns the shape that the model gets: with the axes of the signature, and the lengths of the request where those are open.
fn shape(input: &Input, rows: usize, given: &[i64]) -> Vec<usize> {
    let given = given.iter().map(|axis| usize::try_from(*axis).unwrap_or(0));
    let given = given.skip(usize::from(input.shape.batched));
    let mut axes: Vec<usize> = given.collect();
    let wanted = &input.shape.axes;
    if axes.len() != wanted.len() {
        // `[n]` for `[n, 1]`, or the reverse.
        axes = wanted.iter().map(|axis| axis.unwrap_or(1)).collect();
    }
    input
        .shape
        .batched
        .then_some(rows)
        .into_iter()
        .chain(axes)
        .collect()
}

/// Returns the elements as the input's datatype; those that `mask` marks are missing.
fn convert(
    input: &Input,
    at: usize,
    (data, mask): (&TensorData, Option<&[bool]>),
    faults: &mut InputFaults,
    observer: &mut impl Observe,
) -> TensorData {
    let mut checker = ElementChecker::new(input, at, observer);
    if data.datatype() == input.datatype && mask.is_none() {
        if !checker.accepts_everything(data) {
            each(data, |element, found| {
                let checked = found.map(|value| checker.check(value).map(drop));
                report(input, element, checked, faults);
            });
        }
        return data.clone();
    }
    let mut converted = TensorData::with_capacity(input.datatype, data.len());
    each(data, |element, found| {
        let pushed = masked(found, mask, element).map(|value| {
            let value = checker.check(value.converted(input.datatype)?)?;
            push(&mut converted, value);
            Ok(())
        });
        report(input, element, pushed, faults);
    });
    converted
}

fn report(
    input: &Input,
    element: usize,
    result: Result<Result<(), ValueFault<'_>>, usize>,
    faults: &mut InputFaults,
) {
    let field = || format!("tensors[{}][{element}]", input.name);
    match result {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => faults.add_with(|| InputFault {
            field: field(),
            got: fault.got(input),
            wanted: fault.expected(input),
        }),
        Err(length) => faults.add_with(|| InputFault {
            field: field(),
            got: format!("{length} bytes that are not UTF-8"),
            wanted: super::value::expected(input),
        }),
    }
}

/// Checks the elements of one input, and reports them to the observer.
pub(super) struct ElementChecker<'a, O> {
    input: &'a Input,
    at: usize,
    observer: &'a mut O,
    missing: bool,
    observes: bool,
}

impl<'a, O: Observe> ElementChecker<'a, O> {
    pub(super) fn new(input: &'a Input, at: usize, observer: &'a mut O) -> Self {
        let missing = match input.encoding {
            Encoding::Tensor { missing } => missing,
            Encoding::Ignore { optional } => optional,
            Encoding::Mask { .. } => true,
            _ => false,
        };
        Self {
            input,
            at,
            observer,
            missing,
            observes: input.is_observed(),
        }
    }

    /// Returns whether no element of `data` can be wrong, and none is observed.
    fn accepts_everything(&self, data: &TensorData) -> bool {
        let checked = matches!(data, TensorData::Bytes(_)) || data.datatype().is_float();
        !checked && !self.observes
    }

    /// Returns the value if the input accepts it.
    pub(super) fn check<'v>(&mut self, value: Value<'v>) -> Result<Value<'v>, ValueFault<'v>> {
        let content = match value {
            Value::Missing if !self.missing => return Err(ValueFault::Missing),
            Value::Number(x) if x.is_infinite() => return Err(ValueFault::Infinite(x)),
            _ if !self.observes => return Ok(value),
            Value::Missing => Observed::Missing,
            Value::Number(x) => Observed::Number(x),
            Value::Integer(whole) => Observed::Number(super::value::as_f64(whole)),
            Value::Bool(value) => Observed::Number(f64::from(u8::from(value))),
            Value::Text(_) => Observed::Unused,
        };
        self.observer.cell(self.at, content);
        Ok(value)
    }

    /// Returns the input.
    pub(super) fn input(&self) -> &'a Input {
        self.input
    }
}

impl Input {
    /// Returns whether statistics observe the values of this input if it is passed on as a tensor.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        let few = self
            .fixed_values()
            .is_some_and(|values| values <= MAX_OBSERVED);
        few && self.is_used() && self.datatype != Datatype::Bytes
    }
}
