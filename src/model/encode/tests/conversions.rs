//! Values of other types than their inputs, matrices, ordinal categories, and inputs that are passed on as tensors.

use half::f16;

use super::*;
use crate::model::batch::{Batch, Content, Value};
use crate::model::signature::Target;

fn encoded(signature: &Signature, tensors: Vec<Tensor>) -> Result<Batch, Vec<String>> {
    let encoded = signature.encode(&Payload::Tensors(tensors));
    encoded.map_err(|faults| lines(&faults))
}

/// Returns an input of numbers that enter the matrix as they are.
fn plain(name: &str, datatype: Datatype) -> Input {
    let scale = vec![Affine {
        offset: 0.0,
        factor: 1.0,
    }];
    let encoding = Encoding::Numeric {
        scale,
        range: None,
        missing: Missing::Reject,
    };
    input(name, datatype, encoding)
}

#[test]
fn numbers_of_any_type_are_accepted_if_they_keep_their_value() {
    let plain = |datatype| taking(vec![plain("x", datatype)]);
    use Datatype::{Fp16, Fp32, Int8, Int64, Uint64};
    for (to, data, want) in [
        (Fp32, TensorData::Fp64(vec![0.1]), Ok(0.1_f32)),
        (Fp32, TensorData::Int64(vec![1 << 24]), Ok(16_777_216.0)),
        (Fp32, TensorData::Uint8(vec![255]), Ok(255.0)),
        (Fp32, TensorData::Fp16(vec![f16::from_f32(1.5)]), Ok(1.5)),
        (Fp16, TensorData::Fp32(vec![1.0 / 3.0]), Ok(0.333_251_95)),
        (Int64, TensorData::Fp32(vec![-3.0]), Ok(-3.0)),
        (Int8, TensorData::Uint64(vec![127]), Ok(127.0)),
        (Int8, TensorData::Uint64(vec![128]), Err("got 128")),
        (Uint64, TensorData::Int32(vec![-1]), Err("got -1")),
        (Fp16, TensorData::Fp32(vec![1e6]), Err("got 1000000")),
        (Fp16, TensorData::Int32(vec![2_049]), Err("got 2049")),
        (Int64, TensorData::Fp64(vec![1e19]), Err("got 1e19")),
        (Fp32, TensorData::Fp64(vec![f64::NAN]), Err("got nothing")),
    ] {
        for shape in [&[1][..], &[1, 1]] {
            let given = vec![tensor("x", shape, data.clone())];
            match (encoded(&plain(to), given), want) {
                (Ok(batch), Ok(want)) => assert_eq!(batch.as_slice(), [want]),
                (Err(faults), Err(want)) => assert!(faults[0].contains(want), "{faults:?}"),
                (got, want) => panic!("{data:?} as {to}: {got:?}, {want:?}"),
            }
        }
    }
}

#[test]
fn a_matrix_has_0_and_1_for_booleans() {
    let inputs = vec![plain("on", Datatype::Bool), plain("x", Datatype::Fp32)];
    let mut signature = taking(inputs);
    signature.matrix = Some("rows".into());
    let matrix = |values: Vec<f64>| vec![tensor("rows", &[1, 2], TensorData::Fp64(values))];
    for on in [0.0, 1.0] {
        let batch = encoded(&signature, matrix(vec![on, 2.5])).unwrap();
        assert_eq!(batch.as_slice(), [on as f32, 2.5]);
    }
    let faults = encoded(&signature, matrix(vec![0.5, 2.5])).unwrap_err();
    assert!(
        faults[0].contains("tensors[rows][0, 0]: got 0.5"),
        "{faults:?}"
    );
}

