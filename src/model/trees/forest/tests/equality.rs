//! Random ensembles of every kind: the fast sums have the bits of the naive ones.

use proptest::prelude::*;

use super::*;

const ROWS: usize = 65;

/// What a random ensemble contains.
#[derive(Clone, Copy, Debug)]
struct Plan {
    inputs: usize,
    outputs: usize,
    trees: usize,
    /// The most splits on a path.
    depth: usize,
    /// Of so many nodes above that depth, one is a leaf.
    leaf_in: usize,
    /// Only conditions with one edge and leaves with one value.
    is_plain: bool,
    is_averaged: bool,
}

/// A random ensemble and the numbers that its conditions mention.
struct Generator {
    random: Random,
    plan: Plan,
    numbers: Vec<f64>,
}

/// Numbers at which something changes.
const SPECIAL: [f64; 21] = [
    0.0,
    -0.0,
    -0.5,
    0.5,
    1.0,
    -1.0,
    2.0,
    2.999,
    1e-35,
    1.000_000_018_002_509_5e-35,
    1.000_000_1e-35,
    -1.000_000_018_002_509_5e-35,
    1e-45,
    -1e-45,
    5e-324,
    1.2e-38,
    16_777_215.0,
    16_777_216.0,
    1e300,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

impl Generator {
    fn threshold(&mut self) -> f64 {
        let x = match self.random.below(6) {
            0 => *self.random.pick(&SPECIAL),
            1 => f64::from(self.random.number() as f32),
            2 => self.random.below(8) as f64,
            _ => self.random.number(),
        };
        self.numbers.push(x);
        x
    }

    fn test(&mut self) -> Test {
        let kinds = if self.plan.is_plain { 4 } else { 8 };
        match self.random.below(kinds) {
            0 => Test::Less(self.threshold()),
            1 => Test::LessOrEqual(self.threshold()),
            2 => Test::Greater(self.threshold()),
            3 => Test::GreaterOrEqual(self.threshold()),
            4 => Test::Equal(self.threshold()),
            5 => Test::NotEqual(self.threshold()),
            6 => {
                let mut codes: Vec<u32> = (0..self.random.below(12))
                    .map(|_| self.random.below(20) as u32)
                    .collect();
                if self.random.one_in(8) {
                    codes.push((1 << 24) - 1);
                }
                codes.sort_unstable();
                codes.dedup();
                self.numbers
                    .extend(codes.iter().map(|code| f64::from(*code)));
                Test::In {
                    codes,
                    truncates_first: self.random.one_in(2),
                }
            }
            _ => Test::Among(
                (0..self.random.below(6))
                    .map(|_| self.threshold())
                    .collect(),
            ),
        }
    }

    fn value(&mut self) -> f64 {
        if self.random.one_in(20) {
            -0.0
        } else {
            self.random.number()
        }
    }

    fn leaf(&mut self, output: u32) -> Leaf {
        let kinds = if self.plan.is_plain { 1 } else { 4 };
        let any_output =
            |generator: &mut Self| generator.random.below(generator.plan.outputs) as u32;
        match self.random.below(kinds) {
            0 => Leaf::One {
                output,
                value: self.value(),
            },
            1 => Leaf::Many(
                (0..self.plan.outputs as u32)
                    .map(|output| (output, self.value()))
                    .collect(),
            ),
            2 => Leaf::Many(
                (0..self.random.below(4))
                    .map(|_| (any_output(self), self.value()))
                    .collect(),
            ),
            _ => Leaf::Linear {
                output: any_output(self),
                constant: self.value(),
                terms: (0..self.random.below(4))
                    .map(|_| (self.random.below(self.plan.inputs) as u32, self.value()))
                    .collect(),
                if_missing: self.value(),
            },
        }
    }

    /// Creates a tree whose nodes are in a random order.
    fn tree(&mut self) -> Tree {
        let output = self.random.below(self.plan.outputs) as u32;
        let mut nodes = vec![Node::Leaf(self.leaf(output))];
        let mut open = vec![(0, 0)];
        while let Some((node, depth)) = open.pop() {
            if depth == self.plan.depth || self.random.one_in(self.plan.leaf_in) {
                continue;
            }
            let children = [nodes.len() as u32, nodes.len() as u32 + 1];
            for child in children {
                let content = Node::Leaf(self.leaf(output));
                nodes.push(content);
                open.push((child, depth + 1));
            }
            let (yes, no) = if self.random.one_in(2) {
                (children[0], children[1])
            } else {
                (children[1], children[0])
            };
            let missing = [
                Missing::Yes,
                Missing::No,
                Missing::AsZero,
                Missing::ZeroYes,
                Missing::ZeroNo,
            ];
            nodes[node as usize] = Node::Split {
                input: self.random.below(self.plan.inputs) as u32,
                test: self.test(),
                missing: *self.random.pick(&missing),
                yes,
                no,
            };
        }
        self.shuffled(nodes)
    }

    /// Returns the nodes in a random order, except the root.
    fn shuffled(&mut self, nodes: Vec<Node>) -> Tree {
        let mut places: Vec<u32> = (0..nodes.len() as u32).collect();
        for at in (2..places.len()).rev() {
            places.swap(at, 1 + self.random.below(at));
        }
        let mut shuffled = nodes.clone();
        for (node, place) in nodes.into_iter().zip(&places) {
            shuffled[*place as usize] = match node {
                Node::Split {
                    input,
                    test,
                    missing,
                    yes,
                    no,
                } => Node::Split {
                    input,
                    test,
                    missing,
                    yes: places[yes as usize],
                    no: places[no as usize],
                },
                leaf @ Node::Leaf(_) => leaf,
            };
        }
        Tree { nodes: shuffled }
    }

    fn ensemble(&mut self) -> Ensemble {
        Ensemble {
            inputs: self.plan.inputs,
            outputs: self.plan.outputs,
            base: (0..self.plan.outputs).map(|_| self.value()).collect(),
            divisor: if self.plan.is_averaged { 3.0 } else { 1.0 },
            trees: (0..self.plan.trees).map(|_| self.tree()).collect(),
        }
    }

    fn row_value(&mut self) -> f64 {
        match self.random.below(8) {
            0 => f64::NAN,
            1 => *self.random.pick(&SPECIAL),
            2 => self.random.below(20) as f64 + 0.5 * self.random.below(2) as f64,
            3 if !self.numbers.is_empty() => {
                let x = *self.random.pick(&self.numbers);
                *self.random.pick(&[x, x.next_up(), x.next_down(), -x])
            }
            4 if !self.numbers.is_empty() => {
                let x = *self.random.pick(&self.numbers) as f32;
                f64::from(*self.random.pick(&[x, x.next_up(), x.next_down()]))
            }
            _ => self.random.number(),
        }
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let sizes = (1_usize..12, 1_usize..4, 0_usize..30, 0_usize..9);
    (sizes, 2_usize..40, any::<bool>(), any::<bool>()).prop_map(
        |((inputs, outputs, trees, depth), leaf_in, is_plain, is_averaged)| Plan {
            inputs,
            outputs,
            trees,
            depth,
            leaf_in,
            is_plain,
            is_averaged,
        },
    )
}

fn check(plan: Plan, seed: u64) {
    let mut generator = Generator {
        random: Random(seed),
        plan,
        numbers: Vec::new(),
    };
    let ensemble = generator.ensemble();
    let rows: Vec<_> = (0..ROWS * plan.inputs)
        .map(|_| generator.row_value())
        .collect();
    for arithmetic in ALL {
        assert_equal(&ensemble, arithmetic, &rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn the_fast_sums_have_the_bits_of_the_naive_ones(plan in plans(), seed: u64) {
        check(plan, seed);
    }
}

#[test]
fn any_number_of_columns_gives_the_same_bits() {
    for (inputs, is_plain) in [(200, true), (200, false), (3_000, true), (3_000, false)] {
        let plan = Plan {
            inputs,
            outputs: 1,
            trees: 60,
            depth: 6,
            leaf_in: 30,
            is_plain,
            is_averaged: false,
        };
        check(plan, 7);
    }
}

#[test]
fn one_to_ten_levels_give_the_same_bits() {
    for depth in 1..=10 {
        let plan = Plan {
            inputs: 5,
            outputs: 1,
            trees: 9,
            depth,
            leaf_in: 1_000,
            is_plain: true,
            is_averaged: false,
        };
        check(plan, depth as u64);
    }
}
