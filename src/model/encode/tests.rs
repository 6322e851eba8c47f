use bytes::Bytes;
use proptest::prelude::*;

use crate::error::InputFaults;
use crate::model::payload::{Cell, Datatype, Payload, Row, Tensor, TensorData};
use crate::model::signature::{Affine, Categories, Encoding, Input, Output, Range, Signature};

fn input(name: &str, datatype: Datatype, encoding: Encoding) -> Input {
    Input {
        name: name.into(),
        datatype,
        width: None,
        encoding,
        sensitive: false,
    }
}

fn range(min: f64, max: f64, clip: bool) -> Option<Range> {
    Some(Range { min, max, clip })
}

const HALF: Affine = Affine {
    offset: 10.0,
    factor: 0.5,
};

fn numeric(range: Option<Range>, missing: Option<f64>) -> Encoding {
    Encoding::Numeric {
        scale: vec![HALF],
        range,
        missing,
    }
}

fn categorical(unknown_bucket: bool, missing: Option<&str>) -> Encoding {
    Encoding::Categorical {
        categories: Categories::new(vec!["UA".into(), "AA".into(), "B6".into()]),
        unknown_bucket,
        missing: missing.map(Into::into),
    }
}

/// One input of every kind; `temp`, `day`, `carrier` and `pair` must be there, the others may be missing.
fn signature() -> Signature {
    use Datatype::{Bool, Bytes, Fp32, Fp64, Int32, Int64};
    let mut pair = input("pair", Fp64, numeric(None, None));
    pair.width = Some(2);
    pair.encoding = Encoding::Numeric {
        scale: vec![HALF; 2],
        range: None,
        missing: None,
    };
    let cyclic = Encoding::Cyclic {
        period: 24.0,
        range: range(0.0, 24.0, false),
        missing: Some(0.0),
    };
    Signature {
        inputs: vec![
            input("temp", Fp32, numeric(range(-40.0, 60.0, false), None)),
            input("wind", Fp64, numeric(range(0.0, 50.0, true), Some(12.0))),
            input("day", Int32, numeric(range(1.0, 31.0, false), None)),
            input("seats", Int64, numeric(None, Some(20.0))),
            input("rain", Bool, numeric(None, Some(0.0))),
            input("hour", Fp64, cyclic),
            input("carrier", Bytes, categorical(false, None)),
            input("origin", Bytes, categorical(true, Some("AA"))),
            input("note", Bytes, Encoding::Ignore { optional: true }),
            pair,
        ],
        output: Output {
            name: "value".into(),
            columns: 1,
        },
        classes: Vec::new(),
        max_rows: 4,
    }
}

fn good() -> Row {
    [
        (
            "pair",
            Cell::List(vec![Cell::Number(10.0), Cell::Number(14.0)]),
        ),
        ("carrier", Cell::Text("AA".into())),
        ("day", Cell::Number(12.0)),
        ("temp", Cell::Number(0.1)),
        ("hour", Cell::Number(6.0)),
    ]
    .map(|(name, cell)| (name.to_owned(), cell))
    .to_vec()
}

fn tensor(name: &str, shape: &[i64], data: TensorData) -> Tensor {
    Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        data,
    }
}

fn texts(texts: &[&str]) -> TensorData {
    TensorData::Bytes(
        texts
            .iter()
            .map(|t| Bytes::copy_from_slice(t.as_bytes()))
            .collect(),
    )
}

fn good_tensors() -> Vec<Tensor> {
    vec![
        tensor("hour", &[1], TensorData::Fp64(vec![6.0])),
        tensor("temp", &[1], TensorData::Fp32(vec![0.1])),
        tensor("day", &[1], TensorData::Int32(vec![12])),
        tensor("carrier", &[1], texts(&["AA"])),
        tensor("pair", &[1, 2], TensorData::Fp64(vec![10.0, 14.0])),
    ]
}

