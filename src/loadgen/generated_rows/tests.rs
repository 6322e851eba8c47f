use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::*;

fn input(name: &str, datatype: Datatype, width: Option<i64>) -> TensorSignature {
    TensorSignature {
        name: name.into(),
        datatype: datatype.into(),
        shape: std::iter::once(-1).chain(width).collect(),
        ..TensorSignature::default()
    }
}

fn number(min: f64, max: f64) -> TensorSignature {
    TensorSignature {
        range: Some(ValueRange { min, max }),
        ..input("x", Datatype::Fp64, None)
    }
}

fn texts(names: &[&str]) -> TensorSignature {
    TensorSignature {
        categories: names.iter().map(|name| (*name).to_owned()).collect(),
        ..input("c", Datatype::Bytes, None)
    }
}

fn version(version: u64, state: VersionState, inputs: &[TensorSignature]) -> VersionStatus {
    VersionStatus {
        version,
        state: state.into(),
        inputs: inputs.to_vec(),
        ..VersionStatus::default()
    }
}

fn model(versions: Vec<VersionStatus>) -> GetModelResponse {
    GetModelResponse {
        model: "m".into(),
        versions,
        labels: [("stable".to_owned(), 1)].into(),
        ..GetModelResponse::default()
    }
}

#[test]
fn inputs_are_narrowed_to_what_every_ready_version_accepts() {
    let ready = VersionState::Ready;
    let model = model(vec![
        version(1, ready, &[number(0.0, 5.0), texts(&["a", "b", "c"])]),
        version(2, ready, &[number(-1.0, 4.0), texts(&["d", "c", "b"])]),
        version(3, VersionState::Failed, &[number(9.0, 9.0)]),
    ]);
    let all = inputs(&model, None).unwrap();
    assert_eq!(all, [number(0.0, 4.0), texts(&["c", "b"])]);
    let pin = Pin::Label("stable".into());
    let one = inputs(&model, Some(&pin)).unwrap();
    assert_eq!(one, [number(0.0, 5.0), texts(&["a", "b", "c"])]);
}

#[test]
fn incompatible_versions_and_unknown_pins_are_refused() {
    let ready = VersionState::Ready;
    for (first, second) in [
        (number(0.0, 1.0), number(2.0, 3.0)),
        (texts(&["a"]), texts(&["b"])),
    ] {
        let model = model(vec![
            version(1, ready, &[first]),
            version(2, ready, &[second]),
        ]);
        let error = inputs(&model, None).unwrap_err().to_string();
        assert!(
            error.starts_with("no value of `x` is accepted")
                || error.starts_with("no value of `c` is accepted"),
            "{error}"
        );
    }
    let model = model(vec![version(1, VersionState::Loading, &[])]);
    for (pin, expected) in [
        (None, "`m` has no version that is READY"),
        (Some(Pin::Version(7)), "`m` has no version 7 that is READY"),
        (
            Some(Pin::Label("x".into())),
            "--label: got \"x\", wants a label of `m`",
        ),
    ] {
        let error = inputs(&model, pin.as_ref()).unwrap_err().to_string();
        assert_eq!(error, expected);
    }
}

#[test]
fn tensors_of_every_type_and_shape_are_filled() {
    let kinds = [
        Datatype::Bool,
        Datatype::Int32,
        Datatype::Int64,
        Datatype::Fp32,
        Datatype::Fp64,
        Datatype::Bytes,
    ];
    for (kind, width) in kinds
        .into_iter()
        .flat_map(|kind| [(kind, None), (kind, Some(3))])
    {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let generated = tensors(&[input("x", kind, width)], 5, &mut rng).remove(0);
        let filled = [
            generated.bool_values.len(),
            generated.int32_values.len(),
            generated.int64_values.len(),
            generated.fp32_values.len(),
            generated.fp64_values.len(),
            generated.bytes_values.len(),
        ];
        let values = usize::try_from(width.unwrap_or(1)).unwrap() * 5;
        assert_eq!(filled.iter().sum::<usize>(), values, "{kind:?} {width:?}");
        assert_eq!((generated.datatype(), generated.shape[0]), (kind, 5));
        assert_eq!(generated.shape.get(1).copied(), width);
    }
}

proptest! {
    #[test]
    fn numbers_stay_within_their_range(min in -1e9..1e9f64, width in 0.0..1e9f64, seed: u64) {
        let range = ValueRange { min, max: min + width };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let of = |datatype| TensorSignature {
            range: Some(range),
            ..input("x", datatype, None)
        };
        let inputs = [of(Datatype::Fp64), of(Datatype::Fp32), of(Datatype::Int64)];
        let generated = tensors(&inputs, 20, &mut rng);
        let allowed = |value: f64| (range.min..=range.max).contains(&value);
        prop_assert!(generated[0].fp64_values.iter().all(|value| allowed(*value)));
        // A narrow range may contain no single-precision number and no whole number.
        if width > 1e3 {
            prop_assert!(generated[1].fp32_values.iter().all(|value| allowed((*value).into())));
            prop_assert!(generated[2].int64_values.iter().all(|value| allowed(*value as f64)));
        }
    }

    #[test]
    fn equal_seeds_generate_equal_rows(seed: u64) {
        let generated = || {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            tensors(&[number(0.0, 1.0), texts(&["a", "b"])], 10, &mut rng)
        };
        prop_assert_eq!(generated(), generated());
    }
}
