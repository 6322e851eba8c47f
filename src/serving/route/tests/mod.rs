//! The documented properties of routing, one by one.

mod check;
mod draw;
mod order;
mod shadow;
mod sticky;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::ident::{ModelName, RawTarget, Target};

fn v(number: u64) -> Target {
    Target::Version(number.try_into().unwrap())
}

fn label(text: &str) -> Target {
    Target::Label(text.parse().unwrap())
}

fn rows(raw: &[(u64, u32)]) -> Vec<(Target, Share)> {
    raw.iter()
        .map(|(version, points)| (v(*version), Share::try_from(*points).unwrap()))
        .collect()
}

/// Returns a row of a split as an operator writes it.
fn row(target: impl Into<RawTarget>, points: u32) -> (RawTarget, u32) {
    (target.into(), points)
}

fn split_of(raw: &[(u64, u32)]) -> Split {
    Split::new(rows(raw)).unwrap()
}

fn model() -> ModelName {
    "flight-delay".parse().unwrap()
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

/// Returns four standard deviations of the count of `n` trials with probability `p`: a correct program passes 99.99 times in
/// 100, a wrong one fails with every seed.
fn four_sigma(n: u32, p: f64) -> f64 {
    4.0 * (f64::from(n) * p * (1.0 - p)).sqrt()
}

/// Generates a version or a label.
fn any_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (1_u64..20).prop_map(v),
        "[a-z][a-z0-9.-]{0,11}".prop_map(|text| label(&text)),
    ]
}

/// Generates a split of 1 to 8 targets. Some shares may be zero.
fn any_split() -> impl Strategy<Value = Split> {
    (
        prop::collection::btree_set(any_target(), 1..=8),
        prop::collection::vec(0_u32..=10_000, 7),
    )
        .prop_map(|(targets, mut edges)| {
            edges.truncate(targets.len() - 1);
            edges.sort_unstable();
            edges.push(10_000);
            let mut start = 0;
            let rows = targets.into_iter().zip(edges).map(|(target, end)| {
                let points = end - start;
                start = end;
                (target, Share::try_from(points).unwrap())
            });
            Split::new(rows.collect::<Vec<_>>()).unwrap()
        })
}
