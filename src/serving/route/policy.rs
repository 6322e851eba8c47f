//! The traffic policy of one model, checked from what an operator wrote.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::raw::{RawHeaderRule, RawPolicy, check_target, quoted};
use super::rendezvous::Rendezvous;
use super::shadow::{Fallback, Shadow, check_shadows};
use super::split::{Split, add_repeated};
use crate::error::InputFaults;
use crate::ident::{ModelName, RawTarget, Share, Target};

/// A checked policy. Immutable: an edit creates a new policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    split: Split,
    header_rules: Vec<HeaderRule>,
    sticky_header: Option<HeaderName>,
    salt: String,
    rendezvous: Rendezvous,
    shadows: Vec<Shadow>,
    fallback: Option<Fallback>,
}

impl Policy {
    /// Most header rules of a policy.
    pub const MOST_RULES: usize = 64;
    /// Longest salt, in bytes.
    pub const LONGEST_SALT: usize = 128;

    /// Creates the policy of `model` that `raw` describes.
    ///
    /// # Errors
    /// Returns every fault, by the field names of `taper.v1.TrafficPolicy`: `split[1].basis_points`,
    /// `header_rules[0].header`.
    pub fn check(raw: RawPolicy, model: &ModelName) -> Result<Self, InputFaults> {
        let mut faults = InputFaults::default();
        let split = check_split(&raw.split, &mut faults);
        let header_rules = check_rules(&raw.header_rules, &mut faults);
        let sticky_header = match raw.sticky_header.as_str() {
            "" => None,
            name => check_header("sticky_header".into(), name, &mut faults),
        };
        if raw.salt.len() > Self::LONGEST_SALT {
            let got = format!("{} bytes", raw.salt.len());
            faults.add("salt", got, "at most 128 bytes");
        }
        let shadows = check_shadows(&raw.shadows, &mut faults);
        let fallback = raw.fallback.as_ref();
        let fallback = fallback.and_then(|fallback| Fallback::check(fallback, &mut faults));
        // Without a split there is a fault, so this error is never empty.
        let (Some(split), true) = (split, faults.is_empty()) else {
            return Err(faults);
        };
        let salt = match raw.salt.as_str() {
            "" => model.as_str(),
            salt => salt,
        };
        let rendezvous = Rendezvous::new(split.rows(), salt.as_bytes());
        Ok(Self {
            split,
            header_rules,
            sticky_header,
            salt: raw.salt,
            rendezvous,
            shadows,
            fallback,
        })
    }

    /// Returns the policy as the operator wrote it.
    #[must_use]
    pub fn to_raw(&self) -> RawPolicy {
        RawPolicy {
            split: self
                .split
                .rows()
                .iter()
                .map(|(target, share)| (target.into(), share.basis_points()))
                .collect(),
            header_rules: self.header_rules.iter().map(HeaderRule::to_raw).collect(),
            sticky_header: self
                .sticky_header
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            salt: self.salt.clone(),
            shadows: self.shadows.iter().map(Shadow::to_raw).collect(),
            fallback: self.fallback.as_ref().map(Fallback::to_raw),
        }
    }

    /// Returns the split.
    #[must_use]
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Returns the header rules, in their order.
    #[must_use]
    pub fn header_rules(&self) -> &[HeaderRule] {
        &self.header_rules
    }

    /// Returns the header whose value is the sticky key of requests without a routing key.
    #[must_use]
    pub fn sticky_header(&self) -> Option<&HeaderName> {
        self.sticky_header.as_ref()
    }

    /// Returns the salt as the operator wrote it. If it is empty, the name of the model takes its place.
    #[must_use]
    pub fn salt(&self) -> &str {
        &self.salt
    }

    /// Returns the hash that assigns sticky keys to the rows of [`split`](Self::split).
    #[must_use]
    pub fn rendezvous(&self) -> &Rendezvous {
        &self.rendezvous
    }

    /// Returns the shadows, in the order given.
    #[must_use]
    pub fn shadows(&self) -> &[Shadow] {
        &self.shadows
    }

    /// Returns the fallback.
    #[must_use]
    pub fn fallback(&self) -> Option<&Fallback> {
        self.fallback.as_ref()
    }

