//! The two encodings: what is accepted, and what is refused with its place.

use super::super::document::{Number, Object, Value, parse};
use super::super::faults::Faults;
use super::*;

fn fault(bytes: &[u8]) -> String {
    let fault = parse(bytes).expect_err("a violation");
    format!("{}: {}", fault.at, fault.message)
}

/// Returns the numbers of the field `a`.
fn numbers(bytes: &[u8]) -> Vec<Number> {
    let value = parse(bytes).unwrap();
    let object = Object::new(&value, "", &mut Faults::default()).unwrap();
    match object.find("a") {
        Some(Value::Numbers(numbers)) => numbers.iter().collect(),
        Some(Value::Number(number)) => vec![*number],
        other => panic!("{other:?}"),
    }
}

fn text(bytes: &[u8]) -> String {
    let value = parse(bytes).unwrap();
    let object = Object::new(&value, "", &mut Faults::default()).unwrap();
    object.text("a", &mut Faults::default()).unwrap().to_owned()
}

#[test]
fn values_take_as_much_memory_as_the_module_says() {
    assert!(size_of::<Value<'_>>() <= 32, "{}", size_of::<Value<'_>>());
}

#[test]
fn json_numbers_are_exact() {
    let got = numbers(b"{\"a\":[0, -7,1E-45, 3.4028235e38 ,5.0E-1,NaN,Infinity,-Infinity,true,false,9223372036854775807]}");
    assert!(matches!(got[5], Number::Single(value) if value.is_nan()));
    let expected = [
        Number::Integer(0),
        Number::Integer(-7),
        Number::Single(f32::from_bits(1)),
        Number::Single(f32::MAX),
        Number::Single(0.5),
        Number::Single(f32::INFINITY),
        Number::Single(f32::NEG_INFINITY),
        Number::Flag(true),
        Number::Flag(false),
        Number::Integer(i64::MAX),
    ];
    assert_eq!([&got[..5], &got[6..]].concat(), expected);
}

