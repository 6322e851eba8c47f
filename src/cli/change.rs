//! The flags of every verb that changes something, the call that makes the change, and how it is shown.
//!
//! Not here: limits of the terms. The gateway checks them and names the field.

use std::time::Duration;

use super::model::ModelFlag;
use super::split::get_policy;
use crate::client::v1::{ChangeResponse, ChangeTerms, SetTrafficPolicyRequest, TrafficPolicy};
use crate::client::{Admin, AdminPort, Failure, Rpc, names};
use crate::terminal::{output, table::table};

/// The flags of a verb that changes something.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct MutationFlags {
    #[command(flatten)]
    pub(super) change: ChangeFlags,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) port: AdminPort,
}

/// The terms of a change.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ChangeFlags {
    /// Change nothing unless this revision of the model is in force.
    #[arg(long, value_name = "REVISION", alias = "expected-revision")]
    pub(super) expect: Option<u64>,
    /// Only show what would differ.
    #[arg(long)]
    dry_run: bool,
    /// Revert the change after this time, 1s to 24h, unless `taper confirm` keeps it: `90s`, `10m`, `2h`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    confirm_within: Option<Duration>,
    #[command(flatten)]
    author: AuthorFlags,
}

/// Who makes a change, and why.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct AuthorFlags {
    /// Reason, for the history and the audit log.
    #[arg(
        short = 'm',
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    reason: String,
    /// Who makes the change [default: $USER, or the address of the caller].
    #[arg(long, value_name = "NAME", env = "TAPER_ACTOR")]
    actor: Option<String>,
}

impl AuthorFlags {
    /// Returns terms with only the author and the reason.
    pub(super) fn terms(&self) -> ChangeTerms {
        let user = || std::env::var("USER").unwrap_or_default();
        ChangeTerms {
            actor: self.actor.clone().unwrap_or_else(user),
            reason: self.reason.clone(),
            ..ChangeTerms::default()
        }
    }
}

impl MutationFlags {
    /// Returns these flags with the longer default timeout of calls that load a version.
    pub(super) fn for_loading(self) -> Self {
        Self {
            port: self.port.for_loading(),
            ..self
        }
    }

    /// Makes a change and prints it. `request` builds the request from the name of the model and the terms.
    ///
    /// # Errors
    /// Returns an error if the gateway does not answer or refuses the change, or stdout cannot be written.
    pub(super) async fn apply<Q>(
        &self,
        model: &ModelFlag,
        request: impl FnOnce(String, Option<ChangeTerms>) -> Q,
    ) -> Result<(), Failure>
    where
        Q: Rpc<Port = Admin, Response = ChangeResponse>,
    {
        let unchanged = "nothing differs: this is already in force";
        self.apply_or(model, request, unchanged).await
    }

    /// Makes a change as [`apply`](Self::apply) does, and prints `unchanged` if nothing differs.
    pub(super) async fn apply_or<Q>(
        &self,
        model: &ModelFlag,
        request: impl FnOnce(String, Option<ChangeTerms>) -> Q,
        unchanged: &str,
    ) -> Result<(), Failure>
    where
        Q: Rpc<Port = Admin, Response = ChangeResponse>,
    {
        let model = model.resolve(&self.port).await?;
        let request = request(model.clone(), Some(self.change.terms()));
        let response = self.port.call(request).await?;
        self.print(&model, &response, unchanged)
    }

    /// Reads the policy of `model`, lets `edit` change it, sends it with the revision that was read, and prints what changed. If
    /// somebody else changes the model in between, the gateway refuses the change.
    ///
    /// # Errors
    /// Returns an error if the gateway does not answer or refuses the change, or stdout cannot be written.
    pub(super) async fn edit_policy(
        &self,
        model: String,
        edit: impl FnOnce(&mut TrafficPolicy),
    ) -> Result<(), Failure> {
        let before = get_policy(&self.port, model.clone()).await?;
        let mut policy = before.policy.unwrap_or_default();
        edit(&mut policy);
        let response = self.set_policy(&model, policy, before.revision).await?;
        self.print(
            &model,
            &response,
            "nothing differs: this is already in force",
        )
    }

    /// Replaces the policy of `model`. The expected revision is that of `--expect`, or `read` without the flag.
    ///
    /// # Errors
    /// Returns an error if the gateway does not answer or refuses the change.
    pub(super) async fn set_policy(
        &self,
        model: &str,
        policy: TrafficPolicy,
        read: u64,
    ) -> Result<ChangeResponse, Failure> {
        let request = SetTrafficPolicyRequest {
            model: model.to_owned(),
            policy: Some(policy),
            terms: Some(ChangeTerms {
                expected_revision: Some(self.change.expect.unwrap_or(read)),
                ..self.change.terms()
            }),
        };
        self.port.call(request).await
    }

