//! The elements of a tensor from JSON, flat or nested. Each element is parsed once, from its own digits, and never by way of another type.
//!
//! The JSON is a slice of the body and known to be well-formed, so only its elements can be wrong. An element of two bytes (`0,`) takes up
//! to 8 bytes in memory, a string of three bytes (`"",`) 32, because it is a slice of the body and not a copy; a growing list takes three
//! times as much.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use half::{bf16, f16};

use crate::api::read;
use crate::error::{InputFault, InputFaults};
use crate::model::payload::{Datatype, TensorData};

/// Parses `json`, a slice of `body`, as the elements of the tensor `name`. Adds faults to `faults`.
pub(super) fn elements(
    name: &str,
    datatype: Datatype,
    shape: &[i64],
    json: &str,
    body: &Bytes,
    faults: &mut InputFaults,
) -> TensorData {
    let columns = column_of_lists(shape, json);
    let list = ListReport {
        name,
        shape: columns.as_deref().unwrap_or(shape),
        faults,
    };
    match datatype {
        Datatype::Bool => TensorData::Bool(list.read(json, "true or false", |json| match json {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })),
        Datatype::Int8 => TensorData::Int8(list.whole(json)),
        Datatype::Int16 => TensorData::Int16(list.whole(json)),
        Datatype::Int32 => TensorData::Int32(list.whole(json)),
        Datatype::Int64 => TensorData::Int64(list.whole(json)),
        Datatype::Uint8 => TensorData::Uint8(list.whole(json)),
        Datatype::Uint16 => TensorData::Uint16(list.whole(json)),
        Datatype::Uint32 => TensorData::Uint32(list.whole(json)),
        Datatype::Uint64 => TensorData::Uint64(list.whole(json)),
        Datatype::Fp16 => {
            let read = list.float(json, "16-bit", |x| f16::from_f64(x).is_finite());
            TensorData::Fp16(read.into_iter().map(f16::from_f64).collect())
        }
        Datatype::Bf16 => {
            let read = list.float(json, "16-bit", |x| bf16::from_f64(x).is_finite());
            TensorData::Bf16(read.into_iter().map(bf16::from_f64).collect())
        }
        Datatype::Fp32 => {
            let wanted = "a finite number that a 32-bit float can hold, or null";
            TensorData::Fp32(list.read(json, wanted, |json| match json {
                "null" => Some(f32::NAN),
                digits => digits.parse().ok().filter(|x: &f32| x.is_finite()),
            }))
        }
        Datatype::Fp64 => TensorData::Fp64(list.float(json, "64-bit", |_| true)),
        Datatype::Bytes => TensorData::Bytes(list.read(json, "a string", |json| text(json, body))),
    }
}

/// Returns `shape` with one more axis of length 1 if the lists in `json` are nested one level deeper than `shape` says: `[[1], [2]]` for
/// `[2]`. The elements are the same.
fn column_of_lists(shape: &[i64], json: &str) -> Option<Vec<i64>> {
    let is_open = |byte: &u8| *byte == b'[';
    let is_part = |byte: &u8| is_open(byte) || byte.is_ascii_whitespace();
    let begin = json.bytes().take_while(|byte| is_part(byte));
    let depth = begin.filter(is_open).take(shape.len() + 2).count();
    (depth == shape.len() + 1 && depth > 1).then(|| [shape, &[1]].concat())
}

/// Returns the finite number that `json` stands for.
fn finite(json: &str) -> Option<f64> {
    json.parse().ok().filter(|x: &f64| x.is_finite())
}

/// Returns the integer that `json` stands for, a number with a point or an exponent. Decided by its digits, since a float would round them.
fn whole<T: Whole>(json: &str) -> Option<T> {
    /// More digits than any integer type has.
    const MOST_DIGITS: usize = 40;
    let (sign, number) = json
        .strip_prefix('-')
        .map_or(("", json), |number| ("-", number));
    let (number, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    let digits = [before, after].concat();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let begin = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return (!digits.is_empty()).then(|| "0".parse().ok())?;
    }
    // Digits before the point, counted from the first one that is not zero.
    let exponent: i64 = exponent.parse().ok()?;
    let point = i64::try_from(before.len()).ok()?.checked_add(exponent)?;
    let length = usize::try_from(point.checked_sub(i64::try_from(begin).ok()?)?).ok()?;
    if length < significant.len() || length > MOST_DIGITS {
        return None;
    }
    format!("{sign}{significant:0<length$}").parse().ok()
}

