//! An ensemble of decision trees as a reader finds it in a file, before it is validated.
//!
//! This is the one form that the readers of all formats produce. [`Forest::new`](super::Forest::new) validates it and lays it out for
//! fast scoring.

/// An ensemble of decision trees. All numbers are exact copies of the numbers in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Values per row.
    pub inputs: usize,
    /// Sums per row, at least 1.
    pub outputs: usize,
    /// The initial value of each sum: one per output.
    pub base: Vec<f64>,
    /// Each sum of leaves, without its base, is divided by this: 1 for boosting, the number of iterations for a forest that averages.
    pub divisor: f64,
    /// The trees, in the order in which their leaves are added.
    pub trees: Vec<Tree>,
}

/// One tree. Node 0 is the root; each other node has exactly one parent.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The nodes, in any order.
    pub nodes: Vec<Node>,
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A row goes to `yes` if `test` holds for its value of `input`, otherwise to `no`.
    Split {
        /// Index of the value in the row.
        input: u32,
        /// The condition.
        test: Test,
        /// How a missing value, NaN, is treated.
        missing: Missing,
        /// Index of the node for rows that satisfy the condition.
        yes: u32,
        /// Index of the node for rows that do not.
        no: u32,
    },
    /// Ends the path of a row.
    Leaf(Leaf),
}

/// The condition of a split on a value `x` that is not missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `x < threshold`
    Less(f64),
    /// `x <= threshold`
    LessOrEqual(f64),
    /// `x > threshold`
    Greater(f64),
    /// `x >= threshold`
    GreaterOrEqual(f64),
    /// `x == threshold`
    Equal(f64),
    /// `x != threshold`
    NotEqual(f64),
    /// `x`, truncated to an integer, is one of these category codes. Each below 2^24. A negative value, and a value past the last code,
    /// is not among them; `-0.5` is 0 if `truncates_first`, and negative otherwise.
    In {
        /// The codes, ascending, each once.
        codes: Vec<u32>,
        /// LightGBM truncates first, XGBoost looks at the sign first.
        truncates_first: bool,
    },
    /// `x` equals one of these numbers exactly (one mode of ONNX `TreeEnsemble`).
    Among(Vec<f64>),
}

/// How a split treats a missing value, which is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The row goes to `yes`.
    Yes,
    /// The row goes to `no`.
    No,
    /// NaN is compared as 0 (LightGBM, missing type None, numeric splits).
    AsZero,
    /// NaN and every `x` with `|x| <= 1.0000000180025095e-35` go to `yes` (LightGBM, missing type Zero, default left).
    ZeroYes,
    /// NaN and every such `x` go to `no` (LightGBM, missing type Zero, default right).
    ZeroNo,
}

/// The values that a leaf adds.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// Adds `value` to the sum of `output`.
    One {
        /// Index of the sum.
        output: u32,
        /// The value.
        value: f64,
    },
    /// Adds each value to the sum of its output. Outputs occur in any order.
    Many(Vec<(u32, f64)>),
    /// Adds `constant` and `coefficient * x` of each term to the sum of `output`, added up in that order; `if_missing` instead if
    /// any of those `x` is NaN (LightGBM linear trees).
    Linear {
        /// Index of the sum.
        output: u32,
        /// The constant term.
        constant: f64,
        /// Index of the value in the row, and its coefficient.
        terms: Vec<(u32, f64)>,
        /// Added instead if a value is missing.
        if_missing: f64,
    },
}
