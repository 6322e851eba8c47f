//! Differences between two desired states, by field, readable for people and programs.

use std::collections::{BTreeMap, BTreeSet};

use super::wanted::Wanted;
use crate::ident::{Share, VersionNumber};
use crate::serving::route::{RawFallback, RawHeaderRule, RawShadow};

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `split[canary]`, `header_rules[0]`, `shadows[3]`, `fallback`, `sticky_header`, `salt`, `labels.stable`, `labels.latest` (where
    /// the policy names that label), `accepted[2]`, `loaded`, `unloaded`.
    pub field: String,
    /// Value before; empty: none.
    pub before: String,
    /// Value after; empty: none.
    pub after: String,
}

/// Returns all fields that differ, sorted by name. A pending confirmation is not among them.
#[must_use]
pub fn differences(before: &Wanted, after: &Wanted) -> Vec<Difference> {
    let [old, new] = [before, after].map(fields);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let [before, after] =
                [&old, &new].map(|fields| fields.get(name).cloned().unwrap_or_default());
            (before != after).then(|| Difference {
                field: name.clone(),
                before,
                after,
            })
        })
        .collect()
}

/// Returns the fields of a desired state and their values.
fn fields(wanted: &Wanted) -> BTreeMap<String, String> {
    let policy = wanted.policy.clone().unwrap_or_default();
    let mut fields = BTreeMap::new();
    for (target, points) in &policy.split {
        fields.insert(format!("split[{target}]"), share_text(*points));
    }
    for (index, rule) in policy.header_rules.iter().enumerate() {
        let RawHeaderRule {
            header,
            value,
            target,
        } = rule;
        // The index is part of the name, because the first match wins.
        fields.insert(
            format!("header_rules[{index}]"),
            format!("{header}={value} to {target}"),
        );
    }
    for shadow in &policy.shadows {
        let field = format!("shadows[{}]", shadow.target);
        fields.insert(field, shadow_text(shadow));
    }
    if let Some(RawFallback { target, within_ms }) = &policy.fallback {
        let within = within_ms.map_or_else(String::new, |ms| format!(" within {ms} ms"));
        fields.insert("fallback".to_owned(), target.to_string() + &within);
    }
    for (field, text) in [
        ("sticky_header", policy.sticky_header),
        ("salt", policy.salt),
    ] {
        fields.insert(field.to_owned(), text);
    }
    for (label, version) in &wanted.labels {
        fields.insert(format!("labels.{label}"), version.to_string());
    }
    if let Some(latest) = wanted.latest {
        fields.insert("labels.latest".to_owned(), latest.version.to_string());
    }
    for (version, accepted) in &wanted.accepted {
        let field = format!("accepted[{version}]");
        fields.insert(field, format!("sha256 {}", accepted.is));
    }
    fields.insert("loaded".into(), list(&wanted.load));
    fields.insert("unloaded".into(), list(&wanted.unload));
    fields
}

fn share_text(points: u32) -> String {
    Share::try_from(points).map_or_else(|_| points.to_string(), |share| share.to_string())
}

fn shadow_text(shadow: &RawShadow) -> String {
    format!(
        "{}, deadline {} ms, queue {}, concurrent {}",
        share_text(shadow.basis_points),
        shadow.deadline_ms,
        shadow.max_queue,
        shadow.max_concurrent
    )
}

fn list(versions: &BTreeSet<VersionNumber>) -> String {
    let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
    versions.join(", ")
}

#[cfg(test)]
mod tests;
