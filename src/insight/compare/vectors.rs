//! The vectors that an embedding predicts, and the angle between two of them. Pure.

use crate::model::Value;
use crate::model::payload::TensorData;

/// The vectors of two versions for the rows of one request, which have one length.
pub(super) struct VectorPairs<'a> {
    primary: &'a Value,
    shadow: &'a Value,
    length: usize,
    /// The vectors of the current row; kept to save allocations.
    buffers: [Vec<f64>; 2],
}

/// How the vectors of one row differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct VectorDifference {
    /// The cosine of the angle between them, -1 to 1; 0 if one of them is zero.
    pub(super) cosine: f64,
    /// Whether any number differs.
    pub(super) differs: bool,
}

impl<'a> VectorPairs<'a> {
    /// Pairs the vectors of `rows` rows. `None` if the two tensors do not have as many vectors of one length.
    pub(super) fn new(primary: &'a Value, shadow: &'a Value, rows: usize) -> Option<Self> {
        let [one, other] = [primary, shadow].map(|tensor| length(tensor, rows));
        let length = one.filter(|_| one == other)?;
        Some(Self {
            primary,
            shadow,
            length,
            buffers: [Vec::with_capacity(length), Vec::with_capacity(length)],
        })
    }

    /// Returns how the vectors of row `at` differ.
    pub(super) fn difference(&mut self, at: usize) -> VectorDifference {
        let [one, other] = &mut self.buffers;
        for (tensor, to) in [(self.primary, &mut *one), (self.shadow, &mut *other)] {
            to.clear();
            extend(to, &tensor.data, at * self.length, self.length);
        }
        VectorDifference {
            cosine: cosine(one, other),
            differs: one != other,
        }
    }
}

/// Returns the length of each of `rows` vectors.
fn length(tensor: &Value, rows: usize) -> Option<usize> {
    let elements = tensor.data.len();
    (rows > 0 && elements > 0 && elements.is_multiple_of(rows)).then(|| elements / rows)
}

/// Returns the first numbers of the vector of row `at` of `rows`, at most `most`.
pub(super) fn first_numbers(tensor: &Value, at: usize, rows: usize, most: usize) -> Vec<f32> {
    let Some(length) = length(tensor, rows) else {
        return Vec::new();
    };
    let mut numbers = Vec::new();
    extend(&mut numbers, &tensor.data, at * length, length.min(most));
    #[expect(clippy::cast_possible_truncation, reason = "shown as f32")]
    numbers.into_iter().map(|x| x as f32).collect()
}

/// Appends `count` numbers of a tensor of floats from `first` on. Other tensors have none, because no embedding consists of them.
fn extend(to: &mut Vec<f64>, data: &TensorData, first: usize, count: usize) {
    let range = first..first + count;
    match data {
        TensorData::Fp64(values) => to.extend_from_slice(values.get(range).unwrap_or_default()),
        TensorData::Fp32(values) => {
            let values = values.get(range).unwrap_or_default();
            to.extend(values.iter().map(|x| f64::from(*x)));
        }
        TensorData::Fp16(values) => {
            let values = values.get(range).unwrap_or_default();
            to.extend(values.iter().map(|x| x.to_f64()));
        }
        TensorData::Bf16(values) => {
            let values = values.get(range).unwrap_or_default();
            to.extend(values.iter().map(|x| x.to_f64()));
        }
        _ => {}
    }
}

/// Returns the cosine of the angle between two vectors of one length: exactly 1 if they are equal, and 0 if one of them is zero.
///
/// Both are divided by their largest absolute value first, so that no square overflows or vanishes.
fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let largest = |vector: &[f64]| vector.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let (scale, other_scale) = (largest(one), largest(other));
    if scale == 0.0 || other_scale == 0.0 {
        return 0.0;
    }
    if one == other {
        return 1.0;
    }
    let (mut product, mut squares, mut other_squares) = (0.0, 0.0, 0.0);
    for (x, y) in one.iter().zip(other) {
        let (x, y) = (x / scale, y / other_scale);
        product += x * y;
        squares += x * x;
        other_squares += y * y;
    }
    (product / (squares * other_squares).sqrt()).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) -> bool {
        (got - want).abs() < 1e-15
    }

    #[test]
    fn a_cosine_depends_only_on_directions() {
        let half = 0.5_f64.sqrt();
        for (one, other, want) in [
            (vec![1.0, 0.0], vec![0.0, 3.0], 0.0),
            (vec![1.0, 1.0], vec![2.0, 0.0], half),
            (vec![1.0, 2.0, 2.0], vec![-2.0, -4.0, -4.0], -1.0),
            (vec![1e300, 1e300], vec![1e-300, 0.0], half),
            (vec![3e-320, 0.0], vec![1e308, 1e308], half),
            (vec![0.1, 0.2, 0.3], vec![0.1, 0.2, 0.3], 1.0),
            (vec![0.0, 0.0], vec![1.0, 0.0], 0.0),
            (vec![0.0, 0.0], vec![0.0, -0.0], 0.0),
        ] {
            let (there, back) = (cosine(&one, &other), cosine(&other, &one));
            assert!(
                near(there, want) && near(back, want),
                "{one:?} {other:?}: {there}"
            );
        }
        let long: Vec<f64> = (0..10_000).map(|at| f64::from(at % 7) - 3.0).collect();
        let scaled: Vec<f64> = long.iter().map(|x| x * 0.1).collect();
        assert!((cosine(&long, &scaled) - 1.0).abs() < 1e-12);
        assert!(cosine(&long, &scaled) <= 1.0);
    }

    #[test]
    fn vectors_of_every_float_type_are_read_row_by_row() {
        let numbers = [3.0_f32, 4.0, -0.5, 0.0];
        let half = numbers.map(half::f16::from_f32).to_vec();
        let brain = numbers.map(half::bf16::from_f32).to_vec();
        let value = |data| Value {
            shape: vec![2, 2],
            data,
        };
        let first = value(TensorData::Fp32(numbers.to_vec()));
        for data in [
            TensorData::Fp64(numbers.map(f64::from).to_vec()),
            TensorData::Fp16(half),
            TensorData::Bf16(brain),
        ] {
            let other = value(data);
            let mut pairs = VectorPairs::new(&first, &other, 2).unwrap();
            let same = VectorDifference {
                cosine: 1.0,
                differs: false,
            };
            assert_eq!([pairs.difference(0), pairs.difference(1)], [same; 2]);
            assert_eq!(first_numbers(&other, 1, 2, 1), [-0.5]);
            assert_eq!(first_numbers(&other, 0, 2, 16), [3.0, 4.0]);
        }
        let wide = Value {
            shape: vec![2, 1],
            data: TensorData::Fp32(vec![1.0, 2.0]),
        };
        assert!(
            VectorPairs::new(&first, &wide, 2).is_none(),
            "other lengths"
        );
    }
}
