//! The changes that an operator can make, and the desired state after each. Pure: [`admit`](super::admit::admit) decides
//! whether the versions can honour it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::store::Record;
use super::wanted::{AcceptedDigest, LatestLabel, Wanted};
use crate::error::{AdminError, InputFaults};
use crate::ident::{Label, ModelName, RawTarget, Revision, Share, Target, VersionNumber};
use crate::serving::route::{Fallback, Policy, RawPolicy, Shadow};
use crate::text::truncate;

/// One change as the caller sent it; not checked yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Replaces the traffic policy.
    SetPolicy(RawPolicy),
    /// Moves or creates a label.
    SetLabel {
        /// The label.
        label: String,
        /// The version that it will name.
        version: u64,
    },
    /// Removes a label.
    DeleteLabel {
        /// The label.
        label: String,
    },
    /// Moves the label `to` to the version that `label` names, and all traffic of the split to `to`.
    Promote {
        /// The label whose version is promoted.
        label: String,
        /// The label that moves; empty: `stable`.
        to: String,
    },
    /// Loads a version.
    Load(u64),
    /// Unloads a version.
    Unload(u64),
    /// Takes the files of a version as they are now, although they were replaced after it was READY.
    Accept(u64),
    /// Retires all versions of a model whose folder is gone, and removes its policy and labels.
    Forget,
    /// Restores the desired state before the change in force.
    Undo,
    /// Restores the desired state of an earlier revision.
    RollbackTo(Revision),
    /// Keeps a change that would revert automatically.
    Confirm,
}

impl Edit {
    /// Whether the edit means the same after a change by another writer, so that a lost compare-and-set may be retried without
    /// asking the caller. An undo, a confirmation, a rollback, a promotion or a policy refers to the state that the caller has seen.
    #[must_use]
    pub fn can_be_repeated(&self) -> bool {
        match self {
            Self::SetLabel { .. } | Self::DeleteLabel { .. } | Self::Load(_) | Self::Unload(_) => {
                true
            }
            Self::SetPolicy(_)
            | Self::Accept(_)
            | Self::Forget
            | Self::Promote { .. }
            | Self::Undo
            | Self::RollbackTo(_)
            | Self::Confirm => false,
        }
    }
}

/// The options that every change has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeOptions {
    /// Revision that the caller has seen; `None`: the change applies to whatever revision is in force.
    pub expected: Option<Revision>,
    /// Only report the differences.
    pub dry_run: bool,
    /// Revert after this time unless the change is confirmed.
    pub confirm_within: Option<Duration>,
    /// Author.
    pub actor: String,
    /// Reason.
    pub reason: String,
}

impl ChangeOptions {
    /// Maximum length of an author's name, in characters.
    pub const LONGEST_ACTOR: usize = 128;
    /// Maximum length of a reason, in characters.
    pub const LONGEST_REASON: usize = 512;
    /// Maximum time to confirm a change.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

    /// Checks the options against their limits.
    ///
    /// # Errors
    /// Returns all faults, by the field names of `taper.v1.ChangeTerms`.
    pub fn check(&self) -> Result<(), AdminError> {
        let mut faults = InputFaults::default();
        for (field, text, most) in [
            ("terms.actor", &self.actor, Self::LONGEST_ACTOR),
            ("terms.reason", &self.reason, Self::LONGEST_REASON),
        ] {
            let length = text.chars().count();
            if length > most || text.chars().any(char::is_control) {
                let expected =
                    format!("at most {most} characters, none of them control characters");
                faults.add(field, format!("{length} characters"), expected);
            }
        }
        if let Some(wait) = self.confirm_within
            && !(Duration::from_secs(1)..=Self::LONGEST_WAIT).contains(&wait)
        {
            faults.add(
                "terms.confirm_within",
                format!("{wait:?}"),
                "1 second to 24 hours",
            );
        }
        faults.into_result().map_err(AdminError::InvalidChange)
    }
}

