//! Broken files: whatever their bytes are, reading them ends with a model or with faults.

use std::fs;

use super::models::{Numbers, small};
use super::*;

/// Reads a file, whatever it is. A model that is read must be consistent.
fn attempt(bytes: &[u8]) -> bool {
    let _ = recognises(bytes);
    let model = read(bytes);
    let _ = read_with(
        bytes,
        Options {
            iterations: Iterations::Best,
        },
    );
    match model {
        Ok(model) => {
            let row = vec![0.0; model.ensemble.inputs];
            assert_eq!(model.features.len(), row.len());
            super::evaluator::predict(&model, &row);
            true
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.len() <= 65);
            false
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for bytes in [small().json(), small().ubj()] {
        assert!(attempt(&bytes));
        for end in 0..bytes.len() {
            assert!(!attempt(&bytes[..end]), "{end} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn every_single_byte_can_have_any_value() {
    for bytes in [small().json(), small().ubj()] {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            for value in [
                0,
                0xff,
                bytes[at] ^ 1,
                bytes[at] ^ 0x80,
                b'9',
                b'[',
                b'"',
                b'L',
            ] {
                changed[at] = value;
                attempt(&changed);
            }
        }
    }
}

#[test]
fn mutated_models_of_the_library_never_panic() {
    let folder = super::answers::folder();
    for (seed, file) in (0..).zip([
        "xgb_categorical.model.json",
        "xgb_categorical.model.ubj",
        "xgb_vector_leaf.model.json",
        "xgb_vector_leaf.model.ubj",
        "xgb_dart.model.ubj",
        "xgb_softmax.model.json",
        "xgb_early_stopped.model.json",
    ]) {
        let bytes = fs::read(folder.join(file)).unwrap();
        let mut numbers = Numbers::new(seed);
        for _ in 0..500 {
            attempt(&mutate(&bytes, &mut numbers));
        }
    }
}

/// Changes, removes, repeats or exchanges bytes in up to four places.
fn mutate(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(changed.len());
        let end = (at + numbers.below(12) + 1).min(changed.len());
        match numbers.below(5) {
            0 => changed[at] = u8::try_from(numbers.below(256)).unwrap(),
            1 => changed[at] = b"0123456789-.,[]{}\"$#LlIiUdDSZTFN"[numbers.below(31)],
            2 => drop(changed.drain(at..end)),
            3 => {
                let part = changed[at..end].to_vec();
                let to = numbers.below(changed.len());
                changed.splice(to..to, part);
            }
            _ => {
                let other = numbers.below(changed.len());
                changed.swap(at, other);
            }
        }
    }
    changed
}