fn lines(faults: &InputFaults) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn every_kind_of_input_becomes_its_columns() {
    let rows = signature().encode(&Payload::Rows(vec![good()])).unwrap();
    let temp = ((f64::from(0.1_f32) - 10.0) * 0.5) as f32;
    let mut want = vec![temp, 1.0, 1.0, 5.0, -5.0];
    want.extend([1.0, 6.123_234e-17]); // six o'clock is a quarter of a turn
    want.extend([0.0, 1.0, 0.0]); // AA
    want.extend([0.0, 1.0, 0.0, 0.0]); // imputed AA, and no bucket
    want.extend([0.0, 2.0]);
    assert_eq!((rows.len(), rows.columns()), (1, want.len()));
    assert_eq!(rows.as_slice(), want);
    let tensors = signature()
        .encode(&Payload::Tensors(good_tensors()))
        .unwrap();
    assert_eq!(
        tensors, rows,
        "tensors of the same values encode to the same bits"
    );
}

#[test]
fn policies_of_a_version_decide_what_is_mended() {
    for (name, cell, column, want, why) in [
        ("wind", Cell::Number(80.0), 1, 20.0, "clipped to 50"),
        ("wind", Cell::Number(-1.0), 1, -5.0, "clipped to 0"),
        (
            "wind",
            Cell::Number(f64::NAN),
            1,
            1.0,
            "NaN is missing: 12 stands in",
        ),
        ("wind", Cell::Missing, 1, 1.0, "null is missing"),
        ("rain", Cell::Bool(true), 4, -4.5, "true is 1"),
        (
            "seats",
            Cell::Number(-4e18),
            3,
            -2e18,
            "whole numbers up to 64 bits",
        ),
        (
            "origin",
            Cell::Text("ZZ".into()),
            13,
            1.0,
            "unknown goes to the bucket",
        ),
        (
            "origin",
            Cell::Text("UA".into()),
            10,
            1.0,
            "known goes to its column",
        ),
        (
            "hour",
            Cell::Number(24.0),
            6,
            1.0,
            "a whole turn is where it began",
        ),
    ] {
        let mut row = good();
        row.retain(|(given, _)| given != name);
        row.push((name.into(), cell));
        let rows = signature()
            .encode(&Payload::Rows(vec![good(), row]))
            .unwrap();
        let got = rows.as_slice()[rows.columns() + column];
        assert_eq!(got, want, "{name}: {why}");
    }
}

#[test]
fn a_bad_cell_is_refused_by_its_name() {
    let big = "x".repeat(100);
    let list = |cells: &[f64]| Cell::List(cells.iter().map(|x| Cell::Number(*x)).collect());
    for (name, cell, want) in [
        (
            "temp",
            Cell::Missing,
            "rows[1].temp: got nothing, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(f64::NAN),
            "rows[1].temp: got nothing, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(f64::INFINITY),
            "rows[1].temp: got inf, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(1e300),
            "rows[1].temp: got 1e300, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(60.5),
            "rows[1].temp: got 60.5, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Text("hot".into()),
            "rows[1].temp: got \"hot\", wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Bool(true),
            "rows[1].temp: got true, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Object,
            "rows[1].temp: got an object, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            list(&[1.0]),
            "rows[1].temp: got a list of 1, wants a finite FP32 number from -40 to 60",
        ),
        (
            "wind",
            Cell::Number(f64::INFINITY),
            "rows[1].wind: got inf, wants a finite number",
        ),
        (
            "day",
            Cell::Number(2.5),
            "rows[1].day: got 2.5, wants a whole number of 32 bits from 1 to 31",
        ),
        (
            "day",
            Cell::Number(3e9),
            "rows[1].day: got 3000000000, wants a whole number of 32 bits from 1 to 31",
        ),
        (
            "seats",
            Cell::Number(1e19),
            "rows[1].seats: got 1e19, wants a whole number of 64 bits",
        ),
        (
            "rain",
            Cell::Number(1.0),
            "rows[1].rain: got 1, wants true or false",
        ),
        (
            "carrier",
            Cell::Number(1.0),
            "rows[1].carrier: got 1, wants one of `UA`, `AA`, `B6`",
        ),
        (
            "carrier",
            Cell::Text("ZZ".into()),
            "rows[1].carrier: got `ZZ`, wants one of `UA`, `AA`, `B6`",
        ),
        (
            "note",
            Cell::Number(1.0),
            "rows[1].note: got 1, wants a text",
        ),
        (
            "pair",
            Cell::Number(1.0),
            "rows[1].pair: got 1, wants a list of 2, each a finite number",
        ),
        (
            "pair",
            Cell::Missing,
            "rows[1].pair: got nothing, wants a list of 2, each a finite number",
        ),
        (
            "pair",
            list(&[1.0]),
            "rows[1].pair: got a list of 1, wants a list of 2, each a finite number",
        ),
        (
            "pair",
            list(&[1.0, 1e300]),
            "rows[1].pair[1]: got 1e300, wants a number that fits FP32 when scaled",
        ),
        (
            "tmep",
            Cell::Number(1.0),
            "rows[1].tmep: got an unknown name, wants an input of the model; did you mean `temp`?",
        ),
        (
            &big,
            Cell::Missing,
            &format!(
                "rows[1].{}…: got an unknown name, wants an input of the model: `temp`, `wind`, `day`, `seats`, `rain`, `hour`, `carrier`, `origin` and 2 more",
                &big[..64]
            ),
        ),
    ] {
        let mut row = good();
        row.retain(|(given, _)| given != name);
        row.push((name.into(), cell));
        let payload = Payload::Rows(vec![good(), row, good()]);
        assert_eq!(lines(&signature().encode(&payload).unwrap_err()), [want]);
    }
}

