//! One answer in a shard.

use std::ops::{Deref, DerefMut};
use std::sync::Weak;
use std::time::Duration;

use super::version::VersionQuality;
use crate::ident::Role;
use crate::model::Scores;

/// The values of one row. A row with more values counts as several rows.
pub const VALUES_PER_ROW: usize = 4;

/// One answer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: u128,
    pub(super) at: Duration,
    pub(super) by: Weak<VersionQuality>,
    /// The number of the previous entry with the same key.
    pub(super) before: Option<u64>,
    /// Empty if the version does not support outcomes.
    pub(super) values: Values,
    /// 0 once the answer was replaced.
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// The rows without an outcome.
    pub(super) open: u32,
    pub(super) role: Role,
    /// The rows as which it counts towards the capacity.
    pub(super) takes: usize,
}

/// The values of all rows of an answer, row by row. Those of most answers are few and stored in the entry itself, because every
/// entry that is written or removed is no longer in the processor's cache.
#[derive(Debug)]
pub(super) enum Values {
    Few {
        len: u8,
        values: [f32; VALUES_PER_ROW],
    },
    Many(Box<[f32]>),
}

impl Values {
    pub(super) const NONE: Self = Self::Few {
        len: 0,
        values: [0.0; VALUES_PER_ROW],
    };

    pub(super) fn of(scores: &Scores) -> Self {
        let all = scores.as_slice();
        let mut values = [0.0; VALUES_PER_ROW];
        match (u8::try_from(all.len()), values.get_mut(..all.len())) {
            (Ok(len), Some(few)) => {
                few.copy_from_slice(all);
                Self::Few { len, values }
            }
            _ => Self::Many(all.into()),
        }
    }
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Few { len, values } => &values[..usize::from(*len)],
            Self::Many(values) => values,
        }
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Few { len, values } => &mut values[..usize::from(*len)],
            Self::Many(values) => values,
        }
    }
}
