//! The position of a value in a list of keys.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::super::value::Value;
use super::super::attributes::shown;
use crate::model::payload::{Datatype, TensorData};

/// A list of keys, each with its position.
#[derive(Debug)]
pub(super) enum Keys {
    /// Texts.
    Texts(HashMap<Bytes, usize>),
    /// Integers of any width.
    Integers(HashMap<i64, usize>),
    /// Numbers, by [`bits`].
    Numbers(HashMap<u64, usize>),
}

impl Keys {
    /// Returns the keys in `data`.
    ///
    /// # Errors
    /// Returns an error if a key occurs twice, as libraries disagree on which of them counts, and if the type is not supported.
    pub(super) fn of(data: &TensorData) -> Result<Self, String> {
        Ok(match data {
            TensorData::Bytes(texts) => {
                Self::Texts(positions(texts.iter().cloned(), |text| shown_text(text))?)
            }
            TensorData::Int64(values) => Self::integers(values)?,
            TensorData::Int32(values) => Self::integers(values)?,
            TensorData::Int16(values) => Self::integers(values)?,
            TensorData::Fp32(values) => Self::numbers(values)?,
            TensorData::Fp64(values) => Self::numbers(values)?,
            other => {
                return Err(format!(
                    "keys of type {} are not supported",
                    other.datatype()
                ));
            }
        })
    }

    fn integers<T: Copy + Into<i64>>(values: &[T]) -> Result<Self, String> {
        let values = values.iter().map(|value| (*value).into());
        positions(values, i64::to_string).map(Self::Integers)
    }

    fn numbers<T: Copy + Into<f64>>(values: &[T]) -> Result<Self, String> {
        let values = values.iter().map(|value| bits((*value).into()));
        positions(values, |bits| f64::from_bits(*bits).to_string()).map(Self::Numbers)
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(keys) => keys.len(),
            Self::Integers(keys) => keys.len(),
            Self::Numbers(keys) => keys.len(),
        }
    }

    /// Returns whether keys of this type can be looked up.
    pub(super) fn accept(&self, datatype: Datatype) -> bool {
        match self {
            Self::Texts(_) => datatype == Datatype::Bytes,
            Self::Integers(_) => matches!(
                datatype,
                Datatype::Int64 | Datatype::Int32 | Datatype::Int16
            ),
            Self::Numbers(_) => datatype.is_float(),
        }
    }

    /// Returns the position of each element of `value`, or `None` if it is not a key.
    ///
    /// # Errors
    /// Returns an error if the elements have another type.
    pub(super) fn find(&self, value: &Value) -> Result<Vec<Option<usize>>, String> {
        Ok(match (self, value.data()) {
            (Self::Texts(keys), TensorData::Bytes(texts)) => {
                texts.iter().map(|text| keys.get(text).copied()).collect()
            }
            (Self::Integers(keys), TensorData::Int64(values)) => found(keys, values, |x| x),
            (Self::Integers(keys), TensorData::Int32(values)) => found(keys, values, i64::from),
            (Self::Integers(keys), TensorData::Int16(values)) => found(keys, values, i64::from),
            (Self::Numbers(keys), TensorData::Fp32(values)) => {
                found(keys, values, |x| bits(f64::from(x)))
            }
            (Self::Numbers(keys), TensorData::Fp64(values)) => found(keys, values, bits),
            (_, other) => {
                let got = other.datatype();
                return Err(format!("input 0: got {got}, expected the type of the keys"));
            }
        })
    }
}

/// Returns the bits of a number, the same for both zeros, and the same for every NaN.
fn bits(x: f64) -> u64 {
    if x.is_nan() {
        f64::NAN.to_bits()
    } else {
        // Turns -0 into 0.
        (x + 0.0).to_bits()
    }
}

fn found<T: Copy, K: std::hash::Hash + Eq>(
    keys: &HashMap<K, usize>,
    values: &[T],
    key: impl Fn(T) -> K,
) -> Vec<Option<usize>> {
    let position = |value: &T| keys.get(&key(*value)).copied();
    values.iter().map(position).collect()
}

fn positions<K: std::hash::Hash + Eq>(
    values: impl ExactSizeIterator<Item = K>,
    shown: impl Fn(&K) -> String,
) -> Result<HashMap<K, usize>, String> {
    let mut keys = HashMap::with_capacity(values.len());
    for (at, value) in values.enumerate() {
        if keys.contains_key(&value) {
            return Err(format!("got {} twice", shown(&value)));
        }
        keys.insert(value, at);
    }
    Ok(keys)
}

/// Returns a text for an error, shortened.
pub(super) fn shown_text(text: &[u8]) -> String {
    shown(&String::from_utf8_lossy(text))
}
