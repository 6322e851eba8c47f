//! What `taper split set` is told, and the policy that it makes of it. Pure.

use std::str::FromStr;

use crate::ident::{InvalidIdent, Share, VersionNumber};
use crate::proto::v1::{self, HeaderRule, TrafficPolicy};

/// `VERSION=SHARE`, such as `1=95%`, `2=0.5%` or `2=500bp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VersionShare {
    pub(super) version: VersionNumber,
    pub(super) share: Share,
}

impl VersionShare {
    const WANTED: &'static str =
        "VERSION=SHARE, the share in per cent (1=95%, 2=0.25%) or basis points (2=500bp)";
}

impl FromStr for VersionShare {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, InvalidIdent> {
        let wrong = || InvalidIdent {
            got: format!("{raw:?}"),
            wanted: Self::WANTED,
        };
        let (version, share) = raw.split_once('=').ok_or_else(wrong)?;
        let points = if let Some(per_cent) = share.strip_suffix('%') {
            hundredths(per_cent)
        } else if let Some(points) = share.strip_suffix("bp") {
            digits(points)
        } else {
            None
        };
        Ok(Self {
            version: version.parse()?,
            share: Share::try_from(points.ok_or_else(wrong)?)?,
        })
    }
}

/// `95` is 9500, `0.5` is 50. Read digit by digit: a float would make 0.29 per cent into 28 basis points.
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

/// `HEADER=VALUE:VERSION`, such as `x-cohort=beta:2`. The value may hold colons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    header: String,
    value: String,
    version: VersionNumber,
}

impl FromStr for Rule {
    type Err = InvalidIdent;

    fn from_str(raw: &str) -> Result<Self, InvalidIdent> {
        let parts = raw.split_once('=').and_then(|(header, rest)| {
            let (value, version) = rest.rsplit_once(':')?;
            Some((header, value, version))
        });
        let Some((header, value, version)) = parts else {
            return Err(InvalidIdent {
                got: format!("{raw:?}"),
                wanted: "HEADER=VALUE:VERSION, such as x-cohort=beta:2",
            });
        };
        Ok(Self {
            header: header.to_ascii_lowercase(),
            value: value.to_owned(),
            version: version.parse()?,
        })
    }
}

/// What is to change. Left out means: stays as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) shares: Vec<VersionShare>,
    pub(super) rules: Vec<Rule>,
    pub(super) clear_rules: bool,
    pub(super) sticky_header: Option<String>,
    pub(super) salt: Option<String>,
}

impl Wish {
    /// The policy in force after this wish. A rule for a header and value that already have one takes its place;
    /// a new one comes last.
    ///
    /// # Errors
    /// Where the shares do not add up to 100%.
    pub(super) fn onto(self, before: TrafficPolicy) -> Result<TrafficPolicy, String> {
        let points = |share: &VersionShare| u64::from(share.share.basis_points());
        let sum: u64 = self.shares.iter().map(points).sum();
        if sum != u64::from(Share::FULL.basis_points()) {
            return Err(format!(
                "the shares add up to {}%, wants 100%",
                sum as f64 / 100.0
            ));
        }
        let split = self.shares.iter().map(|share| v1::Share {
            version: share.version.get(),
            basis_points: share.share.basis_points(),
        });
        let mut header_rules = if self.clear_rules {
            Vec::new()
        } else {
            before.header_rules
        };
        for rule in self.rules {
            let rule = HeaderRule {
                header: rule.header,
                value: rule.value,
                version: rule.version.get(),
            };
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(raw: &[&str]) -> Vec<VersionShare> {
        raw.iter().map(|raw| raw.parse().unwrap()).collect()
    }

    #[test]
    fn shares_are_read_to_the_basis_point() {
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
            ("01=5%", None),
            ("5%", None),
        ] {
            let got = raw.parse::<VersionShare>().ok();
            assert_eq!(got.map(|one| one.share.basis_points()), points, "{raw}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_because_it_could_mean_either_unit() {
        insta::assert_snapshot!("2=5".parse::<VersionShare>().unwrap_err(), @r#"got "2=5", wants VERSION=SHARE, the share in per cent (1=95%, 2=0.25%) or basis points (2=500bp)"#);
    }

    #[test]
    fn a_rule_keeps_the_colons_of_its_value() {
        let rule: Rule = "X-Who=a:b=c:2".parse().unwrap();
        assert_eq!(
            (&*rule.header, &*rule.value, rule.version.get()),
            ("x-who", "a:b=c", 2)
        );
        for raw in ["x-who", "x-who=a", "x-who=a:", "x-who=a:v2"] {
            assert!(raw.parse::<Rule>().is_err(), "{raw}");
        }
    }

    #[test]
    fn shares_must_add_up() {
        let wish = Wish {
            shares: shares(&["1=95%", "2=4.5%"]),
            ..Wish::default()
        };
        let refused = wish.onto(TrafficPolicy::default()).unwrap_err();
        assert_eq!(refused, "the shares add up to 99.5%, wants 100%");
    }

    #[test]
    fn what_is_not_named_stays() {
        let rule = |value: &str, version| HeaderRule {
            header: "x-cohort".into(),
            value: value.into(),
            version,
        };
        let before = TrafficPolicy {
            split: vec![v1::Share {
                version: 1,
                basis_points: 10_000,
            }],
            header_rules: vec![rule("beta", 1), rule("gamma", 1)],
            sticky_header: "x-user".into(),
            salt: "s".into(),
        };
        let wish = Wish {
            shares: shares(&["1=50%", "2=50%"]),
            rules: vec![
                "x-cohort=beta:2".parse().unwrap(),
                "x-cohort=delta:2".parse().unwrap(),
            ],
            salt: Some("t".into()),
            ..Wish::default()
        };
        let after = wish.clone().onto(before.clone()).unwrap();
        assert_eq!(
            after.header_rules,
            [rule("beta", 2), rule("gamma", 1), rule("delta", 2)]
        );
        assert_eq!((&*after.sticky_header, &*after.salt), ("x-user", "t"));
        let cleared = Wish {
            clear_rules: true,
            ..wish
        }
        .onto(before)
        .unwrap();
        assert_eq!(cleared.header_rules, [rule("beta", 2), rule("delta", 2)]);
    }
}
