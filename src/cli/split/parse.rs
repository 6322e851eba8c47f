//! The arguments of `taper split set`, and the policy that they result in. Pure functions.

use std::str::FromStr;

use crate::client::message;
use crate::client::v1::{HeaderRule, TrafficPolicy};
use crate::ident::{InvalidIdent, Share, Target};

/// A row of a split, `TARGET=SHARE`, such as `1=95%`, `2=0.5%` or `canary=500bp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct TargetShare {
    pub(in crate::cli) target: Target,
    pub(in crate::cli) share: Share,
}

impl TargetShare {
    const WANTED: &'static str =
        "TARGET=SHARE, the share in per cent (1=95%, canary=0.25%) or basis points (2=500bp)";
}

impl FromStr for TargetShare {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, InvalidIdent> {
        let invalid = || InvalidIdent {
            got: format!("{raw:?}"),
            wanted: Self::WANTED,
        };
        let (target, share) = raw.split_once('=').ok_or_else(invalid)?;
        let points = if let Some(per_cent) = share.strip_suffix('%') {
            hundredths(per_cent)
        } else if let Some(points) = share.strip_suffix("bp") {
            digits(points)
        } else {
            None
        };
        Ok(Self {
            target: target.parse()?,
            share: Share::try_from(points.ok_or_else(invalid)?)?,
        })
    }
}

/// Parses a percentage into basis points: `95` is 9500, `0.5` is 50. Works on digits, because a float would turn 0.29 per cent into 28
/// basis points.
fn hundredths(per_cent: &str) -> Option<u32> {
    let (whole, fraction) = per_cent.split_once('.').unwrap_or((per_cent, "0"));
    let fraction = match fraction.len() {
        1 => digits(fraction)?.checked_mul(10)?,
        2 => digits(fraction)?,
        _ => return None,
    };
    digits(whole)?.checked_mul(100)?.checked_add(fraction)
}

fn digits(raw: &str) -> Option<u32> {
    let plain = !raw.is_empty() && raw.bytes().all(|b| b.is_ascii_digit());
    if plain { raw.parse().ok() } else { None }
}

/// A header rule `HEADER=VALUE:TARGET`, such as `x-cohort=beta:2` or `x-cohort=beta:canary`. The value may contain colons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    header: String,
    value: String,
    target: Target,
}

impl FromStr for Rule {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, InvalidIdent> {
        let parts = raw.split_once('=').and_then(|(header, rest)| {
            let (value, target) = rest.rsplit_once(':')?;
            Some((header, value, target))
        });
        let Some((header, value, target)) = parts else {
            return Err(InvalidIdent {
                got: format!("{raw:?}"),
                wanted: "HEADER=VALUE:TARGET, such as x-cohort=beta:2 or x-cohort=beta:canary",
            });
        };
        Ok(Self {
            header: header.to_ascii_lowercase(),
            value: value.to_owned(),
            target: target.parse()?,
        })
    }
}

/// What to change in a policy. What is not set stays as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct PolicyEdit {
    pub(super) shares: Vec<TargetShare>,
    pub(super) rules: Vec<Rule>,
    pub(super) clear_rules: bool,
    pub(super) sticky_header: Option<String>,
    pub(super) salt: Option<String>,
}