#[test]
fn rows_as_a_whole_are_refused_by_name() {
    let many = (0..60).map(|i| (format!("x{i}"), Cell::Missing)).collect();
    let mut twice = good();
    twice.push(("temp".into(), Cell::Number(1.0)));
    for (rows, want) in [
        (vec![], "rows: got 0 rows, wants 1 to 4 rows"),
        (vec![good(); 5], "rows: got 5 rows, wants 1 to 4 rows"),
        (
            vec![twice],
            "rows[0].temp: got the name again, wants each name once",
        ),
        (
            vec![many],
            "rows[0]: got 60 names, wants at most one for each of 10 inputs",
        ),
    ] {
        assert_eq!(
            lines(&signature().encode(&Payload::Rows(rows)).unwrap_err()),
            [want]
        );
    }
}

#[test]
fn a_bad_tensor_is_refused_by_its_name() {
    let temp =
        |shape: &[i64], values: &[f32]| tensor("temp", shape, TensorData::Fp32(values.to_vec()));
    let day = |value| tensor("day", &[1], TensorData::Int32(vec![value]));
    for (bad, want) in [
        (
            temp(&[1], &[f32::NAN]),
            "tensors[temp][0]: got nothing, wants a finite FP32 number from -40 to 60",
        ),
        (
            temp(&[1], &[f32::INFINITY]),
            "tensors[temp][0]: got inf, wants a finite FP32 number from -40 to 60",
        ),
        (
            temp(&[1], &[61.0]),
            "tensors[temp][0]: got 61, wants a finite FP32 number from -40 to 60",
        ),
        (
            temp(&[1, 1], &[1.0]),
            "tensors[temp].shape: got [1, 1] with 1 elements, wants [rows]",
        ),
        (
            temp(&[-1], &[1.0]),
            "tensors[temp].shape: got [-1] with 1 elements, wants [rows]",
        ),
        (
            temp(&[], &[1.0]),
            "tensors[temp].shape: got [] with 1 elements, wants [rows]",
        ),
        (
            temp(&[1], &[1.0, 2.0]),
            "tensors[temp].shape: got [1] with 2 elements, wants as many elements as the shape says",
        ),
        (
            tensor("temp", &[1], TensorData::Fp64(vec![1.0])),
            "tensors[temp].datatype: got FP64, wants FP32",
        ),
        (
            day(0),
            "tensors[day][0]: got 0, wants a whole number of 32 bits from 1 to 31",
        ),
        (
            tensor("hour", &[1], TensorData::Fp64(vec![24.5])),
            "tensors[hour][0]: got 24.5, wants a finite number from 0 to 24",
        ),
        (
            tensor("hour", &[2], TensorData::Fp64(vec![1.0, 2.0])),
            "tensors[temp].shape: got [1] with 1 elements, wants 2 rows, as `hour` has",
        ),
        (
            tensor("carrier", &[1], texts(&["ZZ"])),
            "tensors[carrier][0]: got `ZZ`, wants one of `UA`, `AA`, `B6`",
        ),
        (
            tensor(
                "carrier",
                &[1],
                TensorData::Bytes(vec![Bytes::from_static(&[0xff])]),
            ),
            "tensors[carrier][0]: got 1 bytes that are not UTF-8, wants one of `UA`, `AA`, `B6`",
        ),
        (
            tensor(
                "note",
                &[1],
                TensorData::Bytes(vec![Bytes::from_static(&[0xff])]),
            ),
            "tensors[note][0]: got 1 bytes that are not UTF-8, wants a text",
        ),
        (
            tensor("pair", &[1, 2], TensorData::Fp64(vec![1.0, 1e300])),
            "tensors[pair][1]: got 1e300, wants a number that fits FP32 when scaled",
        ),
        (
            tensor("pair", &[1, 3], TensorData::Fp64(vec![1.0; 3])),
            "tensors[pair].shape: got [1, 3] with 3 elements, wants [rows, 2]",
        ),
        (
            tensor("pair", &[i64::MAX, 2], TensorData::Fp64(vec![1.0; 2])),
            "tensors[pair].shape: got [9223372036854775807, 2] with 2 elements, wants as many elements as the shape says",
        ),
        (
            tensor("carriers", &[1], texts(&["AA"])),
            "tensors[carriers]: got an unknown name, wants an input of the model; did you mean `carrier`?",
        ),
    ] {
        let mut tensors = good_tensors();
        match tensors.iter_mut().find(|tensor| tensor.name == bad.name) {
            Some(place) => *place = bad,
            None => tensors.push(bad),
        }
        let faults = lines(&signature().encode(&Payload::Tensors(tensors)).unwrap_err());
        // Where the rows of all others differ from the first, each of them is named.
        assert_eq!(faults.first().map(String::as_str), Some(want));
        assert!(
            faults.len() == 1 || want.contains("as `hour` has"),
            "{faults:?}"
        );
    }
}

