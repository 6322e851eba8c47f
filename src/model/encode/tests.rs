mod agreement;
mod conversions;
mod masks;
mod rows;
mod tensors;

use crate::error::InputFaults;
use crate::model::Sensitivity;
use crate::model::payload::{Cell, Datatype, Payload, Row, Tensor, TensorData};
use crate::model::signature::{
    Affine, Categories, Encoding, Input, Missing, Output, Outside, Prediction, PredictionKind,
    Range, Shape, Signature,
};
use bytes::Bytes;

fn input(name: &str, datatype: Datatype, encoding: Encoding) -> Input {
    Input {
        name: name.into(),
        datatype,
        shape: Shape::scalars(),
        encoding,
        sensitive: Sensitivity::Open,
    }
}

fn range(min: f64, max: f64, clip: bool) -> Option<Range> {
    let outside = if clip { Outside::Clip } else { Outside::Reject };
    Some(Range { min, max, outside })
}

const HALF: Affine = Affine {
    offset: 10.0,
    factor: 0.5,
};

fn numeric(range: Option<Range>, missing: Option<f64>) -> Encoding {
    Encoding::Numeric {
        scale: vec![HALF],
        range,
        missing: missing.map_or(Missing::Reject, Missing::Impute),
    }
}

fn categorical(unknown_bucket: bool, missing: Option<&str>) -> Encoding {
    Encoding::Categorical {
        categories: Categories::new(vec!["UA".into(), "AA".into(), "B6".into()]),
        unknown_bucket,
        missing: missing.map(Into::into),
    }
}

/// One input of every kind; `temp`, `day`, `carrier` and `pair` are required, the others are optional.
fn signature() -> Signature {
    use Datatype::{Bool, Bytes, Fp32, Fp64, Int32, Int64};
    let mut pair = input("pair", Fp64, numeric(None, None));
    pair.shape = Shape::vectors(2);
    pair.encoding = Encoding::Numeric {
        scale: vec![HALF; 2],
        range: None,
        missing: Missing::Reject,
    };
    let cyclic = Encoding::Cyclic {
        period: 24.0,
        range: range(0.0, 24.0, false),
        missing: Some(0.0),
    };
    let inputs = vec![
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
    ];
    taking(inputs)
}

fn taking(inputs: Vec<Input>) -> Signature {
    let output = Output {
        name: "value".into(),
        datatype: Datatype::Fp32,
        shape: Shape::vectors(1),
    };
    let prediction = Prediction {
        output: 0,
        kind: PredictionKind::Value,
        columns: 1,
    };
    Signature::new(inputs, vec![output], prediction, Vec::new(), 4)
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
    want.extend([1.0, 6.123_234e-17]); // six o'clock is a quarter of a period
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
fn invalid_values_are_handled_as_the_encoding_says() {
    for (name, cell, column, want, why) in [
        ("wind", Cell::Number(80.0), 1, 20.0, "clipped to 50"),
        ("wind", Cell::Number(-1.0), 1, -5.0, "clipped to 0"),
        (
            "wind",
            Cell::Number(f64::NAN),
            1,
            1.0,
            "NaN is missing: 12 is imputed",
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
            "an unknown category uses the bucket",
        ),
        (
            "origin",
            Cell::Text("UA".into()),
            10,
            1.0,
            "a known category uses its column",
        ),
        (
            "hour",
            Cell::Number(24.0),
            6,
            1.0,
            "a whole period equals zero",
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