#[test]
fn json_texts_are_unescaped() {
    for (json, expected) in [
        (r#"{"a":"plain ü"}"#, "plain ü"),
        (r#"{"a":"\"\\\/\b\f\n\r\t"}"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#"{"a":"\u0041\u00fc\ud83d\ude00"}"#, "Aü😀"),
        (r#"{"a":"C:\users"}"#, "C:\\users"),
        (r#"{"a":"\ud83d alone"}"#, "\\ud83d alone"),
        (r#"{"a":"\u12"}"#, "\\u12"),
    ] {
        assert_eq!(text(json.as_bytes()), expected, "{json}");
    }
}

#[test]
fn violations_of_json_are_refused_with_their_place() {
    for (json, expected) in [
        ("", "got neither a JSON nor a UBJ object"),
        ("binf", "got neither a JSON nor a UBJ object"),
        ("[1]", "got neither a JSON nor a UBJ object"),
        (r#"{"a":1"#, "byte 6: got the end of the file, expected `}`"),
        (
            r#"{"a":1}x"#,
            "byte 7: got 'x', expected the end of the file",
        ),
        (r#"{"a":}"#, "byte 5: got '}', expected a value"),
        (r#"{"a":01}"#, "byte 6: got '1', expected `}`"),
        (r#"{"a":1.}"#, "byte 7: got '}', expected a value"),
        (r#"{"a":1e}"#, "byte 7: got '}', expected a value"),
        (r#"{"a":-}"#, "expected a value"),
        (r#"{"a":[1,]}"#, "byte 8: got ']', expected a value"),
        (r#"{"a":[1 2]}"#, "byte 8: got '2', expected `]`"),
        (
            r#"{"a":["b",1]}"#,
            "byte 11: got 1 in a list of other values",
        ),
        (r#"{"a":[1,"b"]}"#, "byte 8: got '\"', expected a value"),
        (
            r#"{"a":1,"a":2}"#,
            "byte 13: the object that ends here has the key \"a\" twice",
        ),
        (r#"{"a" 1}"#, "byte 5: got '1', expected `:`"),
        (r#"{a:1}"#, "got neither a JSON nor a UBJ object"),
        (r#"{"a":1,b:1}"#, "byte 7: got 'b', expected a key"),
        (
            r#"{"a":"b"#,
            "byte 7: got the end of the file, expected the end of a text",
        ),
        (r#"{"a":"\x"}"#, "byte 8: got a text with an unknown escape"),
        (r#"{"a":"\é"}"#, "byte 9: got a text with an unknown escape"),
        (
            "{\"a\":\"\n\"}",
            "byte 6: got '\\n', expected a character of a text",
        ),
        (
            r#"{"a":92233720368547758080}"#,
            "byte 25: got a whole number of more than 64 bits",
        ),
        (
            r#"{"a":[92233720368547758080]}"#,
            "byte 26: got a whole number of more than 64 bits",
        ),
        (r#"{"a":nan}"#, "byte 5: got 'n', expected a value"),
    ] {
        let got = fault(json.as_bytes());
        assert!(got.contains(expected), "{json}: {got}");
    }
    assert!(fault(b"{\"a\":\"\xff\"}").starts_with("byte 6: got a byte that is not UTF-8"));
}

/// Returns an object with the field `a`.
fn ubj(value: &[u8]) -> Vec<u8> {
    [b"{L\0\0\0\0\0\0\0\x01a", value, b"}"].concat()
}

#[test]
fn ubj_numbers_are_big_endian_and_have_all_widths() {
    for (value, expected) in [
        (&b"i\xff"[..], vec![Number::Integer(-1)]),
        (b"U\xff", vec![Number::Integer(255)]),
        (b"I\x01\x02", vec![Number::Integer(258)]),
        (b"l\xff\xff\xff\xfe", vec![Number::Integer(-2)]),
        (b"L\0\0\0\x01\0\0\0\0", vec![Number::Integer(1 << 32)]),
        (b"d\x3f\x80\0\0", vec![Number::Single(1.0)]),
        (b"D\x3f\xf8\0\0\0\0\0\0", vec![Number::Double(1.5)]),
        (b"T", vec![Number::Flag(true)]),
        (
            b"[#L\0\0\0\0\0\0\0\x03i\x01I\x01\0F",
            vec![
                Number::Integer(1),
                Number::Integer(256),
                Number::Flag(false),
            ],
        ),
        (
            b"[i\x01d\x40\0\0\0]",
            vec![Number::Integer(1), Number::Single(2.0)],
        ),
        (
            b"[$I#L\0\0\0\0\0\0\0\x02\0\x01\xff\xff",
            vec![Number::Integer(1), Number::Integer(-1)],
        ),
        (b"[$U#L\0\0\0\0\0\0\0\x01\x80", vec![Number::Integer(128)]),
        (
            b"[$D#L\0\0\0\0\0\0\0\x01\x40\0\0\0\0\0\0\0",
            vec![Number::Double(2.0)],
        ),
    ] {
        assert_eq!(numbers(&ubj(value)), expected, "{value:?}");
    }
}

#[test]
fn violations_of_ubj_are_refused_with_their_place() {
    for (value, expected) in [
        (&b"H"[..], "high-precision number"),
        (b"N", "expected a value"),
        (b"C", "expected a value"),
        (b"", "byte 11: got the byte '}', expected a value"),
        (b"I\0", "expected `L`"),
        (
            b"SL\x7f\xff\xff\xff\xff\xff\xff\xff",
            "got a length of 9223372036854775807",
        ),
        (b"SL\xff\xff\xff\xff\xff\xff\xff\xff", "got a length of -1"),
        (b"SL\0\0\0\0\0\0\0\x01\xff", "not UTF-8"),
        (b"Si\x01b", "got the byte 'i', expected `L`"),
        (
            b"[$l#L\x40\0\0\0\0\0\0\0",
            "got a length of 4611686018427387904",
        ),
        (
            b"[$l#L\0\0\0\0\0\0\0\x01\0\0",
            "got a length of 1, expected at most the 3 bytes",
        ),
        (b"[$S#L\0\0\0\0\0\0\0\0", "expected one of the number types"),
        (b"[$T#L\0\0\0\0\0\0\0\0", "expected one of the number types"),
        (b"[$l", "expected `#`"),
        (b"[#i\x01", "expected `L`"),
        (b"[#L\0\0\0\0\0\0\0\xffi\x01", "got a length of 255"),
        (
            b"[#L\0\0\0\0\0\0\0\x02i\x01Z",
            "expected a number, as the others",
        ),
        (
            b"[#L\0\0\0\0\0\0\0\x02Zi\x01",
            "got null in a list of other values",
        ),
        (b"[i\x01", "expected a number, as the others"),
        (b"ZL\0\0\0\0\0\0\0\x01aZ", "the key \"a\" twice"),
    ] {
        let got = fault(&ubj(value));
        assert!(got.contains(expected), "{value:?}: {got}");
    }
    let trailing = [ubj(b"Z"), b"Z".to_vec()].concat();
    assert!(fault(&trailing).contains("expected the end of the file"));
}

#[test]
fn nesting_is_bounded_in_both_encodings() {
    let nested = |depth: usize| ["{\"a\":", &"[".repeat(depth), &"]".repeat(depth), "}"].concat();
    assert!(parse(nested(30).as_bytes()).is_ok());
    for depth in [40, 1_000_000] {
        assert!(fault(nested(depth).as_bytes()).contains("got more than 32 objects and lists"));
        let nested = ubj(&b"[".repeat(depth));
        assert!(fault(&nested).contains("got more than 32 objects and lists"));
    }
}

#[test]
fn only_models_are_recognised() {
    let small = super::models::small();
    let version_first = [
        b"{\"version\":[3,2,0],".to_vec(),
        small.json()[1..].to_vec(),
    ]
    .concat();
    for (bytes, expected, why) in [
        (small.json(), true, "JSON"),
        (small.ubj(), true, "UBJ"),
        (version_first, true, "another order of keys"),
        (b"{\"learner\":{}}".to_vec(), false, "no key of a learner"),
        (b"{\"learner\":1}".to_vec(), false, "another learner"),
        (
            b"{\"version\":[1]}".to_vec(),
            false,
            "another versioned document",
        ),
        (
            b"{\"model_name\":\"m\",\"version\":1}".to_vec(),
            false,
            "a manifest",
        ),
        (
            b"{\"version\":\"1.0\",\"learner\":{}}".to_vec(),
            false,
            "a tokenizer",
        ),
        (b"[]".to_vec(), false, "a list"),
        (b"{}".to_vec(), false, "an empty object"),
        (b"tree\nversion=v4\n".to_vec(), false, "LightGBM"),
        (
            b"{L\0\0\0\0\0\0\0\x06ConfigZ}".to_vec(),
            false,
            "a pickled booster",
        ),
        (
            b"{L\0\0\0\0\0\0\0\x07learner{}}".to_vec(),
            false,
            "no key of a learner",
        ),
        (b"{L".to_vec(), false, "cut"),
        (Vec::new(), false, "nothing"),
    ] {
        assert_eq!(recognises(&bytes), expected, "{why}");
    }
}