/// What an edit is applied to.
#[derive(Clone, Debug)]
pub(super) struct EditContext<'a> {
    /// The model.
    pub(super) model: &'a ModelName,
    /// The change in force; `None` before the first change.
    pub(super) record: Option<&'a Record>,
    /// The desired state in force.
    pub(super) wanted: &'a Wanted,
    /// What `latest` names while the policy does not name it; see [`Wanted::resolve`].
    pub(super) highest: Option<VersionNumber>,
    /// The versions in the registry.
    pub(super) in_registry: &'a BTreeSet<VersionNumber>,
    /// For [`Edit::Accept`]: what the version was when it was first READY, and what its files are now.
    pub(super) replaced: Option<AcceptedDigest>,
    /// All known versions.
    pub(super) known: &'a BTreeSet<VersionNumber>,
    /// For [`Edit::Undo`] and [`Edit::RollbackTo`]: the revision to restore, and its desired state. `None` if the history
    /// contains no such revision of this model.
    pub(super) restored: Option<(Revision, &'a Wanted)>,
}

/// The result of an edit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EditResult {
    /// The new desired state.
    pub(super) wanted: Wanted,
    /// Kind of change, in words, for the history.
    pub(super) action: String,
    /// Whether READY versions must be able to honour it. Not required for loading, unloading and confirming.
    pub(super) needs_ready_versions: bool,
}

/// Applies `edit`.
///
/// # Errors
/// Returns an error if the edit is not valid, or not possible in this context.
pub(super) fn apply(edit: &Edit, context: &EditContext<'_>) -> Result<EditResult, AdminError> {
    if context.wanted.pending.is_some()
        && !matches!(edit, Edit::Undo | Edit::RollbackTo(_) | Edit::Confirm)
    {
        let revision = context
            .record
            .map_or(Revision::default(), |record| record.revision);
        return Err(AdminError::Unconfirmed(revision));
    }
    let mut wanted = context.wanted.clone();
    let action = match edit {
        Edit::SetPolicy(raw) => {
            Policy::check(raw.clone(), context.model).map_err(AdminError::InvalidPolicy)?;
            wanted.policy = Some(raw.clone());
            "set policy".to_owned()
        }
        Edit::SetLabel { label, version } => set_label(&mut wanted, label, *version, context)?,
        Edit::DeleteLabel { label } => delete_label(&mut wanted, label, context)?,
        Edit::Promote { label, to } => promote(&mut wanted, label, to, context)?,
        Edit::Load(version) => load(&mut wanted, *version, context)?,
        Edit::Unload(version) => unload(&mut wanted, *version, context)?,
        Edit::Accept(version) => accept(&mut wanted, *version, context)?,
        Edit::Forget => forget(&mut wanted, context)?,
        Edit::Undo => undo(&mut wanted, context)?,
        Edit::RollbackTo(_) => roll_back(&mut wanted, context)?,
        Edit::Confirm => confirm(&mut wanted, context)?,
    };
    wanted.record_latest(context.highest);
    if wanted.labels.len() > Wanted::MOST_LABELS {
        let got = format!("{} labels", wanted.labels.len());
        let most = Wanted::MOST_LABELS;
        let expected = format!("at most {most} labels of one model: delete one");
        let faults = InputFaults::one("label", got, expected);
        return Err(AdminError::InvalidChange(faults));
    }
    Ok(EditResult {
        wanted,
        action,
        needs_ready_versions: match edit {
            Edit::Load(_) | Edit::Unload(_) | Edit::Accept(_) | Edit::Forget | Edit::Confirm => {
                false
            }
            // What comes back of a forgotten model is its name; its versions cannot be READY before its folder is back.
            Edit::Undo | Edit::RollbackTo(_) => !context.wanted.forgotten,
            Edit::SetPolicy(_)
            | Edit::SetLabel { .. }
            | Edit::DeleteLabel { .. }
            | Edit::Promote { .. } => true,
        },
    })
}

/// Returns [`Record::base`] for an operator's change with `edit`. An undo takes the base of the revision that it restores, so that the
/// next undo goes one step further back. A confirmation is not a step of its own. A rollback is a change like others: an undo
/// restores what was in force before it.
#[must_use]
pub(super) fn base(edit: &Edit, current: Option<&Record>, restored: Option<&Record>) -> Revision {
    match edit {
        Edit::Undo => restored.map_or(Revision::default(), |record| record.base),
        Edit::Confirm => current.map_or(Revision::default(), |record| record.base),
        _ => current.map_or(Revision::default(), |record| record.revision),
    }
}

