//! What every verb that changes something takes, and how it shows what changed.
//!
//! Not here: limits of the terms. The gateway knows them, and names the field.

use std::time::Duration;

use prost_types::Timestamp;
use serde::Serialize;

use super::split::in_force;
use crate::client::{AdminPort, Failure};
use crate::proto::v1::{ChangeResponse, ChangeTerms, SetTrafficPolicyRequest, TrafficPolicy};
use crate::terminal::{output, table::table};

/// The terms of a change.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Change {
    /// Change nothing unless this revision of the model is in force.
    #[arg(long, value_name = "REVISION", alias = "expected-revision")]
    pub(super) expect: Option<u64>,
    /// Only show what would differ.
    #[arg(long)]
    dry_run: bool,
    /// Revert by itself after this time, 1s to 24h, unless `taper confirm` comes before: `90s`, `10m`, `2h`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    confirm_within: Option<Duration>,
    #[command(flatten)]
    who: Who,
}

/// What a verb that changes something takes beside what it is about.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Changing {
    #[command(flatten)]
    pub(super) change: Change,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) port: AdminPort,
}

impl Changing {
    /// Reads the policy of `model`, lets `edit` change it, sets it where nobody was faster, and shows what changed.
    ///
    /// # Errors
    /// The gateway does not answer or refuses, or stdout cannot be written.
    pub(super) async fn edit_policy(
        &self,
        model: String,
        edit: impl FnOnce(&mut TrafficPolicy),
    ) -> Result<(), Failure> {
        let before = in_force(&self.port, model.clone()).await?;
        let mut policy = before.policy.unwrap_or_default();
        edit(&mut policy);
        let request = self.port.patience.request(SetTrafficPolicyRequest {
            model: model.clone(),
            policy: Some(policy),
            terms: Some(ChangeTerms {
                expected_revision: Some(self.change.expect.unwrap_or(before.revision)),
                ..self.change.terms()
            }),
        });
        let mut client = self.port.connect().await?;
        let changed = self.port.answer(client.set_traffic_policy(request)).await?;
        self.tell(&model, &changed)
    }

    /// Shows what `response` of the gateway says about `model`.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub(super) fn tell(&self, model: &str, response: &ChangeResponse) -> Result<(), Failure> {
        self.tell_or(
            model,
            response,
            "nothing differs: this is how it was already",
        )
    }

    /// As [`tell`](Self::tell), with what to say in words where nothing differs.
    pub(super) fn tell_or(
        &self,
        model: &str,
        response: &ChangeResponse,
        same: &str,
    ) -> Result<(), Failure> {
        if self.json {
            return output::print_json(&Answer::from(response));
        }
        let flag = self.port.flag();
        output::print(&self.change.readable(&flag, model, response, same))
    }
}

/// Who makes a change, and why.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Who {
    /// Why, for the history and the audit log.
    #[arg(
        short = 'm',
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Who makes the change [default: $USER, or the address that it comes from].
    #[arg(long, value_name = "NAME", env = "TAPER_ACTOR")]
    actor: Option<String>,
}

impl Who {
    /// Terms that say only who and why.
    pub(super) fn terms(&self) -> ChangeTerms {
        let user = || std::env::var("USER").unwrap_or_default();
        ChangeTerms {
            actor: self.actor.clone().unwrap_or_else(user),
            reason: self.reason.clone(),
            ..ChangeTerms::default()
        }
    }
}

/// What a change did, as JSON has it.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    revision: u64,
    differences: Vec<Line<'a>>,
    confirm_by: Option<String>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    field: &'a str,
    before: &'a str,
    after: &'a str,
}

impl Change {
    /// The terms as the gateway takes them.
    pub(super) fn terms(&self) -> ChangeTerms {
        ChangeTerms {
            expected_revision: self.expect,
            dry_run: self.dry_run,
            // The parser keeps it within what a message can say.
            confirm_within: self.confirm_within.and_then(|time| time.try_into().ok()),
            ..self.who.terms()
        }
    }

    /// `flag` says where the gateway is, for a command that somebody is to type; `same` is told where nothing differs.
    fn readable(&self, flag: &str, model: &str, response: &ChangeResponse, same: &str) -> String {
        let mut text = format!("{model}   revision {}", response.revision);
        if response.differences.is_empty() {
            text.push_str(&format!("\n{same}"));
        } else {
            let or_none = |value: &str| if value.is_empty() { "-" } else { value }.to_owned();
            let rows = response
                .differences
                .iter()
                .map(|one| vec![one.field.clone(), or_none(&one.before), or_none(&one.after)]);
            text.push('\n');
            text.push_str(&table(&["field", "before", "after"], &[], rows));
        }
        text + &self.beside(flag, model, response)
    }

