//! The rules for when a fallback answers in place of the chosen version. Pure functions.

use std::time::Duration;

use crate::error::{ForwardError, PredictError};
use crate::insight::metrics::FallbackReason;

/// Returns the time limit of the chosen version; `None`: no limit.
///
/// `within` is the limit that the policy sets, `time_left` the time that the client still waits. The limit is at most half of
/// that time, so that the fallback has the other half.
pub(super) fn time_limit(
    within: Option<Duration>,
    time_left: Option<Duration>,
) -> Option<Duration> {
    [within, time_left.map(|time_left| time_left / 2)]
        .into_iter()
        .flatten()
        .min()
}

/// Returns why the fallback answers; `None` if it does not, because the request is invalid or the client no longer waits.
pub(super) fn reason(error: &PredictError, time_left: Option<Duration>) -> Option<FallbackReason> {
    if time_left.is_some_and(|time_left| time_left.is_zero()) {
        return None;
    }
    match error {
        PredictError::Forward { source, .. } => Some(match source {
            ForwardError::Failed(_) | ForwardError::Unsuited(_) => FallbackReason::Error,
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
    fn the_fallback_always_has_half_of_the_time_left() {
        let ms = Duration::from_millis;
        for (within, time_left, want) in [
            (None, None, None),
            (Some(50), None, Some(50)),
            (None, Some(60), Some(30)),
            (Some(50), Some(60), Some(30)),
            (Some(50), Some(600), Some(50)),
            (Some(50), Some(0), Some(0)),
        ] {
            let got = time_limit(within.map(ms), time_left.map(ms));
            assert_eq!(
                got,
                want.map(ms),
                "within {within:?}, time left {time_left:?}"
            );
        }
    }

    #[test]
    fn only_a_fault_of_the_version_is_a_reason() {
        let error = PredictError::DeadlineExceeded;
        assert_eq!(reason(&error, None), Some(FallbackReason::Timeout));
        let time_left = Some(Duration::ZERO);
        assert_eq!(
            reason(&error, time_left),
            None,
            "the client no longer waits"
        );
        let input = PredictError::InvalidInput(InputFaults::one("rows", "x", "y"));
        assert_eq!(reason(&input, None), None, "the request is invalid");
    }
}
