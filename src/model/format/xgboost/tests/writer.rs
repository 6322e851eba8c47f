//! Writes documents as XGBoost does, in both encodings.

use std::fmt::Write as _;

/// A value of a document. `Integers`, `Singles`, `Bytes` and `Flags` are typed lists in UBJ; `Flags` are `true` and `false` in JSON.
#[derive(Clone, Debug)]
pub(super) enum Doc {
    Null,
    Text(String),
    Integer(i64),
    Single(f32),
    Integers(Vec<i32>),
    Singles(Vec<f32>),
    Bytes(Vec<u8>),
    Flags(Vec<bool>),
    List(Vec<Doc>),
    Object(Vec<(String, Doc)>),
}

pub(super) fn text(text: impl Into<String>) -> Doc {
    Doc::Text(text.into())
}

pub(super) fn object<const N: usize>(entries: [(&str, Doc); N]) -> Doc {
    Doc::Object(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

impl Doc {
    pub(super) fn json(&self) -> Vec<u8> {
        let mut out = String::new();
        self.write_json(&mut out);
        out.into_bytes()
    }

    fn write_json(&self, out: &mut String) {
        fn list<T>(out: &mut String, values: &[T], mut write: impl FnMut(&mut String, &T)) {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write(out, value);
            }
            out.push(']');
        }
        fn single(out: &mut String, value: f32) {
            let shown = format!("{value:?}").replace("inf", "Infinity");
            out.push_str(&shown);
        }
        match self {
            Self::Null => out.push_str("null"),
            Self::Text(text) => out.push_str(&serde_json::to_string(text).unwrap()),
            Self::Integer(value) => write!(out, "{value}").unwrap(),
            Self::Single(value) => single(out, *value),
            Self::Integers(values) => {
                list(out, values, |out, value| write!(out, "{value}").unwrap())
            }
            Self::Singles(values) => list(out, values, |out, value| single(out, *value)),
            Self::Bytes(values) => list(out, values, |out, value| write!(out, "{value}").unwrap()),
            Self::Flags(values) => list(out, values, |out, value| write!(out, "{value}").unwrap()),
            Self::List(values) => list(out, values, |out, value| value.write_json(out)),
            Self::Object(entries) => {
                out.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    write!(out, "{}:", serde_json::to_string(key).unwrap()).unwrap();
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    pub(super) fn ubj(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_ubj(&mut out);
        out
    }

    fn write_ubj(&self, out: &mut Vec<u8>) {
        fn length(out: &mut Vec<u8>, length: usize) {
            out.push(b'L');
            out.extend(i64::try_from(length).unwrap().to_be_bytes());
        }
        fn typed<const N: usize>(
            out: &mut Vec<u8>,
            marker: u8,
            values: impl ExactSizeIterator<Item = [u8; N]>,
        ) {
            out.extend([b'[', b'$', marker, b'#']);
            length(out, values.len());
            out.extend(values.flatten());
        }
        match self {
            Self::Null => out.push(b'Z'),
            Self::Text(text) => {
                out.push(b'S');
                length(out, text.len());
                out.extend(text.bytes());
            }
            Self::Integer(value) => match (i8::try_from(*value), i16::try_from(*value)) {
                (Ok(value), _) => out.extend([b'i', value.cast_unsigned()]),
                (_, Ok(value)) => {
                    out.push(b'I');
                    out.extend(value.to_be_bytes());
                }
                _ => {
                    out.push(b'L');
                    out.extend(value.to_be_bytes());
                }
            },
            Self::Single(value) => {
                out.push(b'd');
                out.extend(value.to_be_bytes());
            }
            Self::Integers(values) => typed(out, b'l', values.iter().map(|x| x.to_be_bytes())),
            Self::Singles(values) => typed(out, b'd', values.iter().map(|x| x.to_be_bytes())),
            Self::Bytes(values) => typed(out, b'U', values.iter().map(|x| x.to_be_bytes())),
            Self::Flags(values) => typed(out, b'U', values.iter().map(|&x| [u8::from(x)])),
            Self::List(values) => {
                out.extend(b"[#");
                length(out, values.len());
                values.iter().for_each(|value| value.write_ubj(out));
            }
            Self::Object(entries) => {
                out.push(b'{');
                for (key, value) in entries {
                    length(out, key.len());
                    out.extend(key.bytes());
                    value.write_ubj(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Returns the value at a path such as `learner.objective` or `trees[0].id`.
    pub(super) fn at(&mut self, path: &str) -> &mut Self {
        path.split(['.', '['])
            .fold(self, |value, step| match value {
                Self::Object(entries) => {
                    let entry = entries.iter_mut().find(|(key, _)| key == step);
                    &mut entry.unwrap_or_else(|| panic!("{path} at {step}")).1
                }
                Self::List(values) => {
                    &mut values[step.trim_end_matches(']').parse::<usize>().unwrap()]
                }
                other => panic!("{path} at {step}: {other:?}"),
            })
    }

    /// Sets the field `key` of the object at `path`; `None` removes it.
    pub(super) fn set(&mut self, path: &str, key: &str, value: Option<Doc>) {
        let owner = if path.is_empty() { self } else { self.at(path) };
        let Self::Object(entries) = owner else {
            panic!("{path} is not an object");
        };
        entries.retain(|(other, _)| other != key);
        entries.extend(value.map(|value| (key.to_owned(), value)));
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
}
