//! Which flights are sent, how fast, and when the split moves. Pure functions.

/// Flights in a replay with `--once`.
const ONCE: usize = 2_000;
/// Seconds until the split moves in an endless replay.
const SECONDS_BEFORE_MOVE: usize = 20;

/// What a replay does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Flights to send; `None` for no end.
    pub(super) most: Option<usize>,
    /// Distance between two flights that are sent. With `--once`, the replay is a sample of the whole half-year.
    pub(super) stride: usize,
    /// The split moves before this flight.
    pub(super) move_before: usize,
    /// Flights per second, at least 1.
    pub(super) per_second: u32,
}

impl Plan {
    /// The labels and the versions that they name.
    pub(super) const LABELS: [(&str, u64); 2] = [("stable", 1), ("canary", 2)];
    /// The versions that get copies of all requests.
    pub(super) const SHADOWS: [u64; 2] = [3, 4];
    /// Shares of the labels in basis points before the move.
    pub(super) const CAREFUL: [(&str, u32); 2] = [("stable", 9_500), ("canary", 500)];
    /// Shares of the labels in basis points after the move.
    pub(super) const EVEN: [(&str, u32); 2] = [("stable", 5_000), ("canary", 5_000)];

    /// Returns the plan for this number of flights: a bounded replay if `once`, an endless one otherwise.
    pub(super) fn new(once: bool, per_second: Option<u32>, flights: usize) -> Self {
        if once {
            let most = ONCE.min(flights);
            return Self {
                most: Some(most),
                stride: (flights / ONCE).max(1),
                move_before: most / 2,
                per_second: per_second.unwrap_or(1_000),
            };
        }
        let per_second = per_second.unwrap_or(500);
        Self {
            most: None,
            stride: 1,
            move_before: per_second as usize * SECONDS_BEFORE_MOVE,
            per_second,
        }
    }

    /// Returns whether another flight is sent after `sent` flights.
    pub(super) fn has(&self, sent: usize) -> bool {
        self.most.is_none_or(|most| sent < most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_replay_samples_the_whole_half_year_and_moves_half_way() {
        let plan = Plan::new(true, None, 24_000);
        assert_eq!(
            (plan.most, plan.stride, plan.move_before),
            (Some(2_000), 12, 1_000)
        );
        assert!(plan.has(1_999) && !plan.has(2_000));
        let few = Plan::new(true, Some(7), 10);
        assert_eq!((few.most, few.stride, few.move_before), (Some(10), 1, 5));
        assert_eq!(few.per_second, 7);
    }

    #[test]
    fn an_endless_replay_sends_every_flight() {
        let plan = Plan::new(false, Some(100), 24_000);
        assert_eq!(
            (plan.stride, plan.move_before),
            (1, 2_000),
            "20 seconds at 100 per second"
        );
        assert!(plan.has(usize::MAX));
    }

    #[test]
    fn both_splits_add_up() {
        for split in [Plan::CAREFUL, Plan::EVEN] {
            assert_eq!(split.iter().map(|(_, points)| points).sum::<u32>(), 10_000);
        }
    }
}
