//! Decides which row of a policy answers a request.
//!
//! A [`Policy`] is checked once, when an operator sets it; after that [`route`] cannot fail. The order is: header rules, of
//! which the first match wins; the sticky key; a random draw. Everything here is a pure function of the policy, the request
//! and a number, so tests choose the number; [`random_point`] and [`random_bits`] are the only randomness of serving. Rows
//! name versions or labels; which version a label names makes no difference here.
//!
//! Invariants:
//! - A draw is exact to the basis point over the 10,000 points.
//! - A key gets the same row on every machine and in every build, while salt and shares stay the same ([`Rendezvous`]
//!   documents the computation).
//! - A row with share 0 gets no requests.
//!
//! Not here: pins, which take precedence over the policy; which versions labels name ([`live`](super::live)); whether a version
//! is ready ([`control`](crate::control) refuses a policy that needs one that is not); how copies are scored
//! ([`shadow`](super::shadow)).

mod policy;
mod raw;
mod rendezvous;
mod shadow;
mod split;

#[cfg(test)]
mod tests;

use http::HeaderMap;
use rand::RngExt;

use crate::ident::Share;

pub use policy::{HeaderRule, Policy};
pub use raw::{RawFallback, RawHeaderRule, RawPolicy, RawShadow};
pub use rendezvous::Rendezvous;
pub use shadow::{Copies, Fallback, Shadow, copies};
pub use split::Split;

/// The row or rule that answers a request, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first header rule that the request matches, by its index.
    HeaderRule(usize),
    /// The row of the split that the sticky key belongs to, by its index.
    Sticky(usize),
    /// The row of the split that the random point fell on, by its index.
    Drawn(usize),
}

/// Decides which row or rule answers a request without a pin.
///
/// `key` is the routing key of the request. If it is empty, the value of the policy's sticky header takes its place, if there
/// is one. `draw` returns a point in `0..10_000`; it is called only if neither a rule nor a key decides.
pub fn route(
    policy: &Policy,
    headers: &HeaderMap,
    key: &[u8],
    draw: impl FnOnce() -> u32,
) -> Choice {
    let rules = policy.header_rules();
    if let Some(rule) = rules.iter().position(|rule| rule.matches(headers)) {
        return Choice::HeaderRule(rule);
    }
    let key = match policy.sticky_header() {
        Some(name) if key.is_empty() => headers.get(name).map_or(key, |value| value.as_bytes()),
        _ => key,
    };
    if key.is_empty() {
        Choice::Drawn(policy.split().draw(draw()))
    } else {
        Choice::Sticky(policy.rendezvous().pick(key))
    }
}

/// Returns a point in `0..10_000` for [`route`]. All points are equally likely.
#[must_use]
pub fn random_point() -> u32 {
    rand::rng().random_range(0..Share::FULL.basis_points())
}

/// Returns 128 unpredictable random bits, for response ids.
#[must_use]
pub fn random_bits() -> u128 {
    rand::random()
}
