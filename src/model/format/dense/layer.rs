//! The layers of a network with their weights, before they are laid out for scoring.

/// What an activation does to each value between layers.
#[derive(Clone, Copy, Debug)]
pub(in crate::model::format) enum Activation {
    Relu,
    Gelu,
    Silu,
    Tanh,
    Sigmoid,
    LeakyRelu(f64),
}

/// One layer with its weights. Small vectors are f64, so that folding rounds only once.
#[derive(Debug)]
pub(in crate::model::format) enum Part {
    Linear(Linear),
    /// Batch norm, as a factor and a shift per column.
    Affine(Affine),
    Activation(Activation),
}

#[derive(Debug)]
pub(in crate::model::format) struct Linear {
    pub(in crate::model::format) name: String,
    pub(in crate::model::format) outs: usize,
    pub(in crate::model::format) ins: usize,
    /// `[outs, ins]`, row-major.
    pub(in crate::model::format) weight: Vec<f32>,
    pub(in crate::model::format) bias: Vec<f64>,
}

#[derive(Debug)]
pub(in crate::model::format) struct Affine {
    pub(in crate::model::format) name: String,
    pub(in crate::model::format) factor: Vec<f64>,
    pub(in crate::model::format) shift: Vec<f64>,
}

impl Part {
    /// Returns the multiply-adds of one row.
    pub(in crate::model::format) fn cost(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.outs * linear.ins,
            Self::Affine(affine) => affine.factor.len(),
            Self::Activation(_) => 0,
        }
    }

    /// Returns the name of the layer if one of its weights does not fit f32.
    pub(in crate::model::format) fn overflow(&self) -> Option<&str> {
        let fits = |values: &[f64]| rounded(values).iter().all(|x| x.is_finite());
        match self {
            Self::Linear(linear) => {
                let is_finite = linear.weight.iter().all(|x| x.is_finite()) && fits(&linear.bias);
                (!is_finite).then_some(&linear.name)
            }
            Self::Affine(affine) => {
                (!fits(&affine.factor) || !fits(&affine.shift)).then_some(&affine.name)
            }
            Self::Activation(_) => None,
        }
    }
}

impl Affine {
    /// Returns factor and shift of each column.
    pub(in crate::model::format) fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.factor.iter().copied().zip(self.shift.iter().copied())
    }
}

/// Rounds values to f32.
pub(in crate::model::format) fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|x| narrowed(*x)).collect()
}

/// Rounds a value to f32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "scores and weights are f32; a value that does not fit becomes an infinity, which is rejected later"
)]
pub(in crate::model::format) fn narrowed(x: f64) -> f32 {
    x as f32
}
