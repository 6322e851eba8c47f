//! Invalid tensors.

use super::*;

#[test]
fn an_invalid_tensor_is_reported_by_its_field() {
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
            temp(&[1, 2], &[1.0, 2.0]),
            "tensors[temp].shape: got [1, 2] with 2 elements, wants [rows]",
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
            "tensors[temp].shape: got [1] with 2 elements, wants as many elements as the shape has",
        ),
        (
            tensor("temp", &[1], TensorData::Bool(vec![true])),
            "tensors[temp].datatype: got BOOL, wants FP32",
        ),
        (
            tensor("temp", &[1], TensorData::Fp64(vec![1e300])),
            "tensors[temp][0]: got 1e300, wants a finite FP32 number from -40 to 60",
        ),
        (
            tensor("day", &[1], TensorData::Fp32(vec![2.5])),
            "tensors[day][0]: got 2.5, wants a whole number of 32 bits from 1 to 31",
        ),
        (
            tensor("day", &[1], TensorData::Int64(vec![1 << 40])),
            "tensors[day][0]: got 1099511627776, wants a whole number of 32 bits from 1 to 31",
        ),
        (
            tensor("temp", &[1], TensorData::Int32(vec![(1 << 24) + 1])),
            "tensors[temp][0]: got 16777217, wants a whole number that FP32 represents exactly",
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
            "tensors[hour].shape: got [2] with 2 elements, wants 1 rows, like `temp`",
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
            "tensors[note][0]: got 1 bytes that are not UTF-8, wants a string",
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
            "tensors[pair].shape: got [9223372036854775807, 2] with 2 elements, wants as many elements as the shape has",
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
        assert_eq!(faults, [want]);
    }
}

#[test]
fn an_invalid_set_of_tensors_is_reported_by_its_field() {
    let mut missing = good_tensors();
    missing.retain(|tensor| tensor.name != "day");
    let mut twice = good_tensors();
    twice.push(twice[0].clone());
    let hour = |rows: usize| {
        let rows_dim = i64::try_from(rows).unwrap();
        tensor("hour", &[rows_dim], TensorData::Fp64(vec![1.0; rows]))
    };
    let inputs = signature().inputs().to_vec();
    let relaxed = taking(inputs.into_iter().filter(Input::optional).collect());
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
            "tensors[hour]: got a repeated name, wants each name once",
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
