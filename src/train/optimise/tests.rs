use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::*;
use crate::train::spec::raw::Activation;

fn rng() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(3)
}

fn tensor(values: &[f32], columns: usize) -> Tensor {
    Tensor::from_slice(values, (values.len() / columns, columns), &Device::Cpu).unwrap()
}

/// Returns points in the plane, with the one of `classes` sectors around the origin in which they lie.
fn sectors(count: usize, classes: usize) -> Examples {
    let mut rng = rng();
    let rows: Vec<f32> = (0..2 * count)
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let sector = |point: &[f32]| {
        let turn = point[1].atan2(point[0]) / std::f32::consts::TAU + 0.5;
        (turn * classes as f32).floor().min(classes as f32 - 1.0)
    };
    let targets = rows.chunks(2).map(sector).collect();
    Examples {
        rows,
        columns: 2,
        targets,
    }
}

fn settings() -> RawTraining {
    RawTraining {
        learning_rate: 0.02,
        batch_size: 32,
        epochs: 60,
        patience: 60,
        weight_decay: 0.0,
        ..RawTraining::default()
    }
}

#[test]
fn the_loss_of_a_batch_is_the_mean_of_its_rows() {
    let sure = [-40.0, 0.3, 40.0, -0.7f32];
    for (head, logits, columns, targets) in [
        (Head::Sigmoid, &sure[..], 1, &[1.0, 0.0, 1.0, 0.0][..]),
        (
            Head::Softmax,
            &[90.0, -2.0, 0.1, 0.2, 0.3, 0.4],
            3,
            &[1.0, 2.0],
        ),
        (Head::Identity, &[1.5, -2.0], 1, &[1.0, 0.0]),
    ] {
        let rows = logits.chunks(columns).zip(targets);
        let sum: f64 = rows
            .map(|(logits, target)| row_loss(head, logits, *target))
            .sum();
        let want = sum / targets.len() as f64;
        let examples = Examples {
            rows: vec![0.0; targets.len()],
            columns: 1,
            targets: targets.into(),
        };
        let batch: Vec<usize> = (0..targets.len()).collect();
        let (_, targets) = gather(&examples, &batch, head).unwrap();
        let loss = batch_loss(head, &tensor(logits, columns), &targets).unwrap();
        let got = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!(
            (got - want).abs() < 1e-5 * want,
            "{head:?}: got {got}, wants {want}"
        );
    }
    assert_eq!(
        row_loss(Head::Sigmoid, &[-1000.0], 1.0).to_string(),
        "1000",
        "a false certainty has a finite loss"
    );
}

#[test]
fn every_activation_learns_classes_that_are_not_linearly_separable() {
    use Activation::{Gelu, LeakyRelu, Relu, Sigmoid, Silu, Tanh};
    let (fit, validation) = (sectors(400, 4), sectors(100, 4));
    for activation in [Relu, Gelu, Silu, Tanh, Sigmoid, LeakyRelu] {
        let mut rng = rng();
        let network = Network::random(&[2, 12, 4], &[true, true], activation, &mut rng).unwrap();
        let before = mean_loss(&network, Head::Softmax, &validation).unwrap();
        let outcome = run(
            &network,
            Head::Softmax,
            &fit,
            &validation,
            &settings(),
            &mut rng,
            &mut |_| {},
        );
        let after = outcome.unwrap().best.validation_loss;
        assert!(
            after < before / 3.0,
            "{activation:?}: {before} before, {after} after"
        );
    }
}

#[test]
fn training_stops_when_the_validation_loss_no_longer_falls_and_keeps_the_best_weights() {
    let fit = sectors(60, 2);
    // The opposite of the training targets, so the validation loss grows during training.
    let mut validation = sectors(60, 2);
    validation
        .targets
        .iter_mut()
        .for_each(|target| *target = 1.0 - *target);
    let mut rng = rng();
    let network = Network::random(&[2, 8, 1], &[true, true], Activation::Relu, &mut rng).unwrap();
    let mut seen = Vec::new();
    let settings = RawTraining {
        patience: 4,
        ..settings()
    };
    let outcome = run(
        &network,
        Head::Sigmoid,
        &fit,
        &validation,
        &settings,
        &mut rng,
        &mut |now| {
            seen.push(now);
        },
    );
    let outcome = outcome.unwrap();
    assert_eq!(outcome.epochs, outcome.best.epoch + 4, "patience");
    assert_eq!(seen.len(), outcome.epochs, "every epoch is reported");
    let least = seen
        .iter()
        .map(|now| now.validation_loss)
        .fold(f64::INFINITY, f64::min);
    assert_eq!(
        mean_loss(&network, Head::Sigmoid, &validation)
            .unwrap()
            .to_bits(),
        least.to_bits()
    );
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run() {
    let fit = Examples {
        rows: vec![1e30; 8],
        columns: 1,
        targets: vec![1e30; 8],
    };
    let mut rng = rng();
    let network = Network::random(&[1, 1], &[true], Activation::Relu, &mut rng).unwrap();
    let failed = run(
        &network,
        Head::Identity,
        &fit,
        &fit,
        &settings(),
        &mut rng,
        &mut |_| {},
    );
    assert!(
        matches!(failed, Err(TrainError::Diverged { epoch: 1 })),
        "{failed:?}"
    );
}

#[test]
fn dropout_keeps_the_mean() {
    let ones = Tensor::from_vec(vec![1f32; 10_000], (100, 100), &Device::Cpu).unwrap();
    let left = drop_out(ones, 0.4, &mut rng())
        .unwrap()
        .flatten_all()
        .unwrap();
    let left = left.to_vec1::<f32>().unwrap();
    let zeros = left.iter().filter(|x| **x == 0.0).count();
    assert!((3_700..4_300).contains(&zeros), "{zeros} of 10000 dropped");
    let mean = left.iter().sum::<f32>() / 10_000.0;
    assert!((mean - 1.0).abs() < 0.05, "mean {mean}");
}

#[test]
fn a_column_that_is_zero_in_training_has_no_effect_afterwards() {
    let mut fit = sectors(60, 2);
    fit.rows = fit
        .rows
        .chunks(2)
        .flat_map(|point| [point[0], point[1], 0.0])
        .collect();
    fit.columns = 3;
    let mut rng = rng();
    let network =
        Network::random(&[3, 8, 1], &[true, true, false], Activation::Relu, &mut rng).unwrap();
    let settings = RawTraining {
        epochs: 3,
        weight_decay: 0.1,
        ..settings()
    };
    run(
        &network,
        Head::Sigmoid,
        &fit,
        &fit,
        &settings,
        &mut rng,
        &mut |_| {},
    )
    .unwrap();
    let before = logits(&network, &fit).unwrap();
    fit.rows
        .iter_mut()
        .skip(2)
        .step_by(3)
        .for_each(|x| *x = 1.0);
    assert_eq!(before, logits(&network, &fit).unwrap());
}
