//! What encoding tells of the cells that it has read, for whoever counts them.

/// What one cell of an input held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observed {
    /// The number as the caller sent it.
    Number(f64),
    /// The nearest end of the range, to which a number outside was moved.
    Clipped(f64),
    /// A known category, by its place in the manifest.
    Category(usize),
    /// A category that the manifest does not have.
    Unknown,
    /// Nothing; what stands in for it was used.
    Missing,
    /// A value that is checked and not used.
    Unused,
}

/// Is told of every cell that could be encoded, in no particular order; also of those of a batch that is refused in the end.
/// An input of several values a row has as many cells. Called once a cell, so it should do little.
pub trait Observe {
    /// Input number `input` of the signature held this.
    fn cell(&mut self, input: usize, held: Observed);
}

/// Nobody looks.
impl Observe for () {
    #[inline]
    fn cell(&mut self, _: usize, _: Observed) {}
}