    /// Returns every target that the policy names, each once: those of the split in its order, of any share, then of the header
    /// rules, the shadows and the fallback.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let split = self.split.rows().iter().map(|(target, _)| target);
        let rules = self.header_rules.iter().map(HeaderRule::target);
        let shadows = self.shadows.iter().map(Shadow::target);
        let fallback = self.fallback.iter().map(Fallback::target);
        let mut targets: Vec<Target> = Vec::with_capacity(self.split.rows().len());
        // At most 137 targets.
        for target in split.chain(rules).chain(shadows).chain(fallback) {
            if !targets.contains(target) {
                targets.push(target.clone());
            }
        }
        targets
    }
}

/// Sends requests with one header value to one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    header: HeaderName,
    value: HeaderValue,
    target: Target,
}

impl HeaderRule {
    /// Longest value, in bytes.
    pub const LONGEST_VALUE: usize = 256;

    /// Returns the version or label that answers.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns whether one of the values of the rule's header is the value of the rule.
    #[must_use]
    pub fn matches(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(&self.header)
            .iter()
            .any(|value| *value == self.value)
    }

    fn to_raw(&self) -> RawHeaderRule {
        RawHeaderRule {
            header: self.header.to_string(),
            value: String::from_utf8_lossy(self.value.as_bytes()).into_owned(),
            target: (&self.target).into(),
        }
    }
}

/// Returns `None` exactly if it adds to `faults`.
fn check_split(raw: &[(RawTarget, u32)], faults: &mut InputFaults) -> Option<Split> {
    // A list that is too long is one fault, whatever its rows contain.
    let raw = &raw[..raw.len().min(Split::MOST + 1)];
    let mut rows = Vec::with_capacity(raw.len());
    for (at, (target, points)) in raw.iter().enumerate() {
        let target = check_target(target, format_args!("split[{at}]"), faults);
        let share = Share::try_from(*points)
            .map_err(|e| faults.add(format!("split[{at}].basis_points"), e.got, e.wanted));
        if let (Some(target), Ok(share)) = (target, share) {
            rows.push((target, share));
        }
    }
    if rows.len() == raw.len() {
        return Split::check(rows, faults);
    }
    // With faulty rows the sum of the shares means nothing. A repeated target is a fault whatever its share.
    let targets: Vec<_> = raw.iter().map(|(target, _)| target.clone()).collect();
    add_repeated(&targets, faults);
    None
}

fn check_rules(raw: &[RawHeaderRule], faults: &mut InputFaults) -> Vec<HeaderRule> {
    if raw.len() > Policy::MOST_RULES {
        let got = format!("{} rules", raw.len());
        faults.add("header_rules", got, "at most 64 rules");
        return Vec::new();
    }
    let mut rules = Vec::with_capacity(raw.len());
    for (at, rule) in raw.iter().enumerate() {
        let header = check_header(format!("header_rules[{at}].header"), &rule.header, faults);
        let value = check_value(format!("header_rules[{at}].value"), &rule.value, faults);
        let row = format_args!("header_rules[{at}]");
        let target = check_target(&rule.target, row, faults);
        if let Some(first) = raw[..at]
            .iter()
            .position(|earlier| (&earlier.header, &earlier.value) == (&rule.header, &rule.value))
        {
            faults.add(
                format!("header_rules[{at}]"),
                format!("the header and value of header_rules[{first}], which always wins"),
                "each header and value once",
            );
        }
        if let (Some(header), Some(value), Some(target)) = (header, value, target) {
            rules.push(HeaderRule {
                header,
                value,
                target,
            });
        }
    }
    rules
}

fn check_header(field: String, raw: &str, faults: &mut InputFaults) -> Option<HeaderName> {
    const WANTED: &str = "the lower-case name of a text header that a gRPC client may set: not grpc-*, *-bin, te or \
                          content-type";
    // The gRPC library owns these, and the values of `-bin` headers are not text.
    let reserved =
        raw.starts_with("grpc-") || raw.ends_with("-bin") || matches!(raw, "te" | "content-type");
    match HeaderName::from_lowercase(raw.as_bytes()) {
        Ok(name) if !reserved => Some(name),
        _ => {
            faults.add(field, quoted(raw), WANTED);
            None
        }
    }
}

fn check_value(field: String, raw: &str, faults: &mut InputFaults) -> Option<HeaderValue> {
    let fits = (1..=HeaderRule::LONGEST_VALUE).contains(&raw.len())
        && raw.bytes().all(|b| b.is_ascii_graphic());
    match HeaderValue::from_str(raw) {
        Ok(value) if fits => Some(value),
        _ => {
            faults.add(field, quoted(raw), "1 to 256 visible ASCII characters");
            None
        }
    }
}
