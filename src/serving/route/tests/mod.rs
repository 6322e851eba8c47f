//! What routing promises, claim by claim.

mod check;
mod draw;
mod order;
mod sticky;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::ident::ModelName;

fn v(number: u64) -> VersionNumber {
    number.try_into().unwrap()
}

fn rows(raw: &[(u64, u32)]) -> Vec<(VersionNumber, Share)> {
    raw.iter()
        .map(|(version, points)| (v(*version), Share::try_from(*points).unwrap()))
        .collect()
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

/// Four standard deviations of the count of `n` trials with chance `p`: a right program passes 99.99 times in 100, a
/// wrong one fails at every seed.
fn four_sigma(n: u32, p: f64) -> f64 {
    4.0 * (f64::from(n) * p * (1.0 - p)).sqrt()
}

/// 1 to 8 versions with shares that add up, zero shares among them.
fn any_split() -> impl Strategy<Value = Split> {
    (
        prop::collection::btree_set(1_u64..20, 1..=8),
        prop::collection::vec(0_u32..=10_000, 7),
    )
        .prop_map(|(versions, mut edges)| {
            edges.truncate(versions.len() - 1);
            edges.sort_unstable();
            edges.push(10_000);
            let mut start = 0;
            let rows = versions.into_iter().zip(edges).map(|(version, end)| {
                let points = end - start;
                start = end;
                (v(version), Share::try_from(points).unwrap())
            });
            Split::new(rows.collect::<Vec<_>>()).unwrap()
        })
}
