//! What an operator may change, and what is wanted after it. Pure: whether the versions can honour it is
//! [`admit`](super::admit::admit)'s business.

use std::collections::BTreeSet;
use std::time::Duration;

use super::store::Record;
use super::wanted::Wanted;
use crate::error::{AdminError, InputFaults};
use crate::ident::{Label, ModelName, Revision, Share, Target, VersionNumber};
use crate::serving::route::{Fallback, Policy, RawPolicy, RawTarget, Shadow};

/// One change, in the caller's words: nothing in it is checked yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Replaces the traffic policy.
    SetPolicy(RawPolicy),
    /// Moves a label, or makes it.
    SetLabel {
        /// The label.
        label: String,
        /// The version that it is to name.
        version: u64,
    },
    /// Removes a label.
    DeleteLabel {
        /// The label.
        label: String,
    },
    /// Moves the label `to` to the version that `label` names, and all traffic of the split to `to`.
    Promote {
        /// Whose version takes over.
        label: String,
        /// Who moves; empty: `stable`.
        to: String,
    },
    /// Wants a version loaded.
    Load(u64),
    /// Wants a version unloaded.
    Unload(u64),
    /// Brings back what was before the change in force.
    Undo,
    /// Brings back what an earlier revision wanted.
    RollbackTo(Revision),
    /// Keeps a change that would revert.
    Confirm,
}