#[test]
fn tensors_as_a_whole_are_refused_by_name() {
    let mut missing = good_tensors();
    missing.retain(|tensor| tensor.name != "day");
    let mut twice = good_tensors();
    twice.push(twice[0].clone());
    let hour = |rows: usize| {
        let rows_dim = i64::try_from(rows).unwrap();
        tensor("hour", &[rows_dim], TensorData::Fp64(vec![1.0; rows]))
    };
    let mut relaxed = signature();
    relaxed.inputs.retain(Input::optional);
    let many = (0..60).map(|_| hour(1)).collect();
    for (signature, tensors, want) in [
        (
            signature(),
            missing,
            "tensors[day]: got nothing, wants INT32 [rows]",
        ),
        (
            signature(),
            twice,
            "tensors[hour]: got the name again, wants each name once",
        ),
        (
            relaxed.clone(),
            vec![],
            "tensors: got 0 rows, wants 1 to 4 rows",
        ),
        (
            relaxed.clone(),
            vec![hour(0)],
            "tensors: got 0 rows, wants 1 to 4 rows",
        ),
        (
            relaxed.clone(),
            vec![hour(5)],
            "tensors: got 5 rows, wants 1 to 4 rows",
        ),
        (
            relaxed,
            many,
            "tensors: got 60 tensors, wants at most one for each of 6 inputs",
        ),
    ] {
        let payload = Payload::Tensors(tensors);
        assert_eq!(lines(&signature.encode(&payload).unwrap_err()), [want]);
    }
}

#[test]
fn all_faults_come_at_once_up_to_the_limit() {
    let mut signature = signature();
    signature.max_rows = 1_000;
    let mut bad = good();
    bad.retain(|(name, _)| name != "day");
    bad.push(("tmep".into(), Cell::Missing));
    let payload = Payload::Rows(vec![bad.clone()]);
    let faults = signature.encode(&payload).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["rows[0].tmep", "rows[0].day"]);

    let faults = signature
        .encode(&Payload::Rows(vec![bad; 1_000]))
        .unwrap_err();
    assert_eq!(faults.iter().count(), InputFaults::MOST);
    assert!(faults.to_string().ends_with("and 1968 more"), "{faults}");
}

