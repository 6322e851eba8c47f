//! Folds batch norm into linear layers.

use super::layer::{Affine, Linear, Part, narrowed};

/// Side of the square tiles in which weights are transposed.
const TILE: usize = 32;

/// Returns the same network with as few affine parts as possible. Each is folded into the part before it, otherwise into a linear layer
/// after it; otherwise it stays.
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

impl Linear {
    /// Returns the weights as `[ins, outs]`, row-major. Calls `rest` between pieces of work.
    pub(super) fn transposed(self, rest: &mut dyn FnMut()) -> Vec<f32> {
        let mut transposed = vec![0.0; self.weight.len()];
        // Tile by tile, so that both the values read and the values written stay in the cache.
        for rows in (0..self.outs).step_by(TILE) {
            for columns in (0..self.ins).step_by(TILE) {
                for row in rows..self.outs.min(rows + TILE) {
                    for column in columns..self.ins.min(columns + TILE) {
                        transposed[column * self.outs + row] = self.weight[row * self.ins + column];
                    }
                }
            }
            rest();
        }
        transposed
    }

    /// Becomes this layer followed by `affine` on its outputs.
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

    /// Becomes `affine` on the inputs followed by this layer.
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
    /// Becomes this part followed by `next`.
    fn then(&mut self, next: &Self) {
        let mine = self.factor.iter_mut().zip(&mut self.shift);
        for ((factor, shift), (next_factor, next_shift)) in mine.zip(next.pairs()) {
            *factor *= next_factor;
            *shift = *shift * next_factor + next_shift;
        }
    }
}
