//! Functions of single numbers.

use std::f32::consts::FRAC_1_SQRT_2;

use super::curves;
use super::narrowed;

/// A function of one number. Parameters are exact: each comes from an f32 of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    Abs,
    Neg,
    Floor,
    Ceil,
    /// To the nearest integer, and from the middle to the even one.
    Round,
    /// -1, 0 or 1.
    Sign,
    Sqrt,
    Reciprocal,
    Exp,
    Log,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    /// The Gauss error function.
    Erf,
    Relu,
    /// `alpha x` below zero.
    LeakyRelu(f64),
    /// 0 up to `alpha`.
    ThresholdedRelu(f64),
    /// `alpha (e^x - 1)` below zero.
    Elu(f64),
    /// `alpha (e^(x / alpha) - 1)` below zero.
    Celu(f64),
    /// `gamma alpha (e^x - 1)` below zero, `gamma x` above.
    Selu {
        alpha: f64,
        gamma: f64,
    },
    Sigmoid,
    Tanh,
    /// `x / (1 + e^-x)`
    Silu,
    /// `x (1 + erf(x / sqrt 2)) / 2`
    Gelu,
    /// The approximation of [`Gelu`](Self::Gelu) by tanh.
    GeluTanh,
    /// `alpha x + beta` between 0 and 1.
    HardSigmoid {
        alpha: f64,
        beta: f64,
    },
    /// `x` times a hard sigmoid of slope 1/6.
    HardSwish,
    /// `ln(1 + e^x)`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `x tanh(ln(1 + e^x))`
    Mish,
    Clip {
        low: f64,
        high: f64,
    },
    /// `x + c`
    Add(f64),
    /// `x c`
    Mul(f64),
    /// `x / c`
    Div(f64),
    /// `c - x`
    From(f64),
    /// `c / x`
    Into(f64),
    /// The larger of `x` and `c`.
    Max(f64),
    /// The smaller of `x` and `c`.
    Min(f64),
    /// `x^c`
    Pow(f64),
}