#[test]
fn rows_carry_integers_of_64_bits_exactly() {
    let numbers = [i64::MAX, i64::MAX - 1];
    let categories = Categories::of_numbers(&numbers);
    let encoding = Encoding::Ordinal {
        categories,
        unknown_is_missing: false,
        missing: false,
    };
    let signature = taking(vec![input("id", Datatype::Int64, encoding)]);
    let cells = [
        (Cell::Integer(i64::MAX), Ok(0.0)),
        (Cell::Integer(i64::MAX - 1), Ok(1.0)),
        (Cell::Text((i64::MAX - 1).to_string()), Ok(1.0)),
        (Cell::Integer(i64::MAX - 2), Err(())),
        (Cell::Unsigned(u64::MAX), Err(())),
        (Cell::Number(1.5), Err(())),
        (Cell::Text("1.5".into()), Err(())),
    ];
    for (cell, want) in cells {
        let payload = Payload::Rows(vec![vec![("id".into(), cell.clone())]]);
        let got = signature.encode(&payload);
        let got = got.map(|batch| batch.as_slice()[0]).map_err(drop);
        assert_eq!(got, want, "{cell}");
    }
}

/// Two numbers, of which the second may be missing, and a category.
fn trees() -> Signature {
    let number = |missing| Encoding::Numeric {
        scale: vec![Affine {
            offset: 0.0,
            factor: 1.0,
        }],
        range: None,
        missing,
    };
    let color = Encoding::Ordinal {
        categories: Categories::of_numbers(&[7, 3]),
        unknown_is_missing: true,
        missing: true,
    };
    let mut signature = taking(vec![
        input("a", Datatype::Fp64, number(Missing::Reject)),
        input("b", Datatype::Fp64, number(Missing::Keep)),
        input("c", Datatype::Int32, color),
    ]);
    signature.target = Target::Double;
    signature.matrix = Some("rows".into());
    signature
}

#[test]
fn a_matrix_is_the_same_as_its_columns() {
    let matrix = |values: Vec<f64>| {
        let rows = i64::try_from(values.len() / 3).unwrap();
        vec![tensor("rows", &[rows, 3], TensorData::Fp64(values))]
    };
    let values = vec![0.1, 2.0, 3.0, -1.0, f64::NAN, 7.0, 0.0, 1.0, 8.0];
    let by_matrix = encoded(&trees(), matrix(values)).unwrap();
    let columns = vec![
        tensor("a", &[3], TensorData::Fp64(vec![0.1, -1.0, 0.0])),
        tensor("b", &[3], TensorData::Fp64(vec![2.0, f64::NAN, 1.0])),
        tensor("c", &[3], TensorData::Int32(vec![3, 7, 8])),
    ];
    let by_column = encoded(&trees(), columns).unwrap();
    let bits = |batch: &Batch| -> Vec<u64> {
        let values = batch.as_doubles().iter();
        values.map(|x| x.to_bits()).collect()
    };
    assert_eq!(bits(&by_matrix), bits(&by_column));
    let nan = f64::NAN.to_bits();
    let want = [0.1, 2.0, 1.0, -1.0].map(f64::to_bits);
    assert_eq!(bits(&by_matrix)[..4], want);
    assert_eq!((bits(&by_matrix)[4], bits(&by_matrix)[8]), (nan, nan));
    let faults = encoded(&trees(), matrix(vec![f64::NAN, 0.0, 2.5])).unwrap_err();
    assert_eq!(
        faults,
        [
            "tensors[rows][0, 0]: got nothing, wants a finite number for input `a`",
            "tensors[rows][0, 2]: got 2.5, wants a whole number of 32 bits for input `c`",
        ]
    );
    let wrong = vec![tensor("rows", &[1, 2], TensorData::Fp64(vec![1.0; 2]))];
    let want =
        "tensors[rows].shape: got [1, 2] with 2 elements, wants [rows, 3]: one column per input";
    assert_eq!(encoded(&trees(), wrong).unwrap_err(), [want]);
}

/// A graph with an image, an id, a text of any length, and a table without rows if `shared`.
fn graph(shared: bool) -> Signature {
    let tensor = |missing| Encoding::Tensor { missing };
    let shaped = |name: &str, datatype, missing, axes: &[Option<usize>]| Input {
        shape: Shape::rows_of(axes.to_vec()),
        ..input(name, datatype, tensor(missing))
    };
    let mut inputs = vec![
        shaped("image", Datatype::Fp32, true, &[Some(2), Some(2)]),
        shaped("id", Datatype::Int64, false, &[Some(1)]),
        shaped("text", Datatype::Bytes, false, &[None]),
    ];
    if shared {
        let mut table = shaped("table", Datatype::Fp32, false, &[None]);
        table.shape.batched = false;
        inputs.push(table);
    }
    let mut signature = taking(inputs);
    signature.target = Target::Tensors;
    signature
}

