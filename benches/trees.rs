//! Ensembles of decision trees at batch sizes 1, 8 and 64: 100 trees of depth 6 over 30 inputs, and 500 of depth 8 over 100, in the
//! arithmetic of XGBoost. A pass goes through 10,000 distinct rows, because rows that repeat would teach the CPU their paths.
//!
//! With `TREES=FOLDER`, the models that `trees/compare.py` has written there are timed as well, and each sum is compared with
//! XGBoost's: `TREES=/tmp/trees cargo bench --bench trees`.
#![expect(clippy::expect_used, reason = "a bench")]

use std::env;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::trees::{Arithmetic, Ensemble, Forest, Leaf, Missing, Node, Rows, Test, Tree};
use serde_json::Value;

/// The evaluator itself, without the formats and the signatures around it.
#[path = "../src/model"]
#[allow(
    unused,
    unreachable_pub,
    reason = "a part of taper, with its tests, of which the bench uses a part"
)]
mod model {
    pub mod format {
        mod fault;
        pub use fault::FormatFault;
    }
    pub mod trees {
        mod ensemble;
        mod forest;
        pub use ensemble::{Ensemble, Leaf, Missing, Node, Test, Tree};
        pub use forest::{Arithmetic, Forest, Rows};
    }
}

const BATCHES: [usize; 3] = [1, 8, 64];
const ROWS: usize = 10_000;
/// Trees, their depth, and inputs.
const SHAPES: [(usize, u32, usize); 2] = [(100, 6, 30), (500, 8, 100)];

/// Pseudo-random numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    /// Returns a number between -1 and 1.
    fn number(&mut self) -> f32 {
        self.bits() as f32 / (1_u64 << 30) as f32 - 1.0
    }
}

/// Returns trees whose leaves are all at the same depth.
fn complete((trees, depth, inputs): (usize, u32, usize), numbers: &mut Numbers) -> Ensemble {
    let splits = (1_u32 << depth) - 1;
    let mut tree = || {
        let node = |node| {
            if node >= splits {
                return Node::Leaf(Leaf::One {
                    output: 0,
                    value: numbers.number().into(),
                });
            }
            Node::Split {
                input: numbers.below(inputs) as u32,
                test: Test::Less(numbers.number().into()),
                missing: *[Missing::Yes, Missing::No]
                    .get(numbers.below(2))
                    .expect("one of two"),
                yes: 2 * node + 1,
                no: 2 * node + 2,
            }
        };
        Tree {
            nodes: (0..2 * splits + 1).map(node).collect(),
        }
    };
    Ensemble {
        inputs,
        outputs: 1,
        base: vec![0.5],
        divisor: 1.0,
        trees: (0..trees).map(|_| tree()).collect(),
    }
}

fn time(c: &mut Criterion, name: &str, forest: &Forest, rows: &[f32]) {
    let inputs = forest.inputs();
    let mut group = c.benchmark_group(format!("trees/{name}"));
    for batch in BATCHES {
        let mut sums = vec![0.0; batch];
        let mut blocks = rows.chunks_exact(batch * inputs).cycle();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter(|| {
                let block = blocks.next().expect("endless");
                forest.sum(Rows::Single(black_box(block)), &mut sums);
                black_box(&sums);
            });
        });
    }
    group.finish();
}

fn random(c: &mut Criterion) {
    for shape in SHAPES {
        let mut numbers = Numbers(1);
        let ensemble = complete(shape, &mut numbers);
        let forest = Forest::new(ensemble, Arithmetic::Single).expect("a valid ensemble");
        let rows: Vec<_> = (0..ROWS * shape.2).map(|_| numbers.number()).collect();
        time(c, &format!("{}x{}", shape.0, shape.1), &forest, &rows);
    }
}

/// Times the models of `trees/compare.py`.
fn trained(c: &mut Criterion) {
    let Some(folder) = env::var_os("TREES") else {
        return;
    };
    for (trees, depth, _) in SHAPES {
        let name = format!("trees_{trees}x{depth}");
        let file = |ending: &str| Path::new(&folder).join(format!("{name}.{ending}"));
        let model = fs::read(file("json")).expect("a model of compare.py");
        let ensemble = xgboost(&serde_json::from_slice(&model).expect("JSON"));
        let forest = Forest::new(ensemble, Arithmetic::Single).expect("a valid ensemble");
        let rows = floats(&file("rows.f32"));
        let mut sums = vec![0.0; rows.len() / forest.inputs()];
        forest.sum(Rows::Single(&rows), &mut sums);
        for (row, (sum, expected)) in sums.iter().zip(floats(&file("sums.f32"))).enumerate() {
            assert!(
                *sum == f64::from(expected),
                "row {row} of {name}: got {sum}, XGBoost got {expected}"
            );
        }
        time(c, &name, &forest, &rows);
    }
}

fn floats(file: &Path) -> Vec<f32> {
    let bytes = fs::read(file).expect("rows of compare.py");
    let (values, _) = bytes.as_chunks();
    values
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

/// Reads as much of a model as `compare.py` needs: one output, numeric splits.
fn xgboost(model: &Value) -> Ensemble {
    let learner = &model["learner"];
    let parameter = |name: &str| {
        let value = learner["learner_model_param"][name].as_str();
        value.expect("a text").trim_matches(['[', ']'])
    };
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let float = |value: &Value| f64::from(value.as_f64().expect("a number") as f32);
    let index = |value: &Value| value.as_u64().expect("an index") as u32;
    let tree = |tree: &Value| {
        let column = |name: &str| list(&tree[name]);
        let (left, right) = (column("left_children"), column("right_children"));
        let (inputs, numbers) = (column("split_indices"), column("split_conditions"));
        let default_left = column("default_left");
        let node = |at: usize| {
            if left[at] == -1 {
                return Node::Leaf(Leaf::One {
                    output: 0,
                    value: float(&numbers[at]),
                });
            }
            Node::Split {
                input: index(&inputs[at]),
                test: Test::Less(float(&numbers[at])),
                missing: if default_left[at] == 1 {
                    Missing::Yes
                } else {
                    Missing::No
                },
                yes: index(&left[at]),
                no: index(&right[at]),
            }
        };
        Tree {
            nodes: (0..left.len()).map(node).collect(),
        }
    };
    let base: f32 = parameter("base_score").parse().expect("a number");
    Ensemble {
        inputs: parameter("num_feature").parse().expect("a number"),
        outputs: 1,
        base: vec![base.into()],
        divisor: 1.0,
        trees: list(&learner["gradient_booster"]["model"]["trees"])
            .iter()
            .map(tree)
            .collect(),
    }
}

criterion_group!(benches, random, trained);
criterion_main!(benches);
