//! The states of a version, from discovery to removal.

/// The state of a version. `admin.proto` explains each one for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// In the registry, and not loaded.
    Discovered,
    /// Its files are being read and its network is being built.
    Loading,
    /// It answers its golden requests.
    Verifying,
    /// It scores its first batches.
    Warming,
    /// It can answer.
    Ready,
    /// It receives no new request; its last requests finish.
    Draining,
    /// Its memory has been released.
    Retired,
    /// It was refused, with reasons.
    Failed,
}

impl State {
    /// All states, in the order of `state as usize`.
    pub const ALL: [Self; 8] = [
        Self::Discovered,
        Self::Loading,
        Self::Verifying,
        Self::Warming,
        Self::Ready,
        Self::Draining,
        Self::Retired,
        Self::Failed,
    ];

    /// All legal transitions. Any other transition is a bug in the gateway.
    pub const MOVES: [(Self, Self); 13] = [
        (Self::Discovered, Self::Loading),
        (Self::Loading, Self::Verifying),
        (Self::Loading, Self::Failed),
        (Self::Verifying, Self::Warming),
        (Self::Verifying, Self::Failed),
        (Self::Warming, Self::Ready),
        // Its signature does not match the other versions, which only shows beside them.
        (Self::Warming, Self::Failed),
        (Self::Ready, Self::Draining),
        (Self::Draining, Self::Retired),
        // It is wanted again.
        (Self::Retired, Self::Loading),
        // It is retried.
        (Self::Failed, Self::Loading),
        // Its folder was replaced, or it is no longer wanted.
        (Self::Failed, Self::Discovered),
        (Self::Retired, Self::Discovered),
    ];

    /// Returns whether a version may change from this state to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        Self::MOVES.contains(&(self, next))
    }

    /// Returns whether the version is on the loader's thread.
    #[must_use]
    pub fn is_loading(self) -> bool {
        matches!(self, Self::Loading | Self::Verifying | Self::Warming)
    }

    /// Returns the name of the state in messages and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "DISCOVERED",
            Self::Loading => "LOADING",
            Self::Verifying => "VERIFYING",
            Self::Warming => "WARMING",
            Self::Ready => "READY",
            Self::Draining => "DRAINING",
            Self::Retired => "RETIRED",
            Self::Failed => "FAILED",
        }
    }
}
