//! Reports the cells of a request while they are encoded, for statistics.

/// The content of one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observed {
    /// A number, as received.
    Number(f64),
    /// A number outside the range, which was moved to this end of it.
    Clipped(f64),
    /// A known category, by its index in the manifest.
    Category(usize),
    /// An unknown category.
    Unknown,
    /// A missing value; its replacement was used.
    Missing,
    /// A value that is checked but not used.
    Unused,
}

/// Receives every cell that was encoded, in no particular order, including cells of a batch that is rejected in the end.
/// An input of several values per row has as many cells.
pub trait Observe {
    /// Receives one cell. `input` is the index of the input in the signature. Called once per cell, so it should be fast.
    fn cell(&mut self, input: usize, content: Observed);
}

/// Ignores all cells.
impl Observe for () {
    #[inline]
    fn cell(&mut self, _: usize, _: Observed) {}
}
