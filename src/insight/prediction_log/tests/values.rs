//! How values of inputs are written.

use proptest::prelude::*;

use super::*;

/// HMAC-SHA-256 by Python's `hmac`: `hmac.new(b"0123456789abcdef", b"b\0" + value, "sha256").hexdigest()[:32]`.
const HASHED: [(&str, &str); 5] = [
    ("0", "c9681929ed2ebea7cb8fd23b83a15e65"),
    ("9007199254740992", "7a873aa8de1c91d28966a30201ef342d"),
    ("42", "b46d3b220aaa5cbcd85ac9519c77596b"),
    ("0.1", "3f4e1f109565a0e35f77f0f6ab0bf45f"),
    ("secret", "ceee2dcc15896daeb717543678ab329c"),
];

/// The key of [`HASHED`].
fn key() -> HashKey {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    fs::write(&file, "0123456789abcdef\n").unwrap();
    HashKey::read(&file).unwrap()
}

/// What stands in the lines of one value of `b`, of this type and sensitivity, for each of these ways to send it.
fn ways(datatype: &str, sensitive: &Value, ways: [Payload; 2]) -> [Value; 2] {
    let mut document = samples::document("m", 3);
    document["inputs"][1]["datatype"] = datatype.into();
    document["inputs"][1]["sensitive"] = sensitive.clone();
    let subject = Arc::new(Subject::new(&samples::manifest(document)));
    ways.map(|inputs| {
        let asked = Entry {
            subject: Arc::clone(&subject),
            ..entry(inputs)
        };
        written_with(Some(&key()), &asked)["inputs"][0]["b"].clone()
    })
}

fn number(value: f64) -> Payload {
    Payload::Rows(vec![vec![("b".to_owned(), Cell::Number(value))]])
}

fn tensor(data: TensorData) -> Payload {
    Payload::Tensors(vec![Tensor {
        name: "b".into(),
        shape: vec![1],
        data,
    }])
}

#[test]
fn a_value_is_written_by_the_type_of_its_input_whichever_way_it_came() {
    let [(_, zero), (_, large), _, (_, tenth), _] = HASHED;
    let (open, hash) = (json!(false), json!("hash"));
    for (datatype, row, data, plain, hashed) in [
        ("FP32", 0.1, TensorData::Fp32(vec![0.1]), json!(0.1), tenth),
        ("FP64", 0.1, TensorData::Fp64(vec![0.1]), json!(0.1), tenth),
        (
            "FP32",
            -0.0,
            TensorData::Fp32(vec![-0.0]),
            json!(-0.0),
            zero,
        ),
        (
            "FP64",
            -0.0,
            TensorData::Fp64(vec![-0.0]),
            json!(-0.0),
            zero,
        ),
        ("INT32", -0.0, TensorData::Int32(vec![0]), json!(0), zero),
        (
            "INT64",
            9_007_199_254_740_992.0,
            TensorData::Int64(vec![9_007_199_254_740_992]),
            json!(9_007_199_254_740_992_i64),
            large,
        ),
    ] {
        let sent = || [number(row), tensor(data.clone())];
        let told = ways(datatype, &open, sent());
        assert_eq!(told, [plain.clone(), plain], "{datatype}");
        let told = ways(datatype, &hash, sent());
        assert_eq!(told, [json!(hashed), json!(hashed)], "{datatype} {row}");
    }
    // What the type does not have is refused, and stays as it came.
    for (datatype, value) in [("INT64", 0.5), ("INT64", 1e300), ("FP32", 1e300)] {
        let told = ways(datatype, &open, [number(value), number(value)]);
        assert_eq!(told[0], json!(value));
    }
    let text = ways(
        "FP32",
        &hash,
        [tensor(TensorData::Bytes(vec!["-0".into()])), number(0.0)],
    );
    assert_ne!(text[0], text[1], "a text is no number");
}

proptest! {
    #[test]
    fn every_fp32_is_one_text_and_comes_back(bits: u32) {
        let value = f32::from_bits(bits);
        prop_assume!(value.is_finite());
        let sent = || [number(f64::from(value)), tensor(TensorData::Fp32(vec![value]))];
        let [row, column] = ways("FP32", &json!(false), sent());
        prop_assert_eq!(&row, &column);
        prop_assert_eq!(row.to_string().parse::<f32>(), Ok(value));
        let [row, column] = ways("FP32", &json!("hash"), sent());
        prop_assert_eq!(row, column);
    }
}

#[test]
fn an_input_marked_hash_is_written_as_keyed_hashes_and_not_at_all_without_a_key() {
    let key = key();
    let mut document = samples::document("m", 3);
    document["inputs"][1]["sensitive"] = "hash".into();
    let subject = Arc::new(Subject::new(&samples::manifest(document)));
    let of = |inputs| Entry {
        subject: Arc::clone(&subject),
        ..entry(inputs)
    };
    let cell = |cell| Payload::Rows(vec![vec![("b".to_owned(), cell)]]);
    let [_, _, (_, whole), (_, tenth), (_, text)] = HASHED;
    for (value, wanted) in [
        (Cell::Number(42.0), json!(whole)),
        (Cell::Number(0.1), json!(tenth)),
        (Cell::Text("42".into()), json!(whole)),
        (Cell::Text("secret".into()), json!(text)),
        (
            Cell::List(vec![Cell::Number(42.0), Cell::Missing]),
            json!([whole, null]),
        ),
        (Cell::Missing, json!(null)),
    ] {
        let asked = of(cell(value));
        assert_eq!(
            written_with(Some(&key), &asked)["inputs"],
            json!([{"b": wanted}])
        );
        assert_eq!(written(&asked)["inputs"], json!([{}]), "no key");
    }
    for data in [
        TensorData::Int64(vec![42]),
        TensorData::Fp32(vec![42.0]),
        TensorData::Bytes(vec!["42".into()]),
    ] {
        let line = written_with(Some(&key), &of(tensor(data)));
        assert_eq!(line["inputs"], json!([{"b": whole}]), "of any type");
    }
    let hidden = written_with(Some(&key), &entry(row()));
    assert_eq!(
        hidden["inputs"],
        json!([{"a": 1.5}]),
        "true means nothing at all"
    );
}

#[test]
fn a_key_is_neither_short_nor_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let why = HashKey::read(&file).unwrap_err();
    assert!(why.contains("cannot be read"), "{why}");
    fs::write(&file, "0123456789abcde\n").unwrap();
    let why = HashKey::read(&file).unwrap_err();
    assert!(why.contains("holds 15 bytes, wants 16 to 4096"), "{why}");
    fs::write(&file, "0123456789abcdef").unwrap();
    let shown = format!("{:?}", HashKey::read(&file).unwrap());
    assert_eq!(shown, "HashKey(..)");
}