/// What every change says beside the change itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeOptions {
    /// The revision that the caller has seen; `None`: any.
    pub expected: Option<Revision>,
    /// Only tell what would differ.
    pub dry_run: bool,
    /// Revert after this time unless confirmed.
    pub confirm_within: Option<Duration>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl ChangeOptions {
    /// How long the name of an actor may be, in characters.
    pub const LONGEST_ACTOR: usize = 128;
    /// How long a reason may be, in characters.
    pub const LONGEST_REASON: usize = 512;
    /// How long a change may wait to be confirmed.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

    /// Holds the terms to their limits.
    ///
    /// # Errors
    /// Every fault, by the field names of `taper.v1.ChangeTerms`.
    pub fn check(&self) -> Result<(), AdminError> {
        let mut faults = InputFaults::default();
        for (field, text, most) in [
            ("terms.actor", &self.actor, Self::LONGEST_ACTOR),
            ("terms.reason", &self.reason, Self::LONGEST_REASON),
        ] {
            let length = text.chars().count();
            if length > most || text.chars().any(char::is_control) {
                let wanted = format!("at most {most} characters, none of them control characters");
                faults.add(field, format!("{length} characters"), wanted);
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
pub(super) struct Before<'a> {
    /// The model.
    pub(super) model: &'a ModelName,
    /// The change in force; `None`: nobody has changed anything.
    pub(super) record: Option<&'a Record>,
    /// What is wanted.
    pub(super) wanted: &'a Wanted,
    /// The version that `latest` names.
    pub(super) latest: Option<VersionNumber>,
    /// Versions that are known.
    pub(super) known: &'a BTreeSet<VersionNumber>,
    /// For [`Edit::Undo`] and [`Edit::RollbackTo`]: the revision to bring back, and what it wanted. `None` where the history
    /// holds no such revision of this model.
    pub(super) restored: Option<(Revision, &'a Wanted)>,
}

/// What is to be wanted, and what the history says about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct After {
    /// What is to be wanted.
    pub wanted: Wanted,
    /// What kind of change it was, in words.
    pub action: String,
    /// Whether versions must be able to honour it, which only loading and unloading do not ask for.
    pub moves_traffic: bool,
}

/// Applies `edit`.
///
/// # Errors
/// What is wrong with the edit itself, or with making it now.
pub(super) fn apply(edit: &Edit, before: &Before<'_>) -> Result<After, AdminError> {
    if before.wanted.pending.is_some()
        && !matches!(edit, Edit::Undo | Edit::RollbackTo(_) | Edit::Confirm)
    {
        let revision = before
            .record
            .map_or(Revision::default(), |record| record.revision);
        return Err(AdminError::Unconfirmed(revision));
    }
    let mut wanted = before.wanted.clone();
    let mut moves_traffic = true;
    let action = match edit {
        Edit::SetPolicy(raw) => {
            Policy::check(raw.clone(), before.model).map_err(AdminError::InvalidPolicy)?;
            wanted.policy = Some(raw.clone());
            "set policy".to_owned()
        }
        Edit::SetLabel { label, version } => {
            let (label, version) = (own_label("label", label)?, known(before, *version)?);
            let action = format!("move label {label} to {version}");
            wanted.labels.insert(label, version);
            action
        }
        Edit::DeleteLabel { label } => {
            let label = own_label("label", label)?;
            delete(&mut wanted, &label, before)?;
            format!("delete label {label}")
        }
        Edit::Promote { label, to } => promote(&mut wanted, label, to, before)?,
        Edit::Load(version) => {
            let version = known(before, *version)?;
            moves_traffic = false;
            wanted.unload.remove(&version);
            wanted.load.insert(version);
            format!("load version {version}")
        }
        Edit::Unload(version) => {
            let version = known(before, *version)?;
            moves_traffic = false;
            let holders = before.wanted.holders(before.model, before.latest);
            if let Some(by) = holders.get(&version) {
                let (what, by) = (format!("version {version}"), by.clone());
                return Err(AdminError::Held { what, by });
            }
            wanted.load.remove(&version);
            wanted.unload.insert(version);
            format!("unload version {version}")
        }
        Edit::Undo => {
            if before.record.is_none() {
                let told = format!("model `{}` has no change to undo", before.model);
                return Err(AdminError::NothingToChange(told));
            }
            let (revision, restored) = restored(before)?;
            wanted = restored;
            format!("undo to revision {revision}")
        }
        Edit::RollbackTo(_) => {
            let (revision, restored) = restored(before)?;
            wanted = restored;
            format!("roll back to revision {revision}")
        }
        Edit::Confirm => {
            moves_traffic = false;
            if wanted.pending.take().is_none() {
                let told = format!(
                    "no change of model `{}` waits to be confirmed",
                    before.model
                );
                return Err(AdminError::NothingToChange(told));
            }
            "confirm".to_owned()
        }
    };
    if wanted.labels.len() > Wanted::MOST_LABELS {
        let got = format!("{} labels", wanted.labels.len());
        let most = Wanted::MOST_LABELS;
        let told = format!("at most {most} labels of one model: delete one");
        let faults = InputFaults::one("label", got, told);
        return Err(AdminError::InvalidChange(faults));
    }
    Ok(After {
        wanted,
        action,
        moves_traffic,
    })
}

/// What [`Record::base`] of the change after `current` is to be: an undo continues from where the restored revision came
/// from, so that the next undo goes one further back; confirming is not a step of its own.
#[must_use]
pub(super) fn base(edit: &Edit, current: Option<&Record>, restored: Option<&Record>) -> Revision {
    match edit {
        Edit::Undo | Edit::RollbackTo(_) => {
            restored.map_or(Revision::default(), |record| record.base)
        }
        Edit::Confirm => current.map_or(Revision::default(), |record| record.base),
        _ => current.map_or(Revision::default(), |record| record.revision),
    }
}

fn restored(before: &Before<'_>) -> Result<(Revision, Wanted), AdminError> {
    let (revision, wanted) = before.restored.ok_or_else(|| AdminError::UnknownRevision {
        model: before.model.to_string(),
        revision: Revision::default(),
    })?;
    // A revision that once waited to be confirmed is now asked for by name.
    let wanted = Wanted {
        pending: None,
        ..wanted.clone()
    };
    Ok((revision, wanted))
}

fn known(before: &Before<'_>, raw: u64) -> Result<VersionNumber, AdminError> {
    let version = VersionNumber::try_from(raw)
        .map_err(|e| AdminError::InvalidChange(InputFaults::one("version", e.got, e.wanted)))?;
    if before.known.contains(&version) {
        Ok(version)
    } else {
        Err(AdminError::UnknownVersion {
            model: before.model.to_string(),
            version: raw,
        })
    }
}

/// A label that operators may move.
fn own_label(field: &str, raw: &str) -> Result<Label, AdminError> {
    let refuse =
        |got: String, wanted: &str| AdminError::InvalidChange(InputFaults::one(field, got, wanted));
    let label: Label = raw.parse().map_err(|_| {
        let got = format!("{:?}", crate::text::truncate(raw, 64));
        refuse(got, Label::WANTED)
    })?;
    if label.as_str() == Label::LATEST {
        return Err(refuse(
            "latest".into(),
            "another label: `latest` is built in and names the highest READY version",
        ));
    }
    Ok(label)
}

fn delete(wanted: &mut Wanted, label: &Label, before: &Before<'_>) -> Result<(), AdminError> {
    if wanted.labels.remove(label).is_none() {
        return Err(unknown_label(before, label.as_str()));
    }
    let policy = before
        .wanted
        .policy(before.model)
        .map_err(AdminError::InvalidPolicy)?;
    let target = Target::Label(label.clone());
    let mut by = Vec::new();
    if policy.split().rows().iter().any(|(row, _)| *row == target) {
        by.push("the split".to_owned());
    }
    let rules = policy
        .header_rules()
        .iter()
        .filter(|rule| *rule.target() == target);
    by.extend((rules.count() > 0).then(|| "a header rule".to_owned()));
    let shadow = |shadow: &Shadow| *shadow.target() == target;
    by.extend(
        policy
            .shadows()
            .iter()
            .any(shadow)
            .then(|| "a shadow".to_owned()),
    );
    let fallback = |fallback: &Fallback| *fallback.target() == target;
    by.extend(
        policy
            .fallback()
            .is_some_and(fallback)
            .then(|| "the fallback".to_owned()),
    );
    if by.is_empty() {
        Ok(())
    } else {
        Err(AdminError::Held {
            what: format!("label {label}"),
            by,
        })
    }
}

fn promote(
    wanted: &mut Wanted,
    label: &str,
    to: &str,
    before: &Before<'_>,
) -> Result<String, AdminError> {
    let to = own_label("to", if to.is_empty() { "stable" } else { to })?;
    let from: Label = label.parse().map_err(|_| {
        let got = format!("{:?}", crate::text::truncate(label, 64));
        AdminError::InvalidChange(InputFaults::one("label", got, Label::WANTED))
    })?;
    let version = wanted
        .resolve(&from, before.latest)
        .ok_or_else(|| unknown_label(before, label))?;
    // All else of the policy stays: who is pinned by a header stays pinned.
    let mut policy = wanted.policy.take().unwrap_or_default();
    policy.split = vec![(RawTarget::Label(to.to_string()), Share::FULL.basis_points())];
    let action = format!("promote {from} ({version}) to {to}");
    wanted.labels.insert(to, version);
    wanted.policy = Some(policy);
    Ok(action)
}

fn unknown_label(before: &Before<'_>, label: &str) -> AdminError {
    AdminError::unknown_label(before.model, label)
}
