//! Conditions as edges between ranges of keys.

use super::Arithmetic;
use super::key::{Input, Key};
use crate::model::trees::Test;

/// A condition: it changes between true and false at each edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edges<K> {
    /// Whether the condition holds for keys below the first edge.
    pub(super) first: bool,
    /// The first key of each range except the first range, ascending, at least one.
    pub(super) keys: Vec<K>,
}

impl<K: Key> Edges<K> {
    /// Returns the edges of `test` for inputs of type `I`.
    ///
    /// In the arithmetic of XGBoost, a threshold is rounded to f32 as in its files. Other thresholds are compared exactly, even with
    /// f32 inputs, as scikit-learn compares them.
    pub(super) fn new<I: Input<Key = K>>(test: &Test, arithmetic: Arithmetic) -> Self {
        let threshold = |x: f64| match arithmetic {
            Arithmetic::Single => f64::from(x as f32),
            Arithmetic::Double | Arithmetic::SingleInputs => x,
        };
        let at_least = |x: f64| I::at_least(threshold(x));
        let above = |x: f64| I::above(threshold(x));
        let (first, keys) = match test {
            Test::Less(x) => (true, vec![at_least(*x)]),
            Test::LessOrEqual(x) => (true, vec![above(*x)]),
            Test::Greater(x) => (false, vec![above(*x)]),
            Test::GreaterOrEqual(x) => (false, vec![at_least(*x)]),
            Test::Equal(x) => (false, joined([(at_least(*x), above(*x))])),
            Test::NotEqual(x) => (true, joined([(at_least(*x), above(*x))])),
            Test::In {
                codes,
                truncates_first,
            } => {
                let ranges = codes.iter().map(|&code| {
                    let code = f64::from(code);
                    let start = if code == 0.0 && *truncates_first {
                        I::above(-1.0)
                    } else {
                        I::at_least(code)
                    };
                    (start, I::at_least(code + 1.0))
                });
                (false, joined(ranges))
            }
            Test::Among(values) => {
                let mut ranges: Vec<_> = values.iter().map(|x| (at_least(*x), above(*x))).collect();
                ranges.sort_unstable();
                ranges.dedup();
                (false, joined(ranges))
            }
        };
        // A condition that never changes still needs an edge to split off missing values.
        let keys = if keys.is_empty() { vec![K::LAST] } else { keys };
        Self { first, keys }
    }
}

/// Returns the edges of ranges that are ascending and do not overlap.
fn joined<K: Key>(ranges: impl IntoIterator<Item = (K, K)>) -> Vec<K> {
    let mut keys = Vec::new();
    for (start, end) in ranges {
        if start == end {
            continue;
        }
        if keys.last() == Some(&start) {
            keys.pop();
        } else {
            keys.push(start);
        }
        keys.push(end);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(test: &Test) -> (bool, Vec<u32>) {
        let edges = Edges::new::<f32>(test, Arithmetic::SingleInputs);
        (edges.first, edges.keys)
    }

    #[test]
    fn adjacent_codes_share_a_range() {
        let key = |x: f32| x.key();
        let codes = |codes: &[u32], truncates_first| Test::In {
            codes: codes.to_vec(),
            truncates_first,
        };
        assert_eq!(
            edges(&codes(&[1, 2, 5], true)),
            (false, vec![key(1.0), key(3.0), key(5.0), key(6.0)])
        );
        assert_eq!(
            edges(&codes(&[0], false)),
            (false, vec![key(0.0), key(1.0)])
        );
        assert_eq!(
            edges(&codes(&[0], true)),
            (false, vec![key(-1.0) + 1, key(1.0)])
        );
        assert_eq!(edges(&codes(&[], true)), (false, vec![u32::LAST]));
    }

    #[test]
    fn numbers_are_sorted_and_those_that_no_input_equals_are_dropped() {
        let test = Test::Among(vec![3.0, 0.1, -2.0, 3.0]);
        let key = |x: f32| x.key();
        assert_eq!(
            edges(&test),
            (
                false,
                vec![key(-2.0), key(-2.0) + 1, key(3.0), key(3.0) + 1]
            )
        );
        assert_eq!(edges(&Test::NotEqual(0.1)), (true, vec![u32::LAST]));
    }

    #[test]
    fn only_the_arithmetic_of_xgboost_rounds_thresholds() {
        let test = Test::Equal(0.1);
        let near = 0.1_f32.key();
        let rounded = Edges::new::<f32>(&test, Arithmetic::Single);
        assert_eq!(rounded.keys, [near, near + 1]);
        assert_eq!(edges(&test).1, [u32::LAST]);
    }
}
