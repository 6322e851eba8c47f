//! How values of inputs are written to a line.

use proptest::prelude::*;

use super::*;

/// HMAC-SHA-256, from Python's `hmac`: `hmac.new(b"0123456789abcdef", b"b\0" + value, "sha256").hexdigest()[:32]`.
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

/// Returns how a value of `b`, with this type and sensitivity, is written for each of these encodings of it.
fn written_as(datatype: &str, sensitive: &Value, encodings: [Payload; 2]) -> [Value; 2] {
    let mut document = samples::document("m", 3);
    document["inputs"][1]["datatype"] = datatype.into();
    document["inputs"][1]["sensitive"] = sensitive.clone();
    let subject = Arc::new(Subject::new(&samples::manifest(document)));
    encodings.map(|inputs| {
        let request = Entry {
            subject: Arc::clone(&subject),
            ..entry(inputs)
        };
        written_with(Some(&key()), &request)["inputs"][0]["b"].clone()
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
fn a_value_is_written_by_the_type_of_its_input_in_every_encoding() {
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
        let written = written_as(datatype, &open, sent());
        assert_eq!(written, [plain.clone(), plain], "{datatype}");
        let written = written_as(datatype, &hash, sent());
        assert_eq!(written, [json!(hashed), json!(hashed)], "{datatype} {row}");
    }
    // A value that the type cannot represent is refused, and stays as it is.
    for (datatype, value) in [("INT64", 0.5), ("INT64", 1e300), ("FP32", 1e300)] {
        let written = written_as(datatype, &open, [number(value), number(value)]);
        assert_eq!(written[0], json!(value));
    }
    let text = written_as(
        "FP32",
        &hash,
        [tensor(TensorData::Bytes(vec!["-0".into()])), number(0.0)],
    );
    assert_ne!(text[0], text[1], "a text is not a number");
}

proptest! {
    #[test]
    fn every_fp32_has_one_text_that_parses_to_it(bits: u32) {
        let value = f32::from_bits(bits);
        prop_assume!(value.is_finite());
        let sent = || [number(f64::from(value)), tensor(TensorData::Fp32(vec![value]))];
        let [row, column] = written_as("FP32", &json!(false), sent());
        prop_assert_eq!(&row, &column);
        prop_assert_eq!(row.to_string().parse::<f32>(), Ok(value));
        let [row, column] = written_as("FP32", &json!("hash"), sent());
        prop_assert_eq!(row, column);
    }
}

#[test]
fn an_input_marked_hash_is_hashed_or_left_out_without_a_key() {
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
        let request = of(cell(value));
        assert_eq!(
            written_with(Some(&key), &request)["inputs"],
            json!([{"b": wanted}])
        );
        assert_eq!(written(&request)["inputs"], json!([{}]), "no key");
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
        "a sensitive input is left out even with a key"
    );
}

#[test]
fn a_key_is_long_enough_and_debug_output_hides_it() {
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