    /// What else there is to know about a change, a line each with an end of line before it.
    pub(super) fn beside(&self, flag: &str, model: &str, response: &ChangeResponse) -> String {
        let mut text = String::new();
        if self.dry_run {
            text.push_str("\ndry run: nothing was changed");
        }
        if let Some(by) = confirm_by(response) {
            text.push_str(&format!(
                "\nreverts by itself at {by}: keep it with `taper confirm --model {model}{flag}`"
            ));
        }
        text
    }
}

impl<'a> From<&'a ChangeResponse> for Answer<'a> {
    fn from(response: &'a ChangeResponse) -> Self {
        let differences = response.differences.iter().map(|one| Line {
            field: &one.field,
            before: &one.before,
            after: &one.after,
        });
        Self {
            revision: response.revision,
            differences: differences.collect(),
            confirm_by: confirm_by(response),
        }
    }
}

/// When a change reverts by itself.
pub(super) fn confirm_by(response: &ChangeResponse) -> Option<String> {
    response.confirm_by.as_ref().and_then(time)
}

/// RFC 3339, to the second; `None` only from a gateway that breaks its own rules.
pub(super) fn time(time: &Timestamp) -> Option<String> {
    let second = jiff::Timestamp::from_second(time.seconds).ok()?;
    Some(second.to_string())
}

/// `90s`, `10m`, `2h`.
fn duration(raw: &str) -> Result<Duration, String> {
    let wrong = || format!("got {raw:?}, wants a whole number and a unit: 90s, 10m, 2h");
    let units = [('s', 1), ('m', 60), ('h', 3_600)];
    let read = units.into_iter().find_map(|(unit, seconds)| {
        let number = raw.strip_suffix(unit)?;
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| number.parse::<u32>().ok()).flatten()?;
        Some(Duration::from_secs(u64::from(number) * seconds))
    });
    read.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::Difference;

    fn change(dry_run: bool) -> Change {
        Change {
            expect: None,
            dry_run,
            confirm_within: None,
            who: Who::default(),
        }
    }

    fn moved() -> ChangeResponse {
        ChangeResponse {
            revision: 7,
            differences: vec![Difference {
                field: "labels.stable".into(),
                before: String::new(),
                after: "2".into(),
            }],
            confirm_by: Some(Timestamp {
                seconds: 0,
                nanos: 250_000_000,
            }),
        }
    }

    #[test]
    fn durations_have_a_unit() {
        for (raw, seconds) in [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("2h", Some(7_200)),
            ("90", None),
            ("s", None),
            ("+1s", None),
            ("1.5h", None),
            ("9999999999s", None),
        ] {
            let got = duration(raw).ok().map(|time| time.as_secs());
            assert_eq!(got, seconds, "{raw}");
        }
    }

    #[test]
    fn a_change_shows_each_field_and_how_to_keep_it() {
        insta::assert_snapshot!(change(false).readable(" --address u", "m", &moved(), ""), @r"
        m   revision 7
        ┌───────────────┬────────┬───────┐
        │ field         ┆ before ┆ after │
        ╞═══════════════╪════════╪═══════╡
        │ labels.stable ┆ -      ┆ 2     │
        └───────────────┴────────┴───────┘
        reverts by itself at 1970-01-01T00:00:00Z: keep it with `taper confirm --model m --address u`
        ");
    }

    #[test]
    fn what_changes_nothing_says_so() {
        let same = ChangeResponse {
            revision: 7,
            ..ChangeResponse::default()
        };
        insta::assert_snapshot!(change(true).readable("", "m", &same, "nothing differs"), @r"
        m   revision 7
        nothing differs
        dry run: nothing was changed
        ");
    }

    #[test]
    fn json_has_the_revision_and_what_differs() {
        let json = serde_json::to_string_pretty(&Answer::from(&moved())).unwrap();
        insta::assert_snapshot!(json);
        let same = ChangeResponse::default();
        let json = serde_json::to_string_pretty(&Answer::from(&same)).unwrap();
        insta::assert_snapshot!(json);
    }
}