    fn print(
        &self,
        model: &str,
        response: &ChangeResponse,
        unchanged: &str,
    ) -> Result<(), Failure> {
        if self.json {
            return Ok(output::print_json(response)?);
        }
        let flag = self.port.address_flag();
        let text = self.change.readable(&flag, model, response, unchanged);
        Ok(output::print(&text)?)
    }
}

impl ChangeFlags {
    /// Returns the terms as a message.
    pub(super) fn terms(&self) -> ChangeTerms {
        ChangeTerms {
            expected_revision: self.expect,
            dry_run: self.dry_run,
            // Always converts: the parser accepts far less than a message can hold.
            confirm_within: self.confirm_within.and_then(|time| time.try_into().ok()),
            ..self.author.terms()
        }
    }

    /// Returns the change as text. `flag` is the `--address` flag of commands in it; `unchanged` is shown if nothing differs.
    fn readable(
        &self,
        flag: &str,
        model: &str,
        response: &ChangeResponse,
        unchanged: &str,
    ) -> String {
        let mut text = format!("{model}   revision {}", response.revision);
        match response.restores {
            Some(0) => text.push_str("\nbrings back the state before the first revision"),
            Some(restores) => text.push_str(&format!("\nbrings back revision {restores}")),
            None => {}
        }
        if response.differences.is_empty() {
            text.push_str(&format!("\n{unchanged}"));
        } else {
            let or_dash = |value: &str| if value.is_empty() { "-" } else { value }.to_owned();
            let rows = response
                .differences
                .iter()
                .map(|one| vec![one.field.clone(), or_dash(&one.before), or_dash(&one.after)]);
            text.push('\n');
            text.push_str(&table(&["field", "before", "after"], &[], rows));
        }
        text + &self.notes(flag, model, response)
    }

    /// Returns what else there is to know about a change, one line each, each after a line end.
    pub(super) fn notes(&self, flag: &str, model: &str, response: &ChangeResponse) -> String {
        let mut text = String::new();
        if self.dry_run {
            text.push_str("\ndry run: nothing was changed");
        }
        if let Some(by) = response.confirm_by.as_ref().map(names::to_second) {
            text.push_str(&format!(
                "\nreverts at {by} unless you keep it with `taper confirm --model {model}{flag}`"
            ));
        }
        text
    }
}

/// Parses `90s`, `10m` or `2h`.
fn duration(raw: &str) -> Result<Duration, String> {
    let units = [('s', 1), ('m', 60), ('h', 3_600)];
    let parsed = units.into_iter().find_map(|(unit, seconds)| {
        let digits = raw.strip_suffix(unit)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| digits.parse::<u32>().ok()).flatten()?;
        Some(Duration::from_secs(u64::from(number) * seconds))
    });
    parsed.ok_or_else(|| format!("got {raw:?}, wants a whole number and a unit: 90s, 10m, 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1::Difference;
    use crate::client::well_known::Timestamp;

    fn change(dry_run: bool) -> ChangeFlags {
        ChangeFlags {
            expect: None,
            dry_run,
            confirm_within: None,
            author: AuthorFlags::default(),
        }
    }

    fn moved_label() -> ChangeResponse {
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
            restores: None,
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
            let parsed = duration(raw).ok().map(|time| time.as_secs());
            assert_eq!(parsed, seconds, "{raw}");
        }
    }

    #[test]
    fn a_change_shows_each_field_and_how_to_keep_it() {
        let text = change(false).readable(" --address u", "m", &moved_label(), "");
        insta::assert_snapshot!(text, @r"
        m   revision 7
        ┌───────────────┬────────┬───────┐
        │ field         ┆ before ┆ after │
        ╞═══════════════╪════════╪═══════╡
        │ labels.stable ┆ -      ┆ 2     │
        └───────────────┴────────┴───────┘
        reverts at 1970-01-01T00:00:00Z unless you keep it with `taper confirm --model m --address u`
        ");
    }

    #[test]
    fn a_change_without_differences_says_so() {
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
    fn an_undo_names_the_revision_that_comes_back() {
        for (restores, line) in [
            (4, "\nbrings back revision 4\n"),
            (0, "\nbrings back the state before the first revision\n"),
        ] {
            let undone = ChangeResponse {
                restores: Some(restores),
                ..moved_label()
            };
            for dry_run in [false, true] {
                let text = change(dry_run).readable("", "m", &undone, "");
                assert!(text.contains(line), "{text}");
            }
        }
    }

    #[test]
    fn json_has_the_revision_and_what_differs() {
        let json = serde_json::to_string_pretty(&moved_label()).unwrap();
        insta::assert_snapshot!(json);
        let same = ChangeResponse::default();
        let json = serde_json::to_string_pretty(&same).unwrap();
        insta::assert_snapshot!(json);
    }
}
