//! Random models, written in both encodings, are read back exactly.

use super::models::{Numbers, model};
use super::writer::Doc;
use super::*;
use crate::model::trees::{Link, Tree};

/// A random model and what must be read.
struct Case {
    doc: Doc,
    trees: Vec<Tree>,
    inputs: usize,
    outputs: usize,
}

fn case(seed: u64) -> Case {
    let mut numbers = Numbers::new(seed);
    let inputs = numbers.below(6) + 1;
    let outputs = numbers.below(4) + 1;
    let vectors = outputs > 1 && numbers.flag();
    let weighted = numbers.flag();
    let (mut docs, mut trees, mut info, mut weights) = (vec![], vec![], vec![], vec![]);
    for at in 0..outputs * (numbers.below(3) + 1) {
        let columns = numbers.tree(inputs, if vectors { outputs } else { 1 });
        let output = if vectors { 0 } else { numbers.index(outputs) };
        let weight = if weighted {
            [1.0, 0.25, 1.5][numbers.below(3)]
        } else {
            1.0
        };
        docs.push(columns.doc(at, inputs));
        trees.push(columns.tree(u32::try_from(output).unwrap(), weight));
        info.push(output);
        weights.push(weight);
    }
    let mut doc = model(inputs, outputs, "reg:squarederror", docs, info);
    if weighted {
        let booster = "learner.gradient_booster";
        let weights = Doc::List(weights.into_iter().map(Doc::Single).collect());
        if numbers.flag() {
            doc.set(&format!("{booster}.model"), "weight_drop", Some(weights));
        } else {
            let inner = doc.at(booster).clone();
            *doc.at(booster) = super::writer::object([
                ("gbtree", inner),
                ("name", super::writer::text("dart")),
                ("weight_drop", weights),
            ]);
        }
    }
    Case {
        doc,
        trees,
        inputs,
        outputs,
    }
}

#[test]
fn random_models_are_read_back_from_both_encodings() {
    for seed in 0..400 {
        let case = case(seed);
        for bytes in [case.doc.json(), case.doc.ubj()] {
            assert!(recognises(&bytes), "seed {seed}");
            let model = read(&bytes).unwrap_or_else(|faults| panic!("seed {seed}: {faults:#?}"));
            let expected = Ensemble {
                inputs: case.inputs,
                outputs: case.outputs,
                base: vec![0.5; case.outputs],
                divisor: 1.0,
                trees: case.trees.clone(),
            };
            assert_eq!(model.ensemble, expected, "seed {seed}");
            assert_eq!(model.link, Link::Identity);
        }
    }
}

#[test]
fn spaces_between_values_change_nothing() {
    let doc = case(7).doc;
    let compact = String::from_utf8(doc.json()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&compact).unwrap();
    let spaced = serde_json::to_string_pretty(&value).unwrap();
    assert!(recognises(spaced.as_bytes()));
    assert_eq!(read(spaced.as_bytes()), read(compact.as_bytes()));
}
