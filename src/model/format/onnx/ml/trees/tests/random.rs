//! Random ensembles, evaluated by a naive function on the lists of the file.

use super::super::super::super::proto::tensor_proto::DataType;
use super::super::super::super::value::Value;
use super::super::super::tests::assert_close;
use super::*;

const MODES: [&str; 6] = [
    "BRANCH_LEQ",
    "BRANCH_LT",
    "BRANCH_GTE",
    "BRANCH_GT",
    "BRANCH_EQ",
    "BRANCH_NEQ",
];
const FEATURES: usize = 4;

/// Adds a random tree below a node with the number `node`, which is added. Numbers are unordered.
fn grow(
    random: &mut Random,
    rows: &mut Vec<Row>,
    tree: i64,
    node: i64,
    depth: usize,
    targets: usize,
) {
    if depth == 0 || random.below(4) == 0 {
        let mut votes = Leaf::new();
        for target in 0..targets {
            if random.below(3) > 0 {
                votes.push((target as i64, random.number()));
            }
        }
        rows.push(leaf(tree, node, votes));
        return;
    }
    let (yes, no) = (node * 2 + 1, node * 2 + 2);
    let row = split(tree, node, MODES[random.below(6)], random.number(), yes, no);
    rows.push(Row {
        feature: random.below(FEATURES) as i64,
        tracks_true: random.below(2) as i64,
        ..row
    });
    grow(random, rows, tree, yes, depth - 1, targets);
    grow(random, rows, tree, no, depth - 1, targets);
}

fn ensemble(random: &mut Random, targets: usize) -> Vec<Row> {
    loop {
        let mut rows = Vec::new();
        for tree in 0..1 + random.below(6) {
            grow(random, &mut rows, tree as i64 * 3 - 5, 0, 4, targets);
        }
        if rows.iter().map(|row| row.votes.len()).sum::<usize>() >= targets {
            return rows;
        }
    }
}

/// Returns the votes that a row reaches in each tree.
fn reached<'a>(rows: &'a [Row], x: &[f32]) -> Vec<&'a Leaf> {
    let roots = rows.iter().filter(|row| row.node == 0);
    let follow = |mut at: &'a Row| {
        while at.mode != "LEAF" {
            let (x, t) = (x[at.feature as usize], at.threshold);
            let holds = match at.mode {
                "BRANCH_LEQ" => x <= t,
                "BRANCH_LT" => x < t,
                "BRANCH_GTE" => x >= t,
                "BRANCH_GT" => x > t,
                "BRANCH_EQ" => x == t,
                _ => x != t,
            };
            let next = if holds || (x.is_nan() && at.tracks_true == 1) {
                at.yes
            } else {
                at.no
            };
            at = rows
                .iter()
                .find(|row| (row.tree, row.node) == (at.tree, next))
                .unwrap();
        }
        &at.votes
    };
    roots.map(follow).collect()
}

fn inputs(random: &mut Random, rows: usize) -> Vec<f32> {
    let value = |random: &mut Random| {
        if random.below(6) == 0 {
            f32::NAN
        } else {
            random.number()
        }
    };
    (0..rows * FEATURES).map(|_| value(random)).collect()
}

/// Moves nodes to other places, and gives them other numbers.
fn shuffled(random: &mut Random, rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for at in (1..rows.len()).rev() {
        rows.swap(at, random.below(at + 1));
    }
    // An odd factor permutes the numbers of 64 bits.
    let other = |number: i64| number.wrapping_mul(0x0123_4567_89ab_cdef).wrapping_add(77);
    for row in &mut rows {
        row.node = other(row.node);
        if row.mode != "LEAF" {
            (row.yes, row.no) = (other(row.yes), other(row.no));
        }
    }
    rows
}

#[test]
fn regressors_combine_leaves() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let targets = 1 + random.below(3);
        let rows = ensemble(&mut random, targets);
        let base: Vec<f32> = (0..targets).map(|_| random.number()).collect();
        let x = inputs(&mut random, 7);
        let listed = shuffled(&mut random, &rows);
        for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"] {
            let mut expected = Vec::new();
            for x in x.chunks(FEATURES) {
                let leaves = reached(&rows, x);
                for (target, base) in base.iter().enumerate() {
                    let votes = leaves.iter().flat_map(|votes| votes.iter());
                    let votes = votes.filter(|(at, _)| *at == target as i64);
                    let votes: Vec<f64> = votes.map(|(_, weight)| f64::from(*weight)).collect();
                    let sum: f64 = votes.iter().sum();
                    let value = match aggregate {
                        "SUM" => sum,
                        "AVERAGE" => sum / leaves.len() as f64,
                        _ if votes.is_empty() => 0.0,
                        "MIN" => votes.iter().copied().fold(f64::INFINITY, f64::min),
                        _ => votes.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    };
                    expected.push(value + f64::from(*base));
                }
            }
            let node = regressor(targets as i64, &listed)
                .text("aggregate_function", aggregate)
                .floats("base_values", base.clone());
            let input = Value::of(vec![7, FEATURES], x.clone()).unwrap();
            let outputs = node
                .run(&[input])
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_close(&outputs[0], &expected);
        }
    }
}

