//! The initial traffic policy of a model, as the configuration file describes it.

use std::path::Path;

use super::raw::RawModel;
use crate::faults::Faults;
use crate::ident::{ModelName, RawTarget, Target};
use crate::serving::route::{Policy, RawFallback, RawHeaderRule, RawPolicy, RawShadow};

/// Returns the policy, or `None` if the file has none or an invalid one. Its faults are added to `faults`.
pub(super) fn initial(
    raw: RawModel,
    model: &ModelName,
    file: &Path,
    path: &str,
    faults: &mut Faults,
) -> Option<RawPolicy> {
    let Some(shares) = raw.split else {
        if !raw.header_rules.is_empty()
            || !raw.sticky_header.is_empty()
            || !raw.salt.is_empty()
            || !raw.shadows.is_empty()
            || raw.fallback.is_some()
        {
            faults.add(
                file,
                format!("{path}.split"),
                "missing; the rest of the policy needs it",
            );
        }
        return None;
    };
    let mut split = Vec::with_capacity(shares.len());
    for (target, share) in shares {
        match target.parse::<Target>() {
            Ok(target) => split.push((RawTarget::from(&target), share)),
            Err(error) => faults.add(file, format!("{path}.split.{target}"), error.to_string()),
        }
    }
    // The map of the file is in the order of strings; versions belong in the order of numbers.
    split.sort_unstable();
    let mut header_rules = Vec::with_capacity(raw.header_rules.len());
    for (at, rule) in raw.header_rules.into_iter().enumerate() {
        let row = format!("{path}.header_rules[{at}]");
        let target = one(rule.version, rule.label, file, row, faults);
        header_rules.push(RawHeaderRule {
            header: rule.header,
            value: rule.value,
            target,
        });
    }
    let mut shadows = Vec::with_capacity(raw.shadows.len());
    for (at, shadow) in raw.shadows.into_iter().enumerate() {
        let row = format!("{path}.shadows[{at}]");
        let default = RawShadow::default();
        shadows.push(RawShadow {
            target: one(shadow.version, shadow.label, file, row, faults),
            basis_points: shadow.share,
            deadline_ms: shadow.deadline_ms.unwrap_or(default.deadline_ms),
            max_queue: shadow.max_queue.unwrap_or(default.max_queue),
            max_concurrent: shadow.max_concurrent.unwrap_or(default.max_concurrent),
        });
    }
    let fallback = raw.fallback.map(|fallback| RawFallback {
        target: one(
            fallback.version,
            fallback.label,
            file,
            format!("{path}.fallback"),
            faults,
        ),
        within_ms: fallback.within_ms,
    });
    let policy = RawPolicy {
        split,
        header_rules,
        sticky_header: raw.sticky_header,
        salt: raw.salt,
        shadows,
        fallback,
    };
    match Policy::check(policy.clone(), model) {
        Ok(_) => Some(policy),
        Err(wrong) => {
            for fault in wrong.iter() {
                let message = format!("got {}, wants {}", fault.got, fault.wanted);
                faults.add(file, format!("{path}.{}", fault.field), message);
            }
            None
        }
    }
}

/// Returns the version or the label. If both are missing, the check of the policy reports it.
fn one(
    version: Option<u64>,
    label: Option<String>,
    file: &Path,
    path: String,
    faults: &mut Faults,
) -> RawTarget {
    if version.is_some() && label.is_some() {
        faults.add(
            file,
            path,
            "got both `version` and `label`, wants one of them",
        );
    }
    let label = label.map(RawTarget::Label);
    version
        .map(RawTarget::Version)
        .or(label)
        .unwrap_or_default()
}
