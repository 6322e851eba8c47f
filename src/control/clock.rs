//! The wall clock, passed as a value, so that tests choose the time.
//!
//! Intervals (retries, timeouts) are measured with `tokio::time::Instant`. The wall clock is read only for times that people
//! see and for times that must hold across a restart.

use std::fmt;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A wall clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the current time.
    fn now(&self) -> SystemTime;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// One moment, on the wall clock and on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: SystemTime,
    pub(super) monotonic: Instant,
}

impl Moment {
    /// Returns the current moment.
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: Instant::now(),
        }
    }
}

/// Converts a time to milliseconds since 1970; 0 for earlier times.
pub(super) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Converts milliseconds since 1970 to a time.
pub(super) fn from_unix_ms(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}