fn set_label(
    wanted: &mut Wanted,
    label: &str,
    version: u64,
    context: &EditContext<'_>,
) -> Result<String, AdminError> {
    let label = movable_label("label", label)?;
    let version = known(context, version)?;
    let action = format!("move label {label} to {version}");
    wanted.labels.insert(label, version);
    Ok(action)
}

fn delete_label(
    wanted: &mut Wanted,
    label: &str,
    context: &EditContext<'_>,
) -> Result<String, AdminError> {
    let label = movable_label("label", label)?;
    if wanted.labels.remove(&label).is_none() {
        return Err(AdminError::unknown_label(context.model, label.as_str()));
    }
    let policy = context
        .wanted
        .policy(context.model)
        .map_err(AdminError::InvalidPolicy)?;
    let target = Target::Label(label.clone());
    let by = policy.map_or_else(Vec::new, |policy| references(&policy, &target));
    if by.is_empty() {
        Ok(format!("delete label {label}"))
    } else {
        let what = format!("label {label}");
        Err(AdminError::Held { what, by })
    }
}

/// Returns the parts of `policy` that refer to `target`.
fn references(policy: &Policy, target: &Target) -> Vec<String> {
    let in_split = policy.split().rows().iter().any(|(row, _)| row == target);
    let in_rule = policy
        .header_rules()
        .iter()
        .any(|rule| rule.target() == target);
    let in_shadow = policy
        .shadows()
        .iter()
        .any(|shadow: &Shadow| shadow.target() == target);
    let in_fallback = policy
        .fallback()
        .is_some_and(|fallback: &Fallback| fallback.target() == target);
    let parts = [
        (in_split, "the split"),
        (in_rule, "a header rule"),
        (in_shadow, "a shadow"),
        (in_fallback, "the fallback"),
    ];
    parts
        .into_iter()
        .filter(|(refers, _)| *refers)
        .map(|(_, part)| part.to_owned())
        .collect()
}

fn promote(
    wanted: &mut Wanted,
    label: &str,
    to: &str,
    context: &EditContext<'_>,
) -> Result<String, AdminError> {
    let to = movable_label("to", if to.is_empty() { "stable" } else { to })?;
    let from: Label = label.parse().map_err(|_| {
        let faults = InputFaults::one("label", quoted(label), Label::WANTED);
        AdminError::InvalidChange(faults)
    })?;
    let version = wanted
        .resolve(&from, context.highest)
        .ok_or_else(|| AdminError::unknown_label(context.model, label))?;
    // The rest of the policy stays: header rules still apply.
    let mut policy = wanted.policy.take().unwrap_or_default();
    policy.split = vec![(RawTarget::Label(to.to_string()), Share::FULL.basis_points())];
    let action = format!("promote {from} ({version}) to {to}");
    wanted.labels.insert(to, version);
    wanted.policy = Some(policy);
    Ok(action)
}

fn load(
    wanted: &mut Wanted,
    version: u64,
    context: &EditContext<'_>,
) -> Result<String, AdminError> {
    let version = known(context, version)?;
    wanted.unload.remove(&version);
    wanted.load.insert(version);
    Ok(format!("load version {version}"))
}

fn unload(
    wanted: &mut Wanted,
    version: u64,
    context: &EditContext<'_>,
) -> Result<String, AdminError> {
    let version = known(context, version)?;
    let holders = context.wanted.holders(context.model, context.highest);
    if let Some(by) = holders.get(&version) {
        let (what, by) = (format!("version {version}"), by.clone());
        return Err(AdminError::Held { what, by });
    }
    wanted.load.remove(&version);
    wanted.unload.insert(version);
    Ok(format!("unload version {version}"))
}

fn accept(
    wanted: &mut Wanted,
    version: u64,
    context: &EditContext<'_>,
) -> Result<String, AdminError> {
    let version = known(context, version)?;
    let before = wanted.accepted.get(&version).copied();
    match context.replaced {
        Some(replaced) if replaced.was == replaced.is => wanted.accepted.remove(&version),
        Some(replaced) => wanted.accepted.insert(version, replaced),
        None => before,
    };
    if wanted.accepted.get(&version).copied() == before {
        let message = format!("the files of version {version} are those that are expected");
        return Err(AdminError::NothingToChange(message));
    }
    Ok(format!("accept the files of version {version}"))
}