#[test]
fn inputs_are_passed_on_as_tensors() {
    let image = vec![1.0, 2.0, f64::NAN, 4.0, 5.0, 6.0, 7.0, 8.0];
    let given = vec![
        tensor("id", &[2], TensorData::Int32(vec![5, -6])),
        tensor("image", &[2, 2, 2], TensorData::Fp64(image)),
        tensor("text", &[2, 1], texts(&["a", "é"])),
    ];
    let batch = encoded(&graph(false), given).unwrap();
    assert_eq!(batch.len(), 2);
    let Content::Tensors(values) = batch.content() else {
        panic!("tensors")
    };
    let shapes: Vec<_> = values.iter().map(|value| value.shape.clone()).collect();
    assert_eq!(shapes, [vec![2, 2, 2], vec![2, 1], vec![2, 1]]);
    assert_eq!(values[1].data, TensorData::Int64(vec![5, -6]));
    let TensorData::Fp32(image) = &values[0].data else {
        panic!("converted to FP32")
    };
    assert!(image[2].is_nan() && image[3].to_bits() == 4.0_f32.to_bits());

    let list = |cells: &[f64]| Cell::List(cells.iter().map(|x| Cell::Number(*x)).collect());
    let row = |image: Cell| {
        vec![
            ("image".to_owned(), image),
            ("id".to_owned(), Cell::Integer(5)),
            ("text".to_owned(), Cell::List(vec![Cell::Text("a".into())])),
        ]
    };
    let good = Cell::List(vec![list(&[1.0, 2.0]), list(&[3.0, 4.0])]);
    let by_row = graph(false).encode(&Payload::Rows(vec![row(good)]));
    let want = Value {
        shape: vec![1, 2, 2],
        data: TensorData::Fp32(vec![1.0, 2.0, 3.0, 4.0]),
    };
    assert_eq!(by_row.unwrap().tensors()[0], want);
    let short = Cell::List(vec![list(&[1.0, 2.0]), list(&[3.0])]);
    let faults = graph(false).encode(&Payload::Rows(vec![row(short)]));
    assert_eq!(
        lines(&faults.unwrap_err()),
        ["rows[0].image[1]: got a list of 1, wants a list of 2"]
    );
}

#[test]
fn a_tensor_without_rows_goes_with_any_number_of_rows() {
    let given = |rows: i64| {
        let count = usize::try_from(rows).unwrap();
        vec![
            tensor("id", &[rows], TensorData::Int64(vec![1; count])),
            tensor(
                "image",
                &[rows, 2, 2],
                TensorData::Fp32(vec![1.0; 4 * count]),
            ),
            tensor("text", &[rows, 1], texts(&vec!["a"; count])),
            tensor("table", &[3], TensorData::Fp32(vec![1.0; 3])),
        ]
    };
    for rows in [1, 2] {
        let batch = encoded(&graph(true), given(rows)).unwrap();
        assert_eq!(batch.len(), usize::try_from(rows).unwrap());
        assert_eq!(batch.tensors()[3].shape, [3]);
    }
    assert!(!graph(true).has_rows() && graph(true).may_have_rows());
    assert!(graph(false).has_rows());
}

#[test]
fn batches_of_tensors_are_joined_and_split_by_rows() {
    let of = |ids: &[i64]| {
        let rows = i64::try_from(ids.len()).unwrap();
        let given = vec![
            tensor("id", &[rows], TensorData::Int64(ids.to_vec())),
            tensor(
                "image",
                &[rows, 2, 2],
                TensorData::Fp32(vec![0.5; 4 * ids.len()]),
            ),
            tensor("text", &[rows, 1], texts(&vec!["a"; ids.len()])),
        ];
        encoded(&graph(false), given).unwrap()
    };
    let (one, two) = (of(&[1]), of(&[2, 3]));
    assert!(Batch::can_join(&[&one, &two]));
    assert_eq!(Batch::joined(&[&one, &two]), of(&[1, 2, 3]));
    assert_eq!(two.tensors()[1].rows(1, 1), of(&[3]).tensors()[1]);
}
