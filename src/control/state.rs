//! Where a version stands between being found and being forgotten.

/// The states of a version. What each means to an operator stands in `admin.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// In the registry, and not loaded.
    Discovered,
    /// Its files are being read and its network built.
    Loading,
    /// It answers its golden requests.
    Verifying,
    /// It scores its first batches.
    Warming,
    /// It can answer.
    Ready,
    /// No new request reaches it; its last ones finish.
    Draining,
    /// Its memory has been given back.
    Retired,
    /// Refused, with reasons.
    Failed,
}

impl State {
    /// All of them, in the order of `state as usize`.
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

    /// Every legal move. A version that moves otherwise is a fault in the gateway.
    pub const MOVES: [(Self, Self); 13] = [
        (Self::Discovered, Self::Loading),
        (Self::Loading, Self::Verifying),
        (Self::Loading, Self::Failed),
        (Self::Verifying, Self::Warming),
        (Self::Verifying, Self::Failed),
        (Self::Warming, Self::Ready),
        // Refused for what only shows beside the other versions: its signature.
        (Self::Warming, Self::Failed),
        (Self::Ready, Self::Draining),
        (Self::Draining, Self::Retired),
        // Wanted again.
        (Self::Retired, Self::Loading),
        // Tried again.
        (Self::Failed, Self::Loading),
        // Its folder was replaced, or it is no longer wanted.
        (Self::Failed, Self::Discovered),
        (Self::Retired, Self::Discovered),
    ];

    /// Whether a version may move from this state to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        Self::MOVES.contains(&(self, next))
    }

    /// Whether it is on the loader's thread.
    #[must_use]
    pub fn is_loading(self) -> bool {
        matches!(self, Self::Loading | Self::Verifying | Self::Warming)
    }

    /// The word for it, in messages and as the metric label.
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
