//! Decides which row of a policy answers a request.
//!
//! A [`Policy`] is checked once, when an operator sets it; after that [`route`] cannot fail. The order is: header rules,
//! first match wins; the sticky key; a random draw. Everything here is a pure function of the policy, the request and a
//! number, so that tests choose the number; [`random_point`] and [`random_bits`] are the only randomness of serving. Rows
//! name versions or labels; which version a label names makes no difference here.
//!
//! What always holds: a draw is exact to the basis point over the 10,000 points; a key gets the same row on every
//! machine and in every build, for as long as salt and shares stay ([`Rendezvous`] says how it is computed); a row with
//! share 0 gets nothing.
//!
//! Not here: pins, which come before all of this; what labels name ([`live`](super::live)); whether a version is ready (a policy that needs one that is not ready
//! is refused by [`control`](crate::control)); how copies are scored ([`shadow`](super::shadow)).

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
pub use raw::{RawFallback, RawHeaderRule, RawPolicy, RawShadow, RawTarget};
pub use rendezvous::Rendezvous;
pub use shadow::{Copies, Fallback, Shadow, copies};
pub use split::Split;

/// Who answers, and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first header rule that the request matches, by its place.
    HeaderRule(usize),
    /// The row of the split that the sticky key belongs to.
    Sticky(usize),
    /// The row of the split that the random point fell on.
    Drawn(usize),
}

/// Decides for one request without a pin.
///
/// `key` is the routing key of the request; empty: the value of the policy's sticky header, if there is one. `draw`
/// gives a point in `0..10_000` and is called only where nothing else decides.
pub fn route(
    policy: &Policy,
    headers: &HeaderMap,
    key: &[u8],
    draw: impl FnOnce() -> u32,
) -> Choice {
    let rules = policy.header_rules();
    if let Some(at) = rules.iter().position(|rule| rule.matches(headers)) {
        return Choice::HeaderRule(at);
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

/// A point in `0..10_000`, each as likely as the others, for [`route`].
#[must_use]
pub fn random_point() -> u32 {
    rand::rng().random_range(0..Share::FULL.basis_points())
}

/// 128 random bits that nobody can foretell, for response ids.
#[must_use]
pub fn random_bits() -> u128 {
    rand::random()
}
