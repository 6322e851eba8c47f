//! Sums over time: of the last hour, and since the version was loaded.
//!
//! The hour consists of [`SLICES`] slices of [`SLICE`] each, so it reaches back between 55 minutes and an hour. A slice that is used
//! for a new time is cleared and keeps its memory.

use std::time::Duration;

use super::quality::Sums;

/// The length of one slice.
const SLICE: Duration = Duration::from_secs(300);
/// The number of slices in the hour.
const SLICES: usize = 12;
/// The longest that the hour reaches back.
pub const HOUR: Duration = Duration::from_secs(SLICE.as_secs() * SLICES as u64);

/// The rows of one version in one role that have an outcome.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    slices: [(u64, Sums); SLICES],
    all: Sums,
}

/// The contents of both windows at one moment.
#[derive(Clone, Debug)]
pub struct WindowSums {
    /// Rows whose outcome was reported in the last hour.
    pub hour: Sums,
    /// All rows with an outcome.
    pub all: Sums,
}

impl Windows {
    /// Calls `add` with the sums of each window that contains the time `at`, counted since the version was loaded.
    pub(super) fn add(&mut self, at: Duration, add: impl Fn(&mut Sums)) {
        let number = slice_number(at);
        let (held, slice) = &mut self.slices[slice_place(number)];
        if *held != number {
            slice.clear();
            *held = number;
        }
        add(slice);
        add(&mut self.all);
    }

    /// Returns the contents of the windows at `now`.
    pub(super) fn read(&self, now: Duration) -> WindowSums {
        let mut hour = Sums::default();
        let now = slice_number(now);
        for (held, slice) in &self.slices {
            if held + SLICES as u64 > now {
                hour.merge(slice);
            }
        }
        let all = self.all.clone();
        WindowSums { hour, all }
    }
}

/// Returns the number of the slice that contains the time `at`.
fn slice_number(at: Duration) -> u64 {
    at.as_secs() / SLICE.as_secs()
}

/// Returns the index in the ring of the slice with this number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the remainder is below the number of slices"
)]
fn slice_place(number: u64) -> usize {
    (number % SLICES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_leave_the_hour_but_not_the_total() {
        let mut windows = Windows::default();
        for minute in 0..120 {
            let at = Duration::from_secs(minute * 60);
            windows.add(at, |sums| sums.add_value(1.0, 0.0));
            let read = windows.read(at);
            assert_eq!(read.all.rows(), minute + 1);
            let hour = read.hour.rows();
            let most = (minute + 1).min(60);
            assert!(
                (most.saturating_sub(4)..=most).contains(&hour),
                "{hour} after {minute} minutes"
            );
        }
        let later = windows.read(Duration::from_secs(4 * 3600));
        assert_eq!(
            (later.hour.rows(), later.all.rows()),
            (0, 120),
            "also without new rows"
        );
        let next = Duration::from_secs(5 * 3600);
        windows.add(next, |sums| sums.add_value(1.0, 0.0));
        assert_eq!(windows.read(next).hour.rows(), 1, "the slice was cleared");
    }
}
