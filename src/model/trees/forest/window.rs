//! The keys of one row, as the walks through trees read them.
//!
//! A window is a slice of keys whose length depends only on its kind. Every column that a node can name is inside, so that no walk has
//! to check it. The window may extend past the keys of the row; no node uses those keys.

use super::key::Key;

/// A kind of window, as the code for a walk is compiled for it.
pub(super) trait Window {
    /// The keys.
    type Keys<'a, K: Key>: Copy;

    /// Returns the window at the start of `keys`, which is at least as long as [`WindowKind::length`].
    fn new<K: Key>(keys: &[K]) -> Self::Keys<'_, K>;

    /// Returns the key of a column, or any key of the window if no column has that number.
    fn get<K: Key>(keys: Self::Keys<'_, K>, column: u32) -> K;
}

/// For at most 256 columns. The fastest: the instruction that loads the number of the column also limits it.
pub(super) enum Narrow {}
/// For at most 4,096 columns.
pub(super) enum Wide {}
/// For any number of columns.
pub(super) enum Masked {}

impl Window for Narrow {
    type Keys<'a, K: Key> = &'a [K; 256];

    #[inline(always)]
    fn new<K: Key>(keys: &[K]) -> &[K; 256] {
        &keys.as_chunks().0[0]
    }

    #[inline(always)]
    fn get<K: Key>(keys: &[K; 256], column: u32) -> K {
        keys[usize::from(column as u8)]
    }
}

impl Window for Wide {
    type Keys<'a, K: Key> = &'a [K; 4096];

    #[inline(always)]
    fn new<K: Key>(keys: &[K]) -> &[K; 4096] {
        &keys.as_chunks().0[0]
    }

    #[inline(always)]
    fn get<K: Key>(keys: &[K; 4096], column: u32) -> K {
        keys[column as usize % 4096]
    }
}

impl Window for Masked {
    type Keys<'a, K: Key> = &'a [K];

    #[inline(always)]
    fn new<K: Key>(keys: &[K]) -> &[K] {
        keys
    }

    #[inline(always)]
    fn get<K: Key>(keys: &[K], column: u32) -> K {
        // The length is a power of two.
        keys[column as usize & (keys.len() - 1)]
    }
}

/// The kind of window for a number of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WindowKind {
    /// [`Narrow`]
    Narrow,
    /// [`Wide`]
    Wide,
    /// [`Masked`]
    Masked,
}

impl WindowKind {
    /// Returns the fastest kind for a number of columns.
    pub(super) fn new(columns: usize) -> Self {
        match columns {
            0..=256 => Self::Narrow,
            257..=4096 => Self::Wide,
            _ => Self::Masked,
        }
    }

    /// Returns the length of a window in keys.
    pub(super) fn length(self, columns: usize) -> usize {
        match self {
            Self::Narrow => 256,
            Self::Wide => 4096,
            Self::Masked => columns.next_power_of_two(),
        }
    }
}
