//! Functions of single numbers.

use std::marker::PhantomData;

use super::number::Number;
use super::with_number;
use crate::model::format::onnx::fact::{Fact, Meaning};
use crate::model::format::onnx::infer::{expect_type, like, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::rows::{Function, InPlace, Step};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

const fn entry(name: &'static str, since: i64, attributes: &'static [&'static str]) -> Entry {
    Entry {
        name,
        since,
        attributes,
        lower,
    }
}

pub(super) const OPERATORS: &[Entry] = &[
    entry("Abs", 6, &[]),
    entry("Neg", 6, &[]),
    entry("Sign", 9, &[]),
    entry("Floor", 6, &[]),
    entry("Ceil", 6, &[]),
    entry("Round", 11, &[]),
    entry("Sqrt", 6, &[]),
    entry("Reciprocal", 6, &[]),
    entry("Exp", 6, &[]),
    entry("Log", 6, &[]),
    entry("Sin", 7, &[]),
    entry("Cos", 7, &[]),
    entry("Tan", 7, &[]),
    entry("Asin", 7, &[]),
    entry("Acos", 7, &[]),
    entry("Atan", 7, &[]),
    entry("Sinh", 9, &[]),
    entry("Cosh", 9, &[]),
    entry("Asinh", 9, &[]),
    entry("Acosh", 9, &[]),
    entry("Atanh", 9, &[]),
    entry("Erf", 9, &[]),
    entry("Relu", 6, &[]),
    entry("LeakyRelu", 6, &["alpha"]),
    entry("ThresholdedRelu", 10, &["alpha"]),
    entry("Elu", 6, &["alpha"]),
    entry("Celu", 12, &["alpha"]),
    entry("Selu", 6, &["alpha", "gamma"]),
    entry("Sigmoid", 6, &[]),
    entry("Tanh", 6, &[]),
    entry("Gelu", 20, &["approximate"]),
    entry("HardSigmoid", 6, &["alpha", "beta"]),
    entry("HardSwish", 14, &[]),
    entry("Swish", 24, &["alpha"]),
    entry("Softplus", 1, &[]),
    entry("Softsign", 1, &[]),
    entry("Mish", 18, &[]),
    Entry {
        name: "Clip",
        since: 6,
        attributes: &["min", "max"],
        lower: lower_clip,
    },
];

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let function = function(node)?;
    let input = node.input(0)?.fact;
    let cost = input.elements_per_row().saturating_mul(function.cost());
    match input.datatype {
        Datatype::Fp32 => {
            let output = output(input, function);
            let step = Step::InPlace(InPlace::Map(function));
            Ok(Lowered::steps(vec![step], output, cost))
        }
        Datatype::Fp64 => {
            let output = output(input, function);
            Ok(Lowered::new(Double(function), vec![output], cost))
        }
        datatype => {
            let integral = matches!(
                function,
                Function::Abs | Function::Neg | Function::Sign | Function::Relu
            );
            if !integral {
                expect_type(datatype, &[Datatype::Fp32, Datatype::Fp64])?;
            }
            with_number!(datatype, T => {
                let operator = Integral::<T> { function, elements: PhantomData };
                Ok(Lowered::new(operator, vec![output(input, function)], cost))
            })
        }
    }
}

fn output(input: &Fact, function: Function) -> Fact {
    let meaning = match function {
        Function::Sigmoid => Meaning::Logistic,
        _ => Meaning::Unknown,
    };
    like(input, input.datatype).with_meaning(meaning)
}

fn function(node: &Node<'_>) -> Result<Function, String> {
    let number = |name: &str, default: f32| {
        let number = node.float(name)?.unwrap_or(default);
        Ok::<f64, String>(f64::from(number))
    };
    Ok(match node.operator() {
        "Abs" => Function::Abs,
        "Neg" => Function::Neg,
        "Sign" => Function::Sign,
        "Floor" => Function::Floor,
        "Ceil" => Function::Ceil,
        "Round" => Function::Round,
        "Sqrt" => Function::Sqrt,
        "Reciprocal" => Function::Reciprocal,
        "Exp" => Function::Exp,
        "Log" => Function::Log,
        "Sin" => Function::Sin,
        "Cos" => Function::Cos,
        "Tan" => Function::Tan,
        "Asin" => Function::Asin,
        "Acos" => Function::Acos,
        "Atan" => Function::Atan,
        "Sinh" => Function::Sinh,
        "Cosh" => Function::Cosh,
        "Asinh" => Function::Asinh,
        "Acosh" => Function::Acosh,
        "Atanh" => Function::Atanh,
        "Erf" => Function::Erf,
        "Relu" => Function::Relu,
        "LeakyRelu" => Function::LeakyRelu(number("alpha", 0.01)?),
        "ThresholdedRelu" => Function::ThresholdedRelu(number("alpha", 1.0)?),
        "Elu" => Function::Elu(number("alpha", 1.0)?),
        "Celu" => Function::Celu(number("alpha", 1.0)?),
        "Selu" => Function::Selu {
            alpha: number("alpha", 1.673_263_2)?,
            gamma: number("gamma", 1.050_701)?,
        },
        "Sigmoid" => Function::Sigmoid,
        "Tanh" => Function::Tanh,
        "Gelu" => match node.text("approximate")?.unwrap_or("none") {
            "none" => Function::Gelu,
            "tanh" => Function::GeluTanh,
            other => return Err(format!("attribute approximate: got {other:?}")),
        },
        "HardSigmoid" => Function::HardSigmoid {
            alpha: number("alpha", 0.2)?,
            beta: number("beta", 0.5)?,
        },
        "HardSwish" => Function::HardSwish,
        "Swish" => match number("alpha", 1.0)? {
            1.0 => Function::Silu,
            other => return Err(format!("attribute alpha: got {other}, expected 1")),
        },
        "Softplus" => Function::Softplus,
        "Softsign" => Function::Softsign,
        "Mish" => Function::Mish,
        other => return Err(format!("unknown function {other}")),
    })
}

/// A function of each element, in f64.
#[derive(Debug)]
struct Double(Function);

impl Operator for Double {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        map::<f64>(inputs, |x| self.0.of(x))
    }
}

