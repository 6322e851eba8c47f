//! The time slices of each window, and which of them a window contains. Pure arithmetic on ticks of [`TICK`] since the version
//! was loaded.

use std::time::Duration;

use super::layout::Layout;
use super::summary::Summary;

/// The length of the shortest slice.
pub const TICK: Duration = Duration::from_secs(10);

/// A stretch of time that ends now. It consists of whole slices and the current one, so it is up to one slice shorter than its
/// name says, and never longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// A minute, in slices of 10 seconds.
    Minute,
    /// Five minutes, in slices of a minute.
    FiveMinutes,
    /// An hour, in slices of ten minutes.
    Hour,
    /// Everything since the version was loaded.
    SinceLoad,
}

impl Window {
    /// All windows, the shortest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::FiveMinutes, Self::Hour, Self::SinceLoad];

    /// Returns the ticks per slice and the number of slices; `None` for the window that reaches back to the beginning.
    fn slices(self) -> Option<(u64, u64)> {
        match self {
            Self::Minute => Some((1, 6)),
            Self::FiveMinutes => Some((6, 5)),
            Self::Hour => Some((60, 6)),
            Self::SinceLoad => None,
        }
    }

    /// Returns the first tick of the window whose last tick is `now`.
    pub(super) fn begin(self, now: u64) -> u64 {
        self.slices().map_or(0, |(ticks, slices)| {
            (now / ticks + 1).saturating_sub(slices) * ticks
        })
    }
}

/// One slot of a ring.
#[derive(Debug)]
struct Slice {
    /// The number of the slice since the beginning. A newer slice that takes the same slot clears the older one.
    number: u64,
    summary: Summary,
}

/// The observations of one version in one role: a ring of slices for each window. Each observation is added to one slot of each
/// ring.
#[derive(Debug)]
pub(super) struct History {
    rings: [Vec<Slice>; 3],
    all: Summary,
}

/// The number of summaries in a history.
pub(super) const SUMMARIES: usize = 6 + 5 + 6 + 1;

impl History {
    pub(super) fn new(layout: &Layout) -> Self {
        let ring = |window: Window| {
            let (_, slices) = window.slices().unwrap_or_default();
            let slice = |number| Slice {
                number,
                summary: Summary::empty(layout),
            };
            (0..slices).map(slice).collect()
        };
        Self {
            rings: [Window::Minute, Window::FiveMinutes, Window::Hour].map(ring),
            all: Summary::empty(layout),
        }
    }

    /// Adds what was observed in `tick` to each window that still contains that tick.
    pub(super) fn add(&mut self, tick: u64, observed: &Summary) {
        self.all.merge(observed);
        for (ring, window) in self.rings.iter_mut().zip(Window::ALL) {
            let Some((ticks, slices)) = window.slices() else {
                continue;
            };
            let number = tick / ticks;
            let at = usize::try_from(number % slices).unwrap_or_default();
            let slice = &mut ring[at];
            if slice.number < number {
                slice.summary.clear();
                slice.number = number;
            }
            if slice.number == number {
                slice.summary.merge(observed);
            }
        }
    }

    /// Adds to `sum` the contents of `window` that ends with tick `now`.
    pub(super) fn sum(&self, window: Window, now: u64, sum: &mut Summary) {
        let Some((ticks, slices)) = window.slices() else {
            return sum.merge(&self.all);
        };
        let last = now / ticks;
        let ring = match window {
            Window::Minute => &self.rings[0],
            Window::FiveMinutes => &self.rings[1],
            Window::Hour | Window::SinceLoad => &self.rings[2],
        };
        for slice in ring.iter().filter(|slice| slice.number + slices > last) {
            sum.merge(&slice.summary);
        }
    }

    /// Returns everything since the beginning.
    pub(super) fn all(&self) -> &Summary {
        &self.all
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let slices = self.rings.iter().flatten();
        let bytes = slices.map(|slice| size_of::<Slice>() + slice.summary.heap_bytes());
        bytes.sum::<usize>() + self.all.heap_bytes()
    }
}