impl PolicyEdit {
    /// Returns the policy after this edit. A rule replaces an existing rule for the same header and value; a new rule comes last.
    ///
    /// # Errors
    /// Returns an error if the shares do not add up to 100%.
    pub(super) fn apply_to(self, before: TrafficPolicy) -> Result<TrafficPolicy, String> {
        let points = |share: &TargetShare| u64::from(share.share.basis_points());
        let sum: u64 = self.shares.iter().map(points).sum();
        if sum != u64::from(Share::FULL.basis_points()) {
            return Err(format!(
                "the shares add up to {}%, wants 100%",
                sum as f64 / 100.0
            ));
        }
        let split = self.shares.iter();
        let split = split.map(|one| message::share(&one.target, one.share.basis_points()));
        let mut header_rules = if self.clear_rules {
            Vec::new()
        } else {
            before.header_rules
        };
        for rule in self.rules {
            let rule = message::header_rule(rule.header, rule.value, &rule.target);
            let same = |old: &&mut HeaderRule| old.header == rule.header && old.value == rule.value;
            match header_rules.iter_mut().find(same) {
                Some(old) => *old = rule,
                None => header_rules.push(rule),
            }
        }
        Ok(TrafficPolicy {
            split: split.collect(),
            header_rules,
            sticky_header: self.sticky_header.unwrap_or(before.sticky_header),
            salt: self.salt.unwrap_or(before.salt),
            ..before
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(raw: &[&str]) -> Vec<TargetShare> {
        raw.iter().map(|raw| raw.parse().unwrap()).collect()
    }

    #[test]
    fn shares_are_parsed_to_the_basis_point() {
        for (raw, points) in [
            ("1=95%", Some(9_500)),
            ("1=0.5%", Some(50)),
            ("1=0.29%", Some(29)),
            ("1=99.99%", Some(9_999)),
            ("1=500bp", Some(500)),
            ("1=0%", Some(0)),
            ("1=100%", Some(10_000)),
            ("1=100.01%", None),
            ("1=0.005%", None),
            ("1=.5%", None),
            ("1=5", None),
            ("1=-5%", None),
            ("1=+5bp", None),
            ("1=%", None),
            ("1=99999999999%", None),
            ("canary=5%", Some(500)),
            ("01=5%", None),
            ("a b=5%", None),
            ("5%", None),
        ] {
            let got = raw.parse::<TargetShare>().ok();
            assert_eq!(got.map(|one| one.share.basis_points()), points, "{raw}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_because_it_could_mean_either_unit() {
        insta::assert_snapshot!("2=5".parse::<TargetShare>().unwrap_err(), @r#"got "2=5", wants TARGET=SHARE, the share in per cent (1=95%, canary=0.25%) or basis points (2=500bp)"#);
    }

    #[test]
    fn a_rule_keeps_the_colons_of_its_value() {
        let rule: Rule = "X-Who=a:b=c:2".parse().unwrap();
        assert_eq!(
            (&*rule.header, &*rule.value, rule.target.to_string()),
            ("x-who", "a:b=c", "2".to_owned())
        );
        let rule: Rule = "x-who=a:canary".parse().unwrap();
        assert_eq!(rule.target, Target::Label("canary".parse().unwrap()));
        for raw in ["x-who", "x-who=a", "x-who=a:", "x-who=a:02"] {
            assert!(raw.parse::<Rule>().is_err(), "{raw}");
        }
    }

    #[test]
    fn shares_must_add_up() {
        let edit = PolicyEdit {
            shares: shares(&["1=95%", "2=4.5%"]),
            ..PolicyEdit::default()
        };
        let error = edit.apply_to(TrafficPolicy::default()).unwrap_err();
        assert_eq!(error, "the shares add up to 99.5%, wants 100%");
    }

    #[test]
    fn everything_that_is_not_given_stays() {
        let rule = |value: &str, target: &str| {
            message::header_rule("x-cohort".into(), value.into(), &target.parse().unwrap())
        };
        let before = TrafficPolicy {
            split: vec![message::share(&"1".parse().unwrap(), 10_000)],
            header_rules: vec![rule("beta", "1"), rule("gamma", "1")],
            sticky_header: "x-user".into(),
            salt: "s".into(),
            shadows: vec![message::shadow(&"3".parse().unwrap(), 10_000)],
            fallback: Some(message::fallback(&"1".parse().unwrap(), None)),
        };
        let edit = PolicyEdit {
            shares: shares(&["1=50%", "2=50%"]),
            rules: vec![
                "x-cohort=beta:2".parse().unwrap(),
                "x-cohort=delta:canary".parse().unwrap(),
            ],
            salt: Some("t".into()),
            ..PolicyEdit::default()
        };
        let after = edit.clone().apply_to(before.clone()).unwrap();
        assert_eq!(
            after.header_rules,
            [
                rule("beta", "2"),
                rule("gamma", "1"),
                rule("delta", "canary")
            ]
        );
        assert_eq!((&*after.sticky_header, &*after.salt), ("x-user", "t"));
        assert_eq!(after.shadows, before.shadows);
        assert_eq!(after.fallback, before.fallback);
        let cleared = PolicyEdit {
            clear_rules: true,
            ..edit
        }
        .apply_to(before)
        .unwrap();
        assert_eq!(
            cleared.header_rules,
            [rule("beta", "2"), rule("delta", "canary")]
        );
    }
}