#[test]
fn a_sensitive_value_is_never_repeated() {
    let mut signature = signature();
    signature
        .inputs
        .iter_mut()
        .for_each(|input| input.sensitive = true);
    for (name, cell) in [
        ("carrier", Cell::Text("secret".into())),
        ("temp", Cell::Text("secret".into())),
        ("temp", Cell::Number(4_242.0)),
        ("day", Cell::Number(4_242.5)),
    ] {
        let mut row = good();
        row.retain(|(given, _)| given != name);
        row.push((name.into(), cell));
        let text = signature
            .encode(&Payload::Rows(vec![row]))
            .unwrap_err()
            .to_string();
        assert!(!text.contains("secret") && !text.contains("4242"), "{text}");
    }
}

fn values() -> impl Strategy<Value = (f32, f64, i32, i64, bool, f64, usize, usize, [f64; 2])> {
    let number = prop_oneof![9 => -100.0..100.0_f64, 1 => Just(f64::NAN), 1 => any::<f64>()];
    let single = prop_oneof![9 => -50.0..70.0_f32, 1 => any::<f32>()];
    let exact = -(1_i64 << 53)..(1_i64 << 53);
    let pair = [number.clone(), number.clone()];
    (
        single,
        number.clone(),
        0..33_i32,
        exact,
        any::<bool>(),
        number,
        0..5_usize,
        0..5_usize,
        pair,
    )
}

proptest! {
    #[test]
    fn rows_and_tensors_of_the_same_values_encode_equally(
        table in prop::collection::vec(values(), 1..5),
    ) {
        let known = ["UA", "AA", "B6", "ZZ", ""];
        let rows = table.iter().map(|v| {
            [
                ("temp", Cell::Number(v.0.into())),
                ("wind", Cell::Number(v.1)),
                ("day", Cell::Number(v.2.into())),
                ("seats", Cell::Number(v.3 as f64)),
                ("rain", Cell::Bool(v.4)),
                ("hour", Cell::Number(v.5)),
                ("carrier", Cell::Text(known[v.6].into())),
                ("origin", Cell::Text(known[v.7].into())),
                ("pair", Cell::List(v.8.map(Cell::Number).to_vec())),
            ].map(|(name, cell)| (name.to_owned(), cell)).to_vec()
        });
        let n = i64::try_from(table.len()).unwrap();
        let tensors = vec![
            tensor("temp", &[n], TensorData::Fp32(table.iter().map(|v| v.0).collect())),
            tensor("wind", &[n], TensorData::Fp64(table.iter().map(|v| v.1).collect())),
            tensor("day", &[n], TensorData::Int32(table.iter().map(|v| v.2).collect())),
            tensor("seats", &[n], TensorData::Int64(table.iter().map(|v| v.3).collect())),
            tensor("rain", &[n], TensorData::Bool(table.iter().map(|v| v.4).collect())),
            tensor("hour", &[n], TensorData::Fp64(table.iter().map(|v| v.5).collect())),
            tensor("carrier", &[n], texts(&table.iter().map(|v| known[v.6]).collect::<Vec<_>>())),
            tensor("origin", &[n], texts(&table.iter().map(|v| known[v.7]).collect::<Vec<_>>())),
            tensor("pair", &[n, 2], TensorData::Fp64(table.iter().flat_map(|v| v.8).collect())),
        ];
        let by_row = signature().encode(&Payload::Rows(rows.collect()));
        let by_tensor = signature().encode(&Payload::Tensors(tensors));
        match (by_row, by_tensor) {
            (Ok(a), Ok(b)) => {
                let bits = |rows: &crate::model::Rows| rows.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&a), bits(&b));
                prop_assert!(a.as_slice().iter().all(|x| x.is_finite()));
            }
            (Err(a), Err(b)) => {
                let count = |faults: &InputFaults| faults.iter().count();
                prop_assert_eq!(count(&a), count(&b), "{}\n{}", a, b);
            }
            (a, b) => prop_assert!(false, "{:?}\n{:?}", a, b),
        }
    }
}