#[test]
fn classifiers_of_several_classes_add_votes() {
    for seed in 0..150 {
        let mut random = Random::new(seed ^ 0x5555);
        let classes = 3 + random.below(3);
        let rows = ensemble(&mut random, classes);
        let x = inputs(&mut random, 7);
        let (mut labels, mut expected) = (Vec::new(), Vec::new());
        for x in x.chunks(FEATURES) {
            let mut scores = vec![None; classes];
            for (class, weight) in reached(&rows, x).into_iter().flatten() {
                *scores[*class as usize].get_or_insert(0.0) += f64::from(*weight);
            }
            let best = scores
                .iter()
                .flatten()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max);
            labels.push(
                scores
                    .iter()
                    .position(|score| *score == Some(best))
                    .unwrap_or(0) as i64,
            );
            expected.extend(scores.iter().map(|score| score.unwrap_or(0.0)));
        }
        let node = listed(
            "TreeEnsembleClassifier",
            "class",
            &shuffled(&mut random, &rows),
        )
        .ints(
            "classlabels_int64s",
            (0..classes as i64).collect::<Vec<_>>(),
        );
        let input = Value::of(vec![7, FEATURES], x).unwrap();
        let outputs = node
            .run(&[input])
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_close(&outputs[1], &expected);
        assert_eq!(outputs[0].elements::<i64>().unwrap(), labels, "seed {seed}");
    }
}

/// The same trees in the layout of version 5.
#[test]
fn both_layouts_give_the_same_answer() {
    for seed in 0..100 {
        let mut random = Random::new(seed ^ 0xaaaa);
        let mut rows = ensemble(&mut random, 1);
        // In version 5, a leaf has one value, and a tree has at least one split.
        rows.iter_mut()
            .filter(|row| row.mode == "LEAF")
            .for_each(|row| row.votes.truncate(1));
        for row in &mut rows {
            if row.mode == "LEAF" && row.votes.is_empty() {
                row.votes.push((0, 0.0));
            }
        }
        let is_leaf = |row: &&Row| row.mode == "LEAF";
        if rows.iter().any(|row| row.node == 0 && row.mode == "LEAF") {
            continue;
        }
        let splits: Vec<_> = rows.iter().filter(|row| !is_leaf(row)).collect();
        let leaves: Vec<_> = rows.iter().filter(is_leaf).collect();
        let find = |tree, node| {
            let is = |row: &&Row| (row.tree, row.node) == (tree, node);
            let split = splits.iter().position(is).map(|at| (at as i64, 0));
            split.unwrap_or_else(|| (leaves.iter().position(is).unwrap() as i64, 1))
        };
        let yes: Vec<_> = splits.iter().map(|row| find(row.tree, row.yes)).collect();
        let no: Vec<_> = splits.iter().map(|row| find(row.tree, row.no)).collect();
        let roots = splits.iter().zip(0..).filter(|(row, _)| row.node == 0);
        let mode = |row: &&Row| MODES.iter().position(|mode| *mode == row.mode).unwrap() as i32;
        let linked = node("TreeEnsemble")
            .version(5)
            .int("n_targets", 1)
            .ints("tree_roots", roots.map(|(_, at)| at).collect::<Vec<_>>())
            .ints(
                "nodes_featureids",
                splits.iter().map(|row| row.feature).collect::<Vec<_>>(),
            )
            .small(
                "nodes_modes",
                DataType::Uint8,
                splits.iter().map(mode).collect::<Vec<_>>(),
            )
            .singles(
                "nodes_splits",
                splits.iter().map(|row| row.threshold).collect::<Vec<_>>(),
            )
            .ints(
                "nodes_missing_value_tracks_true",
                splits.iter().map(|row| row.tracks_true).collect::<Vec<_>>(),
            )
            .ints(
                "nodes_truenodeids",
                yes.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            )
            .ints(
                "nodes_falsenodeids",
                no.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            )
            .ints(
                "nodes_trueleafs",
                yes.iter().map(|(_, is_leaf)| *is_leaf).collect::<Vec<_>>(),
            )
            .ints(
                "nodes_falseleafs",
                no.iter().map(|(_, is_leaf)| *is_leaf).collect::<Vec<_>>(),
            )
            .ints("leaf_targetids", vec![0; leaves.len()])
            .singles(
                "leaf_weights",
                leaves.iter().map(|row| row.votes[0].1).collect::<Vec<_>>(),
            );
        let input = [Value::of(vec![7, FEATURES], inputs(&mut random, 7)).unwrap()];
        let linked = linked
            .run(&input)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(
            linked,
            regressor(1, &rows).run(&input).unwrap(),
            "seed {seed}"
        );
    }
}
