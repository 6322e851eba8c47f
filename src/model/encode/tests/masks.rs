//! Masks: inputs that mark the missing values of others.

use proptest::prelude::*;

use super::*;
use crate::model::batch::Content;
use crate::model::signature::Target;

fn mask(of: &str) -> Input {
    let encoding = Encoding::Mask { of: of.into() };
    input(&format!("{of}_missing"), Datatype::Bool, encoding)
}

/// `seats` is imputed; `pair` is passed on as NaN.
fn masked() -> Signature {
    let mut pair = input(
        "pair",
        Datatype::Int32,
        Encoding::Numeric {
            scale: vec![HALF; 2],
            range: range(0.0, 100.0, false),
            missing: Missing::Keep,
        },
    );
    let mut pair_mask = mask("pair");
    for input in [&mut pair, &mut pair_mask] {
        input.shape = Shape::vectors(2);
    }
    taking(vec![
        input("seats", Datatype::Int64, numeric(None, Some(20.0))),
        pair_mask,
        pair,
        mask("seats"),
    ])
}

/// `x` may have any number of values per row.
fn graph() -> Signature {
    let encoding = Encoding::Tensor { missing: true };
    let (mut x, mut mask) = (input("x", Datatype::Fp32, encoding), mask("x"));
    for input in [&mut x, &mut mask] {
        input.shape = Shape::rows_of(vec![None, None]);
    }
    let mut signature = taking(vec![x, mask]);
    signature.target = Target::Tensors;
    signature
}

fn bools(name: &str, shape: &[i64], marks: &[bool]) -> Tensor {
    tensor(name, shape, TensorData::Bool(marks.to_vec()))
}

