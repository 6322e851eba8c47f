//! Folding batch norm into linear layers.

use super::{Activation, narrowed};

/// Side of the squares in which weights are transposed.
const TILE: usize = 32;

/// One layer with its weights, on the way to its place in memory. Small vectors are f64, so that folding rounds
/// only once.
#[derive(Debug)]
pub(super) enum Part {
    Linear(Linear),
    /// Batch norm, as a factor and a shift.
    Affine(Affine),
    Activation(Activation),
}

#[derive(Debug)]
pub(super) struct Linear {
    pub(super) name: String,
    pub(super) outs: usize,
    pub(super) ins: usize,
    /// `[outs, ins]`, row-major.
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f64>,
}

#[derive(Debug)]
pub(super) struct Affine {
    pub(super) name: String,
    pub(super) factor: Vec<f64>,
    pub(super) shift: Vec<f64>,
}

/// The same network with as few affine parts as possible: each goes into the part before it, else into a linear layer
/// after it, else it stays.
pub(super) fn batch_norms(parts: Vec<Part>) -> Vec<Part> {
    let mut folded: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Affine(affine) => match folded.last_mut() {
                Some(Part::Linear(linear)) => linear.then(&affine),
                Some(Part::Affine(before)) => before.then(&affine),
                _ => folded.push(Part::Affine(affine)),
            },
            Part::Linear(mut linear) => {
                if let Some(Part::Affine(before)) = folded.last() {
                    linear.after(before);
                    folded.pop();
                }
                folded.push(Part::Linear(linear));
            }
            Part::Activation(_) => folded.push(part),
        }
    }
    folded
}

impl Part {
    /// Multiply-adds of one row.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.outs * linear.ins,
            Self::Affine(affine) => affine.factor.len(),
            Self::Activation(_) => 0,
        }
    }

    /// Its name, if one of its weights does not fit f32.
    pub(super) fn overflow(&self) -> Option<&str> {
        let fits = |values: &[f64]| rounded(values).iter().all(|x| x.is_finite());
        match self {
            Self::Linear(linear) => {
                let holds = linear.weight.iter().all(|x| x.is_finite()) && fits(&linear.bias);
                (!holds).then_some(&linear.name)
            }
            Self::Affine(affine) => {
                (!fits(&affine.factor) || !fits(&affine.shift)).then_some(&affine.name)
            }
            Self::Activation(_) => None,
        }
    }
}

impl Linear {
    /// Its weights as `[ins, outs]`, row-major; `rest` is called between pieces of work.
    pub(super) fn transposed(self, rest: &mut dyn FnMut()) -> Vec<f32> {
        let mut turned = vec![0.0; self.weight.len()];
        // Square by square, so that what is read and what is written both stay in the cache.
        for rows in (0..self.outs).step_by(TILE) {
            for columns in (0..self.ins).step_by(TILE) {
                for row in rows..self.outs.min(rows + TILE) {
                    for column in columns..self.ins.min(columns + TILE) {
                        turned[column * self.outs + row] = self.weight[row * self.ins + column];
                    }
                }
            }
            rest();
        }
        turned
    }

    /// This layer, then `affine` on what comes out.
    fn then(&mut self, affine: &Affine) {
        let rows = self.weight.chunks_exact_mut(self.ins);
        for (row, factor) in rows.zip(&affine.factor) {
            row.iter_mut()
                .for_each(|w| *w = narrowed(f64::from(*w) * factor));
        }
        for (bias, (factor, shift)) in self.bias.iter_mut().zip(affine.pairs()) {
            *bias = *bias * factor + shift;
        }
    }

    /// `affine` on what comes in, then this layer.
    fn after(&mut self, affine: &Affine) {
        let rows = self.weight.chunks_exact_mut(self.ins);
        for (row, bias) in rows.zip(&mut self.bias) {
            for (w, (factor, shift)) in row.iter_mut().zip(affine.pairs()) {
                *bias += f64::from(*w) * shift;
                *w = narrowed(f64::from(*w) * factor);
            }
        }
    }
}

impl Affine {
    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.factor.iter().copied().zip(self.shift.iter().copied())
    }

    /// This, then `next`.
    fn then(&mut self, next: &Self) {
        let mine = self.factor.iter_mut().zip(&mut self.shift);
        for ((factor, shift), (next_factor, next_shift)) in mine.zip(next.pairs()) {
            *factor *= next_factor;
            *shift = *shift * next_factor + next_shift;
        }
    }
}

/// As f32.
pub(super) fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|x| narrowed(*x)).collect()
}
