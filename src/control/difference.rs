//! What one change changes, by field, in words that people and programs can read.

use std::collections::{BTreeMap, BTreeSet};

use super::wanted::Wanted;
use crate::ident::{Share, VersionNumber};
use crate::serving::route::{RawFallback, RawHeaderRule, RawPolicy, RawShadow, RawTarget};

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `split[canary]`, `header_rules[team=blue]`, `shadows[3]`, `fallback`, `sticky_header`, `salt`, `labels.stable`, `loaded`, `unloaded`.
    pub field: String,
    /// What it was; empty: nothing.
    pub before: String,
    /// What it is; empty: nothing.
    pub after: String,
}

/// Everything that differs between two wishes, by field. Whether a change waits to be confirmed is told elsewhere.
#[must_use]
pub fn differences(before: &Wanted, after: &Wanted) -> Vec<Difference> {
    let [old, new] = [before, after].map(|wanted| {
        let mut fields = BTreeMap::new();
        let policy = wanted.policy.clone().unwrap_or_else(|| RawPolicy {
            split: vec![(
                RawTarget::Label("latest".into()),
                Share::FULL.basis_points(),
            )],
            ..RawPolicy::default()
        });
        for (target, points) in &policy.split {
            let share = Share::try_from(*points)
                .map_or_else(|_| points.to_string(), |share| share.to_string());
            fields.insert(format!("split[{}]", name(target)), share);
        }
        for (
            at,
            RawHeaderRule {
                header,
                value,
                target,
            },
        ) in policy.header_rules.iter().enumerate()
        {
            // The place counts too: the first match wins.
            fields.insert(
                format!("header_rules[{at}]"),
                format!("{header}={value} to {}", name(target)),
            );
        }
        for shadow in &policy.shadows {
            let field = format!("shadows[{}]", name(&shadow.target));
            fields.insert(field, shadow_text(shadow));
        }
        if let Some(RawFallback { target, within_ms }) = &policy.fallback {
            let within = within_ms.map_or_else(String::new, |ms| format!(" within {ms} ms"));
            fields.insert("fallback".to_owned(), name(target) + &within);
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
        fields.insert("loaded".into(), list(&wanted.load));
        fields.insert("unloaded".into(), list(&wanted.unload));
        fields
    });
    let fields: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    fields
        .into_iter()
        .filter_map(|field| {
            let [before, after] =
                [&old, &new].map(|side| side.get(field).cloned().unwrap_or_default());
            (before != after).then(|| Difference {
                field: field.clone(),
                before,
                after,
            })
        })
        .collect()
}

fn shadow_text(shadow: &RawShadow) -> String {
    let points = shadow.basis_points;
    let share =
        Share::try_from(points).map_or_else(|_| points.to_string(), |share| share.to_string());
    format!(
        "{share}, deadline {} ms, queue {}, concurrent {}",
        shadow.deadline_ms, shadow.max_queue, shadow.max_concurrent
    )
}

fn name(target: &RawTarget) -> String {
    match target {
        RawTarget::Version(version) => version.to_string(),
        RawTarget::Label(label) => label.clone(),
        RawTarget::None => String::new(),
    }
}

fn list(versions: &BTreeSet<VersionNumber>) -> String {
    let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
    versions.join(", ")
}
