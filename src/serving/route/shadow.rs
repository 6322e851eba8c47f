//! Shadows and the fallback: the parts of a policy that no request can choose.

use std::time::Duration;

use super::raw::{RawFallback, RawShadow, check_target};
use super::split::add_repeated_in;
use crate::error::InputFaults;
use crate::ident::{Share, Target};

/// A version that gets copies of a share of the traffic. Checked and immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    target: Target,
    share: Share,
    deadline_ms: u32,
    max_queue: u32,
    max_concurrent: u32,
}

impl Shadow {
    /// Most shadows of a policy.
    pub const MOST: usize = 8;
    /// Most copies that may be scored at one time.
    pub const MOST_CONCURRENT: u32 = 16;
    /// Most copies that may wait.
    pub const LONGEST_QUEUE: u32 = 4_096;
    /// Longest deadline of a copy, in milliseconds.
    pub const LONGEST_DEADLINE_MS: u32 = 60_000;

    /// Returns the version or label that gets the copies.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the share of the traffic that is copied; never zero.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// Returns how long after the answer of the primary a copy is still scored.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.into())
    }

    /// Returns how many copies may wait; at least 1.
    #[must_use]
    pub fn max_queue(&self) -> usize {
        self.max_queue as usize
    }

    /// Returns how many copies may be scored at one time: 1 to [`MOST_CONCURRENT`](Self::MOST_CONCURRENT).
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

/// Returns the checked shadows, and adds the faults of the list to `faults`.
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
        let target = check_target(&one.target, format_args!("shadows[{at}]"), faults);
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

/// The version that answers if the version that the policy chose cannot. Checked and immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    target: Target,
    within_ms: Option<u32>,
}

impl Fallback {
    /// Longest time that the other versions may have to answer, in milliseconds.
    pub const LONGEST_WITHIN_MS: u32 = 60_000;

    /// Returns the version or label that answers.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns how long the other versions have to answer. `None`: as long as the client's deadline leaves time for the
    /// fallback.
    #[must_use]
    pub fn within(&self) -> Option<Duration> {
        self.within_ms
            .map(|within| Duration::from_millis(within.into()))
    }

    /// Returns the checked fallback. Returns `None` exactly if it adds to `faults`.
    pub(super) fn check(raw: &RawFallback, faults: &mut InputFaults) -> Option<Self> {
        let target = check_target(&raw.target, format_args!("fallback"), faults);
        let most = Self::LONGEST_WITHIN_MS;
        let out_of_range = raw.within_ms.filter(|within| !(1..=most).contains(within));
        if let Some(got) = out_of_range {
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

/// The shadows that get a copy of one request, by their index in the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies(u8);

impl Copies {
    /// Returns whether no shadow gets a copy.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns their indices, ascending.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..Shadow::MOST).filter(move |at| self.0 >> at & 1 == 1)
    }
}

/// Decides which shadows get a copy of one request.
///
/// A shadow gets the requests whose point in `0..10_000` lies below its share. So each gets exactly its basis points, and the
/// requests of a shadow with a smaller share are a subset of those of one with a larger share, which makes the two comparable.
/// `draw` returns the point; it is called only if a share is less than everything.
pub fn copies(shadows: &[Shadow], draw: impl FnOnce() -> u32) -> Copies {
    let mut chosen = 0;
    let partial = shadows.iter().any(|shadow| shadow.share != Share::FULL);
    let point = if partial { draw() } else { 0 };
    for (at, shadow) in shadows.iter().enumerate().take(Shadow::MOST) {
        chosen |= u8::from(point < shadow.share.basis_points()) << at;
    }
    Copies(chosen)
}
