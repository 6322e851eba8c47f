use super::*;
use crate::model::trees::{Leaf, Missing, Node, Test, Tree};

mod equality;
mod layouts;
mod refusals;
mod semantics;

/// Random numbers, the same in every run with the same seed: SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Returns a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Returns a number between -1 and 1.
    pub(super) fn number(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const ALL: [Arithmetic; 3] = [
    Arithmetic::Single,
    Arithmetic::Double,
    Arithmetic::SingleInputs,
];

/// Creates an ensemble of one output.
fn ensemble(inputs: usize, trees: Vec<Vec<Node>>) -> Ensemble {
    Ensemble {
        inputs,
        outputs: 1,
        base: vec![0.5],
        divisor: 1.0,
        trees: trees.into_iter().map(|nodes| Tree { nodes }).collect(),
    }
}

fn split(input: u32, test: Test, missing: Missing, yes: u32, no: u32) -> Node {
    Node::Split {
        input,
        test,
        missing,
        yes,
        no,
    }
}

fn leaf(value: f64) -> Node {
    Node::Leaf(Leaf::One { output: 0, value })
}

/// Returns the sums of rows of f64, converted to the inputs of the arithmetic as by a caller.
fn sums(forest: &Forest, arithmetic: Arithmetic, rows: &[f64]) -> Vec<f64> {
    let count = rows.len() / forest.inputs();
    let mut sums = vec![f64::NAN; count * forest.outputs()];
    match arithmetic {
        Arithmetic::Double => forest.sum(Rows::Double(rows), &mut sums),
        Arithmetic::Single | Arithmetic::SingleInputs => {
            forest.sum(Rows::Single(&narrowed(rows)), &mut sums);
        }
    }
    sums
}

/// Asserts that the fast sums have the bits of the naive ones, for 1, 7, 8, 64 and 65 rows. `rows` are at least 65 rows.
fn assert_equal(ensemble: &Ensemble, arithmetic: Arithmetic, rows: &[f64]) {
    let forest = Forest::new(ensemble.clone(), arithmetic).unwrap();
    let expected: Vec<_> = rows
        .chunks_exact(ensemble.inputs)
        .map(|row| naive::sums(ensemble, arithmetic, row))
        .collect();
    for count in [1, 7, 8, 64, 65] {
        for start in (0..expected.len()).step_by(count) {
            let end = expected.len().min(start + count);
            let block = &rows[start * ensemble.inputs..end * ensemble.inputs];
            let got = sums(&forest, arithmetic, block);
            for (row, (got, expected)) in got
                .chunks_exact(ensemble.outputs)
                .zip(&expected[start..end])
                .enumerate()
            {
                for (got, expected) in got.iter().zip(expected) {
                    let equal =
                        got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan();
                    let at = start + row;
                    let values = &rows[at * ensemble.inputs..(at + 1) * ensemble.inputs];
                    assert!(
                        equal,
                        "{arithmetic:?}, row {at} of blocks of {count}: got {got:e}, expected {expected:e}: {values:?}"
                    );
                }
            }
        }
    }
}
