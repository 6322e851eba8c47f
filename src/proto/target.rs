//! Conversions between the `target` oneofs of `taper.v1` and the domain types.

use super::v1;
use crate::ident::{RawTarget, Target};

/// Implements the conversions for messages of which each has a `target` oneof in the module of the same name.
macro_rules! convert_targets {
    ($($message:ident in $module:ident),*) => { $(
        impl From<&Target> for v1::$module::Target {
            fn from(target: &Target) -> Self {
                match target {
                    Target::Version(version) => Self::Version(version.get()),
                    Target::Label(label) => Self::Label(label.to_string()),
                }
            }
        }

        impl From<RawTarget> for Option<v1::$module::Target> {
            fn from(target: RawTarget) -> Self {
                match target {
                    RawTarget::Version(version) => Some(v1::$module::Target::Version(version)),
                    RawTarget::Label(label) => Some(v1::$module::Target::Label(label)),
                    RawTarget::None => None,
                }
            }
        }

        impl From<Option<v1::$module::Target>> for RawTarget {
            fn from(target: Option<v1::$module::Target>) -> Self {
                match target {
                    Some(v1::$module::Target::Version(version)) => Self::Version(version),
                    Some(v1::$module::Target::Label(label)) => Self::Label(label),
                    None => Self::None,
                }
            }
        }

        impl v1::$message {
            /// Returns the target; none if the message has none, or one that no gateway accepts.
            #[must_use]
            pub fn valid_target(&self) -> Option<Target> {
                RawTarget::from(self.target.clone()).check().ok()?
            }
        }
    )* };
}

convert_targets!(
    Share in share,
    HeaderRule in header_rule,
    Shadow in shadow,
    Fallback in fallback
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_unchanged_after_a_round_trip_through_every_message() {
        for text in ["2", "canary"] {
            let target: Target = text.parse().unwrap();
            let share = v1::Share {
                target: Some((&target).into()),
                ..Default::default()
            };
            let rule = v1::HeaderRule {
                target: Some((&target).into()),
                ..Default::default()
            };
            let shadow = v1::Shadow {
                target: Some((&target).into()),
                ..Default::default()
            };
            let fallback = v1::Fallback {
                target: Some((&target).into()),
                ..Default::default()
            };
            for back in [
                share.valid_target(),
                rule.valid_target(),
                shadow.valid_target(),
                fallback.valid_target(),
            ] {
                assert_eq!(back.as_ref(), Some(&target));
            }
        }
    }

    #[test]
    fn an_invalid_target_is_none() {
        let share = |target| v1::Share {
            target,
            ..Default::default()
        };
        assert_eq!(share(None).valid_target(), None);
        let zero = Some(v1::share::Target::Version(0));
        assert_eq!(share(zero).valid_target(), None);
    }
}
