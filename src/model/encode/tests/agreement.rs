//! Rows and tensors of the same values are encoded equally.

use proptest::prelude::*;

use super::*;

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
                let bits = |rows: &crate::model::Batch| rows.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
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