proptest! {
    #[test]
    fn masked_tensors_are_rows_without_these_values(
        table in prop::collection::vec((any::<bool>(), -9..9_i32, any::<[bool; 2]>(), [-2..120_i32, 0..50]), 1..5),
    ) {
        let n = i64::try_from(table.len()).unwrap();
        let tensors = vec![
            tensor("seats", &[n], TensorData::Int64(table.iter().map(|v| v.1.into()).collect())),
            bools("seats_missing", &[n], &table.iter().map(|v| v.0).collect::<Vec<_>>()),
            tensor("pair", &[n, 2], TensorData::Int32(table.iter().flat_map(|v| v.3).collect())),
            bools("pair_missing", &[n, 2], &table.iter().flat_map(|v| v.2).collect::<Vec<_>>()),
        ];
        let row = |with_masks: bool| move |v: &(bool, i32, [bool; 2], [i32; 2])| {
            let cell = |missing: bool, x: i32| match missing && !with_masks {
                true => Cell::Missing,
                false => Cell::Integer(x.into()),
            };
            let mut row = vec![
                ("seats".to_owned(), cell(v.0, v.1)),
                ("pair".to_owned(), Cell::List(vec![cell(v.2[0], v.3[0]), cell(v.2[1], v.3[1])])),
            ];
            if with_masks {
                row.push(("seats_missing".to_owned(), Cell::Bool(v.0)));
                row.push(("pair_missing".to_owned(), Cell::List(v.2.map(Cell::Bool).to_vec())));
            }
            row
        };
        let encoded = |payload| {
            let batch = masked().encode(&payload);
            batch.map(|batch| batch.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let by_null = encoded(Payload::Rows(table.iter().map(row(false)).collect()));
        let by_mask = encoded(Payload::Rows(table.iter().map(row(true)).collect()));
        let by_tensor = encoded(Payload::Tensors(tensors));
        prop_assert_eq!(by_null.is_ok(), by_mask.is_ok());
        match (by_null, by_tensor) {
            (Ok(rows), Ok(tensors)) => {
                prop_assert_eq!(&rows, &tensors);
                prop_assert_eq!(Ok(rows), by_mask.map_err(|faults| lines(&faults)));
            }
            (rows, tensors) => prop_assert!(rows.is_err() && tensors.is_err()),
        }
    }
}

#[test]
fn a_mask_may_be_omitted_and_what_it_marks_is_not_checked() {
    let pair = |values: [i32; 2]| tensor("pair", &[1, 2], TensorData::Int32(values.to_vec()));
    let encode = |tensors: Vec<Tensor>| masked().encode(&Payload::Tensors(tensors));
    let plain = encode(vec![pair([1, 2])]).unwrap();
    assert!(plain.as_slice().iter().all(|x| x.is_finite()));
    let outside = encode(vec![pair([1, 200])]).unwrap_err();
    assert_eq!(
        lines(&outside),
        ["tensors[pair][1]: got 200, wants a whole number of 32 bits from 0 to 100"]
    );
    let marks = bools("pair_missing", &[1, 2], &[false, true]);
    let marked = encode(vec![pair([1, 200]), marks]).unwrap();
    assert!(marked.as_slice()[2].is_nan() && !marked.as_slice()[1].is_nan());
    let number = tensor("pair_missing", &[1, 2], TensorData::Int32(vec![0, 1]));
    assert_eq!(
        lines(&encode(vec![pair([1, 2]), number]).unwrap_err()),
        ["tensors[pair_missing].datatype: got INT32, wants BOOL"]
    );
}

#[test]
fn a_mask_of_open_axes_has_the_axes_of_its_tensor() {
    let x = tensor("x", &[1, 2, 3], TensorData::Fp32(vec![1.0; 6]));
    let marks = [false, true, false, false, false, true];
    let encode = |shape: &[i64]| {
        let tensors = vec![x.clone(), bools("x_missing", shape, &marks)];
        graph().encode(&Payload::Tensors(tensors))
    };
    let batch = encode(&[1, 2, 3]).unwrap();
    let Content::Tensors(values) = batch.content() else {
        unreachable!("a graph takes tensors");
    };
    let [x] = values.as_slice() else {
        unreachable!("the mask does not reach the graph");
    };
    let TensorData::Fp32(numbers) = &x.data else {
        unreachable!("x is FP32");
    };
    let missing: Vec<_> = numbers.iter().map(|x| x.is_nan()).collect();
    assert_eq!(
        (x.shape.as_slice(), missing.as_slice()),
        (&[1, 2, 3][..], &marks[..])
    );
    assert_eq!(
        lines(&encode(&[1, 3, 2]).unwrap_err()),
        [
            "tensors[x_missing].shape: got [1, 3, 2] with 6 elements, wants [1, 2, 3] with 6 elements, like `x`"
        ]
    );
    let list = |cells: Vec<Cell>| Cell::List(cells);
    let row = |marks: Option<Cell>| {
        let x = list(vec![list(vec![Cell::Number(1.0), Cell::Number(2.0)])]);
        let mask = marks.map(|marks| ("x_missing".to_owned(), marks));
        std::iter::once(("x".to_owned(), x))
            .chain(mask)
            .collect::<Row>()
    };
    let marks = list(vec![list(vec![Cell::Bool(true), Cell::Bool(false)])]);
    for (marks, missing) in [(Some(marks), 1), (None, 0)] {
        let batch = graph().encode(&Payload::Rows(vec![row(marks)])).unwrap();
        let Content::Tensors(values) = batch.content() else {
            unreachable!("a graph takes tensors");
        };
        let TensorData::Fp32(numbers) = &values[0].data else {
            unreachable!("x is FP32");
        };
        assert_eq!(numbers.iter().filter(|x| x.is_nan()).count(), missing);
    }
}

#[test]
fn a_mask_in_a_row_has_the_lists_of_its_input() {
    let row = |name: &str, cell: Cell, mask: Cell| {
        vec![(name.to_owned(), cell), (format!("{name}_missing"), mask)]
    };
    let marks = |marks: &[bool]| Cell::List(marks.iter().copied().map(Cell::Bool).collect());
    let numbers = |n: usize| Cell::List(vec![Cell::Integer(1); n]);
    let seats = |cell, mask| {
        let mut row = row("seats", cell, mask);
        row.push(("pair".to_owned(), numbers(2)));
        let batch = masked().encode(&Payload::Rows(vec![row]));
        batch.map(|batch| batch.as_slice()[0].to_bits())
    };
    let imputed = seats(Cell::Missing, Cell::Bool(false)).unwrap();
    for (cell, mask) in [
        (Cell::Integer(1), marks(&[true])),
        (numbers(1), marks(&[true])),
        (numbers(1), Cell::Bool(true)),
    ] {
        assert_eq!(seats(cell, mask).unwrap(), imputed);
    }
    let faults = seats(Cell::Integer(1), marks(&[true, false])).unwrap_err();
    assert!(
        lines(&faults).contains(
            &"rows[0].seats_missing: got other lists, wants lists of the same lengths as `seats`"
                .to_owned()
        ),
        "{faults}"
    );
    let open = |mask| {
        let x = Cell::List(vec![numbers(3)]);
        graph().encode(&Payload::Rows(vec![row("x", x, mask)]))
    };
    open(Cell::List(vec![marks(&[true, false, true])])).unwrap();
    let faults = open(Cell::List(vec![marks(&[true, false])])).unwrap_err();
    assert_eq!(
        lines(&faults),
        ["rows[0].x_missing: got other lists, wants lists of the same lengths as `x`"]
    );
}