/// A function of integers.
#[derive(Debug)]
struct Integral<T> {
    function: Function,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Integral<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        match self.function {
            Function::Abs => map(inputs, T::magnitude),
            Function::Neg => map(inputs, T::negated),
            Function::Sign => map(inputs, T::sign),
            _ => map(inputs, |x: T| x.larger(T::ZERO)),
        }
    }
}

/// Applies a function to each element of input 0.
fn map<T: Number>(inputs: &mut Inputs<'_>, f: impl Fn(T) -> T) -> Result<Vec<Value>, String> {
    let input = inputs.take(0)?;
    let shape = input.shape().to_vec();
    let mut elements = input.into_elements::<T>()?;
    elements.iter_mut().for_each(|x| *x = f(*x));
    Ok(vec![Value::of(shape, elements)?])
}

fn lower_clip(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let output = like(input, input.datatype);
    let cost = input.elements_per_row();
    let bound = |at: usize, name: &str, default: f32, open: f64| -> Result<Option<f64>, String> {
        if node.version < 11 {
            let given = node.float(name)?.unwrap_or(default);
            return Ok(Some(f64::from(given)));
        }
        if node.has(name) {
            return Err(format!("attribute {name} is not supported"));
        }
        let Some(bound) = node.optional(at) else {
            return Ok(Some(open));
        };
        same_type(input, bound.fact)?;
        if bound.fact.rank().is_some_and(|rank| rank > 1) {
            return Err(format!("input {at}: expected a single number"));
        }
        let constant = bound
            .constant
            .and_then(|value| value.elements::<f32>().ok());
        Ok(constant
            .and_then(|values| values.first())
            .map(|x| f64::from(*x)))
    };
    let low = bound(1, "min", f32::MIN, f64::NEG_INFINITY)?;
    let high = bound(2, "max", f32::MAX, f64::INFINITY)?;
    if input.datatype == Datatype::Fp32
        && let (Some(low), Some(high)) = (low, high)
    {
        let step = Step::InPlace(InPlace::Map(Function::Clip { low, high }));
        return Ok(Lowered::steps(vec![step], output, cost));
    }
    let (low, high) = if node.version < 11 {
        (low, high)
    } else {
        (None, None)
    };
    with_number!(input.datatype, T => {
        let operator = Clip::<T> {
            low: low.map(T::from_f64),
            high: high.map(T::from_f64),
        };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// Limits elements to a range, whose ends are given here or in inputs 1 and 2.
#[derive(Debug)]
struct Clip<T> {
    low: Option<T>,
    high: Option<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Clip<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let bound = |at: usize| {
            let Some(value) = inputs.optional(at) else {
                return Ok(None);
            };
            match value.elements::<T>()? {
                [bound] => Ok(Some(*bound)),
                bounds => Err(format!("got {} bounds, expected 1", bounds.len())),
            }
        };
        let low = bound(1)?.or(self.low).unwrap_or(T::LOWEST);
        let high = bound(2)?.or(self.high).unwrap_or(T::HIGHEST);
        map(inputs, |x: T| {
            let x = if x < low { low } else { x };
            if x > high { high } else { x }
        })
    }
}