/// Returns the string that `json` stands for; `None` if it is not a string.
fn text(json: &str, body: &Bytes) -> Option<Bytes> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str::<String>(json).ok().map(Bytes::from);
    }
    Some(body.slice_ref(inside.as_bytes()))
}

/// The tensor that is read, and the faults found in it.
struct ListReport<'a> {
    name: &'a str,
    shape: &'a [i64],
    faults: &'a mut InputFaults,
}

/// An integer type.
trait Whole: FromStr {
    /// What an element must be.
    const WANTED: &'static str;
}

macro_rules! whole {
    ($($of:ty: $range:literal),*) => {
        $(impl Whole for $of {
            const WANTED: &'static str =
                concat!("a whole number ", $range);
        })*
    };
}
whole!(
    i8: "from -2^7 to 2^7-1", i16: "from -2^15 to 2^15-1", i32: "from -2^31 to 2^31-1", i64: "from -2^63 to 2^63-1",
    u8: "from 0 to 2^8-1", u16: "from 0 to 2^16-1", u32: "from 0 to 2^32-1", u64: "from 0 to 2^64-1"
);

impl<'a> ListReport<'a> {
    fn whole<T: Whole>(self, json: &str) -> Vec<T> {
        self.read(json, T::WANTED, |json| {
            json.parse().ok().or_else(|| whole(json))
        })
    }

    /// Reads floats, of which `fits` must hold. `null` is NaN.
    fn float(self, json: &str, width: &'static str, fits: impl Fn(f64) -> bool) -> Vec<f64> {
        let wanted = match width {
            "16-bit" => "a finite number that a 16-bit float can hold, or null",
            _ => "a finite number that a 64-bit float can hold, or null",
        };
        self.read(json, wanted, |json| match json {
            "null" => Some(f64::NAN),
            digits => finite(digits).filter(|x| fits(*x)),
        })
    }

    fn read<'j, T>(
        self,
        json: &'j str,
        wanted: &'static str,
        parse: impl Fn(&'j str) -> Option<T>,
    ) -> Vec<T> {
        let mut reader = Reader {
            list: self,
            elements: 0,
            is_too_deep: false,
            parsed: Vec::new(),
            parse,
            wanted,
        };
        reader.list(&mut Scan { json, at: 0 }, 0);
        reader.parsed
    }

    fn fault(
        &mut self,
        part: fmt::Arguments<'_>,
        got: fmt::Arguments<'_>,
        wanted: fmt::Arguments<'_>,
    ) {
        self.faults.add_with(|| InputFault {
            field: format!("inputs[{}].data{part}", read::cut(self.name)),
            got: got.to_string(),
            wanted: wanted.to_string(),
        });
    }
}

struct Reader<'a, T, F> {
    list: ListReport<'a>,
    /// Number of elements seen, valid or not.
    elements: usize,
    is_too_deep: bool,
    parsed: Vec<T>,
    parse: F,
    wanted: &'static str,
}

impl<'j, T, F: Fn(&'j str) -> Option<T>> Reader<'_, T, F> {
    /// Reads the next list, which is nested in `depth` lists.
    fn list(&mut self, json: &mut Scan<'j>, depth: usize) {
        if json.peek() != Some(b'[') {
            return self.scalar(json.value());
        }
        json.skip_byte();
        let axes = self.list.shape.len();
        let begin = self.elements;
        let (mut lists, mut values) = (0_usize, 0_usize);
        while let Some(first) = json.peek() {
            match first {
                b']' => {
                    json.skip_byte();
                    break;
                }
                b'[' if depth + 1 < axes => {
                    lists += 1;
                    self.list(json, depth + 1);
                }
                b'[' => {
                    lists += 1;
                    json.value();
                    // Once for all: the number of elements in them is not known.
                    if !std::mem::replace(&mut self.is_too_deep, true) {
                        self.list.fault(
                            format_args!(""),
                            format_args!("lists in lists, deeper than the shape says"),
                            format_args!("lists for {axes} axes, or all elements in one list"),
                        );
                    }
                }
                _ => {
                    values += 1;
                    self.element(json.value());
                }
            }
        }
        if depth == 0 && lists == 0 {
            // Flat. The number of elements is compared with the shape later, as for all protocols.
            return;
        }
        let axis = self.list.shape.get(depth).copied().unwrap_or_default();
        let last = depth + 1 == axes;
        if values > 0 && (lists > 0 || !last) {
            self.list.fault(
                format_args!(""),
                format_args!("values mixed with lists"),
                format_args!("either all flat, or lists in lists for {axes} axes"),
            );
        } else if i64::try_from(lists + values) != Ok(axis) {
            self.list.fault(
                format_args!("[{begin}]"),
                format_args!("a list of {}", lists + values),
                format_args!("{axis} on axis {depth}, as the shape says"),
            );
        }
    }

    /// Reads the only element, which is in no list.
    fn scalar(&mut self, json: &'j str) {
        self.read_one(json, format_args!(""), "a list");
    }

    fn element(&mut self, json: &'j str) {
        let at = self.elements;
        self.read_one(json, format_args!("[{at}]"), self.wanted);
    }

    fn read_one(&mut self, json: &'j str, part: fmt::Arguments<'_>, wanted: &str) {
        self.elements += 1;
        match (self.parse)(json) {
            Some(element) => self.parsed.push(element),
            None => self.list.fault(
                part,
                format_args!("{}", kind(json)),
                format_args!("{wanted}"),
            ),
        }
    }
}