fn forget(wanted: &mut Wanted, context: &EditContext<'_>) -> Result<String, AdminError> {
    if !context.in_registry.is_empty() {
        let versions: Vec<_> = context
            .in_registry
            .iter()
            .map(ToString::to_string)
            .collect();
        return Err(AdminError::Held {
            what: format!("model {}", context.model),
            by: vec![format!(
                "its folder in the registry (versions {})",
                versions.join(", ")
            )],
        });
    }
    *wanted = Wanted {
        forgotten: true,
        ..Wanted::default()
    };
    Ok("forget".to_owned())
}

fn undo(wanted: &mut Wanted, context: &EditContext<'_>) -> Result<String, AdminError> {
    let is_first =
        |record: &Record| record.base == Revision::default() && !record.origin.is_operator();
    if context.record.is_none_or(is_first) {
        let message = format!("model `{}` has no change to undo", context.model);
        return Err(AdminError::NothingToChange(message));
    }
    let (revision, restored) = restored(context)?;
    *wanted = restored;
    Ok(format!("undo to revision {revision}"))
}

fn roll_back(wanted: &mut Wanted, context: &EditContext<'_>) -> Result<String, AdminError> {
    if context
        .restored
        .is_some_and(|(revision, _)| revision == Revision::default())
    {
        let message = format!(
            "revision 0 of model `{}` is the state before its first change, in which nothing decides its traffic; \
             `taper history` shows the revisions that can be restored",
            context.model
        );
        return Err(AdminError::NothingToChange(message));
    }
    let (revision, restored) = restored(context)?;
    *wanted = restored;
    Ok(format!("roll back to revision {revision}"))
}

fn confirm(wanted: &mut Wanted, context: &EditContext<'_>) -> Result<String, AdminError> {
    if wanted.pending.take().is_none() {
        let message = format!(
            "no change of model `{}` waits to be confirmed",
            context.model
        );
        return Err(AdminError::NothingToChange(message));
    }
    Ok("confirm".to_owned())
}

fn restored(context: &EditContext<'_>) -> Result<(Revision, Wanted), AdminError> {
    let (revision, wanted) = context
        .restored
        .ok_or_else(|| AdminError::UnknownRevision {
            model: context.model.to_string(),
            revision: Revision::default(),
        })?;
    let highest = context.highest;
    let wanted = Wanted {
        // The caller asks for this revision explicitly, so it needs no confirmation even if it once waited for one.
        pending: None,
        // The versions that are there now are not followed: that would move traffic away from what was just restored.
        latest: wanted.latest.map(|latest| LatestLabel {
            seen: highest.map_or(latest.seen, |highest| latest.seen.max(highest)),
            ..latest
        }),
        ..wanted.clone()
    };
    Ok((revision, wanted.with_explicit_policy()))
}

fn known(context: &EditContext<'_>, raw: u64) -> Result<VersionNumber, AdminError> {
    let version = VersionNumber::try_from(raw)
        .map_err(|e| AdminError::InvalidChange(InputFaults::one("version", e.got, e.wanted)))?;
    if context.known.contains(&version) {
        Ok(version)
    } else {
        Err(AdminError::UnknownVersion {
            model: context.model.to_string(),
            version: raw,
        })
    }
}

/// Parses a label that operators may move. `field` is its name in error messages.
fn movable_label(field: &str, raw: &str) -> Result<Label, AdminError> {
    let refuse = |got: String, expected: &str| {
        AdminError::InvalidChange(InputFaults::one(field, got, expected))
    };
    let label: Label = raw
        .parse()
        .map_err(|_| refuse(quoted(raw), Label::WANTED))?;
    if label.as_str() == Label::LATEST {
        return Err(refuse(
            "latest".into(),
            "another label: `latest` is built in and names the highest READY version",
        ));
    }
    Ok(label)
}

/// Returns what a caller sent in place of a label, quoted and cut to the length of a label.
fn quoted(raw: &str) -> String {
    format!("{:?}", truncate(raw, Label::MAX_LEN))
}

#[cfg(test)]
mod tests;
