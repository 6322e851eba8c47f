//! Compares the fused pass with candle, and with itself for batches of other sizes.

use proptest::prelude::*;
use pulp::Arch;

use super::*;
use crate::model::{Content, Manifest};

/// The current CPU, and one without vector instructions.
const ARCHS: [fn() -> Arch; 2] = [Arch::new, || Arch::Scalar];

/// Builds a network whose layers keep their values near 1, like trained ones.
fn network(ins: usize, plan: &[Value], seed: u64) -> (Manifest, Weights) {
    let (layers, mut weights, outs) = stack(ins, plan, &mut Numbers(seed));
    for (shape, values) in weights.values_mut() {
        if let [_, ins] = shape[..] {
            let factor = (ins as f32).sqrt().recip();
            values.iter_mut().for_each(|x| *x *= factor);
        }
    }
    (manifest(ins, layers, "identity", outs), weights)
}

fn parts(manifest: &Manifest, weights: &Weights) -> Vec<Part> {
    let (layers, signature) = (architecture(manifest).layers, &manifest.signature);
    let file = Path::new("w");
    let parts = weights::read(&layers, signature, &bytes(weights), file, &mut || {});
    fold::batch_norms(parts.unwrap())
}

fn fused(arch: Arch, manifest: &Manifest, weights: &Weights) -> Fused {
    let columns = manifest.signature.columns();
    Fused::on(arch, parts(manifest, weights), columns, &mut || {})
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Compares the fused pass with candle on `count` rows, and each row of `alone` with the same row in the batch.
fn compare(ins: usize, plan: &[Value], count: usize, alone: &[usize], seed: u64, why: &str) {
    let (manifest, weights) = network(ins, plan, seed);
    let outs = manifest.signature.prediction.columns;
    let values: Vec<f32> = Numbers(seed + 1).take(count * ins);
    let reference = Reference::new(parts(&manifest, &weights), &mut || {}).unwrap();
    let wanted = reference
        .forward(&Batch::new(Content::Single(values.clone()), count))
        .unwrap();
    for arch in ARCHS.map(|arch| arch()) {
        let fused = fused(arch, &manifest, &weights);
        let got = fused.forward(&values);
        assert_eq!(got.len(), wanted.len(), "{plan:?}");
        for (got, wanted) in got.iter().zip(&wanted) {
            let tolerance = 1e-5 + 1e-4 * wanted.abs();
            assert!(
                (got - wanted).abs() <= tolerance,
                "{why}: {arch:?} {plan:?}: got {got}, candle gives {wanted}"
            );
        }
        for row in alone.iter().map(|row| row % count) {
            let by_itself = fused.forward(&values[row * ins..][..ins]);
            let in_batch = &got[row * outs..][..outs];
            assert_eq!(
                bits(&by_itself),
                bits(in_batch),
                "{why}: {arch:?} {plan:?}: row {row} of {count}"
            );
        }
    }
}

fn plans() -> impl Strategy<Value = Vec<Value>> {
    let step = prop_oneof![
        4 => (1..=70_u64).prop_map(Value::from),
        1 => Just(json!(0)),
        3 => prop::sample::select(&["relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu"][..])
            .prop_map(Value::from),
    ];
    prop::collection::vec(step, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_stack_answers_as_candle_does_and_each_row_alone_as_in_its_batch(
        ins in 1..=70_usize,
        plan in plans(),
        count in 1..=70_usize,
        alone in prop::array::uniform3(0..70_usize),
        seed in 0..1_000_u64,
    ) {
        let trivial = plan.iter().all(|step| step.is_string());
        prop_assume!(!trivial || plan.len() == 1);
        compare(ins, &plan, count, &alone, seed, "any");
    }
}

#[test]
fn runs_of_inputs_and_blocks_of_rows_change_no_bit() {
    for (ins, outs, count, why) in [
        (255, 31, 13, "one run of inputs, and every kind of panel"),
        (256, 16, 7, "one full run"),
        (257, 24, 6, "a second run of one input"),
        (
            300,
            31,
            14,
            "two runs, and a partly used register over both",
        ),
        (9, 5, 11, "only a partly used register"),
        (
            700,
            73,
            5,
            "three runs, and more panels than are processed together",
        ),
        (3, 65, 95, "one row less than a block"),
        (3, 1, 96, "one block"),
        (3, 8, 97, "one block and one row"),
        (5, 40, 200, "three blocks"),
    ] {
        let plan = [json!(outs), json!("relu"), json!(outs), json!(2)];
        compare(
            ins,
            &plan,
            count,
            &[0, 1, 2, 3, 4, 5, 6, 94, 95, 96, count - 1],
            11,
            why,
        );
    }
}

#[test]
fn an_overflow_is_not_hidden_by_an_activation() {
    // Infinity minus infinity in the second layer must not become a finite number.
    for activation in ["relu", "leaky_relu"] {
        let (layers, mut weights, outs) = stack(
            1,
            &[
                json!(2),
                json!(activation),
                json!(20),
                json!(activation),
                json!(1),
            ],
            &mut Numbers(1),
        );
        for (name, (shape, values)) in &mut weights {
            let sign = |at: usize| if at.is_multiple_of(2) { 1.0 } else { -1.0 };
            let size = if name == "0.weight" { f32::MAX } else { 1.0 };
            for (at, x) in values.iter_mut().enumerate() {
                *x = size
                    * if shape.len() == 2 && name == "2.weight" {
                        sign(at)
                    } else {
                        1.0
                    };
            }
        }
        let manifest = manifest(1, layers, "identity", outs);
        for arch in ARCHS.map(|arch| arch()) {
            let answer = fused(arch, &manifest, &weights).forward(&[3.0, 0.0]);
            assert!(!answer[0].is_finite(), "{activation} {arch:?}: {answer:?}");
            assert!(
                answer[1].is_finite(),
                "the other row is not affected: {answer:?}"
            );
        }
    }
}

#[test]
fn rest_is_called_while_weights_are_laid_out() {
    let (manifest, weights) = network(7, &[json!(100), json!("relu"), json!(64)], 5);
    let mut rests = 0;
    let parts = parts(&manifest, &weights);
    Fused::on(Arch::new(), parts, 7, &mut || rests += 1);
    assert!(
        rests >= 100 / 16 + 64 / 16,
        "at least one per panel: {rests}"
    );
}
