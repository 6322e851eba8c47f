//! The split of a policy, checked to add up.

use super::raw::{quoted_target, target_field};
use crate::error::InputFaults;
use crate::ident::{RawTarget, Share, Target};

/// Targets with their shares of the traffic: 1 to 64 rows, each version and each label once, with shares that add up to exactly
/// 10,000 basis points. Two labels may name one version, which then gets the shares of both rows. Immutable: an edit creates a
/// new split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    rows: Vec<(Target, Share)>,
    /// The end of each row if all rows are laid end to end over 10,000 points. The first row starts at 0.
    ends: Vec<u32>,
}

impl Split {
    /// Most rows of a split.
    pub const MOST: usize = 64;

    /// Creates a split of these rows, in their order.
    ///
    /// # Errors
    /// Returns every row whose target an earlier row has (`split[1].version`, `split[1].label`); too few or too many rows, or
    /// a wrong sum (`split`).
    pub fn new(rows: impl IntoIterator<Item = (Target, Share)>) -> Result<Self, InputFaults> {
        let mut faults = InputFaults::default();
        Self::check(rows, &mut faults).ok_or(faults)
    }

    /// Creates a split as [`new`](Self::new) does, and adds its faults to those of other fields. Returns `None` exactly if it
    /// adds to `faults`.
    pub(super) fn check(
        rows: impl IntoIterator<Item = (Target, Share)>,
        faults: &mut InputFaults,
    ) -> Option<Self> {
        // One row more than allowed shows that there are too many.
        let rows: Vec<_> = rows.into_iter().take(Self::MOST + 1).collect();
        let got = match rows.len() {
            0 => Some("no rows"),
            1..=Self::MOST => None,
            _ => Some("more than 64 rows"),
        };
        if let Some(got) = got {
            faults.add("split", got, "1 to 64 rows");
            return None;
        }
        let targets: Vec<_> = rows.iter().map(|(target, _)| target.into()).collect();
        let repeated = add_repeated(&targets, faults);
        let sum: u32 = rows.iter().map(|(_, share)| share.basis_points()).sum();
        if sum != Share::FULL.basis_points() {
            let got = format!("shares that add up to {sum} basis points");
            faults.add("split", got, "exactly 10000");
            return None;
        }
        let ends = rows.iter().scan(0, |end, (_, share)| {
            *end += share.basis_points();
            Some(*end)
        });
        let ends = ends.collect();
        (!repeated).then_some(Self { rows, ends })
    }

    /// Returns the rows, in the order given.
    #[must_use]
    pub fn rows(&self) -> &[(Target, Share)] {
        &self.rows
    }

    /// Returns the row that `point` in `0..10_000` falls on if the rows are laid end to end in their order. Each row gets exactly
    /// as many points as it has basis points. A point past the end counts as the last one.
    #[must_use]
    pub fn draw(&self, point: u32) -> usize {
        let point = point.min(Share::FULL.basis_points() - 1);
        self.ends.partition_point(|end| *end <= point)
    }
}

/// Adds a fault for every row of the split whose target an earlier row has. Returns whether there is one. Quadratic, for at
/// most 65 rows.
pub(super) fn add_repeated(targets: &[RawTarget], faults: &mut InputFaults) -> bool {
    add_repeated_in("split", targets, faults)
}

/// Adds a fault for every row of `list` whose target an earlier row has. Returns whether there is one.
pub(super) fn add_repeated_in(list: &str, targets: &[RawTarget], faults: &mut InputFaults) -> bool {
    let mut repeated = false;
    for (at, target) in targets.iter().enumerate() {
        // A row without a target has its own fault already.
        if *target == RawTarget::None {
            continue;
        }
        if let Some(first) = targets[..at].iter().position(|earlier| earlier == target) {
            repeated = true;
            faults.add(
                format!("{list}[{at}].{}", target_field(target)),
                format!("{}, as in {list}[{first}]", quoted_target(target)),
                format!("each {} once", target_field(target)),
            );
        }
    }
    repeated
}
