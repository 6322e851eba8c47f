//! When another version answers in the place of the one that was chosen. Pure.

use std::time::Duration;

use crate::error::{ForwardError, PredictError};
use crate::insight::metrics::FallbackReason;

/// How long the chosen version gets, where the policy gives it `within` and the caller waits for `left` more: never more
/// than half of that, so that the other half is left for the fallback. `None`: as long as it takes.
pub(super) fn patience(within: Option<Duration>, left: Option<Duration>) -> Option<Duration> {
    [within, left.map(|left| left / 2)]
        .into_iter()
        .flatten()
        .min()
}

/// Why the fallback is to answer; `None` where it is not, because the fault is the caller's or nobody waits any more.
pub(super) fn reason(error: &PredictError, left: Option<Duration>) -> Option<FallbackReason> {
    if left.is_some_and(|left| left.is_zero()) {
        return None;
    }
    match error {
        PredictError::Forward { source, .. } => Some(match source {
            ForwardError::Failed(_) => FallbackReason::Error,
            ForwardError::Panicked(_) => FallbackReason::Panic,
            ForwardError::NotFinite { .. } => FallbackReason::NotFinite,
        }),
        PredictError::DeadlineExceeded => Some(FallbackReason::Timeout),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::InputFaults;

    #[test]
    fn the_fallback_always_has_half_of_what_is_left() {
        let ms = Duration::from_millis;
        for (within, left, want) in [
            (None, None, None),
            (Some(50), None, Some(50)),
            (None, Some(60), Some(30)),
            (Some(50), Some(60), Some(30)),
            (Some(50), Some(600), Some(50)),
            (Some(50), Some(0), Some(0)),
        ] {
            let got = patience(within.map(ms), left.map(ms));
            assert_eq!(got, want.map(ms), "within {within:?}, left {left:?}");
        }
    }

    #[test]
    fn only_what_the_version_did_is_a_reason() {
        let error = PredictError::DeadlineExceeded;
        assert_eq!(reason(&error, None), Some(FallbackReason::Timeout));
        let left = Some(Duration::ZERO);
        assert_eq!(reason(&error, left), None, "nobody waits any more");
        let input = PredictError::InvalidInput(InputFaults::one("rows", "x", "y"));
        assert_eq!(reason(&input, None), None, "the caller's fault");
    }
}