/// Scans well-formed JSON from left to right. Visits each byte once, however deep its lists are nested.
struct Scan<'j> {
    json: &'j str,
    at: usize,
}

impl<'j> Scan<'j> {
    /// Returns the next byte that begins a value or ends a list.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.json.as_bytes();
        // The JSON is well-formed, so commas carry no information.
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Skips one byte.
    fn skip_byte(&mut self) {
        self.at += 1;
    }

    /// Returns the next value and skips it.
    fn value(&mut self) -> &'j str {
        let first = self.peek();
        let begin = self.at;
        match first {
            Some(b'"') => self.skip_text(),
            Some(b'[' | b'{') => self.skip_nested(),
            _ => {
                self.skip_byte();
                let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        self.json.get(begin..self.at).unwrap_or_default()
    }

    /// Skips a string.
    fn skip_text(&mut self) {
        self.skip_byte();
        while let Some(byte) = self.json.as_bytes().get(self.at) {
            self.at += match byte {
                b'\\' => 2,
                _ => 1,
            };
            if *byte == b'"' {
                return;
            }
        }
    }

    /// Skips a list or an object with its content.
    fn skip_nested(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.json.as_bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.skip_text();
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.skip_byte();
            if depth == 0 {
                return;
            }
        }
    }
}

/// Names the kind of a JSON value. The value itself is not repeated, since it may be personal data.
fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(datatype: Datatype, shape: &[i64], json: &str) -> (TensorData, Vec<String>) {
        let body = Bytes::from(json.to_owned());
        let json = std::str::from_utf8(&body).unwrap();
        let mut faults = InputFaults::default();
        let data = elements("x", datatype, shape, json, &body, &mut faults);
        (data, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn numbers_are_parsed_once_from_their_digits() {
        let (data, faults) = read(
            Datatype::Int64,
            &[2],
            "[9007199254740993, -9223372036854775808]",
        );
        assert_eq!(
            data,
            TensorData::Int64(vec![9_007_199_254_740_993, i64::MIN])
        );
        assert_eq!(faults, [""; 0]);
        // Rounded to 64 bits first, it would lie halfway between two 32-bit floats and round to the even one.
        let (data, faults) = read(Datatype::Fp32, &[2], "[1.00000017881393432617187499, -0.0]");
        let TensorData::Fp32(data) = data else {
            panic!("FP32")
        };
        assert_eq!(data[0].to_bits(), 1.000_000_1_f32.to_bits());
        assert_eq!(data[1].to_bits(), (-0.0_f32).to_bits());
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn nested_lists_are_read_as_the_shape_says() {
        let flat = TensorData::Int32((1..=8).collect());
        for json in ["[1,2,3,4,5,6,7,8]", "[[[1,2],[3,4]],[[5,6], [7,8]]]"] {
            assert_eq!(
                read(Datatype::Int32, &[2, 2, 2], json),
                (flat.clone(), vec![])
            );
        }
        for (json, want) in [
            (
                "[[[1,2],[3]],[[5,6],[7,8]]]",
                "inputs[x].data[2]: got a list of 1, wants 2 on axis 2",
            ),
            ("[[1,2],[3,4]]", "values mixed with lists"),
            ("[[[1,2],3],[[5,6],[7,8]]]", "values mixed with lists"),
            (
                "[[[1,2],[3,[4]]],[[5,6],[7,8]]]",
                "got lists in lists, deeper than the shape says, wants lists for 3 axes",
            ),
            ("[[[1,2],[3,4]]]", "got a list of 1, wants 2 on axis 0"),
            ("{}", "inputs[x].data: got an object, wants a list"),
            (
                "[1,true,null]",
                "inputs[x].data[1]: got a boolean, wants a whole number",
            ),
        ] {
            let (_, faults) = read(Datatype::Int32, &[2, 2, 2], json);
            assert!(
                faults.iter().any(|fault| fault.contains(want)),
                "{json}: {faults:?}"
            );
        }
    }

    #[test]
    fn a_column_of_lists_and_a_single_value_are_read_as_the_list_of_their_elements() {
        for (shape, json, want) in [
            (&[2][..], "[[1], [2]]", vec![1, 2]),
            (&[2], " [ [1],\n[2]]", vec![1, 2]),
            (&[2, 1], "[[[1]], [[2]]]", vec![1, 2]),
            (&[1], "7", vec![7]),
            (&[], "7", vec![7]),
        ] {
            let want = (TensorData::Int32(want), vec![]);
            assert_eq!(read(Datatype::Int32, shape, json.trim()), want, "{json}");
        }
        let (_, faults) = read(Datatype::Int32, &[2], "[[1, 2], [3, 4]]");
        assert_eq!(
            faults[0],
            "inputs[x].data[0]: got a list of 2, wants 1 on axis 1, as the shape says"
        );
        let (_, faults) = read(Datatype::Int32, &[2], "[[[1]], [[2]]]");
        assert_eq!(
            faults,
            [
                "inputs[x].data: got lists in lists, deeper than the shape says, wants lists for 1 axes, or all elements in one list"
            ]
        );
    }

    #[test]
    fn numbers_without_a_fraction_are_integers_while_they_are_exact() {
        let (data, faults) = read(
            Datatype::Int64,
            &[9],
            "[1.0, 1e2, -0.0, 9007199254740993.0, -2.5E+1, 0.01e2, 120e-1, 0e9, -9223372036854775808.00]",
        );
        let want = vec![1, 100, 0, (1 << 53) + 1, -25, 1, 12, 0, i64::MIN];
        assert_eq!((data, faults), (TensorData::Int64(want), vec![]));
        for json in [
            "[1.5]",
            "[9007199254740991.4]",
            "[1.00000000000000000001]",
            "[1e-400]",
            "[9223372036854775808.0]",
            "[1e300]",
            "[1e99999999999999999999]",
        ] {
            let (_, faults) = read(Datatype::Int64, &[1], json);
            assert_eq!(faults.len(), 1, "{json}");
        }
        let (_, faults) = read(Datatype::Uint8, &[2], "[256.0, -1.0]");
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn separators_and_other_kinds_of_values_are_skipped() {
        let json = " [ {\"a]\": [\"}\\\"\"]} ,\t[3 , 4]\n,\"]\\\\\" ,5 ] ";
        let (data, faults) = read(Datatype::Int32, &[4, 2], json.trim());
        assert_eq!(data, TensorData::Int32(vec![3, 4, 5]));
        let got: Vec<_> = faults
            .iter()
            .filter_map(|fault| fault.split(", wants").next())
            .collect();
        assert_eq!(
            got,
            [
                "inputs[x].data[0]: got an object",
                "inputs[x].data[3]: got a string",
                "inputs[x].data: got values mixed with lists",
            ]
        );
        assert_eq!(
            read(Datatype::Int32, &[0], "[]"),
            (TensorData::Int32(vec![]), vec![])
        );
        assert_eq!(
            read(Datatype::Int32, &[0], "[ ]"),
            (TensorData::Int32(vec![]), vec![])
        );
    }

    #[test]
    fn strings_are_unescaped() {
        let (data, faults) = read(Datatype::Bytes, &[3], r#"["a b", "", "\u00e9\n"]"#);
        let texts = ["a b", "", "é\n"].map(|text| Bytes::from(text.to_owned()));
        assert_eq!(data, TensorData::Bytes(texts.to_vec()));
        assert_eq!(faults, [""; 0]);
        let (_, faults) = read(Datatype::Bytes, &[2], r#"["\ud800", 3]"#);
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn numbers_out_of_range_are_refused_and_null_is_a_missing_value() {
        let (_, faults) = read(Datatype::Fp32, &[1], "[1e39]");
        assert_eq!(faults.len(), 1);
        let (_, faults) = read(Datatype::Fp64, &[2], "[1e39, 1e400]");
        assert_eq!(faults.len(), 1);
        let (data, faults) = read(Datatype::Fp64, &[1], "[null]");
        assert!(matches!(data, TensorData::Fp64(data) if data[0].is_nan()) && faults.is_empty());
    }
}
