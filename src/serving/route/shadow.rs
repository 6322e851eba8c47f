//! Who gets copies of requests, and who answers in another's place: the two parts of a policy that no caller chooses.

use std::time::Duration;

use super::raw::{RawFallback, RawShadow};
use super::split::add_repeated_in;
use crate::error::InputFaults;
use crate::ident::{Share, Target};

/// A version that gets copies of a share of the traffic. Checked; never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    target: Target,
    share: Share,
    deadline_ms: u32,
    max_queue: u32,
    max_concurrent: u32,
}

impl Shadow {
    /// How many shadows a policy may have.
    pub const MOST: usize = 8;
    /// How many copies may be computed at one time.
    pub const MOST_CONCURRENT: u32 = 16;
    /// How many copies may wait.
    pub const LONGEST_QUEUE: u32 = 4_096;
    /// How long a copy may be worth something, in milliseconds.
    pub const LONGEST_DEADLINE_MS: u32 = 60_000;

    /// Who gets the copies.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Of the traffic; never zero.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// How long after the primary answered a copy is worth nothing any more.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }

    /// How many copies may wait; at least 1.
    #[must_use]
    pub fn max_queue(&self) -> usize {
        self.max_queue as usize
    }

    /// How many copies may be computed at one time: 1 to [`MOST_CONCURRENT`](Self::MOST_CONCURRENT).
    #[must_use]
    pub fn max_concurrent(&self) -> usize {
        self.max_concurrent as usize
    }

    pub(super) fn to_raw(&self) -> RawShadow {
        RawShadow {
            target: (&self.target).into(),
            basis_points: self.share.basis_points(),
            deadline_ms: self.deadline_ms,
            max_queue: self.max_queue,
            max_concurrent: self.max_concurrent,
        }
    }
}

/// Checks the list; whatever is wrong with it goes to `faults`.
pub(super) fn check_shadows(raw: &[RawShadow], faults: &mut InputFaults) -> Vec<Shadow> {
    if raw.len() > Shadow::MOST {
        let got = format!("{} shadows", raw.len());
        faults.add("shadows", got, "at most 8 shadows");
        return Vec::new();
    }
    let targets: Vec<_> = raw.iter().map(|shadow| shadow.target.clone()).collect();
    add_repeated_in("shadows", &targets, faults);
    let mut shadows = Vec::with_capacity(raw.len());
    for (at, one) in raw.iter().enumerate() {
        let target = one.target.check(format_args!("shadows[{at}]"), faults);
        for (field, got, most) in [
            ("basis_points", one.basis_points, Share::FULL.basis_points()),
            ("deadline_ms", one.deadline_ms, Shadow::LONGEST_DEADLINE_MS),
            ("max_queue", one.max_queue, Shadow::LONGEST_QUEUE),
            (
                "max_concurrent",
                one.max_concurrent,
                Shadow::MOST_CONCURRENT,
            ),
        ] {
            if !(1..=most).contains(&got) {
                let field = format!("shadows[{at}].{field}");
                faults.add(field, got.to_string(), format!("1 to {most}"));
            }
        }
        if let (Some(target), Ok(share)) = (target, Share::try_from(one.basis_points)) {
            shadows.push(Shadow {
                target,
                share,
                deadline_ms: one.deadline_ms,
                max_queue: one.max_queue,
                max_concurrent: one.max_concurrent,
            });
        }
    }
    shadows
}

/// The version that answers where another one, which the policy chose, cannot. Checked; never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    target: Target,
    within_ms: Option<u32>,
}

impl Fallback {
    /// How long the others may get to answer, in milliseconds.
    pub const LONGEST_WITHIN_MS: u32 = 60_000;

    /// Who answers.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How long the others get to answer. `None`: as long as the caller's deadline leaves time for the fallback.
    #[must_use]
    pub fn within(&self) -> Option<Duration> {
        self.within_ms
            .map(|within| Duration::from_millis(within.into()))
    }

    /// `None` exactly where something was added to `faults`.
    pub(super) fn check(raw: &RawFallback, faults: &mut InputFaults) -> Option<Self> {
        let target = raw.target.check(format_args!("fallback"), faults);
        let most = Self::LONGEST_WITHIN_MS;
        let wrong = raw.within_ms.filter(|within| !(1..=most).contains(within));
        if let Some(got) = wrong {
            let wanted = format!("1 to {most}, or none");
            faults.add("fallback.within_ms", got.to_string(), wanted);
            return None;
        }
        target.map(|target| Self {
            target,
            within_ms: raw.within_ms,
        })
    }

    pub(super) fn to_raw(&self) -> RawFallback {
        RawFallback {
            target: (&self.target).into(),
            within_ms: self.within_ms,
        }
    }
}

/// Which shadows get a copy of one request, by their place in the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies(u8);

impl Copies {
    /// Whether no shadow gets one.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their places, ascending.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..Shadow::MOST).filter(move |at| self.0 >> at & 1 == 1)
    }
}

/// Decides for one request. Every shadow gets the requests whose point in `0..10_000` lies below its share, so each gets
/// exactly its basis points, and a shadow with a smaller share sees requests that one with a larger share sees too, which
/// makes the two comparable. `draw` is called only where a share is not everything.
pub fn copies(shadows: &[Shadow], draw: impl FnOnce() -> u32) -> Copies {
    let mut chosen = 0;
    let partial = shadows.iter().any(|shadow| shadow.share != Share::FULL);
    let point = if partial { draw() } else { 0 };
    for (at, shadow) in shadows.iter().enumerate().take(Shadow::MOST) {
        chosen |= u8::from(point < shadow.share.basis_points()) << at;
    }
    Copies(chosen)
}