impl Function {
    /// Applies the function to each value in place. Inlined, so that it is compiled for the current CPU where it is called from
    /// code that is.
    #[inline(always)]
    pub(crate) fn apply(self, values: &mut [f32]) {
        match self {
            Self::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
            Self::Sigmoid => each(values, curves::sigmoid),
            Self::Tanh => each(values, curves::tanh),
            Self::Silu => each(values, curves::silu),
            Self::Gelu => each(values, |x| 0.5 * x * (1.0 + curves::erf(x * FRAC_1_SQRT_2))),
            Self::GeluTanh => each(values, |x| {
                let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + curves::tanh(inner))
            }),
            Self::Erf => each(values, curves::erf),
            Self::Exp => each(values, curves::whole_exp),
            Self::Add(c) => with(values, c, |x, c| x + c),
            Self::Mul(c) => with(values, c, |x, c| x * c),
            Self::Div(c) => with(values, c, |x, c| x / c),
            Self::From(c) => with(values, c, |x, c| c - x),
            Self::Into(c) => with(values, c, |x, c| c / x),
            Self::Max(c) => with(values, c, |x, c| if x < c || c.is_nan() { c } else { x }),
            Self::Min(c) => with(values, c, |x, c| if x > c || c.is_nan() { c } else { x }),
            Self::LeakyRelu(alpha) => with(
                values,
                alpha,
                |x, alpha| {
                    if x < 0.0 { x * alpha } else { x }
                },
            ),
            Self::ThresholdedRelu(alpha) => {
                with(values, alpha, |x, alpha| if x <= alpha { 0.0 } else { x })
            }
            Self::Pow(c) => power(values, narrowed(c)),
            other => other.apply_more(values),
        }
    }

    /// Applies the functions that are not in [`apply`](Self::apply) itself.
    #[inline(always)]
    fn apply_more(self, values: &mut [f32]) {
        match self {
            Self::Clip { low, high } => {
                let (low, high) = (narrowed(low), narrowed(high));
                each(values, |x| {
                    let x = if x < low { low } else { x };
                    if x > high { high } else { x }
                });
            }
            Self::HardSigmoid { alpha, beta } => {
                let (alpha, beta) = (narrowed(alpha), narrowed(beta));
                each(values, |x| unit(alpha * x + beta));
            }
            Self::HardSwish => each(values, |x| x * unit(x * (1.0 / 6.0) + 0.5)),
            Self::Elu(alpha) => with(values, alpha, |x, alpha| {
                if x < 0.0 {
                    alpha * curves::exp_m1(x)
                } else {
                    x
                }
            }),
            Self::Celu(alpha) => with(values, alpha, |x, alpha| {
                if x < 0.0 {
                    alpha * curves::exp_m1(x / alpha)
                } else {
                    x
                }
            }),
            Self::Selu { alpha, gamma } => {
                let (low, gamma) = (narrowed(alpha * gamma), narrowed(gamma));
                each(values, |x| {
                    if x <= 0.0 {
                        low * curves::exp_m1(x)
                    } else {
                        gamma * x
                    }
                });
            }
            Self::Softsign => each(values, |x| x / (1.0 + x.abs())),
            Self::Softplus => each(values, |x| {
                let rest = (-x.abs()).exp().ln_1p();
                if x > 0.0 { x + rest } else { rest }
            }),
            Self::Mish => each(values, |x| {
                // tanh(ln(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2), which is 1 for large x.
                let e = curves::exp(x.min(20.0));
                let n = e * (e + 2.0);
                x * (n / (n + 2.0))
            }),
            Self::Abs => each(values, f32::abs),
            Self::Neg => each(values, |x| -x),
            Self::Sqrt => each(values, f32::sqrt),
            Self::Reciprocal => each(values, |x| 1.0 / x),
            Self::Floor => each(values, f32::floor),
            Self::Ceil => each(values, f32::ceil),
            Self::Round => each(values, f32::round_ties_even),
            // In f64, which is exact enough; the rest are rare in networks.
            other => each(values, |x| narrowed(other.of(f64::from(x)))),
        }
    }

    /// Returns the function of one f64.
    pub(crate) fn of(self, x: f64) -> f64 {
        match self {
            Self::Abs => x.abs(),
            Self::Neg => -x,
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Round => x.round_ties_even(),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
            Self::Sqrt => x.sqrt(),
            Self::Reciprocal => 1.0 / x,
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sin => x.sin(),
            Self::Cos => x.cos(),
            Self::Tan => x.tan(),
            Self::Asin => x.asin(),
            Self::Acos => x.acos(),
            Self::Atan => x.atan(),
            Self::Sinh => x.sinh(),
            Self::Cosh => x.cosh(),
            Self::Asinh => x.asinh(),
            Self::Acosh => x.acosh(),
            Self::Atanh => x.atanh(),
            Self::Erf => libm::erf(x),
            Self::Add(c) => x + c,
            Self::Mul(c) => x * c,
            Self::Div(c) => x / c,
            Self::From(c) => c - x,
            Self::Into(c) => c / x,
            Self::Max(c) if x < c || c.is_nan() => c,
            Self::Min(c) if x > c || c.is_nan() => c,
            Self::Max(_) | Self::Min(_) => x,
            Self::Pow(c) => x.powf(c),
            other => other.activation_of(x),
        }
    }

    fn activation_of(self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        match self {
            Self::Relu if x < 0.0 => 0.0,
            Self::LeakyRelu(alpha) if x < 0.0 => alpha * x,
            Self::ThresholdedRelu(alpha) if x <= alpha => 0.0,
            Self::Elu(alpha) if x < 0.0 => alpha * x.exp_m1(),
            Self::Celu(alpha) if x < 0.0 => alpha * (x / alpha).exp_m1(),
            Self::Selu { alpha, gamma } if x <= 0.0 => gamma * alpha * x.exp_m1(),
            Self::Selu { gamma, .. } => gamma * x,
            Self::Sigmoid => sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::Silu => x * sigmoid(x),
            Self::Gelu => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                let slope = (2.0 / std::f64::consts::PI).sqrt();
                0.5 * x * (1.0 + (slope * (x + 0.044_715 * x * x * x)).tanh())
            }
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::Softplus => softplus(x),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Mish => x * softplus(x).tanh(),
            Self::Clip { low, .. } if x < low => low,
            Self::Clip { high, .. } if x > high => high,
            _ => x,
        }
    }

    /// Returns the multiply-adds that take about as long as the function of one value.
    pub(crate) fn cost(self) -> usize {
        match self {
            Self::Relu | Self::Add(_) | Self::Mul(_) | Self::Neg | Self::Abs => 0,
            Self::Sigmoid | Self::Tanh | Self::Silu | Self::Gelu | Self::Exp => 8,
            Self::Log | Self::Softplus | Self::Pow(_) | Self::Sin | Self::Cos => 32,
            _ => 2,
        }
    }
}

#[inline(always)]
fn unit(x: f32) -> f32 {
    let x = if x < 0.0 { 0.0 } else { x };
    if x > 1.0 { 1.0 } else { x }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for x in values {
        *x = f(*x);
    }
}

#[inline(always)]
fn with(values: &mut [f32], parameter: f64, f: impl Fn(f32, f32) -> f32) {
    let parameter = narrowed(parameter);
    each(values, |x| f(x, parameter));
}

/// Raises each value to the power `c`, without the general function for the powers that networks use.
#[inline(always)]
fn power(values: &mut [f32], c: f32) {
    if c == 2.0 {
        each(values, |x| x * x);
    } else if c == 3.0 {
        each(values, |x| x * x * x);
    } else if c == 1.0 {
        // Each value stays as it is.
    } else {
        each(values, |x| x.powf(c));
    }
}
