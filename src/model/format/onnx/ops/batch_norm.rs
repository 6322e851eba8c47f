//! Batch normalisation.

use std::marker::PhantomData;

use super::normalize::EPSILON;
use super::number::Number;
use super::with_float;
use crate::model::format::onnx::fact::{Fact, Rows};
use crate::model::format::onnx::infer::{mixing, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Known, Lowered, Node, Operator, Work};
use crate::model::format::onnx::rows::{InPlace, Step, narrowed};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[Entry {
    name: "BatchNormalization",
    since: 7,
    attributes: &["epsilon", "momentum", "spatial", "training_mode"],
    lower: lower_batch,
}];

/// Factor and shift of each channel, which is axis 1.
#[derive(Debug)]
pub(in crate::model::format::onnx) struct Channels {
    pub(super) factor: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Operator for Channels {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.take(0)?;
        let shape = input.shape().to_vec();
        if shape.get(1) != Some(&self.factor.len()) {
            let channels = self.factor.len();
            return Err(format!("got shape {shape:?}, expected {channels} channels"));
        }
        let size = shape[2..].iter().product::<usize>();
        let mut values = input.into_elements::<f32>()?;
        let pairs = self.factor.iter().zip(&self.shift).cycle();
        for (plane, (factor, shift)) in values.chunks_exact_mut(size.max(1)).zip(pairs) {
            plane.iter_mut().for_each(|x| *x = *x * factor + shift);
        }
        Ok(vec![Value::of(shape, values)?])
    }

    fn bytes(&self) -> usize {
        2 * self.factor.len() * size_of::<f32>()
    }
}

fn lower_batch(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?;
    if node.flag("training_mode")?.unwrap_or(false) {
        return Err("attribute training_mode: got 1, expected 0".into());
    }
    if (1..node.outputs()).any(|at| node.is_used(at)) {
        return Err("outputs for training are not supported".into());
    }
    if !node.flag("spatial")?.unwrap_or(true) && input.fact.rank() != Some(2) {
        return Err("attribute spatial: got 0, expected 1".into());
    }
    let epsilon = node.float("epsilon")?.unwrap_or(EPSILON);
    let parameters = [
        node.input(1)?,
        node.input(2)?,
        node.input(3)?,
        node.input(4)?,
    ];
    let rank = input
        .fact
        .rank()
        .ok_or("the rank of the input is unknown")?;
    if rank < 2 {
        return Err("expected an input of rank 2 or more".into());
    }
    check_parameters(node, input, parameters)?;
    let rows = mixing(input.fact.rows, |axis| axis == 1);
    let rows = if parameters
        .iter()
        .all(|parameter| parameter.fact.rows == Rows::None)
    {
        rows
    } else {
        Rows::Mixed
    };
    let output = Fact::new(input.fact.datatype, input.fact.shape.clone(), rows);
    let cost = output.elements_per_row();
    let constants = parameters.map(|parameter| parameter.constant);
    if let ([Some(scale), Some(bias), Some(mean), Some(variance)], Datatype::Fp32) =
        (constants, input.fact.datatype)
    {
        let channels = channels([scale, bias, mean, variance], epsilon)?;
        if rank == 2 {
            let Channels { factor, shift } = channels;
            let step = Step::InPlace(InPlace::Affine { factor, shift });
            return Ok(Lowered::steps(vec![step], output, cost));
        }
        return Ok(Lowered {
            work: Work::Channels(channels),
            outputs: vec![output],
            cost,
            reads: Some(vec![0]),
        });
    }
    with_float!(input.fact.datatype, T => {
        let operator = Batch::<T> { epsilon, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// Checks that there is one parameter of each kind per channel.
fn check_parameters(
    node: &Node<'_>,
    input: Known<'_>,
    parameters: [Known<'_>; 4],
) -> Result<(), String> {
    for parameter in parameters {
        if node.version < 15 {
            same_type(input.fact, parameter.fact)?;
        }
        let (own, channels) = (parameter.fact.fixed_shape(), input.fact.dim(1));
        let fits =
            |own: &Vec<usize>| own.len() == 1 && channels.fixed().is_none_or(|c| own[0] == c);
        if !own.as_ref().is_some_and(fits) {
            return Err(format!(
                "got parameters of shape {own:?}, expected one per channel"
            ));
        }
    }
    Ok(())
}

/// Returns factor and shift of each channel, from scale, bias, mean and variance.
fn channels(parameters: [&Value; 4], epsilon: f32) -> Result<Channels, String> {
    let [scale, bias, mean, variance] = parameters.map(Value::elements::<f32>);
    let numbers = scale?.iter().zip(bias?).zip(mean?.iter().zip(variance?));
    let channel = |((scale, bias), (mean, variance)): ((&f32, &f32), (&f32, &f32))| {
        let deviation = (f64::from(*variance) + f64::from(epsilon)).sqrt();
        let factor = f64::from(*scale) / deviation;
        let shift = f64::from(*bias) - f64::from(*mean) * factor;
        (narrowed(factor), narrowed(shift))
    };
    let (factor, shift) = numbers.map(channel).unzip();
    Ok(Channels { factor, shift })
}

/// Batch normalisation whose parameters are computed, or of FP64.
#[derive(Debug)]
struct Batch<T> {
    epsilon: f32,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Batch<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.take(0)?;
        let shape = input.shape().to_vec();
        let size = shape.get(2..).unwrap_or_default().iter().product::<usize>();
        let channels = shape.get(1).copied().unwrap_or(0);
        let mut values = input.into_elements::<T>()?;
        let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|at| {
            let parameter = inputs.get(at)?.elements::<T>()?;
            if parameter.len() == channels {
                Ok(parameter)
            } else {
                Err(format!(
                    "got {} parameters for {channels} channels",
                    parameter.len()
                ))
            }
        });
        let [scale, bias, mean, variance] = [scale?, bias?, mean?, variance?];
        for (at, plane) in values.chunks_exact_mut(size.max(1)).enumerate() {
            let channel = at % channels.max(1);
            let deviation = (variance[channel].as_f64() + f64::from(self.epsilon)).sqrt();
            let factor = scale[channel].as_f64() / deviation;
            let shift = bias[channel].as_f64() - mean[channel].as_f64() * factor;
            for x in plane {
                *x = T::from_f64(x.as_f64() * factor + shift);
            }
        }
        Ok(vec![Value::of(shape, values)?])
    }
}
